"""A warehouse for analysts: its tables, and SQL over them, as Arrow, pandas, GeoPandas or Polars.

It only reads, and what it reads is one release: never half of what a run is writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from roadscan.errors import ConfigError, RoadscanError, WarehouseError
from roadscan.inventory.explain import Explanation, explain_asset
from roadscan.inventory.query import query
from roadscan.schemas import TABLES
from roadscan.warehouse import Release as Manifest
from roadscan.warehouse import Warehouse as Files

if TYPE_CHECKING:
    import geopandas
    import pandas
    import polars

CRS = "OGC:CRS84"  # longitude, latitude on WGS 84: what GeoParquet means where a file names no other
POINTS = (("lon", "lat"), ("camera_lon", "camera_lat"))  # columns that place a row which has no geometry


@dataclass(frozen=True)
class Release:
    """One published state of a warehouse.

    Attributes:
        number: 1, 2, … in the order in which they were published.
        created_at: when, UTC; as `as_of` it gives this release again.
        note: what it brought, in words.
        rows: of each table that it holds.
    """

    number: int
    created_at: datetime
    note: str
    rows: dict[str, int]


class Table:
    """Rows of a warehouse, for whichever library is at hand.

    Args:
        rows: as Arrow.
    """

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def __repr__(self) -> str:
        return f"Table({len(self)} rows: {', '.join(self.columns)})"

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._rows.column_names)

    def to_arrow(self) -> pa.Table:
        """The rows as a `pyarrow.Table`."""
        return self._rows

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a `pandas.DataFrame`; a geometry is WKB bytes."""
        frame: pandas.DataFrame = self._rows.to_pandas()
        return frame

    def to_polars(self) -> polars.DataFrame:
        """The rows as a `polars.DataFrame`; a geometry is WKB bytes.

        Raises:
            RoadscanError: Polars is not installed.
        """
        return _imported("polars").from_arrow(self._rows)  # type: ignore[no-any-return]

    def to_geopandas(self) -> geopandas.GeoDataFrame:
        """The rows as a `geopandas.GeoDataFrame` in longitude and latitude (OGC:CRS84).

        Its geometry is the column `geometry`; without one, the points at lon and lat, or at camera_lon and camera_lat.

        Raises:
            RoadscanError: GeoPandas is not installed.
            WarehouseError: no column says where the rows are.
        """
        geopandas = _imported("geopandas")
        frame = self.to_pandas()
        if "geometry" in frame:
            shapes = geopandas.GeoSeries.from_wkb(frame["geometry"], crs=CRS)
        else:
            for lon, lat in POINTS:
                if lon in frame and lat in frame:
                    shapes = geopandas.GeoSeries.from_xy(frame[lon], frame[lat], index=frame.index, crs=CRS)
                    break
            else:
                raise WarehouseError(
                    f"to_geopandas: got the columns {', '.join(self.columns)}; expected geometry, or lon and lat, or "
                    "camera_lon and camera_lat; select them too, or take to_pandas()"
                )
        return geopandas.GeoDataFrame(frame, geometry=shapes)


class Warehouse:
    """A warehouse that only reads; `open_warehouse` gives one.

    Args:
        files: of which at least one release was published.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def __repr__(self) -> str:
        return f"Warehouse({self.uri!r})"

    @property
    def uri(self) -> str:
        """Its root: ``s3://bucket/prefix`` or an absolute path."""
        return self._files.store.uri

    def table(self, name: str, *, columns: Sequence[str] | None = None, as_of: datetime | None = None) -> Table:
        """All rows of a table.

        Args:
            name: such as assets, observations or frames; a view such as assets_current is asked for by `query`.
            columns: only these, in this order; None for all.
            as_of: the release that was current then, a time with a zone; None for the current one.

        Raises:
            WarehouseError: there is no such table or column, or nothing had been published by then.
        """
        if name not in TABLES:
            raise WarehouseError(
                f"table: got {name!r}; expected one of {', '.join(TABLES)}; query() reads the views beside them"
            )
        for column in columns or ():
            if column not in TABLES[name].names:
                raise WarehouseError(f"columns: got {column!r}; {name} has {', '.join(TABLES[name].names)}")
        return Table(self._files.read(self._release(as_of), name, columns=columns))

    def query(self, sql: str, *, as_of: datetime | None = None) -> Table:
        """The answer to one SELECT of DuckDB's SQL over the tables and the shipped views.

        Args:
            sql: such as ``FROM assets_per_class``.
            as_of: the release that was current then, a time with a zone; None for the current one.

        Raises:
            WarehouseError: DuckDB refuses it, or nothing had been published by then.
        """
        return Table(query(self.uri, sql, as_of=_aware(as_of)))

    def explain(self, asset_id: str, *, as_of: datetime | None = None) -> Explanation:
        """An asset's id to why it is what it is: the drives behind it, the reasons for its state, what would change it.

        It goes by the default thresholds; `roadscan explain` takes others.

        Args:
            asset_id: of the asset, or an id of before that is an alias of it now.
            as_of: the release that was current then, a time with a zone; None for the current one.

        Raises:
            WarehouseError: the register has no such asset, or nothing had been published by then.
        """
        return explain_asset(self.uri, asset_id, as_of=_aware(as_of))

    def releases(self) -> list[Release]:
        """Every published state, the oldest first."""
        return [_described(manifest) for manifest in self._files.history()][::-1]

    def _release(self, as_of: datetime | None) -> Manifest:
        moment = _aware(as_of)
        return self._files.published() if moment is None else self._files.as_of(moment)


def open_warehouse(uri: str) -> Warehouse:
    """The warehouse at an address.

    Args:
        uri: ``s3://bucket/prefix`` or a folder: what jobs call `warehouse`.

    Raises:
        WarehouseError: nothing was ever published there.
        StorageError: the store cannot be reached, or refuses.
    """
    files = Files(uri)
    files.published()
    return Warehouse(files)


def _described(manifest: Manifest) -> Release:
    rows = {table: version.rows for table, version in manifest.tables.items()}
    return Release(manifest.number, datetime.fromisoformat(manifest.created_at), manifest.note, rows)


def _aware(as_of: datetime | None) -> datetime | None:
    if as_of is not None and as_of.tzinfo is None:
        raise ConfigError(
            f"as_of: got {as_of.isoformat()} without a zone; expected one, as datetime(…, tzinfo=UTC) has"
        )
    return as_of


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise RoadscanError(f"to_{name}: {name} is not installed; run: pip install 'roadscan[analysis]'") from None
