from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from support.observation_tables import RANGES, committed, csv, other, parquet, pose, read, row, world_table
from support.world import World

from roadscan.errors import SurveyError, WarehouseError
from roadscan.inventory import InventoryConfig, query, update_inventory
from roadscan.observations import (
    read_observations,
    rejected_key,
)
from roadscan.storage import open_store
from roadscan.warehouse import Warehouse


def test_one_release_for_all_drives_and_none_for_the_same_again(tmp_path: Path) -> None:
    out = str(tmp_path / "w")
    path = parquet(tmp_path / "o.parquet", row(), row(drive_id="b", captured_at=datetime(2026, 4, 1, tzinfo=UTC)))
    warehouse = committed(path, out)
    release = warehouse.current()
    assert release.number == 1
    folders = [file.path.split("/")[1] for file in warehouse.files(release, "observations")]
    assert folders == ["survey_date=2026-03-01", "survey_date=2026-04-01"]
    before = sorted(p.name for p in (tmp_path / "w").rglob("*"))
    committed(csv(tmp_path / "o.csv", *pq.read_table(path).to_pylist()), out)
    assert warehouse.current() == release
    assert sorted(p.name for p in (tmp_path / "w").rglob("*")) == before


def test_the_runs_and_views_are_those_of_a_scan(tmp_path: Path) -> None:
    path = parquet(tmp_path / "o.parquet", row(model_sha256="m"), other(1, score=9.0), other(2))
    out = committed(path, str(tmp_path / "w")).store.uri
    (run_row,) = query(out, "SELECT * FROM runs").to_pylist()
    counts = [run_row[name] for name in ("frames", "frames_ok", "frames_quarantined", "frames_failed", "observations")]
    assert counts == [3, 2, 1, 0, 2]
    assert (run_row["drive_uri"], run_row["model_sha256"]) == (path, "m,unknown")
    (coverage,) = query(out, "SELECT frames, frames_ok, detections FROM drive_coverage").to_pylist()
    assert coverage == {"frames": 3, "frames_ok": 2, "detections": 2}
    assert query(out, "SELECT frame_id, reason FROM quarantine").to_pylist() == [
        {"frame_id": "f1", "reason": "bad_score"}
    ]
    assert query(out, "SELECT count(*) AS n FROM surveyed_frames").to_pylist() == [{"n": 2}]


def test_other_content_needs_replace_and_leaves_the_rest(tmp_path: Path) -> None:
    out = str(tmp_path / "w")
    warehouse = committed(parquet(tmp_path / "1.parquet", row(), row(drive_id="b")), out)
    before = sorted(p.name for p in (tmp_path / "w").rglob("*"))
    new = parquet(tmp_path / "2.parquet", row(score=0.5), row(drive_id="b"), row(drive_id="c"))
    with pytest.raises(
        WarehouseError, match=r"has 1 of these drives with other content, e.g. 'a' from .*1.parquet.*--replace"
    ):
        committed(new, out)
    assert sorted(p.name for p in (tmp_path / "w").rglob("*")) == before
    kept = warehouse.read(warehouse.current(), "observations", drive_id="b")
    committed(new, out, replace=True)
    release = warehouse.current()
    assert release.number == 2
    assert warehouse.read(release, "observations", drive_id="b").equals(kept)
    scores = warehouse.read(release, "observations", drive_id="a")["score"].to_pylist()
    assert scores == [0.5]
    assert release.rows("runs") == 3


def test_drives_without_any_observation_are_committed(tmp_path: Path) -> None:
    path = parquet(tmp_path / "o.parquet", row(), row(drive_id="all-bad", score=7.0))
    listed = parquet(tmp_path / "frames.parquet", pose(0), pose(0, drive_id="nothing-seen"))
    warehouse = committed(path, str(tmp_path / "w"), frames=listed)
    frames = warehouse.read(warehouse.current(), "frames").to_pylist()
    assert {(f["drive_id"], f["status"], f["n_detections"]) for f in frames} == {
        ("a", "ok", 1), ("all-bad", "quarantined", 0), ("nothing-seen", "ok", 0),
    }  # fmt: skip
    assert warehouse.read(warehouse.current(), "observations").num_rows == 1
    assert update_inventory(InventoryConfig(warehouse=warehouse.store.uri)).drives == 3


def test_a_scanned_drive_of_that_id_is_not_overwritten(tmp_path: Path, world: World, warehouse: Warehouse) -> None:
    path = parquet(tmp_path / "o.parquet", row(drive_id="night-01"))
    with pytest.raises(WarehouseError, match=r"'night-01'.*--replace"):
        committed(path, warehouse.store.uri)


def test_another_publisher_in_between_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, publish = str(tmp_path / "w"), Warehouse.publish
    theirs = parquet(tmp_path / "theirs.parquet", row(score=0.1))

    def late(self: Warehouse, change: object) -> object:
        with monkeypatch.context() as patched:
            patched.setattr(Warehouse, "publish", publish)
            committed(theirs, out)
        return publish(self, change)

    with monkeypatch.context() as patched:
        patched.setattr(Warehouse, "publish", late)
        with pytest.raises(WarehouseError, match=r"'a' from .*theirs.parquet"):
            committed(parquet(tmp_path / "mine.parquet", row()), out)
    assert Warehouse(out).current().number == 1


def test_rejected_rows_stand_in_the_warehouse(tmp_path: Path) -> None:
    warehouse = committed(csv(tmp_path / "o.csv", row(), other(1, score="x")), str(tmp_path / "w"))
    (path,) = (tmp_path / "w" / "logs").iterdir()
    with read_observations(str(tmp_path / "o.csv")) as found:
        assert warehouse.store.path(rejected_key(found.rejected)) == path
    (bad,) = pq.read_table(path).to_pylist()
    assert (bad["reason"], bad["score"], bad["frame_id"], bad["row"]) == ("bad_score", "x", "f1", 2)


@pytest.mark.s3
def test_tables_and_warehouse_in_an_object_store(tmp_path: Path, s3: object, world: World) -> None:
    table = world_table(world, 1, RANGES)
    buffers = io.BytesIO(), io.BytesIO()
    pq.write_table(table.slice(0, 100), buffers[0])
    pacsv.write_csv(table.slice(100), buffers[1])
    store = open_store(f"s3://raw/{tmp_path.name}")
    store.write("table/1.parquet", buffers[0].getvalue())
    store.write("table/2.csv", buffers[1].getvalue())
    warehouse = committed(f"{store.uri}/table", f"s3://warehouse/{tmp_path.name}")
    local = committed(_local(tmp_path, table), str(tmp_path / "w"))
    remote_key, local_key = (w.read(w.current(), "runs")["run_key"][0] for w in (warehouse, local))
    assert remote_key == local_key
    with pytest.raises(SurveyError, match="does not exist"):
        read(f"{store.uri}/nothing.parquet")


def _local(tmp_path: Path, table: pa.Table) -> str:
    pq.write_table(table, tmp_path / "o.parquet")
    return str(tmp_path / "o.parquet")
