"""The door to GDAL, by pyogrio: streams of Arrow to layers of files."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from roadscan.errors import RoadscanError
from roadscan.export.formats import Format
from roadscan.export.spool import SHAPE, Spool
from roadscan.shown import said

CRS = "EPSG:4326"
ALL_OF = (".shp", ".shx", ".dbf", ".prj", ".cpg")  # files of a Shapefile
WRITTEN_AT = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip knows: equal rows are equal bytes


def write_layers(
    spool: Spool,
    format: Format,  # noqa: A002 - users' word
    file: Path,
    layers: Mapping[str, str],
    facts: Mapping[str, str],
) -> None:
    """Write rows to a file.

    Args:
        spool: the rows.
        format: of the file.
        file: which is not there yet.
        layers: the name of the layer for each kind of shape that there is.
        facts: about the rows, for formats that keep such.

    Raises:
        RoadscanError: pyogrio is not installed, or GDAL refused.
    """
    pyogrio, shapefile = _pyogrio(), format.driver == "ESRI Shapefile"
    for kind, layer in layers.items():
        options: dict[str, Any] = {"dataset_options": dict(format.dataset), "layer_options": dict(format.layer)}
        if format.driver == "GPKG":
            options["dataset_metadata"] = dict(facts)
        if format.driver == "FlatGeobuf" and spool.unplaced:
            options["layer_options"]["SPATIAL_INDEX"] = "NO"  # which has no room for rows without a place
        path = file.with_name(f"{layer}.shp") if shapefile else file
        with spool.layer(kind) as reader, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what did not fit, which is counted
            try:
                pyogrio.write_arrow(
                    reader, path, layer, format.driver, SHAPE, kind, CRS, "UTF-8" if shapefile else None, **options
                )
            except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, RuntimeError) as error:
                advice = "; a Shapefile ends at 2 GB: ask for fewer rows, or write .gpkg" if shapefile else ""
                raise RoadscanError(f"export: GDAL could not write {format.name}: {said(error)}{advice}") from None
    if shapefile:
        _zip(file, list(layers.values()))


def point_count(file: Path) -> int:
    """How many points tiles have at their largest zoom."""
    count = 0
    with _pyogrio().raw.open_arrow(file, columns=[], use_pyarrow=True) as (_, reader):
        for batch in reader:
            shapes = shapely.from_wkb(batch["wkb_geometry"].to_pylist())
            count += int(np.isin(shapely.get_type_id(shapes), (0, 4)).sum())  # GDAL has each point as a MultiPoint
    return count


def check_installed() -> None:
    """Say so where pyogrio is missing, before anything is read.

    Raises:
        RoadscanError: it is.
    """
    _pyogrio()


def _zip(file: Path, layers: list[str]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:  # noqa: TID251 - written, not read
        for layer in layers:
            for ending in ALL_OF:
                part = file.with_name(f"{layer}{ending}")
                with (
                    part.open("rb") as source,
                    archive.open(zipfile.ZipInfo(part.name, WRITTEN_AT), "w", force_zip64=True) as into,
                ):
                    while chunk := source.read(1 << 20):
                        into.write(chunk)
                part.unlink()


def _pyogrio() -> Any:
    try:
        return import_module("pyogrio")
    except ImportError:
        raise RoadscanError(
            "export: pyogrio, which brings GDAL, is not installed; run: pip install 'roadscan[export]'"
        ) from None
