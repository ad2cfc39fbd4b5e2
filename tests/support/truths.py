"""Registers in a warehouse along a road eastwards from home, and what is known of them."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from roadscan.simulate.labels.truth import ASSETS as TRUE_ASSETS
from roadscan.simulate.labels.truth import BOXES, CHANGES, TRUE_FRAMES
from roadscan.storage import open_store
from roadscan.survey.geodesy import WGS84

LON, LAT = 100.5, 13.7


SIGN, POLE, BRIDGE, RAIL = "Warning Sign", "Single-Arm Pole", "Pedestrian Bridge", "Concrete Guardrail"


START = datetime(2026, 3, 1, tzinfo=UTC)


def at(x_m, y_m=0.0):
    """Longitude and latitude of a place so many metres east and north of home."""
    lon, lat, _ = WGS84.fwd(LON, LAT, 90, x_m)
    return WGS84.fwd(lon, lat, 0, y_m)[:2] if y_m else (lon, lat)


def row(asset_id, name, x_m, state="confirmed", y_m=0.0, to_m=None):
    """A row of the register, a line where it has an end."""
    lon, lat = at(x_m, y_m)
    shape = shapely.Point(lon, lat) if to_m is None else shapely.LineString([(lon, lat), at(to_m, y_m)])
    west, south, east, north = shape.bounds
    return {
        "asset_id": asset_id, "class": name, "geometry": shape.wkb, "lon": lon, "lat": lat, "state": state,
        "bbox": {"xmin": west, "ymin": south, "xmax": east, "ymax": north}, "pos_sigma_m": 1.0, "cov_ee_m2": 1.0,
        "cov_en_m2": 0.0, "cov_nn_m2": 1.0, "length_m": None if to_m is None else to_m - x_m, "side": "left",
        "score": 0.9, "n_observations": 3, "n_nights": 1, "first_seen": START, "last_seen": START,
        "evidence_uri": "x.jpg",
    }  # fmt: skip


def write(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return str(path)


def feature(name, *lonlat, kind="Point", field="class", **properties):
    coordinates = list(lonlat[0]) if kind == "Point" else [list(place) for place in lonlat]
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": {field: name, **properties}}


POINT = feature(SIGN, at(0))


def simulated(folder, rows, changes=(), nights=("d1",), unseen=()):
    """A truth folder. Rows as (id, class, x, first night, last night) and perhaps the end of a line."""
    store = open_store(str(folder))

    def put(key, rows, schema):
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer)
        store.write(key, buffer.getvalue())

    kinds = {BRIDGE: "overhead", RAIL: "line"}
    assets = []
    for asset_id, name, x, first, last, *end in rows:
        lons, lats = zip(at(x), at(end[0]), strict=True) if end else (None, None)
        lon, lat = at((x + end[0]) / 2 if end else x)
        assets.append({
            "asset_id": asset_id, "class": name, "geometry": kinds.get(name, "point"), "lon": lon, "lat": lat,
            "lons": lons, "lats": lats, "first_night": first, "last_night": last,
        })  # fmt: skip
    put("assets.parquet", assets, TRUE_ASSETS)
    put("changes.parquet", changes, CHANGES)
    for drive in nights:
        put(f"frames/{drive}.parquet", [], TRUE_FRAMES)
        boxes = [{"asset_id": r[0]} for r in rows if r[0] not in unseen for _ in range(3)]
        put(f"boxes/{drive}.parquet", boxes, BOXES)
    return str(folder)
