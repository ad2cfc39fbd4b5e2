"""Actions of logs: read and written as delta-rs, which roadscan does not need, reads and writes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Schema
from support.tables import named_runs
from support.world import commit, drive, make_world

from roadscan.errors import Malformed
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.schemas import TABLES
from roadscan.warehouse import Change, Warehouse
from roadscan.warehouse.actions import (
    ACTIONS,
    FILES,
    holding,
    of_checkpoint,
    of_commit,
    schema_string,
    to_checkpoint,
    to_files,
)
from roadscan.warehouse.log import CHECKPOINT_EVERY

READ = ("frames", "observations", "runs", "assets", "asset_history")


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Tables whose files were written again, one with more commits than a checkpoint has."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("nights")))
    world = make_world(seed=3, length_m=300.0)
    for night in range(2):
        commit(warehouse, drive(world, night))
        update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
    for number in range(CHECKPOINT_EVERY):
        file = warehouse.write("runs", named_runs(str(number)))
        old = tuple(warehouse.files(warehouse.current(), "runs")) if number % 3 else ()
        warehouse.publish(lambda _, file=file, old=old: Change("more", (file,), old))
    return warehouse


def rows(table: pa.Table) -> list[str]:
    """Rows in an order of their own."""
    return sorted(map(repr, table.to_pylist()))


@pytest.mark.parametrize("table", READ)
def test_files_are_those_that_delta_rs_finds(nights: Warehouse, table: str) -> None:
    files = nights.log(table).files(nights.current().tables[table])
    theirs = pa.table(DeltaTable(nights.store.uri_of(table)).get_add_actions(flatten=True)).sort_by("path")
    assert files["path"].to_pylist() == [f"{table}/{path}" for path in theirs["path"].to_pylist()]
    assert files["rows"].to_pylist() == theirs["num_records"].to_pylist()
    assert files["bytes"].to_pylist() == theirs["size_bytes"].to_pylist()
    told = [name for name in files.column_names if "." in name]
    assert any(files[name].null_count == 0 for name in told)
    for name in told:
        nothing = [None] * len(files)
        assert files[name].to_pylist() == (theirs[name].to_pylist() if name in theirs.column_names else nothing), name


def test_delta_rs_opens_a_table_by_a_checkpoint_alone(nights: Warehouse, tmp_path: Path) -> None:
    shutil.copytree(Path(nights.store.uri) / "runs", tmp_path, dirs_exist_ok=True)
    log = tmp_path / "_delta_log"
    last = json.loads((log / "_last_checkpoint").read_text())["version"]
    for version in range(last + 1):
        (log / f"{version:020d}.json").unlink()
    found = DeltaTable(str(tmp_path)).to_pyarrow_table().select(["drive_id"])
    assert rows(found) == rows(nights.read(nights.current(), "runs", columns=["drive_id"]))


def test_a_checkpoint_has_the_rows_and_the_types_of_that_of_delta_rs(nights: Warehouse) -> None:
    log = Path(nights.store.uri) / "runs" / "_delta_log"
    (path,) = log.glob("*.checkpoint.parquet")
    ours, hint = path.read_bytes(), json.loads((log / "_last_checkpoint").read_text())
    version, size = int(path.name.partition(".")[0]), len(pq.read_table(path))
    for file in (path, log / "_last_checkpoint"):
        file.unlink()  # else delta-rs leaves it as it is
    DeltaTable(nights.store.uri_of("runs"), version=version).create_checkpoint()
    theirs = path.read_bytes()
    mine, other = (pa.concat_tables(of_checkpoint(data, ACTIONS)) for data in (ours, theirs))
    assert rows(mine) == rows(other)
    assert all(len(column.drop_null()) for column in mine.columns)
    for kind in ACTIONS.names:
        our_type, their_type = (pq.read_schema(pa.BufferReader(data)).field(kind).type for data in (ours, theirs))
        for field in our_type:
            same = their_type.field(field.name)
            assert (field.type, field.nullable) == (same.type, same.nullable)
    assert (hint["version"], hint["size"], hint["sizeInBytes"]) == (version, size, len(ours))


@pytest.mark.parametrize("table", TABLES)
def test_schemas_are_written_as_delta_rs_writes_them(table: str) -> None:
    assert json.loads(schema_string(TABLES[table])) == json.loads(Schema.from_arrow(TABLES[table]).to_json())


def test_of_each_file_the_last_action_holds() -> None:
    def of(*actions: tuple[str, str]) -> pa.Table:
        return of_commit("\n".join(json.dumps({kind: {"path": path}}) for kind, path in actions).encode(), FILES)

    commits = [of(("add", "a"), ("add", "b")), of(("remove", "a"), ("add", "c")), of(("add", "a"), ("remove", "c"))]
    held = pa.concat_tables(holding(reversed(commits)))
    paths = {kind: sorted(one["path"] for one in held[kind].drop_null().to_pylist()) for kind in FILES.names}
    assert paths == {"add": ["a", "b"], "remove": ["c"]}


def test_what_is_no_action_is_told() -> None:
    for data in (b"{", b'{"add": 5}', b'{"add": {"path": 5}}'):
        with pytest.raises(Malformed):
            of_commit(data, FILES)
    with pytest.raises(Malformed):
        list(of_checkpoint(to_checkpoint(pa.table({"a": [1]})), FILES))
    for stats in ("", "{}\n{}"):
        with pytest.raises(Malformed, match="expected one line of JSON"):
            to_files(of_commit(json.dumps({"add": {"path": "a", "size": 1, "stats": stats}}).encode(), FILES), "frames")
