"""A feature to a centreline: its codes, and its vertices with metres along it and chainage. Features are judged here.

Legend: n vertices.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import shapely

from roadscan.arrays import Floats
from roadscan.errors import Malformed
from roadscan.inventory.reference.features import Feature
from roadscan.inventory.reference.plane import metres_per_degree
from roadscan.parsing import read_json
from roadscan.shown import shown
from roadscan.survey.geodesy import WGS84

STEP_M = 200.0  # longer edges are cut: over 200 m at 60° north the scale of a degree changes by 3e-5
SAME_DEG = 1e-8  # 1 mm: a shorter piece has no direction
JOIN_M = 1.0  # ends of two parts no farther apart are one place
POST_GATE_M = 50.0  # from a post to its centreline
END_M = 1.0  # a post this near to an end is at the end
MAX_KM = 10_000.0
MAX_STRETCH = 3.0  # of chainage over length or its inverse: more is a mistake of unit, such as metres or miles for km …
STRETCH_SLACK_M = 100.0  # … unless they differ by less than this
KM_FORMAT = re.compile(r"(\d+)\+(\d{3}(?:\.\d+)?)")


class Unusable(ValueError):
    """Why a feature cannot be used: field, got, expected, what to do."""


@dataclass(frozen=True)
class Centreline:
    """A line with chainage; straight in longitude and latitude between vertices, as RFC 7946 defines it.

    Attributes:
        route_code, section_code, carriageway, district: as the columns of `schemas.ASSETS`.
        lon, lat: degrees, (n,), turned so that chainage grows.
        s: metres along the line on the ellipsoid, (n,), from 0.
        m: chainage in metres, (n,), growing.
    """

    route_code: str
    section_code: str
    carriageway: str | None
    district: str | None
    lon: Floats
    lat: Floats
    s: Floats
    m: Floats


def centreline(feature: Feature, code_digits: int) -> Centreline:
    """A feature as a centreline.

    Raises:
        Unusable: a value is missing or wrong; the message names it.
    """
    values = feature.values
    route, section = (_code(values[name], name, code_digits) for name in ("route_code", "section_code"))
    start, end = (parse_km(values[name], name) for name in ("km_start", "km_end"))
    if start == end:
        raise Unusable(f"km_end: got {values['km_end']!r}, which is km_start; expected the chainage of the other end")
    lon, lat = _vertices(feature.shape)
    if start > end:
        lon, lat, start, end = lon[::-1], lat[::-1], end, start
    lon, lat, s = _measured(lon, lat)
    posts = _posts(values["posts"], lon, lat, s)
    knots_s, knots_m = _calibration(start, end, float(s[-1]), posts)
    every = np.union1d(s, knots_s)
    return Centreline(
        route_code=route,
        section_code=section,
        carriageway=_text(values["carriageway"]),
        district=_text(values["district"]),
        lon=np.interp(every, s, lon),
        lat=np.interp(every, s, lat),
        s=every,
        m=np.interp(every, knots_s, knots_m),
    )


def parse_km(value: Any, name: str) -> float:
    """Chainage in metres of ``25.556``, ``"25.556"`` or ``"25+556"``.

    >>> parse_km("25+556", "km_start"), parse_km(25.556, "km_start")
    (25556.0, 25556.0)
    """
    expected = "expected kilometres as 25.556 or '25+556'"
    if value is None or isinstance(value, bool):
        raise Unusable(f"{name}: got {value!r}; {expected}")
    written = KM_FORMAT.fullmatch(str(value).strip())
    try:
        km = float(written[1]) + float(written[2]) / 1000 if written else float(value)
    except (TypeError, ValueError):
        raise Unusable(f"{name}: got {value!r}; {expected}") from None
    if not 0 <= km <= MAX_KM:
        raise Unusable(f"{name}: got {value!r}; {expected}, 0 to {MAX_KM:g}")
    return round(km * 1000, 3)


def _code(value: Any, name: str, digits: int) -> str:
    if isinstance(value, float) and value.is_integer():  # what pandas makes of whole numbers where some are missing
        value = int(value)
    if not isinstance(value, int | str) or isinstance(value, bool) or not str(value).strip():
        raise Unusable(f"{name}: got {value!r}; expected a code, such as 1 or '0001'")
    code = str(value).strip()
    if digits and code.isdigit():
        code = code.zfill(digits)
    if digits and len(code) > digits:
        raise Unusable(f"{name}: got {value!r}; expected at most {digits} characters: set code_digits, 0 for any width")
    return code


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value).strip() or None


def _vertices(shape: shapely.Geometry | None) -> tuple[Floats, Floats]:
    """Longitudes and latitudes of a line; consecutive ones differ by `SAME_DEG` or more."""
    if shape is None or shape.geom_type not in ("LineString", "MultiLineString") or shape.is_empty:
        got = "none that can be read" if shape is None else f"{'an empty ' * bool(shape.is_empty)}{shape.geom_type}"
        raise Unusable(f"geometry: got {got}; expected a LineString")
    parts = [shapely.get_coordinates(part) for part in shapely.get_parts(shape)]
    for part in parts:
        _check_degrees(part)
    xy = _one_line(parts, shape)
    moves = np.r_[True, np.any(np.abs(np.diff(xy, axis=0)) >= SAME_DEG, axis=1)]
    lon, lat = xy[moves].T
    if len(lon) < 2:
        raise Unusable("geometry: got a line without length; expected at least two different vertices")
    if np.abs(np.diff(lon)).max() > 180:
        raise Unusable("geometry: crosses the 180° meridian; expected two features, cut there (RFC 7946, 3.1.9)")
    return lon, lat


def _check_degrees(xy: Floats) -> None:
    wrong = ~((np.abs(xy[:, 0]) <= 180) & (np.abs(xy[:, 1]) < 89))
    if wrong.any():
        x, y = xy[wrong][0].tolist()
        swapped = np.all((np.abs(xy[:, 1]) <= 180) & (np.abs(xy[:, 0]) < 89))
        cause = "longitude and latitude are swapped" if swapped else "expected degrees on WGS 84, not metres"
        raise Unusable(f"geometry: got vertex [{x:g}, {y:g}]; expected [longitude, latitude]: {cause}")


def _one_line(parts: list[Floats], shape: shapely.Geometry) -> Floats:
    """One line of parts that join end to end, in their order or in another."""
    gaps = [float(WGS84.inv(*a[-1], *b[0])[2]) for a, b in pairwise(parts)]
    if not gaps or max(gaps) <= JOIN_M:
        return np.concatenate(parts)
    merged = shapely.line_merge(shapely.force_2d(shape), directed=True)
    if merged.geom_type == "LineString":
        return np.asarray(shapely.get_coordinates(merged))
    k = int(np.argmax(gaps))
    raise Unusable(
        f"geometry: got a MultiLineString of {len(parts)} parts with {gaps[k]:.0f} m from the end of part {k + 1} to "
        "the next; expected parts that join end to end: close the gap, or make each part a feature with its "
        "own km_start and km_end"
    )


def _measured(lon: Floats, lat: Floats) -> tuple[Floats, Floats, Floats]:
    """Vertices with none farther than `STEP_M` from the next, and metres along the line."""
    length = WGS84.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2]
    pieces = np.maximum(np.ceil(length / STEP_M), 1).astype(int)
    first = np.cumsum(pieces) - pieces
    at = np.append(
        np.repeat(np.arange(len(pieces)), pieces)
        + (np.arange(pieces.sum()) - np.repeat(first, pieces)) / np.repeat(pieces, pieces),
        len(pieces),
    )
    lon, lat = (np.interp(at, np.arange(len(lon)), degrees) for degrees in (lon, lat))
    length = WGS84.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2]
    return lon, lat, np.concatenate([[0.0], np.cumsum(length)])


def _posts(value: Any, lon: Floats, lat: Floats, s: Floats) -> list[tuple[float, float]]:
    """Metres along the line and chainage of each post, in the order of the line."""
    if _text(value) is None:
        return []
    if isinstance(value, str):
        try:
            value = read_json(value, list[Any])
        except Malformed:
            raise Unusable(f"posts: got {value!r:.60}; expected [[km, lon, lat], …]") from None
    posts = []
    for post in value if isinstance(value, list) else []:
        try:
            km, at_lon, at_lat = post
            at_lon, at_lat = float(at_lon), float(at_lat)
            if not (abs(at_lon) <= 180 and abs(at_lat) <= 90):
                raise ValueError("no place on earth")
        except (OverflowError, TypeError, ValueError):
            raise Unusable(f"posts: got {shown(post)}; expected [km, lon, lat], in degrees") from None
        m = parse_km(km, "posts")
        along, distance = _foot(lon, lat, s, at_lon, at_lat)
        if not distance <= POST_GATE_M:
            raise Unusable(
                f"posts: post {km} at [{at_lon:g}, {at_lat:g}] is {distance:.0f} m from the line; expected at most "
                f"{POST_GATE_M:g} m, as [km, longitude, latitude]"
            )
        posts.append((along, m))
    if not isinstance(value, list):
        raise Unusable(f"posts: got {value!r:.60}; expected [[km, lon, lat], …]")
    return sorted(posts)


def _foot(lon: Floats, lat: Floats, s: Floats, at_lon: float, at_lat: float) -> tuple[float, float]:
    """Metres along the line of the place nearest to a point (a vertex within 1 mm), and how far off it is."""
    kx, ky = metres_per_degree(np.asarray(at_lat))
    line = shapely.LineString(np.stack([(lon - at_lon) * kx, (lat - at_lat) * ky], axis=1))
    origin = shapely.Point(0, 0)
    planar = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(shapely.get_coordinates(line), axis=0).T))])
    along = float(np.interp(shapely.line_locate_point(line, origin), planar, s))
    vertex = float(s[np.abs(s - along).argmin()])
    return vertex if abs(vertex - along) < 0.001 else along, float(shapely.distance(line, origin))


def _calibration(start: float, end: float, length: float, posts: list[tuple[float, float]]) -> tuple[Floats, Floats]:
    """Metres along the line and chainage between which chainage is linear."""
    for along, m in posts:
        for at, limit, name in ((0.0, start, "start"), (length, end, "end")):
            if abs(along - at) <= END_M and abs(m - limit) > 10 * END_M:
                raise Unusable(
                    f"posts: post {m / 1000:g} is at the line's {name}, which is km {limit / 1000:g}; expected the same"
                )
    inner = [(along, m) for along, m in posts if END_M < along < length - END_M]
    s, m = np.array([(0.0, start), *inner, (length, end)]).T
    if not (np.all(np.diff(s) > 0) and np.all(np.diff(m) > 0)):
        k = int(np.argmin(np.minimum(np.diff(s), np.diff(m))))
        raise Unusable(
            f"posts: km {m[k] / 1000:g} and km {m[k + 1] / 1000:g} are at {s[k]:.0f} m and {s[k + 1]:.0f} m along the "
            "line; expected chainage to grow from km_start to km_end: correct the post, or cut the feature where the "
            "chainage jumps"
        )
    for ds, dm, at in zip(np.diff(s), np.diff(m), m, strict=False):
        if abs(ds - dm) > STRETCH_SLACK_M and max(ds / dm, dm / ds) > MAX_STRETCH:
            raise Unusable(
                f"km_start, km_end: got {dm / 1000:.3f} km of chainage from km {at / 1000:g} where the line is "
                f"{ds / 1000:.3f} km long; expected about the same: is it in kilometres, and of this line?"
            )
    return s, m
