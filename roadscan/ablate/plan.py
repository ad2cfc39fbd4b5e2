"""Checks of an ablation before Ray starts: settings, folders, first weights, labels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from roadscan.ablate.config import AblateConfig
from roadscan.ablate.runs import Run, planned_runs
from roadscan.cluster import refuse_lost_outputs
from roadscan.dataset.draft import Draft
from roadscan.errors import ConfigError, ModelError
from roadscan.storage import Store, open_store
from roadscan.train.check import check_balance, check_data, check_fit, check_writable
from roadscan.train.history import check_tracking
from roadscan.train.initial import Initial, read_initial


@dataclass(frozen=True)
class CheckedAblation:
    """An ablation that can start.

    Attributes:
        store: its folder.
        runs: all of them: by seed, then variant, then loss, so that an early table has a bit of each.
        initials: first weights, by address.
        draft: the dataset's labels.
    """

    store: Store
    runs: tuple[Run, ...]
    initials: Mapping[str, Initial]
    draft: Draft


def check_ablation(config: AblateConfig) -> CheckedAblation:
    """An ablation's config -> its runs and their first weights; all that they read and write is looked at.

    Raises:
        ConfigError: what is set cannot be, or what it makes would be lost.
        DatasetError: the labels have errors, or splits are missing.
        ModelError: no such first weights, or they are another network's.
        StorageError: an address is none, or cannot be read or written.
    """
    check_tracking(config.train.tracking)
    refuse_lost_outputs({"ablations": config.ablations}, os.environ)
    root = open_store(config.ablations)
    check_writable("ablations", root)
    draft = check_data(config.train.data)
    if draft.task == "semantic":
        raise ConfigError(
            f"train.data: {config.train.data} is of task semantic, and an ablation's tables are of objects; train each "
            "loss with 'roadscan train', and hold them against each other with 'roadscan compare'"
        )
    initials: dict[str, Initial] = {}
    for variant in config.variants:
        for loss in config.losses:
            train = config.training(variant, loss, config.seeds[0])
            check_balance(train, draft)
            if train.initial is None:
                continue
            initials[train.initial] = initials.get(train.initial) or read_initial(train.initial)
            try:
                check_fit(initials[train.initial], draft, train)
            except ModelError as error:
                raise ModelError(
                    f"variant {variant}: {error}; by_variant.{variant}.initial sets other weights, or none"
                ) from None
    store = root.child(config.name)
    return CheckedAblation(store, planned_runs(config, initials, store), initials, draft)
