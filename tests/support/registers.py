"""Registers row by row, and ids that are counted."""

from __future__ import annotations

from itertools import count

import pyarrow as pa
import shapely

from roadscan.inventory.build import Built
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSET_HISTORY, ASSETS
from support.highway import START_US

POLE, SIGN, RAIL = "Single-Arm Pole", "Warning Sign", "Concrete Guardrail"
EARLY = pa.scalar(START_US, pa.timestamp("us", tz="UTC")).as_py()


class Mint:
    """New ids, counted."""

    def __init__(self, letter: str) -> None:
        self.number, self.letter = count(), letter

    def __call__(self) -> str:
        return f"{self.letter}{next(self.number):05d}"


def register(*rows: dict, aliases: list[dict] | None = None) -> Built:
    """Assets `row`s with what they need to differ in."""
    table = []
    for n, row in enumerate(rows):
        line = row.get("line")
        shape = shapely.Point(row["lon"], row["lat"]) if line is None else shapely.LineString(line)
        middle = shape.interpolate(0.5, normalized=True) if line is not None else shape
        bounds = dict(zip(("xmin", "ymin", "xmax", "ymax"), shape.bounds, strict=True))
        table.append(
            dict.fromkeys(ASSETS.names)
            | {"class": SIGN if line is None else RAIL, "asset_id": f"a{n}", "state": "confirmed", "score": 0.9}
            | {"lon": middle.x, "lat": middle.y, "geometry": shapely.to_wkb(shape), "bbox": bounds}
            | {"pos_sigma_m": 1.0, "cov_ee_m2": 0.5, "cov_en_m2": 0.0, "cov_nn_m2": 0.5, "evidence_uri": "a.jpg"}
            | {"n_observations": 5, "n_nights": 1, "first_seen": EARLY, "last_seen": EARLY}
            | {"length_m": None if line is None else shape.length * 111_195.0}
            | {key: value for key, value in row.items() if key != "line"}
        )
    other = ASSET_ALIAS.empty_table() if aliases is None else pa.Table.from_pylist(aliases, schema=ASSET_ALIAS)
    empty = ASSET_CHANGES.empty_table(), ASSET_HISTORY.empty_table()
    return Built(pa.Table.from_pylist(table, schema=ASSETS), *empty, other)


def kept_ids(built: Built) -> list[str]:
    return sorted(built.assets["asset_id"].to_pylist())
