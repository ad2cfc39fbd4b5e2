"""What a sweep would read, write and ask of the cluster, before a trial starts."""

from __future__ import annotations

import os

from roadscan.cluster import connect, grows, nodes, refuse_lost_outputs
from roadscan.errors import ConfigError, ModelError
from roadscan.storage import open_store
from roadscan.train.check import check_balance, check_data, check_fit, check_writable
from roadscan.train.config import TrainConfig
from roadscan.train.history import check_tracking
from roadscan.train.initial import Initial, read_initial
from roadscan.tune.config import PIXEL_METRICS, TuneConfig
from roadscan.tune.placement import SweepPlan, place_trials
from roadscan.tune.space import Range, options


def plan_sweep(config: TuneConfig) -> SweepPlan:
    """A sweep's config -> where its trials will run; starts nothing but a local cluster where there is none.

    Raises:
        ConfigError: the cluster has no room for a variant; the metric is of masks or pixels, and the labels are not; or
            loss.alpha does not go with the classes.
        DatasetError, ModelError, StorageError: as their names say.
    """
    check_sweep(config)
    connect()
    return place_trials(config, nodes(), grows=grows())


def check_sweep(config: TuneConfig) -> dict[str, Initial]:
    """A sweep's config -> the first weights of its trials, by their address; all that it reads and writes is looked at.

    Raises:
        RoadscanError: as `plan_sweep`, but for the cluster.
    """
    check_tracking(config.train.tracking)
    refuse_lost_outputs({"sweeps": config.sweeps}, os.environ)
    check_writable("sweeps", open_store(config.sweeps))
    draft = check_data(config.train.data)
    of_pixels = config.metric in PIXEL_METRICS
    if (config.metric.startswith("mask") and draft.task != "segment") or of_pixels != (draft.task == "semantic"):
        raise ConfigError(f"metric: got {config.metric}, but {config.train.data} is labelled for {draft.task}")
    for alpha in options(config.space.get("loss.alpha", ())):
        if not isinstance(alpha, Range):
            check_balance(config.trial({"loss.alpha": alpha}), draft)
    found: dict[str, Initial] = {}
    for variant in config.variants:
        train = config.trial({"variant": variant})
        check_balance(train, draft)
        for uri in _initial_uris(config, train):
            found[uri] = found.get(uri) or read_initial(uri)
            try:
                check_fit(found[uri], draft, train)
            except ModelError as error:
                raise ModelError(f"variant {variant}: {error}") from None
    return found


def _initial_uris(config: TuneConfig, train: TrainConfig) -> list[str]:
    """Addresses of the first weights that trials like this one may have."""
    choices = options(config.space["initial"]) if "initial" in config.space else (train.initial,)
    return [str(uri) for uri in choices if uri is not None]
