"""When finished drives are published, without a model: shards as a scanner would commit them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from support.drives import make_drive

from roadscan.model.bundle import ModelCard, ModelFile
from roadscan.scan import ledger, publishing
from roadscan.scan.plan import ScanPlan
from roadscan.scan.publishing import Publisher
from roadscan.schemas import FRAMES, OBSERVATIONS
from roadscan.survey.drive import Drive, read_drive
from roadscan.warehouse import Warehouse

DAY_S = 24 * 3600
MODEL = ModelFile(ModelCard(task="detect", variant="n", classes=("Bus Stop",), image_size_px=320), "m")


class Clock:
    """A clock that is set by hand, in seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(str(tmp_path / "warehouse"))


@pytest.fixture
def plan(tmp_path: Path, warehouse: Warehouse) -> ScanPlan:
    """Three drives of one frame, whose shards are committed."""
    drives = [read_drive(make_drive(str(tmp_path / name), n=1, drive_id=name)) for name in ("a", "b", "c")]
    shards = {drive.drive_id: ledger.plan(drive, ledger.run_key(drive, "m", "config"), 512) for drive in drives}
    for drive in drives:
        (shard,) = shards[drive.drive_id]
        ledger.commit(warehouse, shard, OBSERVATIONS.empty_table(), frames_of(drive))
    return ScanPlan({drive.drive_id: drive for drive in drives}, shards, [], (), MODEL)


def frames_of(drive: Drive) -> pa.Table:
    row = dict.fromkeys(FRAMES.names) | {"drive_id": drive.drive_id, "frame_id": "000000", "camera_id": "front"}
    return pa.Table.from_pylist([row | {"status": "ok", "n_detections": 0, "run_key": "k"}], FRAMES)


def published(warehouse: Warehouse) -> list[str]:
    return sorted(warehouse.read(warehouse.current(), "runs")["drive_id"].to_pylist())


def test_no_drive_waits_for_more_than_a_day(warehouse: Warehouse, plan: ScanPlan) -> None:
    clock = Clock()
    publisher = Publisher(warehouse, plan, clock)
    publisher.finish("a")
    clock.now += DAY_S / 2
    publisher.finish("b")
    publisher.publish_if_due()
    assert published(warehouse) == []
    clock.now += DAY_S / 2
    publisher.publish_if_due()
    assert published(warehouse) == ["a", "b"]
    publisher.finish("c")
    publisher.publish_if_due()  # it has waited for no time
    assert published(warehouse) == ["a", "b"]
    publisher.publish()
    assert published(warehouse) == ["a", "b", "c"]
    assert warehouse.current().number == 2


def test_drives_that_fill_files_do_not_wait(
    warehouse: Warehouse, plan: ScanPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(warehouse, plan, Clock())
    publisher.finish("a")
    size = sum(file.bytes for file in publisher.finished[0].files)
    monkeypatch.setattr(publishing, "PUBLISH_BYTES", 2 * size)
    publisher.publish_if_due()
    assert published(warehouse) == []
    publisher.finish("b")
    publisher.publish_if_due()
    assert published(warehouse) == ["a", "b"]
