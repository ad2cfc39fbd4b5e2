"""The ground as a picture seen from above: asphalt, markings, verges and fields, at several resolutions.

A texture covers PERIOD_M of chainage (it repeats) and some width about the centreline. Near ground needs centimetres,
far ground metres, and much finer across the road than along it, because perspective shortens the length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from roadscan.arrays import Floats32, Image
from roadscan.simulate.render.noise import fractal_noise, value_noise
from roadscan.simulate.world.road import (
    FAST_LANE_M,
    INNER_LINE_M,
    LANE_LINE_M,
    MEDIAN_EDGE_M,
    OUTER_LINE_M,
    PAVEMENT_EDGE_M,
    SLOW_LANE_M,
)

#: Length after which the ground repeats: ten periods of the dashed line (3 m paint, 9 m gap).
PERIOD_M = 120.0
DASH_PERIOD_M, DASH_M = 12.0, 3.0
STYLES = 5


@dataclass(frozen=True)
class Band:
    """Ground between two depths, drawn from one texture.

    Attributes:
        far_m: depth up to which it is used.
        half_width_m: the texture spans -half_width_m..half_width_m across.
        across_m, along_m: size of a texel.
    """

    far_m: float
    half_width_m: float
    across_m: float
    along_m: float


BANDS = (
    Band(11.0, 20.0, 0.025, 0.08),
    Band(40.0, 46.0, 0.03, 0.25),
    Band(120.0, 130.0, 0.08, 1.0),
    Band(1e9, 480.0, 0.30, 6.0),
)


def _stripe(offset: Floats32, centre_m: float, width_m: float, texel_m: float) -> Floats32:
    """Coverage of texels by a painted line, 0..1."""
    edge = (width_m + texel_m) / 2 - np.abs(offset - centre_m)
    return np.asarray(np.clip(edge / texel_m, 0, min(1.0, width_m / texel_m)), dtype=np.float32)


def _beyond(offset: Floats32, limit_m: float, soft_m: float) -> Floats32:
    """0 nearer the centreline than `limit_m`, 1 beyond, a ramp of `soft_m` between."""
    return np.asarray(np.clip((np.abs(offset) - limit_m) / soft_m + 0.5, 0, 1), dtype=np.float32)


def _blend(picture: Floats32, colour: Floats32 | tuple[float, float, float], weight: Floats32) -> Floats32:
    return np.asarray(picture + (np.asarray(colour, np.float32) - picture) * weight[..., None], dtype=np.float32)


def _vegetation(style: int, d: Floats32, s: Floats32, fine: bool) -> Floats32:
    """Verge grass and, beyond, fields in plots."""
    rng = np.random.default_rng((41, style))
    grass = np.array([(52, 118, 96), (58, 108, 84), (70, 128, 120), (84, 138, 146), (56, 112, 92)][style], np.float32)
    dry, earth = np.array((104, 158, 172), np.float32), np.array((100, 132, 158), np.float32)
    patches = fractal_noise(200 + style, d / 7.5, s / 7.5, 4)
    picture = _blend(np.broadcast_to(grass, (*d.shape, 3)), dry, np.clip(patches * 2.2 - 0.75, 0, 0.8))
    picture = _blend(picture, earth, np.clip(fractal_noise(210 + style, d / 3.75, s / 7.5, 3) * 5 - 3.1, 0, 0.8))
    plots = np.array([(64, 148, 112), (70, 168, 150), (96, 176, 190), (60, 112, 70), (92, 130, 150)], np.float32)
    row, column = np.floor(s / 40).astype(int) % 3, np.floor(d / 55).astype(int)
    field = plots[(row * 3 + column * 7 + rng.integers(5)) % 5]
    picture = _blend(picture, field, np.clip((np.abs(d) - 24) / 6, 0, 0.75).astype(np.float32))
    bund = np.minimum(np.abs(np.mod(d, 55) - 27.5), 99) > 26.3
    picture = _blend(picture, (60, 108, 96), (bund & (np.abs(d) > 30)).astype(np.float32) * 0.6)
    picture *= (0.80 + 0.40 * value_noise(220, d / 1.875, s / 1.875))[..., None]
    if fine:
        blades = (
            value_noise(230, d / 0.117, s / 0.234, 512, 512) * 0.6
            + value_noise(231, d / 0.47, s / 0.47, 256, 256) * 0.4
        )
        picture *= (0.62 + 0.76 * blades)[..., None]
    return np.asarray(picture, np.float32)


def _verge(style: int, d: Floats32, s: Floats32, fine: bool) -> Floats32:
    """Grass and fields, with a gravel edge along the pavement."""
    gravel = (1 - _beyond(d, PAVEMENT_EDGE_M + 0.8, 0.9)) * 0.85
    stones = (0.75 + 0.5 * value_noise(380, d / 0.117, s / 0.234, 512, 512)) if fine else np.ones_like(d)
    return _blend(_vegetation(style, d, s, fine), stones[..., None] * np.array((112, 138, 152), np.float32), gravel)


def _pavement(style: int, d: Floats32, s: Floats32, fine: bool) -> Floats32:
    """Asphalt or concrete with wheel tracks, stains, patches and joints."""
    tone = (112.0, 98.0, 142.0, 120.0, 88.0)[style]
    concrete = style == 2
    tint = np.array((0.97, 1.0, 1.03) if concrete else (1.0, 1.0, 0.99), np.float32)
    value = np.full(d.shape, tone, np.float32)
    value *= 0.90 + 0.20 * fractal_noise(300 + style, d / 3.75, s / 15, 3)
    for lane in (FAST_LANE_M, SLOW_LANE_M):
        for track in (lane - 0.85, lane + 0.85):
            value *= 1 - 0.10 * np.exp(-(((np.abs(d) - track) / 0.33) ** 2))
        value *= 1 - 0.07 * np.exp(-(((np.abs(d) - lane) / 0.30) ** 2)) * value_noise(310, d / 60, s / 3.75)
    shoulder = _beyond(d, OUTER_LINE_M + 0.2, 0.15)
    value += shoulder * (10 if not concrete else -14) * (1 + 0 * d)
    patch = (value_noise(320 + style, np.floor(np.abs(d) / 1.75), np.floor(s / 7.5), 16, 16) > 0.80) & (np.abs(d) > 3.2)
    value *= 1 - 0.09 * patch * (np.abs(d) < OUTER_LINE_M - 0.2)
    if fine:
        value *= 0.91 + 0.18 * value_noise(330, d / 0.0586, s / 0.117, 1024, 1024)
        crack = np.abs(fractal_noise(340 + style, d / 3.75, s / 7.5, 4) - 0.5)
        gate = value_noise(350 + style, d / 7.5, s / 15, 16, 8) > 0.68
        value *= 1 - (0.34 if not concrete else 0.25) * gate * np.clip(1 - crack / 0.006, 0, 1)
    if concrete:
        joint = np.minimum(np.mod(s, 10.0), 10.0 - np.mod(s, 10.0))
        value *= 1 - 0.30 * np.clip(1 - joint / 0.08, 0, 1) * (1.0 if fine else 0.25)
    return value[..., None] * tint


def _markings(picture: Floats32, d: Floats32, s: Floats32, band: Band, style: int) -> Floats32:
    """Edge lines (yellow inside, white outside) and dashed lane lines, a little worn."""
    texel = band.across_m
    wear = 0.70 + 0.28 * fractal_noise(360 + style, d / 0.47, s / 1.875, 3, 128, 64)
    white, yellow = (226, 230, 230), (60, 178, 226)
    side = np.abs(d)
    picture = _blend(picture, yellow, _stripe(side, INNER_LINE_M, 0.15, texel) * wear)
    picture = _blend(picture, white, _stripe(side, OUTER_LINE_M, 0.15, texel) * wear)
    phase = np.mod(s, DASH_PERIOD_M)
    if band.along_m > 3.0:
        dash = np.full_like(s, DASH_M / DASH_PERIOD_M)
    else:
        dash = np.clip(np.minimum(phase, DASH_M - phase) / band.along_m + 0.5, 0, 1)
    return _blend(picture, white, _stripe(side, LANE_LINE_M, 0.15, texel) * wear * dash)


def _median(picture: Floats32, d: Floats32, s: Floats32, style: int, fine: bool) -> Floats32:
    """Raised median: grass or concrete inside red-and-white or plain kerbs."""
    inside = 1 - _beyond(d, MEDIAN_EDGE_M - 0.15, 0.1)
    if style in (1, 4):
        concrete = 150 * (0.85 + 0.3 * fractal_noise(370, d / 1.875, s / 3.75, 3))
        picture = _blend(picture, concrete[..., None] * np.array((0.96, 1.0, 1.02), np.float32), inside)
    else:
        grass = _vegetation(style, d * 1.3 + 3, s, fine) * 0.92
        picture = _blend(picture, grass, inside)
    kerb = np.clip(1 - np.abs(np.abs(d) - (MEDIAN_EDGE_M - 0.08)) / 0.16, 0, 1).astype(np.float32)
    block = (np.mod(s, 2.0) < 1.0)[..., None] if fine else np.full((*s.shape, 1), 0.5)
    light, dark = np.array((205, 210, 210), np.float32), np.array((60, 60, 62), np.float32)
    return _blend(picture, np.asarray(light * block + dark * (1 - block), np.float32), np.minimum(kerb * 2, 1))


@lru_cache(maxsize=2 * STYLES * len(BANDS))
def texture(style: int, level: int) -> Image:
    """The ground of a style for one of BANDS, uint8 BGR, shape (rows along, columns across, 3)."""
    band = BANDS[level]
    across = np.arange(-band.half_width_m, band.half_width_m, band.across_m, dtype=np.float32) + band.across_m / 2
    along = np.arange(0.0, PERIOD_M, band.along_m, dtype=np.float32) + band.along_m / 2
    d, s = (np.ascontiguousarray(a, dtype=np.float32) for a in np.meshgrid(across, along))
    fine = band.along_m < 0.5
    picture = np.empty((*d.shape, 3), np.float32)
    offset = np.abs(across)
    green, paved, middle = offset > PAVEMENT_EDGE_M - 0.5, offset < PAVEMENT_EDGE_M + 0.5, offset < MEDIAN_EDGE_M + 0.3
    picture[:, green] = _verge(style, d[:, green], s[:, green], fine)
    shown = (1 - _beyond(d[:, paved], PAVEMENT_EDGE_M, 0.12)) * np.ones_like(d[:, paved])
    picture[:, paved & ~green] = 0
    picture[:, paved] = _blend(picture[:, paved], _pavement(style, d[:, paved], s[:, paved], fine), shown)
    picture[:, middle] = _median(picture[:, middle], d[:, middle], s[:, middle], style, fine)
    picture[:, paved] = _markings(picture[:, paved], d[:, paved], s[:, paved], band, style)
    return np.clip(picture, 0, 255).astype(np.uint8)
