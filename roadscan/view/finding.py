"""A few words to places on the map: an id or its beginning, a route and kilometre, or coordinates."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import pyarrow.compute as pc

from roadscan.inventory.reference import LinearReference, format_km
from roadscan.view.filters import same_route
from roadscan.view.mercator import degrees
from roadscan.view.register import NO_KM, MapRegister

MOST = 8
NUMBER = r"[-+]?\d+(?:\.\d+)?"
PLACE = re.compile(rf"\s*({NUMBER})\s*[,;\s]\s*({NUMBER})\s*")
CHAINAGE = re.compile(r"\s*(?:(?P<route>\S+)\s+)?(?:km\s*)?(?P<km>\d+)\+(?P<m>\d{3})\s*", re.IGNORECASE)

Found = dict[str, Any]


def find(register: MapRegister, text: str, reference: LinearReference | None = None) -> list[Found]:
    """What is meant by a text, best first: `kind`, `label`, `lon`, `lat`, and `id` of an asset."""
    if chainage := CHAINAGE.fullmatch(text):
        metres = int(chainage["km"]) * 1000 + int(chainage["m"])
        on_line = _on_centrelines(reference, chainage["route"], metres) if reference else []
        return on_line or _nearest(register, chainage["route"], metres)
    if place := PLACE.fullmatch(text):
        lat, lon = float(place[1]), float(place[2])
        if abs(lat) > 90:  # written the other way round
            lat, lon = lon, lat
        if abs(lat) <= 90 and abs(lon) <= 180:
            return [{"kind": "place", "label": f"{lat:.6f}, {lon:.6f}", "lon": lon, "lat": lat}]
    return _by_id(register, text.strip())


def _by_id(register: MapRegister, text: str) -> list[Found]:
    if not text:
        return []
    # Of millions, three looks at the letters as they are take a tenth of one that takes both cases for the same.
    written = {text, text.upper(), text.lower()}
    starts = functools.reduce(pc.or_, (pc.starts_with(register.asset_id, one) for one in written))
    rows = pc.indices_nonzero(starts)[:MOST].to_pylist()
    return [_asset(register, row, register.asset_id[row].as_py()) for row in rows]


def _on_centrelines(reference: LinearReference, route: str | None, metres: int) -> list[Found]:
    found = []
    for line in reference.centrelines:
        if (route is None or same_route(line.route_code, route)) and line.m[0] <= metres <= line.m[-1]:
            lon, lat = (float(np.interp(metres, line.m, values)) for values in (line.lon, line.lat))
            label = " ".join(filter(None, (line.route_code, line.section_code, line.carriageway, format_km(metres))))
            found.append({"kind": "km", "label": label, "lon": lon, "lat": lat})
    return found[:MOST]


def _nearest(register: MapRegister, route: str | None, metres: int) -> list[Found]:
    """The asset of each route that is nearest to a chainage."""
    found = []
    for number, code in enumerate(register.routes):
        if not code or (route is not None and not same_route(code, route)):
            continue
        rows = np.flatnonzero((register.route == number) & (register.km_m != NO_KM))
        if len(rows):
            row = int(rows[np.argmin(np.abs(register.km_m[rows].astype(np.int64) - metres))])
            away = abs(int(register.km_m[row]) - metres)
            if away <= 1000:
                found.append((away, _asset(register, row, f"{code} {format_km(int(register.km_m[row]))}")))
    found.sort(key=lambda pair: pair[0])
    return [one for _, one in found[:MOST]]


def _asset(register: MapRegister, row: int, label: str) -> Found:
    lon, lat = degrees(register.x[row : row + 1], register.y[row : row + 1])
    id_ = register.asset_id[row].as_py()
    what = register.classes[register.kind[row]]
    return {"kind": "asset", "label": label, "what": what, "lon": float(lon[0]), "lat": float(lat[0]), "id": id_}
