"""Which drives' frames are read again to place assets: a main road due north and a frontage road 30 m beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from support.centrelines import feature, lonlat, write
from support.highway import DAY_US, START_US
from support.registers import register

from roadscan.inventory.reference import ReferenceConfig, reference_digest
from roadscan.inventory.tiles.kept import SourceDrive
from roadscan.inventory.tiles.placing import Placing
from roadscan.schemas import COVERAGE, FRAMES

STEP_M = 20.0  # between two frames
MAIN, FRONTAGE = ("main", "frontage")


@dataclass
class Drives:
    """The sources of a register: one drive on the frontage road, which is on the reference already."""

    drives: dict[str, SourceDrive]
    read: list[str] = field(default_factory=list)

    def frames(self, drive_id: str) -> pa.Table:
        """Its frames, and a note that they were asked for."""
        self.read.append(drive_id)
        rows = []
        for n in range(50):
            lon, lat = lonlat(30.0, STEP_M * n)
            rows.append(
                dict.fromkeys(FRAMES.names)
                | {"drive_id": drive_id, "frame_id": f"{n:06d}", "camera_id": "front", "status": "ok"}
                | {"captured_at": START_US + DAY_US + n * 1_000_000, "camera_lon": float(lon), "camera_lat": float(lat)}
                | {"n_detections": 0, "run_key": "simulated"}
            )
        return pa.Table.from_pylist(rows, FRAMES)


def sign(x: float, y: float, drive_id: str = "car"):
    lon, lat = lonlat(x, y)
    return register({"lon": float(lon), "lat": float(lat), "last_drive_id": drive_id})


@pytest.fixture
def config(tmp_path) -> ReferenceConfig:
    main = feature([(0, 0), (0, 1000)], (10, 11), carriageway=MAIN)
    return ReferenceConfig(uri=write(tmp_path, main, feature([(30, 0), (30, 1000)], (40, 41), carriageway=FRONTAGE)))


def placed(config: ReferenceConfig, now, before: pa.Table) -> tuple[dict, list[str]]:
    """The asset as it is placed, and the drives whose frames were read for it."""
    drives = Drives({one: SourceDrive("digest", None, reference_digest(config)) for one in ("car", "van")})
    found = Placing(config, drives, COVERAGE.empty_table()).placed(now, before, {})
    return found.assets.to_pylist()[0], drives.read


def test_what_hardly_moved_is_on_the_centreline_that_it_was_on_and_no_frame_is_read(config):
    """It stands nearer to the main road, and belongs to the one from which it was seen."""
    before, read = placed(config, sign(12.0, 500.0), sign(12.0, 500.0).assets.slice(0, 0))
    assert (before["carriageway"], before["km_m"], read) == (FRONTAGE, 40_500, ["car"])
    known = pa.Table.from_pylist([before], sign(0.0, 0.0).assets.schema)
    now, read = placed(config, sign(12.5, 501.5), known)
    assert read == []
    assert (now["carriageway"], now["km_m"]) == (FRONTAGE, pytest.approx(40_501, abs=1))
    assert now["offset_m"] == pytest.approx(-17.5, abs=0.05)
    fresh, _ = placed(config, sign(12.5, 501.5), known.slice(0, 0))
    assert {name: fresh[name] for name in now} == now  # as if the frames had been read


@pytest.mark.parametrize(("x", "y", "drive_id"), [(12.0, 502.5, "car"), (12.0, 500.0, "van")])
def test_what_moved_farther_or_was_seen_by_another_drive_is_placed_by_its_frames(config, x, y, drive_id):
    before, _ = placed(config, sign(12.0, 500.0), sign(12.0, 500.0).assets.slice(0, 0))
    known = pa.Table.from_pylist([before], sign(0.0, 0.0).assets.schema)
    assert placed(config, sign(x, y, drive_id), known)[1] == [drive_id]


def test_what_was_on_no_centreline_or_on_one_of_several_of_its_names_is_placed_by_frames(tmp_path):
    halves = [feature([(30, y), (30, y + 500)], (40 + y / 1000, 40.5 + y / 1000)) for y in (0, 500)]
    config = ReferenceConfig(uri=write(tmp_path, *halves))
    nowhere = sign(12.0, 300.0).assets
    before, _ = placed(config, sign(12.0, 300.0), nowhere.slice(0, 0))
    known = pa.Table.from_pylist([before], nowhere.schema)
    assert placed(config, sign(12.0, 300.5), nowhere)[1] == ["car"]
    assert before["km_m"] == 40_300
    assert placed(config, sign(12.0, 300.5), known)[1] == ["car"]
