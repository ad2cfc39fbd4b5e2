"""Which visible objects become labels.

The policy imitates a careful annotator: what can be recognised is labelled, what is a few pixels or mostly hidden is
not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadscan.taxonomy import HIGHWAY, Geometry

#: Depth window by geometry, in metres. Points: nearer than 5 m they leave the image sideways; beyond 90 m a 0.85 m sign
#: has under 10 px in a 1920 px wide image. Footbridges are 30 m wide and recognisable farther off. A barrier run is
#: labelled where its height is at least 1/70 of the image's width (0.85 m at 45 m, f = 0.71 width).
WINDOW_M: dict[Geometry, tuple[float, float]] = {
    Geometry.POINT: (5.0, 90.0),
    Geometry.OVERHEAD: (10.0, 120.0),
    Geometry.LINE: (4.0, 45.0),
}
#: Less than a third visible and annotators disagree on what it is.
MIN_VISIBLE = 0.35
#: Share of a point asset's whole outline that must lie inside the image.
MIN_INSIDE = 0.30
#: Smallest box height and width over the image's width: 4 px and 2 px at the detector's 640 px input.
MIN_HEIGHT, MIN_WIDTH = 0.006, 0.003


@dataclass(frozen=True)
class Label:
    """One asset as seen in one frame.

    Attributes:
        asset_id, name: the asset and its class.
        box_xyxy: bounds of the visible part in pixels, clipped to the image.
        visible_fraction: visible pixels over the pixels that nothing would hide, 0..1.
    """

    asset_id: str
    name: str
    box_xyxy: tuple[float, float, float, float]
    visible_fraction: float


def in_window(name: str, depth_m: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether something of that class at those depths may be labelled."""
    near, far = WINDOW_M[HIGHWAY.get(name).geometry]
    return np.asarray((depth_m >= near) & (depth_m <= far))


def accept(label: Label, image_width_px: int, inside: float) -> bool:
    """Whether a visible object is worth a label.

    Args:
        label: the candidate.
        image_width_px: for the size limits.
        inside: share of its outline's bounding box that lies in the image.
    """
    x0, y0, x1, y1 = label.box_xyxy
    cut = HIGHWAY.get(label.name).geometry is Geometry.POINT and inside < MIN_INSIDE
    big = y1 - y0 >= MIN_HEIGHT * image_width_px and x1 - x0 >= MIN_WIDTH * image_width_px
    return big and not cut and label.visible_fraction >= MIN_VISIBLE
