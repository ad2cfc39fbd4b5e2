"""An ablation from its config to its tables: checked, trained on the Ray cluster, scored, written."""

from __future__ import annotations

from dataclasses import dataclass

from roadscan.ablate.config import AblateConfig
from roadscan.ablate.latency import Latency, network_of, read_latencies, write_latencies
from roadscan.ablate.page import ablation_page
from roadscan.ablate.plan import CheckedAblation, check_ablation
from roadscan.ablate.results import Ablation, collect, tested_on
from roadscan.ablate.runs import Run
from roadscan.ablate.state import is_complete
from roadscan.ablate.tables import differences_rows, result_tables, runs_table
from roadscan.cluster import connect, grows, nodes
from roadscan.errors import TrainingError
from roadscan.evaluate.detection.tables import ScoreTable
from roadscan.progress import OnProgress, counter, silent
from roadscan.storage import Store, parquet_bytes
from roadscan.tune.placement import SweepPlan, place_variants

RUNS_TABLE, DIFFERENCES, TABLES, PAGE = "runs.parquet", "differences.parquet", "tables.md", "ablation.html"


@dataclass(frozen=True)
class AblationPlan:
    """What an ablation would do.

    Attributes:
        checked: its runs.
        cluster: where they run, and how many at once.
        complete: names of the runs that are done.
    """

    checked: CheckedAblation
    cluster: SweepPlan
    complete: frozenset[str]


@dataclass(frozen=True)
class AblationSummary:
    """What an ablation came to.

    Attributes:
        page: address of its page; beside it are the tables.
        runs: by state: complete, failed.
        tables: to read.
        notes: what a reader of them should know, a sentence each.
    """

    page: str
    runs: dict[str, int]
    tables: list[ScoreTable]
    notes: list[str]


def plan_ablation(config: AblateConfig) -> AblationPlan:
    """An ablation's config -> its runs and where they will run; starts nothing but a local cluster where there is none.

    Raises:
        ConfigError: the cluster has no room for a variant.
        RoadscanError: as `check_ablation`.
    """
    checked = check_ablation(config)
    connect()
    complete = frozenset(run.name for run in checked.runs if is_complete(run))
    return AblationPlan(checked, _place(config, checked.runs), complete)


def run_ablation(config: AblateConfig, on_progress: OnProgress = silent) -> AblationSummary:
    """An ablation's config -> its tables, written into its folder, too; runs all that are still to be run.

    Args:
        config: the ablation.
        on_progress: called with the states of all runs, when one starts, ends, or has done an epoch; then with how many
            are scored.

    Raises:
        TrainingError: all runs failed.
        RoadscanError: as `plan_ablation`; or what stopped a training.
    """
    plan = plan_ablation(config)
    checked, store = plan.checked, plan.checked.store
    tested = tested_on(config)
    from roadscan.ablate.ray import run_all

    latencies = _latencies(checked, plan.cluster, store)
    failures = run_all(checked.runs, plan.cluster, checked.initials, on_progress)
    if len(failures) == len(checked.runs):
        raise TrainingError(f"{store.uri}: all {len(failures)} runs failed; {'; '.join(sorted({*failures.values()}))}")
    made = collect(config, checked.runs, failures, tested, latencies, counter(on_progress, "ablate", "runs scored"))
    return write_ablation(made, plan.cluster, store)


def write_ablation(made: Ablation, cluster: SweepPlan, store: Store) -> AblationSummary:
    """What an ablation came to -> its summary; writes tables and page into its folder.

    Args:
        made: what it came to.
        cluster: of which the replayed commands have the placement.
        store: its folder.
    """
    tables = result_tables(made)
    store.write(RUNS_TABLE, parquet_bytes(runs_table(made, cluster)))
    store.write(DIFFERENCES, parquet_bytes(differences_rows(made)))
    text = [
        *(table.markdown() for table in result_tables(made, wide=True)),
        "".join(f"- {note}\n" for note in made.notes),
    ]
    store.write(TABLES, "\n".join(text).encode())
    store.write(PAGE, ablation_page(made).encode())
    runs = {"complete": len(made.results), "failed": len(made.failures)}
    return AblationSummary(store.uri_of(PAGE), runs, tables, made.notes)


def _place(config: AblateConfig, runs: tuple[Run, ...]) -> SweepPlan:
    trains = {run.variant: run.train for run in reversed(runs)}
    in_order = {variant: trains[variant] for variant in config.variants}
    return place_variants(in_order, nodes(), grows=grows(), max_concurrent=config.max_concurrent)


def _latencies(checked: CheckedAblation, cluster: SweepPlan, store: Store) -> dict[str, Latency]:
    """Milliseconds by network: as they were measured before, or measured now, while nothing else runs."""
    from roadscan.ablate.ray import measure_latencies

    known = read_latencies(store)
    missing = [run.train for run in checked.runs if network_of(run.train) not in known]
    if missing:
        known |= measure_latencies(checked.draft.task, missing, cluster)
        write_latencies(known, store)
    return known
