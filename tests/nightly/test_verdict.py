"""Nights with too many frames in quarantine, over a warehouse on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.nights import Scan, config_of, drive_of_night, run

from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.summary import FrameCounts
from roadscan.nightly.verdict import judge
from roadscan.warehouse import Warehouse

ALL = [f"{number:06d}" for number in range(20)]
LIMIT = 0.05


def statuses(config: NightlyConfig) -> list[str]:
    warehouse = Warehouse(config.warehouse)
    return sorted(warehouse.read(warehouse.current(), "frames")["status"].to_pylist())


def test_a_night_without_one_usable_frame_is_an_error_and_keeps_its_rows(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1, n=20)
    config = config_of(tmp_path, detect_model)
    code, (told,) = run(config, Scan(quarantined=ALL), one=1)
    assert (code, told.outcome, told.release, told.reasons) == (1, "error", None, {"truncated": 20})
    assert told.error is not None
    assert told.error.startswith("all 20 frames are in quarantine: nothing was surveyed")
    assert statuses(config) == ["quarantined"] * 20


def test_a_night_over_the_limit_is_not_complete_until_its_frames_are_repaired(
    tmp_path: Path, detect_model: str
) -> None:
    drive_of_night(tmp_path, 1, n=20)
    config = config_of(tmp_path, detect_model)
    code, (told,) = run(config, Scan(quarantined=ALL[:2]), one=1)
    assert (code, told.outcome, told.release, told.unusable) == (3, "incomplete", None, {"d1": 2})
    (why,) = told.withheld
    assert why.startswith("2 of 20 frames are in quarantine, 10.0%; health.max_quarantined allows 5.0%")
    assert f"no release: {why}" in told.text()

    repaired = Scan()
    code, (told,) = run(config, repaired, one=1)
    assert (code, told.outcome, told.frames_ok, told.withheld) == (0, "complete", 20, ())
    assert repaired.scanned == ALL[:2]  # the shard of the two; all others stand
    assert statuses(config) == ["ok"] * 20


def test_a_night_over_the_limit_is_complete_where_a_higher_one_is_set(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1, n=20)
    run(config_of(tmp_path, detect_model), Scan(quarantined=ALL[:2]), one=1)
    scan = Scan(quarantined=ALL[:2])
    code, (told,) = run(config_of(tmp_path, detect_model, health={"max_quarantined": 0.1}), scan, one=1)
    assert (code, told.outcome, scan.scanned) == (0, "complete", [])


def test_a_lost_drive_is_named_in_a_night_within_the_limit(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1, n=60)
    drive_of_night(tmp_path, 1, n=2, drive_id="lost")
    frames = iter(range(62))  # both drives have a frame 000000, so the scan goes by the order of the shards

    class LastDrive(Scan):
        def _fate(self, name: str) -> dict[str, str | None]:
            lost = next(frames) >= 60
            return {"status": "quarantined", "reason": "no_gps"} if lost else super()._fate(name)

    code, (told,) = run(config_of(tmp_path, detect_model), LastDrive(), one=1)
    assert (code, told.outcome, told.unusable) == (0, "complete", {"lost": 2})
    assert "quarantine: 2 frames of lost" in told.text().splitlines()


def test_the_next_night_does_not_wait_for_one_that_nobody_repairs(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1, n=20)
    config = config_of(tmp_path, detect_model)
    run(config, Scan(quarantined=ALL), one=1)
    drive_of_night(tmp_path, 2)
    code, (told,) = run(config, Scan(), one=2)
    assert (code, told.outcome, told.drives) == (0, "complete", ("d2",))


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        ({}, "complete"),  # no drives
        ({"frames": 20, "frames_ok": 19, "frames_quarantined": 1}, "complete"),  # exactly the limit
        ({"frames": 20, "frames_ok": 18, "frames_quarantined": 2}, "incomplete"),
        ({"frames": 20, "frames_quarantined": 20}, "error"),
        ({"frames": 20, "frames_quarantined": 19, "frames_failed": 1}, "incomplete"),  # the store may yet give it
    ],
)
def test_the_limit_is_the_largest_share_that_is_complete(counts: dict[str, int], outcome: str) -> None:
    assert judge(FrameCounts(**counts), LIMIT).outcome == outcome
