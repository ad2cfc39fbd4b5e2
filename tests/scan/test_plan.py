"""What a scan has to do: drives whose images are on their way, and what is scanned again though it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from support.drives import jpeg, make_drive
from support.nights import Scan

from roadscan.errors import ConfigError
from roadscan.inventory import query
from roadscan.progress import silent
from roadscan.scan.config import ScanConfig
from roadscan.scan.loading import Loader
from roadscan.scan.plan import ScanPlan, plan_scan
from roadscan.survey.drive import read_drive


def config_of(folder: Path, model: str, **fields: object) -> ScanConfig:
    own = {"drives": [str(folder / "drives")], "warehouse": str(folder / "warehouse"), "model": model}
    return ScanConfig.model_validate({**own, "shard_frames": 2, **fields})


def scanned(folder: Path, model: str, scan: Scan, **fields: object) -> ScanPlan:
    """A plan, after it was done."""
    config = config_of(folder, model, **fields)
    plan = plan_scan(config)
    scan(config, silent, plan=plan)
    return plan


def test_images_that_may_be_on_their_way_have_failed_and_others_are_in_quarantine(tmp_path: Path) -> None:
    images = {
        1: b"",
        2: b"<html>",
        3: jpeg()[:3000],
        4: jpeg()[:400],
        5: None,
        6: b"GIF8",
        7: jpeg(width=320, height=640),
    }
    drive = read_drive(make_drive(str(tmp_path), n=10, images=images, replace={8: {"reason": "missing: on the disk"}}))
    loader = Loader(threads=2, side_px=320, stride_px=32, decode="full", max_megapixels=64.0)
    later, now = (
        list(loader.load(replace(drive, uploading=uploading), drive.frames.to_pylist(), 10))
        for uploading in (False, True)
    )
    assert [one.status for one in later] == ["ok", *["quarantined"] * 8, "ok"]
    assert [one.status for one in now] == ["ok", *["failed"] * 5, *["quarantined"] * 3, "ok"]
    assert [one.reason for one in now] == [one.reason for one in later]


@pytest.mark.parametrize(
    ("days", "complete", "fields", "uploading"),
    [
        (0, False, {}, True),
        (2.9, False, {}, True),
        (3.1, False, {}, False),
        (0, True, {}, False),
        (0, False, {"upload_days": 0}, False),
        (3.1, False, {"upload_days": 4}, True),
    ],
)
def test_a_drive_may_be_uploading_while_it_is_young_and_nobody_says_that_it_is_complete(
    tmp_path: Path,
    detect_model: str,
    monkeypatch: pytest.MonkeyPatch,
    days: float,
    complete: bool,
    fields: dict[str, object],
    uploading: bool,
) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=days)

    make_drive(str(tmp_path / "drives" / "d1"), uploading=not complete)
    monkeypatch.setattr("roadscan.scan.plan.datetime", Later)
    plan = plan_scan(config_of(tmp_path, detect_model, **fields))
    assert [shard.uploading for shard in plan.todo] == [uploading] * 3


def test_what_is_named_is_scanned_again(tmp_path: Path, detect_model: str) -> None:
    for name in ("d1", "d2"):
        make_drive(str(tmp_path / "drives" / name), name)
    bad = Scan(quarantined={"000003"})
    scanned(tmp_path, detect_model, bad)
    assert plan_scan(config_of(tmp_path, detect_model)).todo == []

    again = scanned(tmp_path, detect_model, bad, again=["truncated"]).todo
    assert [(Path(shard.drive_uri).name, shard.start) for shard in again] == [("d1", 2), ("d2", 2)]
    plan = scanned(tmp_path, detect_model, Scan(), again=["truncated", "d2"])
    assert [(Path(one.drive_uri).name, one.start) for one in plan.todo] == [("d1", 2), ("d2", 0), ("d2", 2), ("d2", 4)]
    with pytest.raises(ConfigError, match=r"again: got truncated; .*; there are none"):  # all of it is repaired
        plan_scan(config_of(tmp_path, detect_model, again=["truncated"]))


def test_what_a_drive_gives_that_is_scanned_again_takes_the_place_of_what_it_gave(
    tmp_path: Path, detect_model: str
) -> None:
    uri = make_drive(str(tmp_path / "drives" / "d1"))

    def classes() -> list[str]:
        return query(str(tmp_path / "warehouse"), "SELECT DISTINCT class FROM observations")[0].to_pylist()

    scanned(tmp_path, detect_model, Scan(classes={"a"}))
    scanned(tmp_path, detect_model, Scan(classes={"b"}))
    assert classes() == ["a"]
    scanned(tmp_path, detect_model, Scan(classes={"b"}), again=[uri])
    assert classes() == ["b"]
    scanned(tmp_path, detect_model, Scan(failing={"000001"}), again=["d1"])  # but nothing is taken away
    assert classes() == ["b"]


def test_what_is_neither_a_drive_nor_a_reason_is_refused(tmp_path: Path, detect_model: str) -> None:
    make_drive(str(tmp_path / "drives" / "d1"))
    scanned(tmp_path, detect_model, Scan(quarantined={"000001", "000002"}))
    words = r"again: got d7, mising; expected a drive .*; there are truncated \(2\)"
    with pytest.raises(ConfigError, match=words):
        plan_scan(config_of(tmp_path, detect_model, again=["mising", "truncated", "d7"]))
