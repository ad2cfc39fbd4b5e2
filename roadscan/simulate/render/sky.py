"""The far background: sky, clouds, sun, hills and tree line, as one panorama per condition.

The panorama is cylindrical: columns are azimuth RELATIVE TO THE SUN, rows are elevation. It is painted once and
cropped for every frame.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from roadscan.arrays import Floats32, Image
from roadscan.simulate.render.noise import fractal_noise, smoothstep
from roadscan.simulate.render.projection import View
from roadscan.simulate.world.conditions import Atmosphere, Condition

PIXELS_PER_DEG = 10
TOP_DEG, BOTTOM_DEG = 40, -6
WIDTH = 360 * PIXELS_PER_DEG
HEIGHT = (TOP_DEG - BOTTOM_DEG) * PIXELS_PER_DEG
#: Columns repeated at the right end, so that a crop never has to wrap; a view is at most 120 degrees wide.
OVERLAP = 120 * PIXELS_PER_DEG


def _mix(base: Floats32, colour: tuple[float, float, float] | Floats32, weight: Floats32) -> Floats32:
    return np.asarray(base + (np.asarray(colour, np.float32) - base) * weight[..., None], dtype=np.float32)


def _ridge(seed: int, azimuth_deg: Floats32, cells: int, low_deg: float, high_deg: float) -> Floats32:
    """Elevation of a hill line at each azimuth, degrees, shape (1, w)."""
    x = azimuth_deg * (cells / 360.0)
    shape = fractal_noise(seed, x, np.zeros_like(x), 5, period_x=cells)
    return np.asarray(low_deg + (high_deg - low_deg) * shape**1.6, dtype=np.float32)


def _paint_sun(picture: Floats32, condition: Condition, azimuth: Floats32, elevation: Floats32) -> Floats32:
    sun = condition.sun_elevation_deg
    angle = np.hypot((azimuth - 180.0) * np.cos(np.radians(sun)), elevation - sun)
    warm = (120, 205, 255) if condition.name == "dusk" else (225, 246, 255)
    halo = condition.glare * (0.75 * np.exp(-((angle / 16.0) ** 1.1)) + 0.9 * np.exp(-((angle / 3.5) ** 2)))
    picture = _mix(picture, warm, np.clip(halo, 0, 1).astype(np.float32))
    return _mix(picture, (250, 253, 255), (condition.glare > 0) * smoothstep(-1.6, -1.0, -angle))


@lru_cache(maxsize=10)
def panorama(condition: Condition, seed: int) -> Image:
    """The panorama of a condition, uint8 BGR, shape (HEIGHT, WIDTH + OVERLAP, 3); the sun is at azimuth column 180."""
    azimuth = np.asarray((np.arange(WIDTH) / PIXELS_PER_DEG)[None, :], np.float32)
    elevation = (TOP_DEG - np.arange(HEIGHT, dtype=np.float32) / PIXELS_PER_DEG)[:, None]
    azimuth_hw = np.broadcast_to(azimuth, (HEIGHT, WIDTH)).astype(np.float32)
    elevation_hw = np.broadcast_to(elevation, (HEIGHT, WIDTH)).astype(np.float32)
    picture = np.empty((HEIGHT, WIDTH, 3), np.float32)
    picture[:] = condition.sky_horizon
    picture = _mix(picture, condition.sky_top, smoothstep(-4.0, 46.0, elevation_hw) ** 0.8)
    picture = _paint_sun(picture, condition, azimuth_hw, elevation_hw)

    # Clouds lie on a plane overhead: they flatten and crowd towards the horizon.
    stretch = 60.0 / (np.maximum(elevation_hw, 0.5) + 7.0)
    cloud_x = azimuth_hw * (24 / 360.0) * 4
    density = fractal_noise(100 + seed * 17, cloud_x, stretch * 2.2 + seed, 5, period_x=96)
    shade = fractal_noise(100 + seed * 17, cloud_x, stretch * 2.2 + seed + 0.35, 5, period_x=96)
    cover = smoothstep(0.62 - 0.30 * condition.cloud, 0.78 - 0.22 * condition.cloud, density)
    cover *= smoothstep(-0.5, 5.0, elevation_hw) * (0.35 + 0.6 * condition.cloud**0.5)
    lit = smoothstep(-0.06, 0.10, density - shade + 0.03)[..., None]
    colour = (
        np.asarray(condition.cloud_shade, np.float32) * (1 - lit) + np.asarray(condition.cloud_lit, np.float32) * lit
    )
    picture += (colour - picture) * cover[..., None]
    if condition.name == "night":
        _paint_night(picture, seed, azimuth_hw, elevation_hw)
    picture = _paint_land(picture, condition, seed, azimuth, elevation_hw)
    result = np.clip(picture, 0, 255).astype(np.uint8)
    return np.concatenate([result, result[:, :OVERLAP]], axis=1)


def _paint_night(picture: Floats32, seed: int, azimuth: Floats32, elevation: Floats32) -> None:
    """Stars, and the glow of a town on the horizon."""
    rng = np.random.default_rng((31, seed))
    glow = np.exp(-(((azimuth - 150.0) / 40.0) ** 2)) * np.exp(-np.maximum(elevation, 0) / 7.0)
    picture += glow[..., None] * np.array([26, 46, 66], np.float32)
    stars = rng.integers(0, [HEIGHT - 15 * PIXELS_PER_DEG, WIDTH], size=(700, 2))
    picture[stars[:, 0], stars[:, 1]] += rng.gamma(1.2, 32, size=(700, 1)).astype(np.float32)


def _paint_land(picture: Floats32, condition: Condition, seed: int, azimuth: Floats32, elevation: Floats32) -> Floats32:
    """Two ranges of hills and a tree line; the farther, the more it is the colour of the air."""
    light = np.array(condition.ambient) * 0.9 + np.array(condition.sun) * 0.45
    fog = np.array(condition.fog)
    layers = (
        (7, 14, 0.2, 5.5, (118, 104, 78), 0.30),
        (8, 30, 0.1, 2.6, (84, 102, 70), 0.52),
        (9, 360, 0.15, 1.15, (52, 88, 58), 0.80),
    )
    for key, cells, low, high, albedo, clear in layers:
        clear *= min(1.0, condition.visibility_m / 900.0) ** 0.7
        crest = _ridge(key + seed * 5, azimuth, cells, low, high)
        colour = np.asarray(np.array(albedo) * light * clear + fog * (1 - clear), np.float32)
        below = np.clip((crest - elevation) * PIXELS_PER_DEG + 0.5, 0, 1).astype(np.float32)
        if cells == 360:
            x, y = np.broadcast_arrays(azimuth * 3.0, elevation * 6.0)
            tone = 0.72 + 0.56 * fractal_noise(40 + seed, x, y, 3, period_x=1080, period_y=64)
            picture = _mix(picture, np.asarray(colour * tone[..., None], np.float32), below)
        else:
            picture = _mix(picture, colour, below)
    return picture


def paint_sky(view: View, atmosphere: Atmosphere, rows: int) -> Image:
    """The background of a view: the upper `rows` rows of the image, uint8 BGR, shape (rows, width, 3)."""
    source = panorama(atmosphere.condition, atmosphere.sky_seed)
    half_deg = float(np.degrees(np.arctan(view.width_px / 2 / view.focal_px)))
    azimuth = (np.degrees(view.yaw_rad - atmosphere.sun_azimuth_rad) + 180.0 - half_deg) % 360.0
    # Rows follow the pinhole's tangent, so that the horizon is where the ground ends.
    scale_x = view.width_px / (2 * half_deg * PIXELS_PER_DEG)
    slope = np.degrees(1 / view.focal_px) * PIXELS_PER_DEG
    row_of_zero = TOP_DEG * PIXELS_PER_DEG
    matrix = np.array(
        [
            [1 / scale_x, 0.0, azimuth * PIXELS_PER_DEG],
            [0.0, slope, row_of_zero - view.horizon_px * slope],
        ]
    )
    return np.asarray(
        cv2.warpAffine(
            source,
            matrix,
            (view.width_px, rows),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.uint8,
    )
