"""What the command line shows: progress, facts, tables."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from rich.box import SIMPLE_HEAD
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table

from roadscan.config import Config, dump_config, overrides_of
from roadscan.errors import OutputError
from roadscan.printing import Terminal, cell, json_text
from roadscan.progress import Progress
from roadscan.tune.space import describe

if TYPE_CHECKING:
    from roadscan.ablate.config import AblateConfig
    from roadscan.ablate.run import AblationPlan
    from roadscan.ablate.state import RunState
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


class _Live:
    """A progress bar where there is a terminal, and none elsewhere."""

    hushed = False  # for all of them

    def __init__(self, text: str, to: Terminal, *columns: ProgressColumn) -> None:
        to = self._to = Terminal(quiet=True, force_terminal=False) if _Live.hushed else to
        self._bar = Bar(
            TextColumn("{task.description}", markup=False), BarColumn(), *columns, console=to, transient=True
        )
        self._task = self._bar.add_task(text, total=None)

    def __call__(self, now: Progress) -> None:
        """Show how far the stage is; where nothing can be shown any more, as on a full disk, the work goes on."""
        try:
            self._show(now)
        except OutputError as error:
            self._to = Terminal(quiet=True, force_terminal=False)
            LOG.warning("no progress is shown from here on: %s", error)

    def _show(self, now: Progress) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self._to.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._to.is_terminal:
            self._bar.stop()


def hush() -> None:
    """Show no progress from here on."""
    _Live.hushed = True


class progress(_Live):  # noqa: N801 - used as a function: with progress("frames") as bar: scan(config, bar)
    """A progress bar in a terminal; elsewhere, a line every tenth of the way."""

    def __init__(self, unit: str, to: Terminal = console) -> None:
        super().__init__(unit, to, MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._unit, self._done, self._tenth = unit, 0, -1

    def _show(self, now: Progress) -> None:
        """Show how far the stage is; another unit, or fewer done than before, is the next of several."""
        if now.unit != self._unit or now.done < self._done:
            self._unit, self._tenth = now.unit, -1
            self._bar.reset(self._task, description=now.unit)
        self._done = now.done
        self._bar.update(self._task, completed=now.done, total=now.total)
        if not self._to.is_terminal and now.total and now.done * 10 // now.total > self._tenth:
            self._tenth = now.done * 10 // now.total
            self._to.print(f"{now.done}/{now.total} {now.unit}")


class epoch_progress(_Live):  # noqa: N801 - used as a function, as `progress` is
    """A line for each epoch that is done; in a terminal, also the steps of the one under way."""

    def __init__(self) -> None:
        super().__init__("starting workers", console, MofNCompleteColumn(), TimeElapsedColumn())
        self._since = time.monotonic()
        self._printed: int | None = None  # epochs; None before the first event

    def _show(self, now: Progress) -> None:
        """Show the epochs that are new, or how far the one under way is."""
        if "history" in now.facts:
            self._print_new(now.facts["history"], now.total)
            return
        if self._printed is None:  # what was done before is not printed, and start-up is no part of an epoch
            self._printed, self._since = now.done, time.monotonic()
        text = f"epoch {now.done + 1}/{now.total}  {_losses(now.facts['losses'])}"
        self._bar.update(self._task, description=text, completed=now.facts["step"], total=now.facts["steps"])

    def _print_new(self, history: Sequence[dict[str, Any]], epochs: int) -> None:
        new = history[-1 if self._printed is None else self._printed :]
        self._printed, since, self._since = len(history), self._since, time.monotonic()
        for row in new:
            line = epoch_in_words(row, epochs, (self._since - since) / len(new))
            self._to.print(line, soft_wrap=True)
        if len(history) == epochs:
            self._bar.update(self._task, description="measuring the model", total=None)


def epoch_in_words(row: Mapping[str, Any], epochs: int, each_s: float) -> str:
    """An epoch in one line.

    Args:
        row: of the history.
        epochs: of the whole run.
        each_s: what an epoch takes, validation and checkpoint inside.
    """
    names = {
        "map50_95": "mAP50-95", "mask_map50_95": "mask mAP50-95", "precision": "P", "recall": "R", "miou": "mIoU",
        "boundary_f1": "boundary F1",
    }  # fmt: skip
    scores = " ".join(f"{short} {row[name]:.3f}" for name, short in names.items() if name in row)
    left = epochs - row["epoch"]
    parts = [
        f"epoch {row['epoch']}/{epochs}", f"{row['images']} images" if "images" in row else "",
        _losses({k: v for k, v in row.items() if k.endswith("_loss")}), scores,
        f"lr {row['lr']:.2g}", f"{each_s:.1f} s" + (f", {_duration(left * each_s)} left" if left else ""),
    ]  # fmt: skip
    return "  ".join(part for part in parts if part)


def _losses(losses: Mapping[str, float]) -> str:
    return " ".join(f"{name.removesuffix('_loss')} {value:.3f}" for name, value in losses.items())


def _duration(seconds: float) -> str:
    """As people say it.

    >>> _duration(42), _duration(250), _duration(3 * 3600 + 61)
    ('42 s', '4 min', '3 h 1 min')
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class trial_progress(_Live):  # noqa: N801 - used as a function, as `progress` is
    """A line for each trial that started or ended; in a terminal, also how far those are that run.

    Attributes:
        trials: all so far.
    """

    def __init__(self) -> None:
        super().__init__("starting trials", console, MofNCompleteColumn(), TimeElapsedColumn())
        self._shown: dict[int, str] = {}
        self.trials: Sequence[TrialRow] = ()

    def _show(self, now: Progress) -> None:
        """Show how far the sweep is."""
        self.trials = now.facts["trials"]
        for row in self.trials:
            if self._shown.get(row.number) != row.state:
                self._shown[row.number] = row.state
                self._to.print(f"trial {row.number:>3} {trial_in_words(row)}", soft_wrap=True)
        running = ", ".join(f"{row.number} at epoch {row.epochs}" for row in self.trials if row.state == "running")
        self._bar.update(self._task, description=f"running: {running}", completed=now.done, total=now.total)


