"""The register's assets at an address that does not change, for programs that open one file: QGIS, a BI tool.

    latest/assets.parquet, latest/points.parquet, latest/lines.parquet    GeoParquet
    latest/release.json                                                   which release they are of

They follow the pointer, a moment later; each has in its metadata which version of the table it is of. Who needs all
tables of one moment asks for a release.

Several processes may bring releases at a time, and die: an older file never takes the place of a newer one, and once
``release.json`` names a release, no file is of an older one. For each file is swapped against the tag that it had
before the pointer was asked: had a newer release been brought meanwhile, its tag would be another one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.errors import Malformed, NotFound
from roadscan.parsing import parquet_file, read_json
from roadscan.storage import MAX_RECORD_BYTES, Store
from roadscan.warehouse.files import DataFile, encode, verified
from roadscan.warehouse.release import Release

if TYPE_CHECKING:
    from roadscan.warehouse.warehouse import Warehouse

TOLD = "latest/release.json"
NAMES = ("assets", "points", "lines")
VERSION = b"assets_version"  # in a file's metadata


def bring_latest(warehouse: Warehouse, release: Release) -> None:
    """Write a release's assets to ``latest/``, unless they are there or the release is no longer the current one.

    Raises:
        Conflict: another process is at it.
    """
    version = release.version("assets")
    told, tag = _told(warehouse.store)
    if told == version:
        return
    tags = {name: _tag(warehouse.store, _key(name)) for name in NAMES}
    if warehouse.current() != release:
        return
    files = warehouse.files(release, "assets")
    rows = warehouse.read_files(files, "assets")
    metadata = {VERSION: str(version).encode()}
    geo = read_json(_footer(warehouse, files[0]).get(b"geo", b"{}")) if files else None
    is_point = pc.is_null(rows["length_m"])
    for name, part in zip(NAMES, (rows, rows.filter(is_point), rows.filter(pc.invert(is_point))), strict=True):
        data, _ = encode("assets", part.replace_schema_metadata(metadata | (_metadata(geo, part) if geo else {})))
        _swap(warehouse.store, _key(name), data, tags[name])
    _swap(warehouse.store, TOLD, json.dumps({"release": release.number, "assets": version}).encode(), tag)


def _key(name: str) -> str:
    return f"latest/{name}.parquet"


def _told(store: Store) -> tuple[int | None, str | None]:
    """Which version of the table was brought, and the tag of the file that says so; None where none does."""
    try:
        data, tag = store.read_tagged(TOLD, max_bytes=MAX_RECORD_BYTES)
    except NotFound:
        return None, None
    try:
        return read_json(data, dict[str, int]).get("assets"), tag
    except Malformed:
        return None, tag


def _tag(store: Store, key: str) -> str | None:
    try:
        return store.stat(key).tag
    except NotFound:
        return None


def _swap(store: Store, key: str, data: bytes, tag: str | None) -> None:
    """Write what nobody else has written since it had that tag, or did not exist."""
    if tag is None:
        store.create(key, data)
    else:
        store.swap(key, data, tag=tag)


def _footer(warehouse: Warehouse, file: DataFile) -> dict[bytes, bytes]:
    """A file's own metadata; roadscan's tables are many files with one `geo` but for what it says of their extent."""
    with parquet_file(verified(warehouse.store, file.path)) as parquet:
        return dict(parquet.schema_arrow.metadata)


def _metadata(geo: dict[str, Any], rows: pa.Table) -> dict[bytes, bytes]:
    """GeoParquet's metadata with the geometry types and the extent of these rows."""
    shapes = shapely.from_wkb(rows["geometry"].to_numpy())
    column = {**geo["columns"]["geometry"], "geometry_types": sorted({shape.geom_type for shape in shapes})}
    column.pop("bbox", None)
    if len(shapes):
        column["bbox"] = shapely.total_bounds(shapes).tolist()
    return {b"geo": json.dumps({**geo, "columns": {"geometry": column}}, sort_keys=True).encode()}
