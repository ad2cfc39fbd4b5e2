"""What the pictures of training and evaluation share: colours of classes, axes, PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from roadscan.taxonomy import HIGHWAY, Taxonomy

INK, SOFT, PAPER, GRID = "#1d2733", "#66717d", "#ffffff", "#e3e7eb"
DPI = 110

#: For classes that a taxonomy does not know; far enough from each other, also in print.
PALETTE = (
    "#4e79a7", "#f28e2b", "#b07aa1", "#59a14f", "#e15759", "#76b7b2", "#9c755f", "#edc948", "#ff9da7", "#3b4992",
    "#00a087", "#7a5195",
)  # fmt: skip


def class_colors(names: Sequence[str], taxonomy: Taxonomy = HIGHWAY) -> dict[str, str]:
    """A colour for each class: the taxonomy's own, else one from a palette, by the class's place among the unknown.

    >>> class_colors(["Warning Sign", "cat", "dog"])
    {'Warning Sign': '#e8be14', 'cat': '#4e79a7', 'dog': '#f28e2b'}
    """
    unknown = [name for name in names if name not in taxonomy.names]
    colors = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(unknown)}
    return {name: colors.get(name) or "#{:02x}{:02x}{:02x}".format(*taxonomy.get(name).color_rgb) for name in names}


def tidy(axis: Axes) -> None:
    """The house's axes: no frame, a pale grid, dark text."""
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(SOFT)
    axis.tick_params(colors=INK, labelsize=9, length=0, axis="y")
    axis.tick_params(colors=INK, labelsize=9, color=SOFT, axis="x")
    axis.grid(axis="y", color=GRID)
    axis.set_axisbelow(True)


def title(axis: Axes, text: str, gap_pt: float = 8) -> None:
    """A heading at the left, above an axis."""
    axis.set_title(text, loc="left", color=INK, fontsize=11.5, fontweight="bold", pad=gap_pt)


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=PAPER)
    return buffer.getvalue()
