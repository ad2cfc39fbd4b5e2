from __future__ import annotations

from pathlib import Path

import pytest
from support.panoramax import FACES_YAW_DEG, ROOT, panoramax_config

from roadscan.demo.server import S3Server
from roadscan.schemas import DRIVE_FRAMES
from roadscan.storage import open_store
from roadscan.survey.drive import read_drive
from roadscan.survey.importers import ingest, ingest_config

from .conftest import gps_tags, jpeg

needs_panoramax = pytest.mark.skipif(not ROOT.is_dir(), reason=f"the Panoramax images are not at {ROOT}")


@needs_panoramax
def test_real_panoramas_become_four_cameras(tmp_path: Path) -> None:
    summary = ingest(panoramax_config(tmp_path, tmp_path / "drive"))
    assert (summary.frames, summary.usable, summary.reasons) == (400, 400, {})
    drive = read_drive(summary.uri)
    assert drive.frames.schema.equals(DRIVE_FRAMES)
    assert {name: camera.mount_yaw_deg for name, camera in drive.cameras.items()} == FACES_YAW_DEG
    assert {round(camera.fov_deg, 6) for camera in drive.cameras.values()} == {90.0}
    images = open_store(drive.image_root)
    assert all(images.exists(uri) for uri in drive.frames["image_uri"].to_pylist())
    # One panorama of panoramas.json: the four faces share the vehicle's heading, its azimuth.
    mine = [
        row for row in drive.frames.to_pylist() if row["frame_id"].startswith("a0b0309d-d008-4f9e-b8af-7ce7d42b7caf")
    ]
    assert [row["camera_id"] for row in mine] == ["front", "right", "back", "left"]
    assert {(row["lon"], row["lat"], row["heading_deg"]) for row in mine} == {(-1.079361587, 44.765164912, 130.0)}


@needs_panoramax
def test_real_images_are_read_and_copied(tmp_path: Path) -> None:
    config = panoramax_config(tmp_path, tmp_path / "drive", panoramas=3).model_copy(update={"copy_images": True})
    calls: list[tuple[int, int]] = []
    summary = ingest(config, lambda now: calls.append((now.done, now.total)))
    assert (summary.frames, summary.usable) == (12, 12)
    assert calls[-1] == (12, 12)
    assert len(list((tmp_path / "drive/images").rglob("*.jpg"))) == 12


@pytest.mark.s3
def test_from_and_to_an_object_store(s3: S3Server) -> None:
    source, out = "s3://raw/cards/night1", "s3://raw/drives/night1"
    card = open_store(source)
    image = jpeg(gps_tags(100.5, 13.75, GPSImgDirection=(90, 1)), "2024:01:31 02:00:00", "+07:00")
    for number in range(3):
        card.write(f"front/{number}.jpg", image)
    card.write("front/3.jpg", b"")
    open_store("s3://raw/cards/night10").write("other.jpg", image)  # a neighbour with the same beginning
    summary = ingest(ingest_config("exif", source, out, ["copy_images=true"]))
    assert (summary.drive_id, summary.frames, summary.reasons) == ("night1", 4, {"empty": 1})
    drive = read_drive(out)
    assert drive.image_root == out
    assert open_store(out).read(drive.frames["image_uri"][0].as_py()) == image
