"""An answer to files of this disk, told by shape, so that it is read once and never in memory as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.disk import disk_errors
from roadscan.errors import WarehouseError
from roadscan.export.columns import Fit
from roadscan.export.formats import Format
from roadscan.export.mapping import GEOMETRY, HIDDEN, PLACES, UNMATCHED
from roadscan.progress import OnCount
from roadscan.shown import said

SHAPE = f"{HIDDEN}shape"  # the column of WKB
KINDS = {"Point": (0,), "LineString": (1,)}  # GEOS's numbers of what a layer of one shape has
DRAWN_BY = ("class", "state")  # what a style tells apart
MANY = 500  # pairs of them that a style is made for


class Spool:
    """The rows of an answer, by shape.

    Args:
        folder: for the files.
        schema: of the answer.
        format: that the rows are brought to.
        guard: as of `Fit`.
        unmatched: names of the fields whose values are looked up, by their number.

    Attributes:
        fit: how the columns are written.
        rows: of each file, by the kind of its shapes; "Unknown" where a layer takes any.
        looks: classes and states that there are, where rows have both, by the kind of shapes.
        points, unplaced: rows that are points, and those without a place.

    Raises:
        WarehouseError: no column says where the rows are.
    """

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        format: Format,  # noqa: A002 - users' word
        *,
        guard: bool,
        unmatched: dict[int, str],
    ) -> None:
        self._place = _place_of(schema)
        placed = self._place[:1] if len(self._place) == 1 else ()
        bbox = "bbox" if "geometry" in schema.names else ""
        self._columns = [
            number
            for number, name in enumerate(schema.names)
            if name not in placed and not name.startswith(HIDDEN) and name != bbox
        ]
        self._names = [schema.names[number] for number in self._columns]
        self._folder, self._format, self._unmatched = folder, format, unmatched
        self.fit = Fit(pa.schema([schema.field(number) for number in self._columns]), format, guard=guard)
        self.rows = Counter[str]()
        self.looks: dict[str, set[tuple[str, str]]] = {kind: set() for kind in KINDS}
        self.points = self.unplaced = 0

    def fill(self, reader: pa.RecordBatchReader, on_rows: OnCount) -> None:
        """Take all rows.

        Args:
            reader: of the answer.
            on_rows: called with how many were read.
        """
        with ExitStack() as stack:
            writers: dict[str, Any] = {}
            read = 0
            for batch in reader:
                for kind, part in self._told_in_words(pa.Table.from_batches([batch])):
                    if kind not in writers:
                        with disk_errors(self._folder):
                            sink = stack.enter_context(pa.OSFile(str(self._folder / kind), "wb"))
                        writers[kind] = stack.enter_context(pa.ipc.new_stream(sink, part.schema))
                    with disk_errors(self._folder):
                        writers[kind].write_table(part)
                    self.rows[kind] += len(part)
                read += batch.num_rows
                on_rows(read, read)

    @contextmanager
    def layer(self, kind: str) -> Iterator[pa.RecordBatchReader]:
        """The rows of a kind of shape, as they are written; the column `SHAPE` is their WKB."""
        with pa.OSFile(str(self._folder / kind), "rb") as file, pa.ipc.open_stream(file) as reader:
            yield reader

    def _told_in_words(self, rows: pa.Table) -> list[tuple[str, pa.Table]]:
        try:
            return list(self._told(rows))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:  # as of a time after the year 9999
            raise WarehouseError(f"export: a value that no format has: {said(error)}; cast it in the SQL") from None

    def _told(self, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        losses = self.fit.losses
        for number, name in self._unmatched.items():
            losses[f"{name}: not in the table of values, so empty"] += pc.sum(rows[f"{UNMATCHED}{number}"]).as_py() or 0
        shapes = self._shapes(rows)
        numbers = shapely.get_type_id(shapes)
        written = self.fit.apply(rows.select(self._columns))
        written = written.append_column(SHAPE, pa.array(shapely.to_wkb(shapes), pa.binary()))
        self.points += int((numbers == 0).sum())
        self.unplaced += (unplaced := int((numbers < 0).sum()))
        if unplaced and not self._format.unplaced:
            losses["rows without a place, so left out"] += unplaced
            written = written.filter(pa.array(numbers >= 0))
            numbers = numbers[numbers >= 0]
        if not self._format.one_shape:
            yield "Unknown", written
            return
        drawn = all(name in self._names for name in DRAWN_BY)
        point = np.isin(numbers, (-1, *KINDS["Point"]))  # rows without a place stand with the points
        for kind, chosen in (("Point", point), ("LineString", ~point)):
            if not chosen.any():
                continue
            mask = pa.array(chosen)
            if drawn and len(self.looks[kind]) < MANY:
                pairs = rows.filter(mask).group_by(list(DRAWN_BY)).aggregate([])
                self.looks[kind].update((str(one["class"]), str(one["state"])) for one in pairs.to_pylist())
            yield kind, written.filter(mask)

    def _shapes(self, rows: pa.Table) -> Any:
        """(n,) points and lines; None where there is no place."""
        if len(self._place) == 1:
            given = rows[self._place[0]].cast(pa.binary()).to_pylist()
            shapes = np.asarray(shapely.from_wkb(given, on_invalid="ignore"), object).reshape(-1)
            kept = np.isin(shapely.get_type_id(shapes), (*KINDS["Point"], *KINDS["LineString"]))
            kept &= ~shapely.is_empty(shapes)
            other = sum(one is not None for one in given) - int(kept.sum())
            self.fit.losses["geometry: neither a point nor a line, so empty"] += other
        else:
            lonlat = np.stack([rows[name].cast(pa.float64()).to_numpy() for name in self._place], axis=1)
            kept = np.isfinite(lonlat).all(axis=1)
            shapes = np.asarray(shapely.points(np.where(kept[:, None], lonlat, 0)), object).reshape(-1)
        shapes[~kept] = None
        return shapes


def _place_of(schema: pa.Schema) -> tuple[str, ...]:
    """The column of the geometry, or those of longitude and latitude."""
    names = schema.names
    for name in (GEOMETRY, "geometry"):
        if name in names:
            return (name,)
    for lon, lat in ((f"{HIDDEN}lon", f"{HIDDEN}lat"), *PLACES):
        if lon in names and lat in names:
            return lon, lat
    raise WarehouseError(
        f"export: got the columns {', '.join(names)}; expected geometry, or lon and lat, or camera_lon and camera_lat: "
        "select them, too"
    )
