"""The unit that a name ends with: of a config's field and of a table's column."""

from __future__ import annotations

UNITS = {
    "m": "m", "km": "km", "m2": "m²", "deg": "°", "px": "px", "ms": "ms", "s": "s", "h": "h", "mps": "m/s",
    "megapixels": "MP",
}  # fmt: skip
UNITLESS = {"hsv_h", "hsv_s"}  # hue and saturation, in parts of the whole
DEGREES = {"lon", "lat"}


def unit_of(name: str) -> str:
    """The unit of a name by its last part.

    >>> unit_of("track_gap_m"), unit_of("hfov_deg"), unit_of("camera_lon"), unit_of("epochs"), unit_of("hsv_s")
    ('m', '°', '°', '', '')
    """
    *before, last = name.split("_")
    if last in DEGREES:
        return "°"
    return UNITS.get(last, "") if before and name not in UNITLESS else ""