class run_progress(_Live):  # noqa: N801 - used as a function, as `progress` is
    """A line for each run of an ablation that started or ended; in a terminal, also how far those are that run."""

    def __init__(self) -> None:
        super().__init__("starting runs", console, MofNCompleteColumn(), TimeElapsedColumn())
        self._shown: dict[str, str] = {}

    def _show(self, now: Progress) -> None:
        """Show how far the ablation is."""
        runs: Sequence[RunState] = now.facts.get("runs", ())
        if not self._shown and (done := sum(one.state == "complete" for one in runs)):
            self._to.print(f"{done} of {len(runs)} runs are done already")
            self._shown = {one.run.name: "complete" for one in runs if one.state == "complete"}
        for one in runs:
            if one.state != "waiting" and self._shown.get(one.run.name) != one.state:
                self._shown[one.run.name] = one.state
                self._to.print(run_in_words(one), soft_wrap=True)
        running = ", ".join(f"{one.run.name} at epoch {one.epochs}" for one in runs if one.state == "running")
        text = f"running: {running}" if running else now.unit
        self._bar.update(self._task, description=text, completed=now.done, total=now.total)


def run_in_words(one: RunState) -> str:
    """A run of an ablation in one line."""
    run = one.run
    return f"{one.state:<8} {run.variant} {run.loss}, seed {run.seed}{f': {one.failure}' if one.failure else ''}"


def trial_in_words(row: TrialRow) -> str:
    """A trial in one line."""
    settings = " ".join(f"{field}={_short(value)}" for field, value in row.settings.items())
    value = "" if row.value is None else f" {row.value:.4f}"
    after = f" after {row.epochs} epochs" if row.state in ("complete", "pruned") else ""
    return f"{row.state:<8}{value}{after}  {settings}{f'  {row.failure}' if row.failure else ''}"


def _short(value: Any) -> str:
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
        settings = " ".join(f"{field}={_short(one)}" for field, one in row.settings.items())
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
