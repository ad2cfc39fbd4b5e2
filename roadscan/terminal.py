"""What the command line shows: facts and tables; how far a stage is, `roadscan.live`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from roadscan.config import Config, dump_config, overrides_of
from roadscan.printing import Terminal, cell, json_text
from roadscan.tune.space import describe

if TYPE_CHECKING:
    from roadscan.ablate.config import AblateConfig
    from roadscan.ablate.run import AblationPlan
    from roadscan.doctor import Finding
    from roadscan.evaluate.detection.tables import ScoreTable
    from roadscan.evaluate.register.evaluation import RegisterEvaluation
    from roadscan.model.bench import Row as BackendRow
    from roadscan.nightly.lease import Holder
    from roadscan.nightly.plan import NightlyPlan
    from roadscan.nightly.summary import NightlySummary, NightSummary
    from roadscan.observations import ReadSummary
    from roadscan.train.result import TrainSummary
    from roadscan.tune.config import TuneConfig
    from roadscan.tune.placement import SweepPlan
    from roadscan.tune.results import TuneSummary
    from roadscan.tune.sweep import TrialRow

LOG = logging.getLogger(__name__)
console = Terminal()
errors = Terminal(stderr=True, soft_wrap=True)


def in_brief(value: Any) -> str:
    """A setting, short enough for a line of several."""
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def print_read(summary: ReadSummary) -> None:
    """What was read of another detector's tables, what was rejected and why."""
    from roadscan.observations import explain

    facts = asdict(summary)
    notes, rejected = facts.pop("notes"), facts.pop("rejected")
    print_facts(facts)
    for reason, count in rejected.items():
        console.print(f"rejected: {count} {reason} ({explain(reason)})", soft_wrap=True)
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True)


def print_tables(tables: Sequence[ScoreTable], notes: Sequence[str]) -> None:
    """Scores, and what a reader of them should know."""
    for table in tables:
        console.print(table.rich())
        console.print()
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True)


def print_config(config: Config) -> int:
    """The resolved config as YAML; the exit code of having done so."""
    console.print(dump_config(config), soft_wrap=True, end="")  # a line that is wrapped is no YAML
    return 0


def print_json(tree: Any) -> None:
    """A tree as JSON."""
    console.file.write(json_text(tree, indent=2) + "\n")


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Rows with equal keys as a table, or as JSON."""
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        console.print("none")
        return
    table = Table(*(name.replace("_", " ") for name in rows[0]))
    for row in rows:
        table.add_row(*(cell(str(value)) for value in row.values()))
    console.print(table)


def print_facts(facts: dict[str, Any]) -> None:
    """Names and values, one a line."""
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        pairs = [f"{key}: {one}" for key, one in value.items()] if isinstance(value, dict) else value
        shown = ", ".join(map(str, pairs)) or "none" if isinstance(pairs, list) else pairs
        table.add_row(name.replace("_", " "), cell(str(shown)))
    console.print(table)


def print_training(out: str, summary: TrainSummary) -> None:
    """What a training came to: scores by split, and the rest."""
    known = {
        "map50": "mAP50", "map50_95": "mAP50-95", "precision": "P", "recall": "R", "f1": "F1",
        "confidence": "at confidence", "miou": "mIoU", "miou_with_background": "with background",
        "boundary_f1": "boundary F1", "pixel_accuracy": "accuracy",
    }  # fmt: skip
    columns = {name: known[name] for name in known if all(name in scores for scores in summary.metrics.values())}
    table = Table("split", *columns.values(), box=SIMPLE_HEAD)
    for split, scores in summary.metrics.items():
        table.add_row(split, *(f"{scores[name]:.3f}" for name in columns))
    console.print(table)
    facts = asdict(summary)
    del facts["metrics"]
    print_facts({"model": out, **facts})


def print_plan(config: TuneConfig, plan: SweepPlan) -> None:
    """What a sweep will search, and what it asks of the cluster."""
    space = Table("field", "values", box=SIMPLE_HEAD)
    for field, dimension in config.space.items():
        space.add_row(field, cell(describe(dimension)))
    console.print(space)
    room = Table("variant", "workers of a trial", "trials at once, if all have it", box=SIMPLE_HEAD)
    for variant, placement in plan.placements.items():
        room.add_row(variant, str(placement), str(plan.at_once[variant]))
    console.print(room)
    epochs = config.train.epochs
    console.print(f"{config.trials} trials of at most {epochs} epochs: at most {config.trials * epochs} epochs")


def print_ablation_plan(config: AblateConfig, plan: AblationPlan) -> None:
    """What an ablation will train, and what it asks of the cluster."""
    losses = Table("loss", "settings", box=SIMPLE_HEAD)
    for name, loss in config.losses.items():
        others = [f"train.{field}={value}" for field, value in config.by_loss.get(name, {}).items()]
        settings = " ".join([*overrides_of(loss), *others]) or "the defaults"
        losses.add_row(cell(f"{name}{' (baseline)' if name == config.baseline_loss else ''}"), cell(settings))
    console.print(losses)
    room = Table("variant", "workers of a run", "runs at once, if all have it", box=SIMPLE_HEAD)
    for variant, placement in plan.cluster.placements.items():
        room.add_row(variant, str(placement), str(plan.cluster.at_once[variant]))
    console.print(room)
    runs, left = len(plan.checked.runs), len(plan.checked.runs) - len(plan.complete)
    cells = f"{len(config.losses)} losses x {len(config.variants)} variants x {len(config.seeds)} seeds"
    console.print(f"{cells}: {runs} runs of {config.train.epochs} epochs, {left} of them to do")


def print_nights(plan: NightlyPlan, frames_left: Sequence[int], holder: Holder | None) -> None:
    """What a nightly run would do, and what would keep it from it."""
    table = Table("night", "drives", "new", "of earlier dates", "frames", "to scan", "", box=SIMPLE_HEAD)
    for night, left in zip(plan.nights, frames_left, strict=True):
        drives = night.record.drives
        counts = (len(drives), len(night.to_scan), night.late, sum(drive.frames for drive in drives), left)
        table.add_row(night.record.night, *map(str, counts), "" if night.is_due else "complete already")
    console.print(table if plan.nights else "no drives on these dates")
    print_left_out(plan.left_out)
    _print_passed_over(plan.passed_over)
    if holder:
        console.print(f"another run is under way on {holder.host}, since {holder.taken_at}")


def print_left_out(left_out: Mapping[str, str]) -> None:
    """Drives by address, with the reason why each is left out."""
    for uri, reason in left_out.items():
        console.print(f"left out: {uri}: {reason}", soft_wrap=True)


def print_night(summary: NightSummary) -> None:
    """What a night came to."""
    console.print(summary.text(), soft_wrap=True)


def print_beside(summary: NightlySummary) -> None:
    """What of a nightly run is in no night's summary."""
    if not summary.nights:
        console.print("no drives on these dates")
        print_left_out(summary.left_out)
    _print_passed_over(summary.passed_over)


