"""What the command line shows: progress, facts, tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from roadscan.config import Config, dump_config

if TYPE_CHECKING:
    from roadscan.evaluate.tables import ScoreTable
    from roadscan.train.ranks import Progress as EpochProgress

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class _Live:
    """A progress bar where there is a terminal, and none elsewhere."""

    def __init__(self, text: str, to: Console, *columns: ProgressColumn) -> None:
        self._to = to
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), *columns, console=to, transient=True)
        self._task = self._bar.add_task(text, total=None)

    def __enter__(self) -> Self:
        if self._to.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._to.is_terminal:
            self._bar.stop()


class progress(_Live):  # noqa: N801 - used as a function: with progress("frames") as bar: bar(3, 10)
    """A progress bar in a terminal; elsewhere, a line every tenth of the way."""

    def __init__(self, unit: str, to: Console = console) -> None:
        super().__init__(unit, to, MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._unit, self._tenth = unit, -1

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        self._bar.update(self._task, completed=done, total=total)
        if not self._to.is_terminal and total and done * 10 // total > self._tenth:
            self._tenth = done * 10 // total
            self._to.print(f"{done}/{total} {self._unit}")


class epoch_progress(_Live):  # noqa: N801 - used as a function, as `progress` is
    """The steps of the epoch under way, and its losses; outside of a terminal, a line an epoch."""

    def __init__(self) -> None:
        super().__init__("starting workers", console, MofNCompleteColumn(), TimeElapsedColumn())
        self._epoch = -1

    def __call__(self, now: EpochProgress) -> None:
        """Show how far the run is."""
        losses = " ".join(f"{name.removesuffix('_loss')} {value:.3f}" for name, value in now.losses.items())
        text = f"epoch {now.epoch + 1}/{now.epochs}  {losses}"
        self._bar.update(self._task, description=text, completed=now.step, total=now.steps)
        if not self._to.is_terminal and now.epoch > self._epoch:
            self._epoch = now.epoch
            self._to.print(text)


def print_tables(tables: Sequence[ScoreTable], notes: Sequence[str]) -> None:
    """Scores, and what a reader of them should know."""
    for table in tables:
        console.print(table.rich())
        console.print()
    for note in notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def print_config(config: Config) -> int:
    """The resolved config as YAML; the exit code of having done so."""
    console.print(dump_config(config), markup=False, end="")
    return 0


def print_facts(facts: dict[str, Any]) -> None:
    """Names and values, one a line."""
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        shown = ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
        table.add_row(name.replace("_", " "), escape(str(shown)))
    console.print(table)
