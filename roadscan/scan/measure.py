"""From boxes and masks in pixels to bearings and ranges: the columns of an observation that place it on the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.model.faces import FaceLayout
from roadscan.survey.camera import Camera
from roadscan.taxonomy import AssetClass, Geometry, Taxonomy

LINE_ENDS = ("near_bearing_deg", "near_range_m", "far_bearing_deg", "far_range_m")
COLUMNS = ("bearing_deg", "range_m", "range_sigma_m", *LINE_ENDS)


def measure(
    camera: Camera,
    boxes_xyxy: npt.ArrayLike,
    classes: Sequence[str],
    taxonomy: Taxonomy,
    heading_deg: npt.ArrayLike,
    feet_xy: Mapping[int, Floats] = MappingProxyType({}),
) -> dict[str, Floats | list[str | None]]:
    """Bearing and range of boxes in the frames of one camera.

    A range comes from the ground plane where the class stands on the ground and the box's lower edge is inside the
    image, from the class's typical height where one is known, and from the better of both where both exist.

    Args:
        camera: the frames' camera; pixels are those of `camera.width_px` x `camera.height_px`.
        boxes_xyxy: (n, 4).
        classes: n class names.
        taxonomy: what is known of the classes.
        heading_deg: of the camera's optical axis, clockwise from north; NaN where unknown; one, or one a box.
        feet_xy: by the row of a box (k, 2) pixels where its mask meets the ground. A line asset's ends are taken from
            these, where they make a line, and from the box where not.

    Returns:
        (n,) float64 for each of `COLUMNS`, NaN where there is no value, and `range_source`: ground, size or None.
    """
    boxes = np.asarray(boxes_xyxy, float).reshape(-1, 4)
    columns: dict[str, Floats] = {name: np.full(len(boxes), np.nan) for name in COLUMNS}
    source = np.full(len(boxes), None, object)
    centre = camera.relative_bearing_deg((boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2)
    heading = np.broadcast_to(np.asarray(heading_deg, float), len(boxes))
    columns["bearing_deg"] = (heading + centre) % 360.0
    names = np.array(classes, object)
    for name in set(classes):
        rows = np.flatnonzero(names == name)
        asset = taxonomy.get(name)
        if asset.geometry is Geometry.LINE:
            ends = np.stack(camera.base_ends(boxes[rows]))
            for place, row in enumerate(rows.tolist()):
                if row in feet_xy and np.isfinite(traced := camera.traced_ends(feet_xy[row])).all():
                    ends[:, place] = traced
            columns["near_bearing_deg"][rows] = (heading[rows] + ends[0]) % 360.0
            columns["near_range_m"][rows] = ends[1]
            columns["far_bearing_deg"][rows] = (heading[rows] + ends[2]) % 360.0
            columns["far_range_m"][rows] = ends[3]
        else:
            columns["range_m"][rows], columns["range_sigma_m"][rows], source[rows] = _range(camera, boxes[rows], asset)
    return {**columns, "range_source": list(source)}


def face_camera(camera: Camera, layout: FaceLayout, face: int) -> Camera:
    """The level pinhole that a face of a camera's panoramas is the view of."""
    height, width = layout.input_hw
    return replace(
        camera,
        width_px=width,
        height_px=height,
        focal_px=layout.focal_px,
        mount_yaw_deg=camera.mount_yaw_deg + layout.yaws_deg[face],
        mount_pitch_deg=0.0,
        projection="pinhole",
    )


def _range(camera: Camera, boxes: Floats, asset: AssetClass) -> tuple[Floats, Floats, npt.NDArray[np.object_]]:
    """The better of ground-plane and size range: (n,) metres, (n,) standard deviation, (n,) source or None."""
    size, size_sigma = camera.size_range_m(boxes, asset)
    ground, ground_sigma = np.full_like(size, np.nan), np.full_like(size, np.nan)
    if asset.grounded:
        ground, ground_sigma = camera.ground_range_m((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3])
        cut = boxes[:, 3] > camera.height_px - camera.edge_px
        ground[cut] = ground_sigma[cut] = np.nan
    use_ground = np.isfinite(ground) & ~(size_sigma < ground_sigma)
    distance, sigma = np.where(use_ground, ground, size), np.where(use_ground, ground_sigma, size_sigma)
    source = np.full(len(boxes), None, object)
    source[np.isfinite(distance)] = "size"
    source[use_ground] = "ground"
    return distance, np.where(np.isfinite(distance), sigma, np.nan), source
