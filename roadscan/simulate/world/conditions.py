"""Light, weather and the camera's answer to them: what "day", "night" or "rain" means for every pixel.

Colours are BGR in 0..255, as OpenCV wants them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadscan.simulate.world.road import Road

Bgr = tuple[float, float, float]

#: How far one condition lasts along a drive, in metres.
SEGMENT_M = 1000.0


@dataclass(frozen=True)
class Condition:
    """One kind of light and weather.

    Attributes:
        name: as written in the truth tables.
        tags: the conditions that its images have; empty for its name alone.
        ambient: light from the sky on any surface, as a factor per channel (BGR).
        sun: direct light on a surface that faces the sun, as a factor per channel.
        sun_elevation_deg: height of the sun; shadows are longer when it is low.
        shadow: how much a cast shadow darkens the ground, 0..1.
        fog: colour that distance fades into.
        visibility_m: distance at which 63 % of a surface's own colour is lost.
        lights: headlights, tail lights and street lamps are on, 0..1.
        sky_top, sky_horizon: colours of the sky's gradient.
        cloud: cover 0..1, and the colours of its lit and shaded parts.
        glare: strength of the sun's halo in the picture, 0..1.
        wet: how much the road mirrors, 0..1; also rain streaks and drops.
        noise_dn: sensor noise, standard deviation in grey levels.
        blur_px: longest motion blur, in pixels of a 1920 px wide image.
    """

    name: str
    ambient: Bgr
    sun: Bgr
    sun_elevation_deg: float
    shadow: float
    fog: Bgr
    visibility_m: float
    lights: float
    sky_top: Bgr
    sky_horizon: Bgr
    cloud: float
    cloud_lit: Bgr
    cloud_shade: Bgr
    glare: float = 0.0
    wet: float = 0.0
    noise_dn: float = 2.0
    blur_px: float = 2.0
    tags: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions that its images have."""
        return self.tags or (self.name,)


CONDITIONS: dict[str, Condition] = {
    c.name: c
    for c in (
        Condition(
            "day", (0.56, 0.52, 0.49), (0.56, 0.63, 0.67), 52, 0.50, (222, 208, 192), 1700, 0.0,
            (200, 128, 58), (240, 218, 192), 0.42, (255, 253, 250), (214, 202, 192),
        ),
        Condition(
            "haze", (0.66, 0.66, 0.66), (0.22, 0.26, 0.28), 40, 0.22, (196, 206, 210), 260, 0.0,
            (204, 200, 190), (206, 216, 222), 0.25, (226, 228, 230), (204, 206, 208),
        ),
        Condition(
            "dusk", (0.40, 0.32, 0.30), (0.10, 0.19, 0.28), 7, 0.20, (132, 128, 168), 900, 0.75,
            (112, 74, 52), (104, 158, 242), 0.55, (120, 150, 240), (104, 84, 92), glare=0.35, noise_dn=4.0,
        ),
        Condition(
            "backlight", (0.44, 0.45, 0.47), (0.16, 0.26, 0.34), 16, 0.50, (176, 206, 232), 650, 0.0,
            (190, 158, 112), (196, 228, 252), 0.40, (236, 248, 255), (176, 184, 194), glare=1.0,
        ),
        Condition(
            "rain", (0.50, 0.48, 0.46), (0.0, 0.0, 0.0), 60, 0.0, (166, 160, 154), 330, 0.5,
            (150, 140, 130), (182, 176, 170), 0.9, (178, 172, 166), (132, 124, 118), wet=1.0, noise_dn=3.0, blur_px=3.0,
        ),
        Condition(
            "night", (0.095, 0.075, 0.065), (0.0, 0.0, 0.0), 60, 0.0, (34, 25, 22), 800, 1.0,
            (26, 15, 10), (58, 46, 42), 0.35, (44, 36, 34), (22, 16, 14), noise_dn=5.5, blur_px=3.5,
        ),
        Condition(
            "rainy night", (0.085, 0.070, 0.062), (0.0, 0.0, 0.0), 60, 0.0, (36, 30, 27), 260, 1.0,
            (24, 17, 13), (44, 38, 36), 0.9, (40, 35, 33), (24, 19, 17), wet=1.0, noise_dn=6.0, blur_px=3.5,
            tags=("night", "rain"),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Atmosphere:
    """A condition as met on one stretch of a drive: with its own sun direction, sky and exposure.

    Attributes:
        condition: the kind.
        sun_azimuth_rad: direction TO the sun, clockwise from north.
        sky_seed: which sky.
        exposure: the camera's gain, about 1.
    """

    condition: Condition
    sun_azimuth_rad: float = 0.0
    sky_seed: int = 0
    exposure: float = 1.0
    to_sun: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        elevation = np.radians(self.condition.sun_elevation_deg)
        sun = (np.cos(elevation) * np.sin(self.sun_azimuth_rad), np.cos(elevation) * np.cos(self.sun_azimuth_rad))
        object.__setattr__(self, "to_sun", np.array([*sun, np.sin(elevation)]))


#: What the stretches of the first nights are drawn from: mostly day, with every hard condition somewhere.
MIX = ("day", "dusk", "day", "rain", "day", "night", "day", "backlight", "day", "haze")


def atmospheres(seed: int, night: int, road: Road, names: Sequence[str] = ()) -> list[Atmosphere]:
    """The conditions along a drive, one per SEGMENT_M metres of road.

    Args:
        seed: of the simulation.
        night: which drive, from 1.
        road: for the sun's direction relative to the driver.
        names: condition names to go through in turn; empty for `MIX`, started at another place each night.
    """
    rng = np.random.default_rng((23, seed, night))
    cycle = tuple(names) or tuple(np.roll(np.array(MIX), -int(rng.integers(len(MIX)))))
    result = []
    for index in range(int(road.length_m // SEGMENT_M) + 1):
        condition = CONDITIONS[str(cycle[index % len(cycle)])]
        heading = float(road.heading(min((index + 0.5) * SEGMENT_M, road.length_m)))
        # Backlight and dusk have the sun ahead; otherwise it stands anywhere but ahead.
        ahead = rng.uniform(-0.35, 0.35)
        azimuth = heading + (ahead if condition.glare > 0 else np.pi + rng.uniform(-2.2, 2.2))
        result.append(Atmosphere(condition, float(azimuth), int(rng.integers(2)), float(np.exp(rng.normal(0.0, 0.07)))))
    return result


def atmosphere_at(stretches: Sequence[Atmosphere], s: float) -> Atmosphere:
    """The stretch that chainage `s` lies in."""
    return stretches[min(max(int(s // SEGMENT_M), 0), len(stretches) - 1)]
