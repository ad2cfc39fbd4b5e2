"""Pictures of a training run and of a model's scores, as PNG: curves over epochs, precision-recall, confusion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from roadscan.dataset.label_maps import BACKGROUND
from roadscan.evaluate.detection.average_precision import mean_over_classes
from roadscan.evaluate.detection.scores import ClassScores, Scores
from roadscan.report.drawing import GRID, INK, PALETTE, PAPER, SOFT, class_colors, png, tidy, title

History = Sequence[Mapping[str, Any]]

#: Panels over the epochs: heading, and for each line its column, name, colour and dashes.
LOSSES = {
    "box_loss": ("box", "#4e79a7", "-"),
    "cls_loss": ("class", "#e15759", "-"),
    "dfl_loss": ("distribution", "#59a14f", "-"),
    "seg_loss": ("mask", "#b07aa1", "-"),
    "pixel_loss": ("pixel", "#f28e2b", "-"),
}
PRECISIONS = {
    "map50": ("mAP50", "#4e79a7", "-"),
    "map50_95": ("mAP50-95", "#f28e2b", "-"),
    "mask_map50": ("mask mAP50", "#4e79a7", ":"),
    "mask_map50_95": ("mask mAP50-95", "#f28e2b", ":"),
    "miou": ("mIoU", "#4e79a7", "-"),
    "miou_with_background": ("mIoU with background", "#f28e2b", "-"),
}
SHARES = {
    "precision": ("precision", "#4e79a7", "-"),
    "recall": ("recall", "#f28e2b", "-"),
    "f1": ("F1", "#1d2733", "-"),
    "pixel_accuracy": ("pixel accuracy", "#4e79a7", "-"),
    "boundary_f1": ("boundary F1", "#1d2733", "-"),
}
RATE = {"lr": ("learning rate", "#66717d", "-")}

CLASSES_NAMED = len(PALETTE)  # more lines than colours nobody tells apart
CELLS_WRITTEN = 16  # classes up to which a confusion matrix has its numbers written in
SHARE_WRITTEN = 0.0005  # of a row; less is 0.0 %
DARK = 0.5  # share from which a cell is too dark for dark ink
FAINT = "#c3cad1"
BLUES = LinearSegmentedColormap.from_list("roadscan", ["#ffffff", "#cfe0ef", "#4e79a7", "#1f3f63"])


def curves(history: History) -> bytes:
    """Losses, learning rate, and average precision, precision, recall and F1, or pixels' overlap, over the epochs.

    Args:
        history: one row an epoch, with ``epoch`` from 1, ``lr``, losses, and where it was validated ``map50``,
            ``map50_95``, ``precision``, ``recall``, ``f1``, or of pixels ``miou`` and the others; what no row has is
            left out.
    """
    figure = Figure(figsize=(12, 7.6))
    axes = figure.subplots(2, 2, sharex=True, gridspec_kw={"hspace": 0.4, "wspace": 0.16})
    best = _best_epoch(history)
    of_pixels = any("miou" in row for row in history)
    points = "Pixels and boundaries" if of_pixels else "At the confidence of greatest F1"
    panels = (
        (axes[0, 0], "Training loss", LOSSES, None),
        (axes[0, 1], f"{'Overlap of pixels' if of_pixels else 'Average precision'}, validation", PRECISIONS, best),
        (axes[1, 0], "Learning rate", RATE, None),
        (axes[1, 1], f"{points}, validation", SHARES, best),
    )
    for axis, heading, lines, marked in panels:
        tidy(axis)
        title(axis, heading, gap_pt=28)
        _lines(axis, history, lines)
        if marked is not None:
            label = f"best: epoch {marked}" if lines is SHARES else None
            axis.axvline(marked, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1, label=label)
        if axis.get_legend_handles_labels()[0] and lines is not RATE:
            axis.legend(
                loc="lower left", bbox_to_anchor=(-0.012, 1.01), ncols=5, frameon=False, fontsize=9,
                labelcolor=INK, handlelength=1.6, columnspacing=1.3, borderaxespad=0,
            )  # fmt: skip
    for axis in axes[:, 1]:
        axis.set_ylim(0, 1)
        axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes[0, 0].set_ylim(bottom=0)
    axes[1, 0].set_ylim(bottom=0)
    axes[1, 0].ticklabel_format(axis="y", scilimits=(-2, 3), useMathText=True)
    for axis in axes[1]:
        axis.set_xlabel("epoch", color=INK)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    figure.subplots_adjust(left=0.06, right=0.98, top=0.905, bottom=0.075)
    return png(figure)


def precision_recall(scores: Scores) -> bytes:
    """Precision against recall of every class at overlap .5; the area below a curve is the class's AP50."""
    figure = Figure(figsize=(10.5, 6.2))
    axis = figure.subplots()
    tidy(axis)
    title(axis, f"Precision and recall of {'boxes' if scores.kind == 'box' else 'masks'} at overlap 0.5")
    colors = class_colors([one.name for one in scores.classes])
    known = [index for index, one in enumerate(scores.classes) if one.instances]
    named = sorted(known, key=lambda index: -scores.classes[index].instances)[:CLASSES_NAMED]
    used: list[str] = []
    for index in sorted(known, key=lambda index: -scores.classes[index].ap50):
        one, values = scores.classes[index], scores.curves.precision_at_recall[index]
        if index in named:
            color = colors[one.name]
            dashes = ("-", "--", ":", "-.")[used.count(color) % 4]  # where there are more classes than colours
            used.append(color)
            axis.plot(
                scores.curves.recalls, values, color=color, linestyle=dashes, linewidth=1.8, label=_class_label(one)
            )
        else:
            axis.plot(scores.curves.recalls, values, color=FAINT, linewidth=0.8, zorder=1)
    if len(known) > len(named):
        axis.plot([], [], color=FAINT, linewidth=0.8, label=f"{len(known) - len(named)} classes with fewer objects")
    if known:
        mean = mean_over_classes(scores.curves.precision_at_recall, axis=0)
        label = f"mean of {len(known)} classes: {100 * scores.map50:.1f} %"
        axis.plot(scores.curves.recalls, mean, color=INK, linewidth=3, label=label, zorder=5)
        axis.legend(
            loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False, fontsize=9.5, labelcolor=INK,
            title="AP50 (true objects)", title_fontproperties={"weight": "bold", "size": 9.5}, alignment="left",
            borderaxespad=0, labelspacing=0.7,
        )  # fmt: skip
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.02)
    axis.grid(color=GRID)
    axis.set_xlabel("recall", color=INK)
    axis.set_ylabel("precision", color=INK)
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(PercentFormatter(1, symbol=" %"))
    figure.subplots_adjust(left=0.085, right=0.68, top=0.92, bottom=0.09)
    return png(figure)


