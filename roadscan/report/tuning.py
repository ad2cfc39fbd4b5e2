"""Pictures of a sweep, as PNG: learning curves, what mattered, what scored how, what speed costs."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator

from roadscan.report.drawing import GRID, INK, PALETTE, PAPER, SOFT, png, tidy, title
from roadscan.report.scales import Scale, bins, order, percent, spread
from roadscan.report.training import FAINT, PRECISIONS, SHARES

SHADES = LinearSegmentedColormap.from_list("tuning", ["#b9d0e6", "#6f99c2", "#1a3757"])
BAR, ORANGE, GREEN, PALE = "#4e79a7", "#f28e2b", "#00a087", "#b3bcc5"
HALO = [withStroke(linewidth=3, foreground=PAPER)]  # keeps a word readable where lines run below it
LEADER = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.8, "relpos": (0, 0.5)}

#: Kinds of trial, those on top last: name, colour, width and dashes.
KINDS: dict[str, tuple[str, str, float, Literal["-", "--"]]] = {
    "failed": ("failed", PALE, 0.9, "-"),
    "pruned": ("given up", PALE, 0.9, "-"),
    "running": ("under way", SOFT, 0.9, "-"),
    "complete": ("to the end", SOFT, 1.2, "-"),
    "baseline": ("cross-entropy", GREEN, 2.2, "--"),
    "best": ("best", ORANGE, 2.6, "-"),
    "best baseline": ("best, cross-entropy", ORANGE, 2.6, "--"),
}
FAINT_KINDS = ("failed", "pruned")
ENDS = {"failed": "v", "pruned": "x", "running": ">", "complete": "o"}

LINEAR_EPOCHS = 8  # up to which all are as interesting
ROUND_EPOCHS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
TICKS_APART = 1.75  # as a factor; lets 1, 2, 5, 10 and 1, 3, 9, 27 through
LOG_LATENCIES = 5  # likewise of latencies
LABELS = 28  # at the right of the learning curves, of the trials of greatest value


@dataclass(frozen=True)
class Point:
    """A trial of a sweep.

    Attributes:
        number: as in the sweep.
        state: complete, pruned, failed or running.
        is_baseline: has cross-entropy, the known good settings.
        is_best: is on the front of metric and latency. In a sweep without latency nobody is; the best is then the
            complete one of greatest value.
        settings: value by dotted field.
        curve: by epoch from 1, the best of the metric up to then; empty if it failed before.
        latency_ms: of its network, where that was measured.
    """

    number: int
    state: str
    is_baseline: bool
    is_best: bool
    settings: dict[str, Any]
    curve: dict[int, float]
    latency_ms: float | None

    @property
    def epochs(self) -> int:
        """The last that was measured."""
        return max(self.curve)

    @property
    def value(self) -> float:
        """The best of the metric."""
        return self.curve[self.epochs]


def pictures(
    points: Sequence[Point], importances: Mapping[str, float], importance_epochs: int, metric: str
) -> dict[str, bytes]:
    """Pictures by file name; one that the sweep has nothing for is left out.

    Args:
        points: all trials; those without a curve are in no picture.
        importances: share of 1 by parameter; may be empty.
        importance_epochs: epochs after which trials were compared for them.
        metric: its column in a training's history, such as ``map50_95``.
    """
    points = [point for point in points if point.curve]
    fields = varying(points)
    name = (PRECISIONS | SHARES).get(metric, (metric,))[0]
    found = {}
    if points:
        found["learning-curves.png"] = learning_curves(points, name)
    if importances:
        found["importance.png"] = importance(importances, importance_epochs, name)
    if fields:
        found["parallel-coordinates.png"] = parallel_coordinates(points, fields, name)
    if {"loss.gamma", "loss.alpha"} <= {*fields}:
        found["gamma-alpha.png"] = gamma_alpha(points, name)
    if timed := [point for point in points if point.latency_ms is not None]:
        found["pareto.png"] = latency(timed, name)
    return found


def learning_curves(points: Sequence[Point], name: str) -> bytes:
    """The metric over the epochs, and where trials were given up."""
    figure = Figure(figsize=(11, 6.2))
    axis = figure.subplots()
    tidy(axis)
    title(axis, f"{name}, validation: the best so far of each trial", gap_pt=28)
    kinds = kinds_of(points)
    for point in points:
        kind = kinds[point.number]
        _, color, width, dashes = KINDS[kind]
        axis.plot(
            [*point.curve], [*point.curve.values()], color=color, linewidth=width, linestyle=dashes,
            marker=ENDS[point.state], markevery=[-1], markersize=4.5, alpha=0.6 if kind in ENDS else 1,
            zorder=_layer(kind),
        )  # fmt: skip
    longest = max(point.epochs for point in points)
    if longest > LINEAR_EPOCHS:
        axis.set_xscale("log")
        axis.set_xticks(epoch_ticks(points), map(str, epoch_ticks(points)))
        axis.xaxis.set_minor_locator(NullLocator())
    else:
        axis.set_xticks(range(1, longest + 1))
    axis.set_ylim(bottom=max(axis.get_ylim()[0], 0))
    axis.yaxis.set_major_formatter(lambda value, _: percent(value))
    axis.set_xlabel("epoch", color=INK)
    axis.legend(
        handles=_legend(kinds, {point.number: ENDS[point.state] for point in points}), loc="lower left", ncols=7,
        bbox_to_anchor=(-0.012, 1.01), frameon=False, fontsize=9, labelcolor=INK, handlelength=2.2, borderaxespad=0,
    )  # fmt: skip
    _label_ends(axis, [point for point in points if kinds[point.number] not in ENDS], kinds)
    figure.subplots_adjust(left=0.065, right=0.84, top=0.885, bottom=0.09)
    return png(figure)


def importance(shares: Mapping[str, float], epochs: int, name: str) -> bytes:
    """How much each parameter decides whether a trial is among the best."""
    names = sorted(shares, key=lambda one: shares[one])
    figure, axis = _framed(0.4 + 0.08 * max(map(len, names)), 0.2, 6, 0.36 * len(names), top=0.85)
    axis.set_xticks([])
    bars = axis.barh(names, [shares[one] for one in names], color=BAR, height=0.62)
    axis.bar_label(bars, [f"{100 * shares[one]:.0f} %" for one in names], padding=4, color=INK, fontsize=9)
    axis.set_ylim(-0.5, len(names) - 0.5)
    axis.set_xlim(0, max(*shares.values(), 1e-9))
    _head(figure, "What decides whether a trial is among the best", f"by {name} after {_count(epochs, 'epoch')}")
    return png(figure)


def parallel_coordinates(points: Sequence[Point], fields: Sequence[str], name: str) -> bytes:
    """A line a trial, through its value of each field, to its metric."""
    headings = [*map(_wrapped, fields), name]
    scales = [*(Scale(point.settings[field] for point in points) for field in fields)]
    scales.append(Scale((point.value for point in points), percent=True))
    step_in = max(1.3, 0.45 + 0.07 * max(len(tick) for scale in scales for tick in scale.ticks))
    width_in, height_in = max(step_in * (len(fields) + 1.35), 6.6), 6.4
    figure = Figure(figsize=(width_in, height_in))
    axis = figure.add_axes((0, 0.08, 1, 0.72))
    axis.axis("off")
    axis.set_xlim(-0.75, len(fields) + 0.6)
    axis.set_ylim(-0.02, 1.02)
    kinds, complete = kinds_of(points), [point.value for point in points if point.state == "complete"]
    norm = Normalize(min(complete, default=0), max(complete, default=1), clip=True)  # the faint need no shades
    for point in sorted(points, key=lambda point: (_layer(kinds[point.number]), point.value)):
        kind = kinds[point.number]
        _, color, width, dashes = KINDS[kind]
        places = [scale.place(point.settings[field]) for scale, field in zip(scales, fields, strict=False)]
        axis.plot(
            [*places, scales[-1].place(point.value)], color=SHADES(norm(point.value)) if kind in ENDS else color,
            linewidth=width, linestyle=dashes, alpha=0.4 if kind in FAINT_KINDS else 1,
        )  # fmt: skip
    for x, (heading, scale) in enumerate(zip(headings, scales, strict=True)):
        _draw_scale(axis, x, scale, heading, labels="left" if x < len(fields) else "right")
    values = np.linspace(min(point.value for point in points), max(point.value for point in points), 256)
    extent = (len(fields), len(fields) + 0.05, 0, 1)
    axis.imshow(values[:, None], cmap=SHADES, norm=norm, origin="lower", aspect="auto", extent=extent, zorder=19)
    faint = {*kinds.values()} & {*FAINT_KINDS}
    _head(
        figure, f"Settings and {name} of each trial", "faint: given up or failed; their best up to then" * bool(faint)
    )
    named = {number: kind for number, kind in kinds.items() if kind not in ENDS}
    figure.legend(
        handles=_legend(named, dict.fromkeys(named, "")), loc="lower left", ncols=3, frameon=False, fontsize=9,
        labelcolor=INK,
    )  # fmt: skip
    return png(figure)


def gamma_alpha(points: Sequence[Point], name: str) -> bytes:
    """The best of the trials with a gamma and an alpha, and how many there were."""
    columns, rows = (bins(point.settings[field] for point in points) for field in ("loss.gamma", "loss.alpha"))
    figure, axis = _framed(1.3, 0.65, 1.1 * len(columns), 0.62 * len(rows), top=0.8)
    cells = {
        (row, column): [p for p in points if p.settings["loss.gamma"] in gammas and p.settings["loss.alpha"] in alphas]
        for row, alphas in enumerate(rows.values())
        for column, gammas in enumerate(columns.values())
    }
    best = {
        cell: max((point.value for point in inside if point.state == "complete"), default=math.nan)
        for cell, inside in cells.items()
    }
    shades = np.array([*best.values()]).reshape(len(rows), len(columns))
    known = shades[~np.isnan(shades)]
    norm = Normalize(known.min(), known.max()) if known.size else Normalize(0, 1)
    axis.imshow(shades, cmap=SHADES, norm=norm, origin="lower", aspect="auto")
    for (row, column), inside in cells.items():
        value, count = best[row, column], _count(len(inside), "trial")
        if inside and math.isnan(value):
            axis.text(column, row, f"{count},\nnone to the end", ha="center", va="center", fontsize=8.5, color=SOFT)
        elif inside:
            color, weight = PAPER if norm(value) > 0.6 else INK, "bold" if value == norm.vmax else "normal"
            text = f"{100 * value:.1f} %\n{count}"
            axis.text(column, row, text, ha="center", va="center", fontsize=9, color=color, weight=weight)
    axis.set_xticks(range(len(columns)), [*columns])
    axis.set_yticks(range(len(rows)), [*rows])
    axis.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axis.grid(which="minor", color=GRID)
    axis.tick_params(which="both", length=0)
    axis.spines[:].set(visible=True, color=GRID)
    axis.set_xlabel("gamma", color=INK)
    axis.set_ylabel("alpha", color=INK)
    _head(
        figure,
        f"Best {name} by the focal loss's gamma and alpha",
        "value: of those that came to their end; number: of all",
    )
    return png(figure)


def latency(points: Sequence[Point], name: str) -> bytes:
    """Metric against latency, and the front of trials that no other beats in both."""
    figure = Figure(figsize=(10.5, 6.2))
    axis = figure.subplots()
    tidy(axis)
    title(axis, f"{name}, validation, against latency")
    axis.grid(color=GRID)
    points = sorted(points, key=lambda point: (_ms(point), point.value))
    front = [point for point in points if point.is_best]
    variants = sorted({str(point.settings.get("variant", "")) for point in points}, key=order)
    colors = dict(zip(variants, PALETTE, strict=False))
    axis.step([_ms(p) for p in front], [p.value for p in front], where="post", color=INK, linewidth=1.2)
    for point in points:
        axis.plot(
            _ms(point), point.value, marker="D" if point.is_baseline else "o", markersize=8,
            color=colors[str(point.settings.get("variant", ""))], markeredgewidth=1.6 if point.is_best else 0.8,
            markeredgecolor=INK if point.is_best else PAPER, zorder=4 if point.is_best else 3,
        )  # fmt: skip
    for point in front:  # above and left of it there is no other, as that would beat it
        axis.annotate(
            str(point.number), (_ms(point), point.value), (-5, 6), textcoords="offset points", ha="right",
            color=INK, fontsize=9, fontweight="bold", path_effects=HALO, zorder=5,
        )  # fmt: skip
    if _ms(points[-1]) > LOG_LATENCIES * _ms(points[0]):
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter("{x:g}")
    axis.margins(x=0.08, y=0.08)
    axis.yaxis.set_major_formatter(lambda value, _: percent(value))
    axis.set_xlabel("latency, ms", color=INK)
    handles = [_dot(variant, colors[variant]) for variant in variants if variant]
    handles += [_dot("cross-entropy", SOFT, "D")] * any(point.is_baseline for point in points)
    handles += [_dot("the front, by trial number", PAPER, edge=INK)] * bool(front)
    axis.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=9.5, labelcolor=INK,
        borderaxespad=0, labelspacing=0.7,
    )  # fmt: skip
    figure.subplots_adjust(left=0.075, right=0.76, top=0.92, bottom=0.09)
    return png(figure)


def epoch_ticks(points: Sequence[Point]) -> list[int]:
    """Epochs to label on an axis of factors: the last, those where most trials were given up, round ones between."""
    longest = max(point.epochs for point in points)
    given_up = Counter(point.epochs for point in points if point.state == "pruned")
    ticks: list[int] = []
    for epoch in (longest, *(epoch for epoch, _ in given_up.most_common()), *ROUND_EPOCHS):
        if epoch <= longest and all(max(epoch, tick) >= TICKS_APART * min(epoch, tick) for tick in ticks):
            ticks.append(epoch)
    return sorted(ticks)


def varying(points: Sequence[Point]) -> list[str]:
    """The fields that all points have, and not all with the same value."""
    fields = [field for field in (points[0].settings if points else ()) if all(field in p.settings for p in points)]
    return [field for field in fields if len({order(point.settings[field]) for point in points}) > 1]


def kinds_of(points: Sequence[Point]) -> dict[int, str]:
    """The key in `KINDS` of each point, by number."""
    complete = sorted((p for p in points if p.state == "complete"), key=lambda point: (-point.value, point.number))
    best = {point.number for point in points if point.is_best} or {point.number for point in complete[:1]}
    return {
        point.number: " ".join(["best"] * (point.number in best) + ["baseline"] * point.is_baseline) or point.state
        for point in points
    }


def _label_ends(axis: Axes, points: Sequence[Point], kinds: Mapping[int, str]) -> None:
    """Number and value of trials, at the right of the axis, of as many as there is room for."""
    bottom, top = axis.get_ylim()
    points = sorted(points, key=lambda point: point.value)[-LABELS:]
    heights = [(point.value - bottom) / (top - bottom) for point in points]
    for point, height in zip(points, spread(heights, 0.036, 1.05), strict=True):
        variant = f" ({point.settings['variant']})" if "variant" in point.settings else ""
        axis.annotate(
            f"trial {point.number}{variant}: {100 * point.value:.1f} %", (point.epochs, point.value), (1.03, height),
            textcoords="axes fraction", va="center", fontsize=9, fontweight="bold",
            color=KINDS[kinds[point.number]][1], arrowprops=LEADER,
        )  # fmt: skip


def _legend(kinds: Mapping[int, str], markers: Mapping[int, str]) -> list[Line2D]:
    """The kinds that there are, those on top first, and how many of each."""
    handles = []
    for kind, (name, color, width, dashes) in reversed(KINDS.items()):
        numbers = [number for number in kinds if kinds[number] == kind]
        if numbers:
            label, marker = name if len(numbers) == 1 else f"{name} ({len(numbers)})", markers[numbers[0]]
            line = Line2D([], [], color=color, linewidth=width, linestyle=dashes, marker=marker, markersize=4.5)
            line.set_label(label)
            handles.append(line)
    return handles


def _dot(label: str, color: str, marker: str = "o", edge: str = PAPER) -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, color=color, markeredgecolor=edge, markersize=8, label=label)


def _draw_scale(axis: Axes, x: float, scale: Scale, heading: str, labels: str) -> None:
    """A field's axis; the words' part stops short of the numbers'."""
    axis.plot([x, x], [0, max(scale.words.values(), default=0)], color=INK, linewidth=1, zorder=20)
    axis.plot([x, x], [scale.bottom, 1], color=INK, linewidth=1, zorder=20)
    shift, side = (-0.04, "right") if labels == "left" else (0.08, "left")
    for label, place in scale.ticks.items():
        axis.plot([x, x + shift / 2], [place, place], color=INK, linewidth=1, zorder=20)
        axis.text(x + shift, place, label, ha=side, va="center", fontsize=9, color=INK, path_effects=HALO, zorder=21)
    axis.text(x, 1.05, heading, ha="center", va="bottom", fontsize=9, color=INK, fontweight="bold")


