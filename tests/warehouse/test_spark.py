"""Spark on the JVM, with Delta Lake's own reader, reads the register as it is now: equal row by row.

It is no dependency of the tests: SPARK_PYTHON names an interpreter that has pyspark, DELTA_JARS the jars of
delta-spark and delta-storage for that version of Spark.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support.world import commit, drive, make_world

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.schemas import TABLES
from roadscan.warehouse import Release, Warehouse

PYTHON, JARS = os.environ.get("SPARK_PYTHON"), os.environ.get("DELTA_JARS")
READ = ("assets", "asset_history", "asset_observations", "observations", "frames", "runs", "asset_cells")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PYTHON and JARS), reason="SPARK_PYTHON and DELTA_JARS do not say where Spark is"),
]


@pytest.fixture(scope="module")
def nights(tmp_path_factory) -> Warehouse:
    """Enough nights for a checkpoint of `frames`; a register after the first of them and after the last."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("nights")))
    world = make_world(seed=3, length_m=300.0)
    for night in range(22):
        commit(warehouse, drive(world, night))
        if night in {0, 21}:
            update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
    assert warehouse.store.exists("frames/_delta_log/_last_checkpoint")
    return warehouse


@pytest.fixture(scope="module")
def read(nights, tmp_path_factory) -> dict[tuple[str, str], pa.Table]:
    """By table and condition; the condition `first` stands for the version of the first register."""
    first = list(nights.history())[-2]
    wanted = {(table, ""): ("", "") for table in READ}
    wanted |= {(table, "first"): (str(first.version(table)), "") for table in READ}
    wanted |= {("observations", where): ("", where) for where in conditions(nights)}
    out = tmp_path_factory.mktemp("spark")
    told = [word for (table, _), of in wanted.items() for word in (nights.store.uri_of(table), *of)]
    script = Path(__file__).parent.parent / "support" / "spark_reads.py"
    subprocess.run([str(PYTHON), str(script), str(JARS), str(out), *told], check=True, timeout=900)
    return {key: pq.read_table(out / str(number)) for number, key in enumerate(wanted)}


def conditions(warehouse: Warehouse) -> list[str]:
    """Of which the log's statistics decide which files are read; the times are a file's very last ones."""
    rows = warehouse.read(warehouse.current(), "observations")
    last = pc.max(rows["captured_at"]).as_py().strftime("%Y-%m-%d %H:%M:%S.%f")
    return ["class = 'Bus Stop'", f"captured_at >= TIMESTAMP '{last}'", f"captured_at < TIMESTAMP '{last}'"]


@pytest.mark.parametrize("table", READ)
def test_spark_reads_the_rows_of_the_current_release(nights, read, table):
    assert ordered(read[table, ""], table).equals(of_release(nights, nights.current(), table))


@pytest.mark.parametrize("table", READ)
def test_spark_reads_the_rows_of_an_older_release_by_its_versions(nights, read, table):
    first = list(nights.history())[-2]
    assert ordered(read[table, "first"], table).equals(of_release(nights, first, table))


def test_spark_skips_no_file_that_a_condition_needs(nights, read):
    whole = nights.read(nights.current(), "observations")
    name, since, before = conditions(nights)
    last = pc.max(whole["captured_at"])
    for where, expected in (
        (name, pc.equal(whole["class"], "Bus Stop")),
        (since, pc.equal(whole["captured_at"], last)),
        (before, pc.less(whole["captured_at"], last)),
    ):
        rows = whole.filter(expected)
        assert rows.num_rows
        assert ordered(read["observations", where], "observations").equals(ordered(rows, "observations"))


def of_release(warehouse: Warehouse, release: Release, table: str) -> pa.Table:
    rows = warehouse.read(release, table)
    assert rows.num_rows
    return ordered(rows, table)


def ordered(rows: pa.Table, table: str) -> pa.Table:
    """Rows in the table's own schema and in order of what tells them apart."""
    schema = TABLES[table]
    names = ("asset_id", "observation_id", "drive_id", "frame_id", "cell")
    keys = [(name, "ascending") for name in names if name in schema.names]
    return rows.select(schema.names).cast(schema).replace_schema_metadata(None).sort_by(keys).combine_chunks()
