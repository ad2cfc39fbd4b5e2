"""Pictures of an ablation, as PNG: how each loss learns, and how far its scores are from probabilities; by variant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from roadscan.arrays import Floats
from roadscan.evaluate.detection.thresholds import Calibration
from roadscan.report.drawing import INK, PALETTE, PAPER, SOFT, png, tidy, title

History: TypeAlias = Sequence[Mapping[str, Any]]
BEYOND = "#9aa4af"  # of losses that are more than there are colours

#: Rows of the curves: column of a history, heading.
CURVES = {
    "map50_95": "mAP50-95 of boxes, validation",
    "mask_map50_95": "mAP50-95 of masks, validation",
    "box_loss": "Box loss, training",
}
BINS, FEWEST = 10, 40  # of a reliability line, and detections in each
PANEL_WIDTH, PANEL_HEIGHT = 2.35, 2.1  # inches
LEFT, RIGHT, TOP, BOTTOM, ACROSS, DOWN = 0.75, 0.2, 1.15, 0.55, 0.62, 1.0


def loss_colors(losses: Iterable[str]) -> dict[str, str]:
    """A colour for each loss, by its place."""
    return {loss: PALETTE[i] if i < len(PALETTE) else BEYOND for i, loss in enumerate(losses)}


def learning(histories: Mapping[str, Mapping[str, Sequence[History]]]) -> bytes:
    """Validation and box loss over the epochs: a column a variant, a line a loss, shaded from seed to seed.

    The class losses are no row: losses differ in it by what they measure with.

    Args:
        histories: of the seeds, by variant and loss.
    """
    columns = [c for c in CURVES if any(c in row for history in _all(histories) for row in history)]
    losses = [*dict.fromkeys(loss for by_loss in histories.values() for loss in by_loss)]
    figure, axes = _grid([CURVES[column] for column in columns], len(histories))
    for row, column in enumerate(columns):
        for axis, (variant, by_loss) in zip(axes[row], histories.items(), strict=True):
            tidy(axis)
            title(axis, f"YOLOv8{variant}")
            for loss, color in loss_colors(losses).items():
                _draw_curves(axis, by_loss.get(loss, ()), column, color)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1, nbins=4))
            axis.set_ylim(bottom=0)
            if column != "box_loss":
                axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
            if row == len(columns) - 1:
                axis.set_xlabel("epoch", color=INK)
    _legend(figure, loss_colors(losses))
    return png(figure)


def reliability(calibrations: Mapping[str, Mapping[str, Sequence[Calibration]]]) -> bytes:
    """The share of right detections against their score: a column a variant, a line a loss, of all its seeds.

    Below the diagonal scores promise too much. The numbers are expected calibration errors, means over the seeds.

    Args:
        calibrations: of the seeds, by variant and loss.
    """
    losses = [*dict.fromkeys(loss for by_loss in calibrations.values() for loss in by_loss)]
    figure, axes = _grid(["Share of right detections against score"], len(calibrations))
    for axis, (variant, by_loss) in zip(axes[0], calibrations.items(), strict=True):
        tidy(axis)
        title(axis, f"YOLOv8{variant}")
        axis.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        errors = []
        for loss, color in loss_colors(losses).items():
            scores, right = merge_bins(by_loss.get(loss, ()))
            axis.plot(scores, right, color=color, linewidth=1.8, marker="o", markersize=3.5, zorder=3)
            known = [one.error for one in by_loss.get(loss, ()) if not math.isnan(one.error)]
            errors += [(color, mean(known))] if known else []
        if not errors:
            axis.text(0.5, 0.35, "no score is\nso high", color=SOFT, fontsize=9, ha="center", va="center")
        for line, (color, error) in enumerate(errors):
            axis.text(
                0.03, 0.97 - 0.1 * line, f"ECE {100 * error:.1f} %", color=color, fontsize=9, fontweight="bold",
                va="top", zorder=4, bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1},
            )  # fmt: skip
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_xlabel("score", color=INK)
        axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    _legend(figure, loss_colors(losses))
    return png(figure)


def merge_bins(calibrations: Sequence[Calibration]) -> tuple[Floats, Floats]:
    """The bins of several runs -> mean score and share right of fewer, larger ones, by rising score.

    Neighbours are put together until there are `BINS`, or in each `FEWEST` detections, so that few detections give a
    short line, and not a wild one.

    Args:
        calibrations: of the runs.
    """
    scores, right, counts = (
        np.concatenate([np.zeros(0), *(getattr(one, name) for one in calibrations)])
        for name in ("scores", "right", "counts")
    )
    order = np.argsort(scores, kind="stable")
    scores, right, counts = scores[order], right[order], counts[order]
    bins = int(np.clip(counts.sum() // FEWEST, 1, BINS))
    middle = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1)
    _, of_bin = np.unique(np.floor(middle * bins), return_inverse=True)
    weight = np.bincount(of_bin, counts)
    return np.bincount(of_bin, counts * scores) / weight, np.bincount(of_bin, counts * right) / weight


def _all(histories: Mapping[str, Mapping[str, Sequence[History]]]) -> Iterable[History]:
    return (history for by_loss in histories.values() for seeds in by_loss.values() for history in seeds)


def _draw_curves(axis: Axes, histories: Sequence[History], column: str, color: str) -> None:
    """The mean over the seeds, with all between the lowest and the highest shaded."""
    values: dict[int, list[float]] = {}
    for history in histories:
        for row in history:
            if row.get(column) is not None:
                values.setdefault(row["epoch"], []).append(row[column])
    epochs = sorted(values)
    if not epochs:
        return
    marker = "o" if len(epochs) <= 30 else ""
    axis.plot(epochs, [mean(values[e]) for e in epochs], color=color, linewidth=1.8, marker=marker, markersize=3.5)
    if len(histories) > 1:
        low, high = [min(values[e]) for e in epochs], [max(values[e]) for e in epochs]
        axis.fill_between(epochs, low, high, color=color, alpha=0.15, linewidth=0)


def _grid(headings: Sequence[str], columns: int) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels of one size, with a heading above each row."""
    width = max(LEFT + columns * PANEL_WIDTH + (columns - 1) * ACROSS + RIGHT, 6.0)
    height = TOP + len(headings) * PANEL_HEIGHT + (len(headings) - 1) * DOWN + BOTTOM
    figure = Figure(figsize=(width, height))
    axes: list[list[Axes]] = []
    for row, heading in enumerate(headings):
        top = TOP + row * (PANEL_HEIGHT + DOWN)
        figure.text(0.12 / width, 1 - (top - 0.5) / height, heading, color=INK, fontsize=12, fontweight="bold")
        lefts = [LEFT + column * (PANEL_WIDTH + ACROSS) for column in range(columns)]
        places = [(x / width, 1 - (top + PANEL_HEIGHT) / height) for x in lefts]
        axes.append([figure.add_axes((*at, PANEL_WIDTH / width, PANEL_HEIGHT / height)) for at in places])
    return figure, axes


def _legend(figure: Figure, colors: Mapping[str, str]) -> None:
    handles = [Line2D([], [], color=color, linewidth=2.4, label=loss) for loss, color in colors.items()]
    figure.legend(
        handles=handles, loc="upper left", ncols=min(len(handles), 6), frameon=False, fontsize=10, labelcolor=INK,
    )  # fmt: skip
