"""A question to a warehouse, to one file: it is there whole under its name, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from roadscan.errors import ConfigError
from roadscan.export import gdal
from roadscan.export.asked import Asked, Question, question_of
from roadscan.export.formats import Format, format_of
from roadscan.export.geopackage import add_styles
from roadscan.export.mapping import read_mapping
from roadscan.export.spool import Spool
from roadscan.export.style import style_qml
from roadscan.inventory.query import stream_release
from roadscan.progress import OnProgress, counter, silent
from roadscan.scratch import Scratch
from roadscan.storage import open_file
from roadscan.warehouse import Release, Warehouse

LINES = "_lines"  # how the layer of the lines is called, after the other one's name


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        out: the file; None where no row was asked for, and none is there.
        format: in words.
        release: of which.
        features: how many in each layer.
        told: what is told otherwise than in the warehouse: names, types, times to the millisecond.
        lost: what the format has no room for, and in how many values.
    """

    out: str | None
    format: str
    release: int
    features: dict[str, int]
    told: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def shortfall(self) -> str | None:
        """What was lost, or that nothing was written."""
        if self.out is None:
            return "no row is what was asked for: nothing was written, and what was there is as it was"
        return f"{self.format} has no room for all: {'; '.join(self.lost)}" if self.lost else None


def export_register(
    warehouse_uri: str,
    out: str,
    asked: Asked,
    *,
    mapping: str | None = None,
    as_of: datetime | None = None,
    overwrite: bool = False,
    guard: bool = True,
    on_progress: OnProgress = silent,
) -> Exported:
    """Write a register, or what is asked of it, as one file of another format.

    Args:
        warehouse_uri: the warehouse's root.
        out: the file, also of s3://; its ending says the format.
        asked: which rows.
        mapping: a file with an agency's names, or ndw or mire.
        as_of: the state of that moment; None for the current one.
        overwrite: whether a file that is there is replaced.
        guard: whether CSV has ' before what a spreadsheet would run.
        on_progress: called while rows are read.

    Raises:
        ConfigError: no format has such an ending, the file is there, or the mapping cannot be used.
        WarehouseError: nothing was ever published there, or the question is refused.
        StorageError: the warehouse cannot be read, or the file not be written.
        RoadscanError: GDAL is missing, or refused.
    """
    form, names = format_of(out), read_mapping(mapping) if mapping else None
    gdal.check_installed()
    store, key = open_file(out)
    if store.exists(key) and not overwrite:
        raise ConfigError(f"out: {out} is there; expected a new name, or --overwrite to replace it")
    warehouse = Warehouse(warehouse_uri)
    release = warehouse.published() if as_of is None else warehouse.as_of(as_of)
    question = question_of(warehouse, release, asked)
    sql, unmatched = question.sql, dict[int, str]()
    if names:
        sql, unmatched = names.select(sql, _columns(warehouse, release, question)), names.looked_up
    layer = names.layer if names and names.layer else asked.layer
    with Scratch("export") as scratch:
        with stream_release(warehouse, release, sql, before=question.before) as reader:
            spool = Spool(scratch.path, reader.schema, form, guard=guard, unmatched=unmatched)
            spool.fill(reader, counter(on_progress, "export", "rows"))
        layers = {kind: layer + LINES if kind == "LineString" else layer for kind in sorted(spool.rows, reverse=True)}
        if layers:
            facts = {"warehouse": warehouse.store.uri, "release": str(release.number)}
            facts |= {"published_at": release.created_at, "sql": sql}
            store.write_file(key, _written(scratch.path, spool, form, layers, facts))
    rounded = (f"{name}: {n:,} times to the millisecond" for name, n in spool.fit.rounded.items() if n)
    return Exported(
        out=out if layers else None,
        format=form.name,
        release=release.number,
        features={name: spool.rows[kind] for kind, name in layers.items()},
        told=(*spool.fit.changes, *rounded),
        lost=tuple(f"{n:,} of {what}" for what, n in spool.fit.losses.items() if n),
    )


def _written(folder: Path, spool: Spool, form: Format, layers: dict[str, str], facts: dict[str, str]) -> Path:
    """Write the file, whole, into a folder of our own."""
    file = folder / f"whole{form.endings[0]}"
    gdal.write_layers(spool, form, file, layers, facts)
    if form.driver == "GPKG":
        add_styles(file, {name: style_qml(kind, spool.looks[kind]) for kind, name in layers.items()})
    if form.driver == "PMTiles":
        missing = spool.points - gdal.point_count(file)
        spool.fit.losses["points too dense for a tile, so left out of it"] += max(0, missing)
    return file


def _columns(warehouse: Warehouse, release: Release, question: Question) -> list[str]:
    """What columns the answer to a question has."""
    sql = f"SELECT * FROM ({question.sql}) LIMIT 0"  # noqa: S608 - the user's own SQL, which only reads
    with stream_release(warehouse, release, sql, before=question.before) as reader:
        return list(reader.schema.names)
