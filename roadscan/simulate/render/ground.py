"""The ground in a frame: which depth each image row sees, the road's texture warped to it, and its light.

The height of the ground depends on chainage only, and the camera does not roll. So every image row sees one depth, and
along a row the offset from the centreline is linear in the column.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from roadscan.arrays import Floats, Image
from roadscan.simulate.render.projection import View
from roadscan.simulate.render.surface import BANDS, PERIOD_M, texture
from roadscan.simulate.world.road import Road

#: Depths at which the terrain ahead is sampled, in metres.
DEPTHS_M = np.geomspace(1.2, 1900.0, 260)


@dataclass(frozen=True)
class GroundProfile:
    """What each row of the image sees of the ground.

    Attributes:
        top: first image row with ground; rows above show the sky.
        depth_m: horizontal distance ahead of each ground row, shape (rows,).
        s: chainage of the centreline at that depth, shape (rows,).
        d_centre: offset from the centreline at the image's middle column, shape (rows,).
        d_per_px: offset per column, shape (rows,).
        s_per_px: chainage per column, shape (rows,): not 0 where the road turns away from the view.
        crest_rows: row below which nearer ground hides what stands at each of DEPTHS_M, shape (260,).
    """

    top: int
    depth_m: Floats
    s: Floats
    d_centre: Floats
    d_per_px: Floats
    s_per_px: Floats
    crest_rows: Floats

    def clip_row(self, depth_m: Floats) -> Floats:
        """Row from which on nearer ground hides objects at the given depths; beyond the image when none does."""
        return np.asarray(np.interp(depth_m, DEPTHS_M, self.crest_rows))


def ground_profile(view: View, road: Road, camera_s: float) -> GroundProfile:
    """Trace the terrain ahead of a camera near chainage `camera_s`."""
    chainage = camera_s + np.concatenate([np.arange(-6.0, 60.0, 1.0), np.arange(60.0, 1940.0, 8.0)])
    points = road.point(chainage, 0.0)
    relative = points - view.position
    forward = relative[:, 0] * np.sin(view.yaw_rad) + relative[:, 1] * np.cos(view.yaw_rad)
    rightward = relative[:, 0] * np.cos(view.yaw_rad) - relative[:, 1] * np.sin(view.yaw_rad)
    turn = np.mod(road.heading(chainage) - view.yaw_rad + np.pi, 2 * np.pi) - np.pi
    usable = np.concatenate([[True], np.diff(np.maximum.accumulate(forward)) > 0]) & (np.abs(turn) < 1.0)
    usable &= np.cumprod(usable | (forward < 5.0)).astype(bool)
    forward, columns = forward[usable], (rightward[usable], relative[usable, 2], chainage[usable], turn[usable])
    x_m, z_m, s, turn = (np.interp(DEPTHS_M, forward, column) for column in columns)

    sin_p, cos_p = np.sin(view.pitch_rad), np.cos(view.pitch_rad)
    axial = DEPTHS_M * cos_p - z_m * sin_p
    row = view.height_px / 2 + view.focal_px * (-DEPTHS_M * sin_p - z_m * cos_p) / axial
    crest = np.minimum.accumulate(row)
    visible = np.concatenate([[True], row[1:] < crest[:-1]])
    top = int(np.clip(np.ceil(crest[-1] - 0.5), 0, view.height_px))
    centre = np.arange(top, view.height_px) + 0.5
    depth = np.interp(-centre, -row[visible], DEPTHS_M[visible])
    x_m, s, turn, axial = (np.interp(depth, DEPTHS_M, column) for column in (x_m, s, turn, axial))
    metres_per_px = axial / view.focal_px
    # What stands at a depth is hidden below the crest of the ground strictly in front of it; a row of slack keeps
    # feet on flat ground whole.
    before = np.concatenate([[np.inf], crest[:-1]])
    hidden = np.where(row > before + 1.5, before, np.inf)
    return GroundProfile(
        top=top,
        depth_m=depth,
        s=s - x_m * np.sin(turn),
        d_centre=-x_m * np.cos(turn),
        d_per_px=metres_per_px * np.cos(turn),
        s_per_px=metres_per_px * np.sin(turn),
        crest_rows=np.where(np.isfinite(hidden), hidden, 1e9),
    )


def paint_ground(image: Image, view: View, profile: GroundProfile, style: int) -> None:
    """Draw the ground of a style into the rows of `image` from `profile.top` on."""
    column = (np.arange(view.width_px, dtype=np.float32) + 0.5 - view.width_px / 2)[None, :]
    near = 0.0
    for level, band in enumerate(BANDS):
        rows = np.flatnonzero((profile.depth_m >= near) & (profile.depth_m < band.far_m))
        near = band.far_m
        if not len(rows):
            continue
        first, last = int(rows[0]), int(rows[-1]) + 1
        part = slice(first, last)
        d0 = (profile.d_centre[part] + band.half_width_m) / band.across_m - 0.5
        s0 = np.mod(profile.s[part], PERIOD_M) / band.along_m - 0.5
        dx, sx = profile.d_per_px[part] / band.across_m, profile.s_per_px[part] / band.along_m
        map_x = d0.astype(np.float32)[:, None] + dx.astype(np.float32)[:, None] * column
        map_y = s0.astype(np.float32)[:, None] + sx.astype(np.float32)[:, None] * column
        cv2.remap(
            texture(style, level),
            map_x,
            map_y,
            cv2.INTER_LINEAR,
            dst=image[profile.top + first : profile.top + last],
            borderMode=cv2.BORDER_WRAP,
        )
