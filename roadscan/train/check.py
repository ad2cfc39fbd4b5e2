"""Checks of a training before Ray starts: settings, folders, first weights, labels."""

from __future__ import annotations

import logging
import os
from typing import NamedTuple

from roadscan.cluster import refuse_lost_outputs
from roadscan.dataset.census import objects_by_class, rare_classes
from roadscan.dataset.draft import Draft, refuse
from roadscan.dataset.fitness import unfit
from roadscan.dataset.read import open_draft
from roadscan.errors import AccessDenied, ConfigError
from roadscan.model import yolo
from roadscan.model.semantic_loss import check_semantic_loss
from roadscan.storage import DiskStore, Store, open_file, open_store, reach
from roadscan.train.config import TrainConfig
from roadscan.train.history import check_tracking
from roadscan.train.initial import Initial, check_initial, read_initial
from roadscan.train.repeat_factor import check_repeats, describe
from roadscan.train.state import check_settings

logger = logging.getLogger(__name__)


class CheckedTraining(NamedTuple):
    """A training that can start: its addresses absolute, since workers have folders of their own; its first weights."""

    config: TrainConfig
    initial: Initial | None


def check_training(config: TrainConfig) -> CheckedTraining:
    """A training's config -> the same with absolute addresses, and its first weights; all that it uses is checked.

    That takes seconds, where Ray and its workers take a minute to start.

    Raises:
        ConfigError: what is set cannot be, what it makes would be lost, or the run was started with other settings.
        DatasetError: the labels have errors, or splits are missing.
        ModelError: no such first weights, or they are another network's.
        StorageError: an address is none, or cannot be read or written.
    """
    check_tracking(config.tracking)
    refuse_lost_outputs({"runs": config.runs, "out": config.out}, os.environ)
    runs = open_store(config.runs)
    for field, store in (("runs", runs), ("out", open_file(config.out)[0])):
        check_writable(field, store)
    check_settings(config.identity(), runs.child(config.name))
    initial = read_initial(config.initial) if config.initial else None
    draft = check_data(config.data)
    check_balance(config, draft)
    if config.repeat_threshold is not None:
        logger.info("%s", describe(draft.splits["train"], draft.names, config.repeat_threshold))
    if initial:
        check_fit(initial, draft, config)
    return CheckedTraining(config.model_copy(update={"data": open_store(config.data).uri, "runs": runs.uri}), initial)


def check_writable(field: str, store: Store) -> None:
    """Refuse a folder that a job could not write to; of an object store, try its bucket and the credentials for it.

    Raises:
        StorageError: no folder can be there or be written, no such bucket, or nobody answers.
    """
    if not isinstance(store, DiskStore):
        reach(store)
        return
    there = next(path for path in (store.root, *store.root.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise AccessDenied(f"{field}: {store.root} cannot be written, as {there} is no folder that can be")


def check_data(uri: str) -> Draft:
    """A dataset's address -> its labels, without its images.

    Raises:
        DatasetError: the labels have errors, a split is missing or empty, or a drive is in two.
        StorageError: they cannot be read.
    """
    draft = open_draft(uri)
    refuse([*draft.errors, *unfit(draft)], uri)
    return draft


def check_balance(config: TrainConfig, draft: Draft) -> None:
    """Refuse a loss or settings for rare classes that do not go with a dataset, or leave nothing to do.

    Raises:
        ConfigError: weights by class cannot be had from these objects, no image would be repeated, nothing pasted, or a
            field means nothing for the task.
    """
    images, augment = draft.splits["train"], config.augment
    if draft.task == "semantic":
        check_semantic_loss(config.loss, draft.names)
        for field, value in (("repeat_threshold", config.repeat_threshold), ("augment.paste_rare", augment.paste_rare)):
            if value:
                raise ConfigError(f"{field}: got {value:g}, which is of objects, and pixels are learnt; leave it out")
        return
    config.loss.on(objects_by_class(draft, "train"))
    check_repeats(images, draft.names, config.repeat_threshold)
    if augment.paste_rare and not rare_classes(images, augment.rare_below):
        raise ConfigError(
            f"augment.paste_rare: got {augment.paste_rare:g}, but every class is in a share of {augment.rare_below:g} "
            "of the training images or more; raise augment.rare_below, or leave paste_rare out"
        )


def check_fit(initial: Initial, draft: Draft, config: TrainConfig) -> None:
    """Refuse first weights that do not fit the network that they are for, or its settings.

    Raises:
        ConfigError, ModelError: as `check_initial`.
    """
    network = yolo.build(draft.task, config.variant, len(draft.names), config.activation)
    check_initial(network, initial.weights, config)
