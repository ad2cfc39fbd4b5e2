"""The runs of an ablation: which there are, and what each is called. Knows nothing of Ray.

A run is named by its variant, its seed and a digest of all that decides its weights, so that it is found again whatever
its loss is called now, and a run with any other setting is another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from roadscan.ablate.config import AblateConfig
from roadscan.model.bundle import Variant
from roadscan.storage import Store, open_store, sha256_hex
from roadscan.train.config import TrainConfig
from roadscan.train.initial import Initial
from roadscan.train.result import MODEL

RUNS = "runs"


@dataclass(frozen=True)
class Run:
    """One training of an ablation.

    Attributes:
        name: of its folder.
        variant, loss, seed: in which runs differ; the loss by its name.
        train: its training, to be placed on the cluster; addresses are absolute.
    """

    name: str
    variant: Variant
    loss: str
    seed: int
    train: TrainConfig


def planned_runs(config: AblateConfig, initials: Mapping[str, Initial], store: Store) -> tuple[Run, ...]:
    """An ablation's config -> all its runs.

    Args:
        config: the ablation.
        initials: first weights, by address.
        store: the ablation's folder.
    """
    data, folder = open_store(config.train.data).uri, store.child(RUNS)
    runs = []
    for seed in config.seeds:
        for variant in config.variants:
            for loss in config.losses:
                train = config.training(variant, loss, seed)
                name = run_name(train, data, initials)
                where = {"data": data, "name": name, "runs": folder.uri, "out": folder.uri_of(f"{name}/{MODEL}")}
                runs.append(Run(name, variant, loss, seed, train.model_copy(update=where)))
    return tuple(runs)


def run_name(train: TrainConfig, data: str, initials: Mapping[str, Initial]) -> str:
    """A training -> the name of its run, which is another one where any setting is.

    Args:
        train: the training.
        data: absolute address of its dataset.
        initials: first weights by address, of which the contents count.
    """
    start = "scratch" if train.initial is None else initials[train.initial].origin
    settings = {**train.identity(), "data": data, "initial": start}
    return f"{train.variant}-seed{train.seed}-{sha256_hex(json.dumps(settings, sort_keys=True).encode())[:12]}"
