"""Videos in an object store: a drive of their pictures, scanned from where they lie, killed in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import roadscan
from support.staging import go_on, kill_a_scan, logical_rows
from support.videos import gopro

from roadscan.demo.server import S3Server
from roadscan.storage import open_store

pytestmark = [pytest.mark.s3, pytest.mark.slow]


def test_a_scan_killed_in_mid_video_gives_the_rows_of_an_undisturbed_one(
    s3: S3Server, tmp_path: Path, detect_model: str
) -> None:
    raw = f"s3://raw/{tmp_path.name}"
    for chapter in (1, 2):
        path = gopro(tmp_path / "a.mp4", 8, first_s=8 * (chapter - 1))
        open_store(raw).write(f"sd/GX0{chapter}0001.MP4", path.read_bytes())
    done = roadscan("ingest", "video", f"{raw}/sd", "--out", f"{raw}/d1")
    assert done.returncode == 0, done.stderr
    assert not [key for key in open_store(raw).keys() if key.endswith((".jpg", ".png"))]  # noqa: SIM118

    fields = {"drives": f"[{raw}/d1]", "model": detect_model, "shard_frames": 8, "actors": 1, "confidence": 0.4}
    killed, calm = f"s3://warehouse/{tmp_path.name}/killed", f"s3://warehouse/{tmp_path.name}/calm"
    before = kill_a_scan(killed, after=2, **fields)
    assert 2 <= len(before) < 13

    told = go_on(killed, before, calm, tmp_path / "summary.json", **fields)
    # 16 s at 20 m/s: a picture each 0.16 s up to the last fix, at 15.9 s, is 100; 15.96 s is after it.
    assert told["frames"] == told["frames_ok"] == 100
    uris = {row["image_uri"] for row in logical_rows(calm)["frames"]}
    assert len(uris) == 100
    assert f"{raw}/sd/GX010001.MP4#t=0.160000" in uris
