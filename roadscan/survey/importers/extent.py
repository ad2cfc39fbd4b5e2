"""Where and when a drive was, and how much of it is known: what a person looks at before it is scanned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.survey.path import path_length_m

MAP = "https://www.openstreetmap.org/?mlat={lat:.5f}&mlon={lon:.5f}#map=12/{lat:.5f}/{lon:.5f}"


@dataclass(frozen=True)
class Extent:
    """Of the frames that can be used.

    Attributes:
        place: from its southern to its northern and from its western to its eastern end, degrees; "" without a frame.
        seen_at: a map of its middle, on which swapped coordinates lie in another country; "" without a frame.
        started_at, ended_at: its first and its last frame.
        length_km: along its frames.
        shares: of all frames those with a position, a time and a heading, and those that can be used; cut, not rounded.
    """

    place: str
    seen_at: str
    started_at: datetime | None
    ended_at: datetime | None
    length_km: float
    shares: dict[str, float]


def extent_of(frames: pa.Table, usable: pa.Table) -> Extent:
    """Rows of `DRIVE_FRAMES`, and those of them that can be used -> their extent."""
    columns = {"position": "lon", "time": "captured_at", "heading": "heading_deg"}
    known = {name: frames.num_rows - frames[column].null_count for name, column in columns.items()}
    counts = known | {"usable": usable.num_rows}
    shares = {name: math.floor(1000 * count / max(frames.num_rows, 1)) / 1000 for name, count in counts.items()}
    if not usable.num_rows:
        return Extent("", "", None, None, 0.0, shares)
    lat, times = pc.min_max(usable["lat"]).as_py(), pc.min_max(usable["captured_at"]).as_py()
    west, east = _west_east(usable["lon"].to_pylist())
    middle = ((west + east) / 2 + 180) % 360 - 180
    return Extent(
        place=f"{_angle(lat['min'], 'NS')} to {_angle(lat['max'], 'NS')}, {_angle(west, 'EW')} to {_angle(east, 'EW')}",
        seen_at=MAP.format(lat=(lat["min"] + lat["max"]) / 2, lon=middle),
        started_at=times["min"],
        ended_at=times["max"],
        length_km=round(path_length_m(usable) / 1000, 3),
        shares=shares,
    )


def _west_east(lon: list[float]) -> tuple[float, float]:
    """The ends of a drive, which never goes around the earth; the eastern one is over 180 where it crosses that."""
    west, east = min(lon), max(lon)
    if east - west <= 180:
        return west, east
    turned = [one % 360 for one in lon]
    return min(turned), max(turned)


def _angle(degrees: float, marks: str) -> str:
    degrees = (degrees + 180) % 360 - 180 if marks == "EW" else degrees
    return f"{abs(degrees):.5f} {marks[0] if degrees >= 0 else marks[1]}"
