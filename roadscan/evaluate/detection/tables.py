"""Evaluations and comparisons as tables: for a terminal, and as Markdown for a README. Shares are shown in percent."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from roadscan.evaluate.bootstrap import Delta, Interval
from roadscan.evaluate.detection.compare import Comparison, Row
from roadscan.evaluate.detection.evaluation import NAMES_OF_KINDS, Evaluation, Measured
from roadscan.evaluate.detection.parts import By
from roadscan.evaluate.detection.scores import PartScores
from roadscan.printing import cell

#: The published columns.
COLUMNS = {"map50": "mAP50", "map50_95": "mAP50-95", "precision": "P", "recall": "R", "f1_of_means": "F1"}
NOTHING = "–"
#: How tables by part are to be read.
HOW_PARTS: dict[By, str] = {
    "condition": "objects, and in how many images; percent; an image may have several; P, R, F1 at the confidence of "
    "all images",
    "occlusion": "objects, and in how many images; percent; wrong detections count for each, so P and AP fall with "
    "the objects: compare recalls",
}


@dataclass(frozen=True)
class Cell:
    """A number and, below or behind it, where it lies; `firm` if that is all on one side of zero."""

    text: str
    range: str = ""
    firm: bool = False


@dataclass(frozen=True)
class ScoreTable:
    """A table of scores.

    Attributes:
        title: a line above.
        header: of the columns.
        rows: of cells or text.
        caption: how to read it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    caption: str = ""

    def rich(self) -> Table:
        """For a terminal: ranges below the numbers."""
        made = Table(
            title=cell(self.title), caption=cell(self.caption), box=SIMPLE_HEAD, pad_edge=False,
            collapse_padding=True,
            title_justify="left", caption_justify="left", title_style="bold", caption_style="dim",
        )  # fmt: skip
        for index, name in enumerate(self.header):
            made.add_column(cell(name), justify="right" if index else "left", no_wrap=index > 0)
        for row in self.rows:
            made.add_row(*(_rich(cell) for cell in row))
        return made

    def markdown(self) -> str:
        """GitHub's Markdown: ranges in brackets behind the numbers."""
        lines = [list(self.header), ["---"] + ["---:"] * (len(self.header) - 1)]
        lines += [[_markdown(cell) for cell in row] for row in self.rows]
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        return "\n\n".join(part for part in (f"**{self.title}**", table, self.caption) if part) + "\n"

    def html(self) -> str:
        """For a page: ranges below the numbers."""
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in self.header)
        body = "".join("<tr>" + "".join(f"<td>{_html(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        return (
            f'<h3>{html.escape(self.title)}</h3><div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
            f'<p class="caption">{html.escape(self.caption)}</p>'
        )


def evaluation_tables(evaluation: Evaluation) -> list[ScoreTable]:
    """Tables of one model: overall, by class, condition and occlusion; for boxes and, where there are any, masks."""
    tables = []
    for kind, measured in evaluation.measured.items():
        what = NAMES_OF_KINDS[kind]
        split = evaluation.split
        where = f"{split.name} split, {len(split.images)} images, {split.drives} drives"
        tables += [_overall(measured, f"{what}: {where}"), _by_size(measured, what), _operating_points(measured, what)]
        tables.append(_by_class(measured, what))
        tables += _by_part(measured, what)
    return tables


def comparison_tables(comparison: Comparison) -> list[ScoreTable]:
    """For each kind, the published columns of every model, and differences to the baseline."""
    tables = []
    for kind, rows in comparison.rows.items():
        split = comparison.split
        what = f"{NAMES_OF_KINDS[kind]}: {split.name} split, {len(split.images)} images, {split.drives} drives"
        tables.append(
            ScoreTable(what, ["model", *COLUMNS.values()], [_model_row(row) for row in rows], how_to_read(rows))
        )
        name = comparison.candidates[0].name
        tables.append(
            ScoreTable(
                f"{NAMES_OF_KINDS[kind]}: difference to {name}, in percentage points",
                ["model", *COLUMNS.values()],
                [_delta_row(row) for row in rows if row.deltas],
                f"{how_to_read(rows, deltas=True)}; bold where all of the interval is on one side of zero",
            )
        )
        tables += _differences_by_part(rows, NAMES_OF_KINDS[kind], name)
    return tables


def _model_row(row: Row) -> list[Cell | str]:
    return [row.name, *(interval_cell(row.intervals.metrics[name]) for name in COLUMNS)]


def _delta_row(row: Row) -> list[Cell | str]:
    assert row.deltas is not None
    return [row.name, *(delta_cell(row.deltas.metrics[name]) for name in COLUMNS)]


def how_to_read(rows: Sequence[Row], *, deltas: bool = False) -> str:
    """How the numbers of a comparison are to be read."""
    first = rows[0].intervals
    parts = ["percent" if not deltas else "model minus baseline"]
    counts = [row.intervals.runs for row in rows]
    if max(counts) > 1:
        runs = f"{counts[0]}" if len(set(counts)) == 1 else ", ".join(map(str, counts))
        spread = "standard error from the seeds" if deltas else "standard deviation between seeds"
        parts.append(f"mean of {runs} seeds ± {spread}")
    if first.drives > 1:
        parts.append(f"{first.level:.0%} interval over {first.drives} drives ({first.resamples} resamples)")
    return "; ".join(parts)


def _overall(measured: Measured, title: str) -> ScoreTable:
    scores, how = measured.scores, measured.intervals
    caption = f"percent; P, R, F1 at confidence {scores.confidence:.3f}, where F1 is greatest on these images"
    if how.drives > 1:
        caption += f"; {how.level:.0%} interval over drives ({how.resamples} resamples)"
    return ScoreTable(title, [*COLUMNS.values()], [[interval_cell(how.metrics[name]) for name in COLUMNS]], caption)


def _by_size(measured: Measured, what: str) -> ScoreTable:
    scores = measured.scores
    row = [percent(value) for value in (scores.map75, scores.ap_small, scores.ap_medium, scores.ap_large)]
    caption = "percent; small is below 32² pixels, large above 96²"
    return ScoreTable(f"{what} by size", ["mAP75", "small mAP50-95", "medium", "large"], [row], caption)


def _operating_points(measured: Measured, what: str) -> ScoreTable:
    frozen, thresholds = measured.scores.frozen, measured.thresholds
    assert frozen is not None
    whence = {"val": "from the model's validation", "card": "with which the model scans"}[measured.frozen.source]
    rows: list[list[Cell | str]] = [
        [
            f"{whence}, mean over classes",
            f"{measured.frozen.confidence:.3f}",
            *(percent(float(v)) for v in (frozen.mean_precision, frozen.mean_recall, frozen.f1_of_means)),
        ]
    ]
    chosen = thresholds.overall
    f1 = 2 * chosen.precision * chosen.recall / max(chosen.precision + chosen.recall, 1e-12)
    confidence = NOTHING if chosen.confidence is None else f"{chosen.confidence:.3f}"
    label = f"for a recall of {thresholds.target:.0%}, all objects"
    if chosen.confidence is None:
        label = f"a recall of {thresholds.target:.0%} is out of reach; all detections"
    rows.append([label, confidence, *map(percent, (chosen.precision, chosen.recall, f1))])
    caption = f"percent; expected calibration error of the scores {percent(measured.calibration.error)}"
    return ScoreTable(f"{what} at a confidence", ["operating point", "confidence", "P", "R", "F1"], rows, caption)


def _by_class(measured: Measured, what: str) -> ScoreTable:
    rows: list[list[Cell | str]] = []
    for one in measured.scores.classes:
        threshold = measured.thresholds.classes[one.name].confidence
        values = (one.ap50_95, one.precision, one.recall, one.f1)
        rows.append(
            [
                one.name,
                str(one.instances),
                interval_cell(measured.intervals.classes[one.name]),
                *map(percent, values),
                NOTHING if threshold is None else f"{threshold:.3f}",
            ]
        )
    target = f"{measured.thresholds.target:.0%}"
    header = ["class", "objects", "AP50", "AP50-95", "P", "R", "F1", f"R {target} at"]
    caption = f"percent; P, R, F1 at the one confidence of all classes; last, the confidence for a recall of {target}"
    return ScoreTable(f"{what} by class", header, rows, caption)


def _by_part(measured: Measured, what: str) -> list[ScoreTable]:
    """By condition and by occlusion, where there are any."""
    scores, found = measured.scores, measured.intervals
    by_part: list[tuple[By, Mapping[str, PartScores], Mapping[str, Mapping[str, Interval]]]] = [
        ("condition", scores.by_condition, found.conditions),
        ("occlusion", scores.by_occlusion, found.occlusions),
    ]
    return [
        ScoreTable(
            f"{what} by {by}",
            [by, "objects", *COLUMNS.values()],
            [
                [
                    name,
                    Cell(str(one.instances), f"in {one.images}"),
                    *(interval_cell(intervals[name][m]) for m in COLUMNS),
                ]
                for name, one in parts.items()
            ],
            HOW_PARTS[by],
        )
        for by, parts, intervals in by_part
        if parts
    ]


def _differences_by_part(rows: Sequence[Row], what: str, baseline: str) -> list[ScoreTable]:
    """For each model but the baseline, what it gains by condition and by occlusion, where there are any."""
    tables = []
    for row in rows:
        found: dict[By, dict[str, dict[str, Delta]]] = {}
        if row.deltas is not None:
            found = {"condition": row.deltas.conditions, "occlusion": row.deltas.occlusions}
        cells: list[list[Cell | str]] = [
            [f"{by} {name}", *(delta_cell(deltas[metric]) for metric in COLUMNS)]
            for by, parts in found.items()
            for name, deltas in parts.items()
        ]
        title = f"{what}: {row.name} against {baseline} by condition and occlusion, in percentage points"
        how = f"{how_to_read(rows, deltas=True)}; bold where all of the interval is on one side of zero"
        tables += [ScoreTable(title, ["part", *COLUMNS.values()], cells, how)] if cells else []
    return tables


def interval_cell(one: Interval) -> Cell:
    """A score in percent, with its interval below."""
    if math.isnan(one.value):
        return Cell(NOTHING)
    spread = "" if math.isnan(one.between_runs) else f" ± {100 * one.between_runs:.2f}"
    ends = "" if math.isnan(one.low) else f"{100 * one.low:.1f}–{100 * one.high:.1f}"
    return Cell(f"{100 * one.value:.2f}{spread}", ends)


def delta_cell(one: Delta) -> Cell:
    """A difference in percentage points, with its interval below."""
    if math.isnan(one.value):
        return Cell(NOTHING)
    spread = "" if math.isnan(one.between_runs) else f" ± {100 * one.between_runs:.2f}"
    ends = "" if math.isnan(one.low) else f"{_signed(one.low, 1)} to {_signed(one.high, 1)}"
    return Cell(f"{_signed(one.value, 2)}{spread}", ends, firm=one.low > 0 or one.high < 0)


def _signed(share: float, digits: int) -> str:
    """In percent, with a sign of the width of a digit.

    >>> _signed(-0.0123, 1)
    '−1.2'
    """
    return f"{100 * share:+.{digits}f}".replace("-", "−")


def percent(share: float) -> str:
    """A share in percent, with two decimals."""
    return NOTHING if math.isnan(share) else f"{100 * share:.2f}"


def _rich(one: Cell | str) -> Text:
    if isinstance(one, str):
        return cell(one)
    number = cell(one.text, "bold" if one.firm else "")
    return Text.assemble(number, "\n", (one.range, "dim")) if one.range else number


def _html(cell: Cell | str) -> str:
    if isinstance(cell, str):
        return html.escape(cell)
    number = html.escape(cell.text)
    below = f"<small>{html.escape(cell.range)}</small>" if cell.range else ""
    return (f"<b>{number}</b>" if cell.firm else number) + below


def _markdown(cell: Cell | str) -> str:
    if isinstance(cell, str):
        return cell.replace("|", "\\|")
    number = f"**{cell.text}**" if cell.firm else cell.text
    return f"{number} ({cell.range})" if cell.range else number
