"""The register's assets at an address that does not change, for programs that open one file: QGIS, a BI tool.

    latest/assets.parquet, latest/points.parquet, latest/lines.parquet    GeoParquet
    latest/release.json                                                   which release they are of

They follow the pointer, a moment later. Who needs all tables of one moment asks for a release.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from roadscan.errors import NotFound
from roadscan.storage import arrow_file
from roadscan.warehouse.files import DataFile, encode, verified
from roadscan.warehouse.release import Release

if TYPE_CHECKING:
    from roadscan.warehouse.warehouse import Warehouse

TOLD = "latest/release.json"


def bring_latest(warehouse: Warehouse, release: Release) -> None:
    """Write a release's assets to ``latest/``, unless they are there."""
    told = json.dumps({"release": release.number, "assets": release.version("assets")}).encode()
    try:
        if json.loads(warehouse.store.read(TOLD))["assets"] == release.version("assets"):
            return
    except (NotFound, ValueError, KeyError):
        pass  # not there yet, or by a program that died
    files = warehouse.files(release, "assets")
    rows = warehouse.read_files(files, "assets")
    geo = json.loads(_footer(warehouse, files[0]).get(b"geo", b"null")) if files else None
    is_point = pc.is_null(rows["length_m"])
    parts = {"assets": rows, "points": rows.filter(is_point), "lines": rows.filter(pc.invert(is_point))}
    for name, part in parts.items():
        data, _ = encode("assets", part.replace_schema_metadata(_metadata(geo, part) if geo else None))
        warehouse.store.write(f"latest/{name}.parquet", data)
    warehouse.store.write(TOLD, told)


def _footer(warehouse: Warehouse, file: DataFile) -> dict[bytes, bytes]:
    """A file's own metadata; roadscan's tables are many files with one `geo` but for what it says of their extent."""
    return dict(pq.read_schema(arrow_file(verified(warehouse.store, file))).metadata)


def _metadata(geo: dict[str, Any], rows: pa.Table) -> dict[bytes, bytes]:
    """GeoParquet's metadata with the geometry types and the extent of these rows."""
    shapes = shapely.from_wkb(rows["geometry"].to_numpy())
    column = {**geo["columns"]["geometry"], "geometry_types": sorted({shape.geom_type for shape in shapes})}
    column.pop("bbox", None)
    if len(shapes):
        column["bbox"] = shapely.total_bounds(shapes).tolist()
    return {b"geo": json.dumps({**geo, "columns": {"geometry": column}}, sort_keys=True).encode()}