def confusion(scores: Scores) -> bytes:
    """Which class was taken for which: rows are true classes, columns found ones; shade is the share of the row."""
    counts = scores.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares[-1] = 0  # what was found where nothing is has no number of tries that it could be a share of
    figure, axis = _matrix([one.name for one in scores.classes], "not found", "nothing there", shares)
    axis.set_ylabel("true class: objects, and share of the row", color=INK)
    title(axis, f"Confusion at overlap 0.5{_at_confidence(scores)}", gap_pt=12)
    if len(counts) <= CELLS_WRITTEN + 1:
        _write_cells(axis, counts, shares)
    return png(figure)


def pixel_confusion(counts: npt.NDArray[np.int64], names: Sequence[str]) -> bytes:
    """Which class pixels were taken for: rows are true classes, columns found ones; shade is the share of the row.

    Args:
        counts: (k, k) pixels, the background last.
        names: of the classes without the background.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axis = _matrix(names, BACKGROUND, BACKGROUND, shares)
    axis.set_ylabel("true class: share of the row", color=INK)
    title(axis, "Confusion of pixels", gap_pt=12)
    if len(counts) <= CELLS_WRITTEN + 1:
        for row, column in np.argwhere(shares >= SHARE_WRITTEN):
            axis.text(
                column, row, f"{100 * shares[row, column]:.1f} %", ha="center", va="center", fontsize=9,
                color=PAPER if shares[row, column] > DARK else INK, fontweight="bold" if row == column else "normal",
            )  # fmt: skip
    return png(figure)


def _matrix(
    names: Sequence[str], last_column: str, last_row: str, shares: npt.NDArray[np.float64]
) -> tuple[Figure, Axes]:
    """A square of shares in blue, true classes and one more row against found ones and one more column."""
    size = len(names) + 1
    cell = 0.82 if len(names) <= CELLS_WRITTEN else 8 / size
    side = max(cell * size, 3.2)
    longest = max(len(last_row), *map(len, names))
    left, bottom, right, top = 0.6 + 0.075 * longest, 0.75 + 0.05 * longest, 0.25, 0.75  # inches around the matrix
    figure = Figure(figsize=(left + side + right, bottom + side + top))
    width, height = figure.get_size_inches()
    axis = figure.add_axes((left / width, bottom / height, side / width, side / height))
    axis.imshow(shares, cmap=BLUES, vmin=0, vmax=1)
    axis.set_xticks(range(size), [*names, last_column], rotation=40, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(size), [*names, last_row])
    axis.tick_params(length=0, colors=INK, labelsize=9 if len(names) <= CELLS_WRITTEN else 5)
    axis.set_xticks(np.arange(size) - 0.5, minor=True)
    axis.set_yticks(np.arange(size) - 0.5, minor=True)
    axis.grid(which="minor", color=GRID, linewidth=1)
    axis.tick_params(which="minor", length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    for draw in (axis.axhline, axis.axvline):
        draw(size - 1.5, color=SOFT, linewidth=1.4)
    axis.set_xlabel("found as", color=INK)
    return figure, axis


def _lines(axis: Axes, history: History, lines: Mapping[str, tuple[str, str, str]]) -> None:
    """Draw the columns that there are; a point for each epoch where they are few."""
    for column, (name, color, dashes) in lines.items():
        rows = [row for row in history if row.get(column) is not None and math.isfinite(row[column])]
        if rows:
            axis.plot(
                [row["epoch"] for row in rows], [row[column] for row in rows], color=color, linestyle=dashes,
                linewidth=1.9, marker="o" if len(rows) <= 30 else "", markersize=3.5, label=name, zorder=3,
            )  # fmt: skip


def _best_epoch(history: History) -> int | None:
    """The epoch whose weights become the model."""
    rows = [row for row in history if row.get("fitness", row.get("map50_95")) is not None]
    return max(rows, key=lambda row: float(row.get("fitness", row.get("map50_95"))))["epoch"] if rows else None


def _at_confidence(scores: Scores) -> str:
    """The confidence of the confusion matrix, unless every class has its own."""
    confidences = {scores.confidence} if scores.frozen is None else {*scores.frozen.confidence.tolist()}
    return f", confidence {confidences.pop():.3f}" if len(confidences) == 1 else ""


def _class_label(one: ClassScores) -> str:
    return f"{one.name}: {100 * one.ap50:.1f} % ({one.instances})"


def _write_cells(axis: Axes, counts: Any, shares: Any) -> None:
    last = len(counts) - 1
    for row, column in np.argwhere(counts > 0):
        dark = row < last and shares[row, column] > DARK
        color = PAPER if dark else INK
        share = f"\n{100 * shares[row, column]:.0f} %" if row < last else ""
        axis.text(
            column, row, f"{counts[row, column]}{share}", ha="center", va="center", fontsize=9, color=color,
            fontweight="bold" if row == column else "normal", linespacing=1.25,
        )  # fmt: skip