def _print_passed_over(passed_over: Mapping[str, str | None]) -> None:
    if passed_over:
        dates = ", ".join(sorted({began or "no date" for began in passed_over.values()}))
        console.print(f"new drives of other dates: {len(passed_over)} ({dates})", soft_wrap=True)


def print_sweep(rows: Sequence[TrialRow], summary: TuneSummary, metric: str) -> None:
    """A sweep's trials, best first, and what it came to."""
    table = Table("trial", "state", metric, "epochs", *_latency_header(rows), "settings", box=SIMPLE_HEAD)
    for row in sorted(rows, key=lambda row: (row.state != "complete", -(row.value or 0), row.number)):
        name = f"{row.number}{' *' if row.number in (summary.pareto or [summary.best]) else ''}"
        latency = ["" if row.latency_ms is None else f"{row.latency_ms:.1f}"] if _latency_header(rows) else []
        value = "" if row.value is None else f"{row.value:.4f}"
        settings = " ".join(f"{field}={in_brief(one)}" for field, one in row.settings.items())
        what = f"{settings}{f' ({row.start})' if row.start else ''}{f': {row.failure}' if row.failure else ''}"
        table.add_row(name, row.state, value, str(row.epochs), *latency, cell(what))
    console.print(table)
    console.print("* best" if not summary.pareto else "* no other trial is both better and faster")
    facts = asdict(summary)
    replay = facts.pop("replay")
    print_facts(facts)
    console.print(f"the best again: {replay}", soft_wrap=True)


def _latency_header(rows: Sequence[TrialRow]) -> list[str]:
    return ["ms an image"] if any(row.latency_ms is not None for row in rows) else []


def print_backends(rows: Sequence[BackendRow]) -> None:
    """Backends side by side; under the table why one does not run, or must not be used."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("backend", "ms", "img/s", "cpu ms", "box px", "score", "agrees", "start"):
        table.add_column(column, justify="left" if column in ("backend", "agrees") else "right", no_wrap=True)
    for row in rows:
        if row.agreement is None:
            table.add_row(f"{row.backend}, {row.precision}", *["-"] * 7)
            continue
        figures = f"{row.ms:.1f}", f"{1000 / row.ms:.1f}", f"{row.core_ms:.1f}"
        apart = f"{row.agreement.box_difference_px:.2f}", f"{row.agreement.score_difference:.4f}"
        agrees = f"no, {row.agreement.alone} alone" if row.agreement.objection else "yes"
        table.add_row(f"{row.backend}, {row.precision}", *figures, *apart, agrees, f"{row.start_cpu_s:.1f}")
    console.print(table)
    console.print(
        "ms: an image; cpu ms: processor time of it; box px, score: largest difference from torch float32 on the "
        "calibration images; start: processor seconds of a new process up to its first detections",
        style="dim",
    )
    for note in dict.fromkeys(row.objection for row in rows if row.objection):
        console.print(f"note: {note}", soft_wrap=True)


def print_register_scores(made: RegisterEvaluation) -> None:
    """Points for each radius, lines, removals, identities; those that there are."""
    from roadscan.evaluate.register.tables import register_tables

    for table in register_tables(made):
        console.print(table)
    for note in made.notes:
        console.print(f"note: {note}", soft_wrap=True)


def print_findings(findings: Sequence[Finding]) -> None:
    """The lines of `roadscan doctor`; what to do stands below what was found."""
    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        advice = f"\n→ {finding.advice}" if finding.advice else ""
        table.add_row(cell(finding.status, colours[finding.status]), finding.check, cell(f"{finding.found}{advice}"))
    console.print(table)
