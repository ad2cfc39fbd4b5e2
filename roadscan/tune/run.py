"""A sweep from its config to its summary: planned, searched on the Ray cluster, and its results written."""

from __future__ import annotations

from optuna.storages import JournalStorage

from roadscan.cluster import connect, grows, nodes
from roadscan.progress import OnProgress, silent
from roadscan.storage import open_store
from roadscan.tune.config import TuneConfig
from roadscan.tune.journal import StoreJournal
from roadscan.tune.placement import place_trials
from roadscan.tune.plan import check_sweep
from roadscan.tune.results import TuneSummary, write_results
from roadscan.tune.sweep import Sweep


def run_tune(config: TuneConfig, on_progress: OnProgress = silent) -> TuneSummary:
    """A sweep's config -> its summary and results; runs all trials that are still to be run.

    Args:
        config: the sweep.
        on_progress: called with all trials so far, when one starts, ends, or has done an epoch.

    Raises:
        ConfigError: the sweep was started with other settings; and what `plan_sweep` raises.
        TrainingError: another driver goes on with the sweep, or no trial came to an end.
    """
    initials = check_sweep(config)
    store = open_store(config.sweeps).child(config.name)
    # Absolute: trials have folders of their own.
    data = open_store(config.train.data).uri
    config = config.model_copy(update={"train": config.train.model_copy(update={"data": data})})
    connect()
    from roadscan.tune.ray import measure_latencies, run_trials

    plan = place_trials(config, nodes(), grows=grows())
    sweep = Sweep(config, JournalStorage(StoreJournal(store)))
    if config.latency and not sweep.latencies():
        sweep.set_latencies(measure_latencies(config, plan))
    run_trials(sweep, plan, store, initials, on_progress)
    return write_results(sweep, store, plan.placed)