def _framed(left: float, bottom: float, width: float, height: float, top: float) -> tuple[Figure, Axes]:
    """A figure with an axis of a size, and so many inches around it."""
    whole = max(left + width + 0.7, 6.6), bottom + height + top
    figure = Figure(figsize=whole)
    axis = figure.add_axes((left / whole[0], bottom / whole[1], width / whole[0], height / whole[1]))
    tidy(axis)
    axis.grid(visible=False)
    axis.spines["bottom"].set_visible(False)
    return figure, axis


def _head(figure: Figure, heading: str, more: str) -> None:
    """A heading at the figure's top left, and a line below it."""
    width, height = figure.get_size_inches()
    figure.text(0.2 / width, 1 - 0.28 / height, heading, color=INK, fontsize=11.5, fontweight="bold", va="center")
    figure.text(0.2 / width, 1 - 0.53 / height, more, color=SOFT, fontsize=9, va="center")


def _layer(kind: str) -> float:
    return 3 + [*KINDS].index(kind) / 10


def _ms(point: Point) -> float:
    assert point.latency_ms is not None, "only points with one are drawn by it"
    return point.latency_ms


def _wrapped(field: str) -> str:
    """A field in lines, broken at its dots and underscores."""
    lines = textwrap.wrap(field.replace(".", ". ").replace("_", "_ "), 16)
    return "\n".join(line.replace(" ", "") for line in lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
