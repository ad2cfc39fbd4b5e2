from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from roadscan.errors import WarehouseError
from roadscan.inventory import update_inventory
from roadscan.inventory.query.describe import describe_all, describe_columns
from roadscan.inventory.views import VIEWS
from roadscan.schemas import DRIVE_FRAMES, TABLES, described


@pytest.mark.parametrize("schema", [*TABLES.values(), DRIVE_FRAMES], ids=[*TABLES, "drive"])
def test_every_column_has_a_meaning_that_can_be_read_alone(schema):
    for field in schema:
        meaning = described(field)[1]
        assert meaning, field.name
        assert "…" not in meaning


@pytest.mark.parametrize(
    ("table", "column", "unit"),
    [("assets", "pos_sigma_m", "m"), ("assets", "lon", "°"), ("assets", "class", ""), ("observations", "box_px", "px")],
)
def test_a_file_that_was_written_says_what_its_columns_are(warehouse, config, table, column, unit):
    """As pyarrow reads it, which knows nothing of roadscan."""
    update_inventory(config)
    for file in warehouse.local_files(warehouse.files(warehouse.current(), table)):
        schema = pq.read_schema(file)
        said = schema.field(column).metadata
        assert said[b"description"].decode() == described(TABLES[table].field(column))[1]
        assert said.get(b"unit", b"").decode() == unit
        assert schema.metadata[b"description"].startswith(b"One row a ")


def test_every_table_and_view_is_listed_once():
    assert sorted(describe_all()["name"].to_pylist()) == sorted({*TABLES, *VIEWS})


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shows_its_columns_or_its_meaning(warehouse, config, name):
    columns, said = describe_columns(config.warehouse, name)
    assert columns.num_rows > 2
    assert said.startswith(("A view:\n", "One row", "Answers"))


def test_a_name_that_there_is_not_is_refused(config):
    with pytest.raises(WarehouseError, match=r"--describe: got 'asets'; expected one of observations, frames"):
        describe_columns(config.warehouse, "asets")


@pytest.mark.slow
def test_the_command_describes_all_or_one_or_says_what_is_missing(here, config, warehouse):
    listed = here("query", config.warehouse, "--describe", COLUMNS="80")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "One row a physical asset" in " ".join(listed.stdout.split())
    one = here("query", config.warehouse, "--describe", "assets", COLUMNS="80")
    assert "pos_sigma_m" in one.stdout
    assert "standard error of the position" in " ".join(one.stdout.split())
    assert max(map(len, one.stdout.splitlines()[1:])) <= 80
    nothing = here("query", config.warehouse)
    assert nothing.returncode == 1
    assert "got no SQL" in nothing.stderr
