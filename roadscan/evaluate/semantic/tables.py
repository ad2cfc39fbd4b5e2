"""Evaluations and comparisons of classes of pixels as tables; shares are shown in percent."""

from __future__ import annotations

from collections.abc import Sequence

from roadscan.evaluate.detection.compare import Row
from roadscan.evaluate.detection.split import Split
from roadscan.evaluate.detection.tables import Cell, ScoreTable, delta_cell, how_to_read, interval_cell, percent
from roadscan.evaluate.semantic.compare import PixelComparison
from roadscan.evaluate.semantic.evaluation import PixelEvaluation
from roadscan.evaluate.semantic.results import TOLERANCE

COLUMNS = {
    "miou": "mIoU",
    "miou_with_background": "with background",
    "boundary_f1": "boundary F1",
    "pixel_accuracy": "accuracy",
}


def evaluation_tables(made: PixelEvaluation) -> list[ScoreTable]:
    """Tables of one model: overall, by class, by condition."""
    row: list[Cell | str] = [interval_cell(made.intervals.metrics[name]) for name in COLUMNS]
    caption = f"percent; a boundary is met within {100 * TOLERANCE:g} % of the image's diagonal"
    if made.intervals.drives > 1:
        caption += f"; {made.intervals.level:.0%} interval over drives ({made.intervals.resamples} resamples)"
    tables = [ScoreTable(_title(made.split), [*COLUMNS.values()], [row], caption), _by_class(made)]
    if made.scores.by_condition:
        tables.append(_by_condition(made))
    return tables


def comparison_tables(made: PixelComparison) -> list[ScoreTable]:
    """The scores of every model, and differences to the baseline."""
    header = ["model", *COLUMNS.values()]
    scores: list[list[Cell | str]] = [
        [row.name, *(interval_cell(row.intervals.metrics[name]) for name in COLUMNS)] for row in made.rows
    ]
    caption = f"{how_to_read(made.rows, deltas=True)}; bold where all of the interval is on one side of zero"
    return [
        ScoreTable(_title(made.split), header, scores, how_to_read(made.rows)),
        ScoreTable(
            f"pixels: difference to {made.candidates[0].name}, in percentage points",
            header,
            _deltas(made.rows),
            caption,
        ),
    ]


def _deltas(rows: Sequence[Row]) -> list[list[Cell | str]]:
    return [[row.name, *(delta_cell(row.deltas.metrics[name]) for name in COLUMNS)] for row in rows if row.deltas]


def _title(split: Split) -> str:
    return f"pixels: {split.name} split, {len(split.images)} images, {split.drives} drives"


def _by_class(made: PixelEvaluation) -> ScoreTable:
    total = max(made.scores.pixels, 1)
    rows: list[list[Cell | str]] = [
        [
            one.name,
            str(one.images),
            percent(one.pixels / total),
            interval_cell(made.intervals.classes[one.name]),
            *map(percent, (one.precision, one.recall, one.boundary_f1)),
        ]
        for one in made.scores.classes
    ]
    header = ["class", "images", "pixels", "IoU", "P", "R", "boundary F1"]
    return ScoreTable("pixels by class", header, rows, "percent; P, R of pixels; the background is no part of mIoU")


def _by_condition(made: PixelEvaluation) -> ScoreTable:
    rows: list[list[Cell | str]] = [
        [name, str(one.images), *(percent(getattr(one, column)) for column in COLUMNS)]
        for name, one in made.scores.by_condition.items()
    ]
    return ScoreTable("pixels by condition", ["condition", "images", *COLUMNS.values()], rows, "percent")
