"""The assets that pass a filter as rows: for the page's list, as CSV, and as GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from roadscan.arrays import Floats, Ints
from roadscan.errors import ConfigError
from roadscan.inventory.query.rendering import csv_text
from roadscan.view.filters import Filter
from roadscan.view.mercator import degrees, project
from roadscan.view.register import NO_KM, SIDES, STATES, MapRegister

CHUNK = 20_000  # rows at a time of a download
DOUBTFUL = ("suspect", "candidate", "missing", "confirmed")  # what is reviewed, in this order


def rows_passing(register: MapRegister, wanted: Filter, box: tuple[float, float, float, float] | None = None) -> Ints:
    """The rows that pass, and lie in a box of west, south, east and north in degrees where one is given."""
    passing = wanted.passes(register)
    keep = np.ones(len(register), bool) if passing is None else passing
    if box is not None:
        west, south, east, north = box
        (left, right), (bottom, top) = project(np.array([west, east]), np.array([south, north]))
        keep = keep & (register.x >= left) & (register.x <= right) & (register.y >= top) & (register.y <= bottom)
    return np.flatnonzero(keep)


def doubt(register: MapRegister, rows: Ints) -> Floats:
    """How unsure the register is of each, 0 to 1: 1 where existence is even; by the score where that is not known."""
    existence = register.existence[rows].astype(float)
    sure = np.where(np.isnan(existence), register.score[rows], existence)
    return np.asarray(1 - np.abs(2 * np.clip(sure, 0, 1) - 1), float)


def worst_first(register: MapRegister, rows: Ints, limit: int) -> Ints:
    """Up to so many rows, those first that a look is worth most: by state, then by doubt."""
    place = np.array([DOUBTFUL.index(name) if name in DOUBTFUL else len(DOUBTFUL) for name in STATES])
    rows = _first(rows, place[register.state[rows]] - doubt(register, rows), limit)
    return rows[np.lexsort((register.score[rows], -doubt(register, rows), place[register.state[rows]]))]


def along_roads(register: MapRegister, rows: Ints, limit: int) -> Ints:
    """Up to so many rows by route and kilometre; those on none last."""
    km = np.where(register.km_m[rows] == NO_KM, np.iinfo(np.int32).max, register.km_m[rows]).astype(np.int64)
    route = np.where(register.route[rows] == 0, len(register.routes), register.route[rows]).astype(np.int64)
    place = (route << 32) + km
    chosen = _first(np.arange(len(rows)), place, limit)
    return rows[chosen[np.argsort(place[chosen], kind="stable")]]


def _first(rows: Ints, value: npt.NDArray[Any], limit: int) -> Ints:
    """Those of so many rows whose values are least, in any order: of millions much sooner than sorting them."""
    return rows if limit >= len(rows) else rows[np.argpartition(value, limit)[:limit]]


def table(register: MapRegister, rows: Ints) -> pa.Table:
    """The rows with the columns that a list has; their names are those of `assets`."""
    lon, lat = degrees(register.x[rows], register.y[rows])

    def texts(names: tuple[str, ...], codes: np.ndarray) -> pa.Array:
        return pa.array([names[code] or None for code in codes[rows].tolist()], pa.string())

    def chainage(values: np.ndarray) -> pa.Array:
        return pa.array(values[rows], mask=values[rows] == NO_KM)

    def moment(values: np.ndarray) -> pa.Array:
        return pa.array(values[rows] * 1_000_000, pa.timestamp("us", tz="UTC"), mask=values[rows] == 0)

    def figure(values: np.ndarray, digits: int) -> pa.Array:
        rounded = np.round(values[rows].astype(float), digits)
        return pa.array(rounded, mask=np.isnan(rounded))

    return pa.table(
        {
            "asset_id": register.asset_id.take(pa.array(rows)),
            "class": texts(register.classes, register.kind),
            "state": texts(STATES, register.state),
            "route_code": texts(register.routes, register.route),
            "km_m": chainage(register.km_m),
            "km_end_m": chainage(register.km_end_m),
            "side": texts(SIDES, register.side),
            "lon": lon.round(7),
            "lat": lat.round(7),
            "pos_sigma_m": figure(register.sigma_m, 2),
            "length_m": figure(register.length_m, 1),
            "score": figure(register.score, 3),
            "existence": figure(register.existence, 3),
            "n_nights": pa.array(register.nights[rows]),
            "first_seen": moment(register.first_seen),
            "last_seen": moment(register.last_seen),
        }
    )


def csv_lines(register: MapRegister, rows: Ints) -> Iterator[str]:
    """A CSV file, in pieces; a text that a spreadsheet would run begins with '."""
    for start in range(0, max(len(rows), 1), CHUNK):
        text = csv_text(table(register, rows[start : start + CHUNK]))
        yield text if start == 0 else text.split("\n", 1)[1]


def geojson(register: MapRegister, rows: Ints, *, drawn: bool = False) -> Iterator[str]:
    """A GeoJSON file (RFC 7946), in pieces; guardrails are lines.

    Args:
        register: of which.
        rows: those that it has.
        drawn: with what a page draws by: `c` and `s`, the numbers of class and state, and `lon` and `lat` of lines.
    """
    yield '{"type": "FeatureCollection", "features": ['
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        told = features(register, part)
        if drawn:
            for feature, n, row in zip(told, part.tolist(), table(register, part).to_pylist(), strict=True):
                looks = {"c": int(register.kind[n]), "s": int(register.state[n])}
                feature["properties"] |= looks | {name: row[name] for name in ("lon", "lat")}
        yield (",\n" if start else "\n") + ",\n".join(map(json.dumps, told))
    yield "\n]}\n"


def features(register: MapRegister, rows: Ints) -> list[dict[str, Any]]:
    """The rows as features of GeoJSON (RFC 7946)."""
    lines = lines_of(register, rows)
    shown = table(register, rows).to_pylist()
    return [_feature(register, row, line) for row, line in zip(shown, lines.tolist(), strict=True)]


def lines_of(register: MapRegister, rows: Ints) -> Ints:
    """Which of a register's lines each row is; -1 where it is a point."""
    order = np.argsort(register.lines.row, kind="stable")
    place = np.searchsorted(register.lines.row[order], rows)
    found = np.append(order, -1)[np.minimum(place, len(order))]
    return np.where(np.append(register.lines.row, -1)[found] == rows, found, -1)


def _feature(register: MapRegister, row: dict[str, Any], line: int) -> dict[str, Any]:
    place = [row.pop("lon"), row.pop("lat")]
    geometry: dict[str, Any] = {"type": "Point", "coordinates": place}
    if line >= 0:
        lon, lat = degrees(*register.lines.vertices(line).T)
        geometry = {"type": "LineString", "coordinates": np.stack([lon, lat], 1).round(7).tolist()}
    for name in ("first_seen", "last_seen"):
        row[name] = row[name] and row[name].isoformat()
    return {"type": "Feature", "geometry": geometry, "properties": row}


def read_box(text: str | None) -> tuple[float, float, float, float] | None:
    """``west,south,east,north`` in degrees; None for none.

    Raises:
        ConfigError: it is something else.
    """
    if not text:
        return None
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError:
        west, south, east, north = float("nan"), 0.0, 0.0, 0.0
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise ConfigError(f"bbox: got {text!r}; expected west,south,east,north in degrees")
    return west, south, east, north
