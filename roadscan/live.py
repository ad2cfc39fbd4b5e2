"""What the command line shows while a stage works: a bar in a terminal, and lines of what is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from roadscan.errors import OutputError
from roadscan.printing import Terminal
from roadscan.progress import Progress
from roadscan.terminal import console, in_brief

if TYPE_CHECKING:
    from roadscan.ablate.state import RunState
    from roadscan.tune.sweep import TrialRow

LOG = logging.getLogger(__name__)


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
    settings = " ".join(f"{field}={in_brief(value)}" for field, value in row.settings.items())
    value = "" if row.value is None else f" {row.value:.4f}"
    after = f" after {row.epochs} epochs" if row.state in ("complete", "pruned") else ""
    return f"{row.state:<8}{value}{after}  {settings}{f'  {row.failure}' if row.failure else ''}"
