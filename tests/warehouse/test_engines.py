"""Programs that know nothing of roadscan read the register as it is now: equal row by row."""

from __future__ import annotations

from collections.abc import Callable

import geopandas
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from support.engines import engine_options
from support.world import commit, drive, make_world

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.schemas import TABLES
from roadscan.storage import arrow_filesystem
from roadscan.warehouse import Warehouse

Reader = Callable[[str], pa.Table]

#: Each opens a table by its folder's address alone.
READERS: dict[str, Reader] = {
    "polars scan_delta": lambda uri: pl.scan_delta(uri, storage_options=engine_options(uri)).collect().to_arrow(),
    "polars read_delta": lambda uri: pl.read_delta(uri, storage_options=engine_options(uri)).to_arrow(),
    "pandas": lambda uri: pa.Table.from_pandas(_delta(uri).to_pandas(), preserve_index=False),
    "pyarrow": lambda uri: _delta(uri).to_pyarrow_dataset().to_table(),
}


@pytest.fixture
def surveyed(warehouse: Warehouse) -> Warehouse:
    """Two nights, one after the other: the folders have files that no longer count."""
    world = make_world(seed=3, length_m=600.0)
    for night in range(2):
        commit(warehouse, drive(world, night))
        assert update_inventory(InventoryConfig(warehouse=warehouse.store.uri)).published
    return warehouse


def test_every_engine_reads_the_rows_of_the_current_release(surveyed: Warehouse) -> None:
    for table in ("assets", "asset_history", "observations", "frames", "runs"):
        expected = ordered(surveyed.read(surveyed.current(), table), table)
        assert expected.num_rows
        for name, read in READERS.items():
            assert ordered(read(surveyed.store.uri_of(table)), table).equals(expected), (name, table)


def test_geopandas_reads_the_assets_of_the_current_release_from_one_file(surveyed: Warehouse) -> None:
    system, root = arrow_filesystem(surveyed.store.uri)
    found = geopandas.read_parquet(f"{root}/latest/assets.parquet", filesystem=system).to_wkb()
    expected = ordered(surveyed.read(surveyed.current(), "assets"), "assets").drop_columns("bbox")  # its bounds
    assert ordered(pa.Table.from_pandas(found, preserve_index=False), "assets").equals(expected)


def test_a_scan_of_one_class_by_polars_finds_what_a_filter_of_all_rows_finds(surveyed: Warehouse) -> None:
    uri = surveyed.store.uri_of("observations")
    rows = surveyed.read(surveyed.current(), "observations")
    (name, *_) = sorted(set(rows["class"].to_pylist()))
    found = pl.scan_delta(uri, storage_options=engine_options(uri)).filter(pl.col("class") == name).collect()
    expected = rows.filter(pc.equal(rows["class"], name))
    assert ordered(found.to_arrow(), "observations").equals(ordered(expected, "observations"))


def ordered(rows: pa.Table, table: str) -> pa.Table:
    """Rows in the table's own schema and in order of their ids."""
    schema = TABLES[table]
    keys = [name for name in ("asset_id", "observation_id", "drive_id", "frame_id") if name in schema.names]
    names = [name for name in schema.names if name in rows.column_names]
    cast = rows.select(names).cast(pa.schema([schema.field(name) for name in names])).replace_schema_metadata(None)
    return cast.sort_by([(name, "ascending") for name in keys]).combine_chunks()


def _delta(uri: str) -> DeltaTable:
    return DeltaTable(uri, storage_options=engine_options(uri))
