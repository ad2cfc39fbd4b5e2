"""A register's evaluation as tables for a terminal. Shares are shown in percent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from roadscan.evaluate.register.evaluation import RegisterEvaluation
from roadscan.evaluate.register.intervals import ClassEstimate, Estimate
from roadscan.printing import cell


def register_tables(made: RegisterEvaluation) -> Iterator[Table]:
    """An evaluation to its tables: points for each radius, lines, removals and identities; those that there are."""
    drawn = made.resampling
    what = "drives" if drawn.block_of == "drive" else "blocks of 1 km"
    how = f"percent; {drawn.level:.0%} interval over {drawn.blocks} {what} ({drawn.resamples} resamples)"
    how = how if drawn.blocks > 1 and drawn.resamples else "percent"
    for one in made.radii:
        if one.classes:
            rows = {f"{name} *" if name in one.overhead else name: row for name, row in one.classes.items()}
            notes = f"{how}; * within {one.overhead_radius_m:g} m" if one.overhead else how
            title = f"points, matched within {one.radius_m:g} m; distances in metres"
            yield _score_table(title, notes, {**rows, "all": one.overall})
    if made.lines:
        yield _score_table("lines, in metres; distances of their ends in metres", how, made.lines)
    yield _register_facts(made)


def _score_table(title: str, caption: str, rows: dict[str, ClassEstimate]) -> Table:
    table = Table(
        title=cell(title), caption=cell(caption), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True,
        title_justify="left", caption_justify="left", title_style="bold", caption_style="dim",
    )  # fmt: skip
    table.add_column("class")
    for name in ("found", "known", "precision", "recall", "F1", "p50", "p90"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in rows.items():
        shares = [
            _estimate(one, lambda share: f"{100 * share:.1f}".replace("100.0", "100"))
            for one in (row.precision, row.recall, row.f1)
        ]
        metres = [_estimate(one, lambda value: f"{value:.2f}") for one in (row.p50_m, row.p90_m)]
        table.add_row(cell(name), f"{row.found:.0f}", f"{row.known:.0f}", *shares, *metres)
    return table


def _estimate(one: Estimate, shown: Callable[[float], str]) -> Text:
    if math.isnan(one.value):
        return Text("–")
    ends = "" if math.isnan(one.low) else f"\n{shown(one.low)}–{shown(one.high)}"
    return Text.assemble(shown(one.value), (ends, "dim"))


def _register_facts(made: RegisterEvaluation) -> Table:
    """Removals and identities, a line each."""
    missing, identity = made.missing, made.identity
    table = Table(show_header=False, box=None, pad_edge=False)
    if missing.score is not None:
        table.add_row("removed assets called missing", _of(missing.score.recalled, missing.score.known))
        table.add_row("missing assets that were removed", _of(missing.score.true_positives, missing.score.found))
    table.add_row("standing assets called missing", _of(missing.false_alarms, missing.standing_found))
    if identity is not None:
        table.add_row(f"same id in all of {identity.registers} registers", _of(identity.stable, identity.compared))
        table.add_row("ids of more than one known asset", str(identity.shared_ids))
    return table


def _of(part: float, whole: float) -> str:
    """As people read it.

    >>> _of(3, 4), _of(0, 0)
    ('3 of 4 (75.0%)', 'none')
    """
    return f"{part:.0f} of {whole:.0f} ({100 * part / whole:.1f}%)" if whole else "none"
