from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roadscan.demo.server import S3Server
from roadscan.errors import ConfigError, SurveyError
from roadscan.storage import open_store
from roadscan.survey.drive import read_drive
from roadscan.survey.importers import IngestSummary, ingest, ingest_config
from roadscan.survey.importers.images import ImageFolder

from .conftest import gps_tags, jpeg

Photo = Callable[..., Path]
TIME = {"time": "2024:01:31 02:00:00", "offset": "+07:00"}
LISTED = ("a.jpg", "b.JPE", "c.jfif", "d.tiff", "._a.jpg", ".thumbnails/a.jpg", "@eaDir/a.jpg", "__MACOSX/._a.jpg")


def test_hidden_files_are_no_frames_on_disk(tmp_path: Path) -> None:
    for key in LISTED:
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_bytes(jpeg())
    assert ImageFolder(open_store(tmp_path)).listing().images == ["a.jpg", "b.JPE", "c.jfif", "d.tiff"]


@pytest.mark.s3
def test_nor_in_an_object_store(s3: S3Server) -> None:
    store = open_store("s3://raw/hidden/night")
    for key in LISTED:
        store.write(key, jpeg())
    listing = ImageFolder(store).listing()
    assert listing.images == ["a.jpg", "b.JPE", "c.jfif", "d.tiff"]
    assert listing.counts["hidden files, such as thumbnails"] == 4


def test_a_thumbnail_does_not_become_the_camera(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]
) -> None:
    photo(".thumbnails/0.jpg", 100.5, 13.75, size=(16, 12), **TIME)
    photo("0.jpg", 100.5, 13.75, **TIME)
    summary, rows = run()
    assert [row["frame_id"] for row in rows] == ["0"]
    assert (summary.cameras[0].width_px, summary.notes) == (64, {"hidden files, such as thumbnails": 1})


@pytest.mark.parametrize("suffix", ["DNG", "heic", "CR3"])
def test_of_a_shot_in_two_forms_the_readable_one_is_the_frame(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]], suffix: str
) -> None:
    photo("0.jpg", 100.5, 13.75, **TIME)
    photo(f"0.{suffix}").write_bytes(b"II*\0")
    photo(f"1.{suffix}").write_bytes(b"II*\0")
    summary, (read, alone) = run()
    assert (read["image_uri"], read["reason"]) == ("0.jpg", None)
    assert alone["reason"] == "not_an_image: it is TIFF or raw; expected JPEG, PNG or WebP"
    assert summary.notes == {"images that are there as JPEG, PNG or WebP too": 1}


def test_a_camera_is_what_most_of_its_images_tell(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]
) -> None:
    photo("0.jpg", 100.5, 13.75, size=(48, 48), FocalLengthIn35mmFilm=50, **TIME)
    for number in range(1, 5):
        photo(f"{number}.jpg", 100.5, 13.75, FocalLengthIn35mmFilm=28, **TIME)
    photo("5.jpg", 100.5, 13.75, **TIME)
    summary, rows = run()
    (camera,) = summary.cameras
    assert (camera.width_px, camera.height_px) == (64, 48)
    assert camera.focal_px == pytest.approx(51.77, abs=0.01)  # 28 mm, as in test_exif
    assert rows[0]["reason"] == "bad_size: got 48x48; camera front has 64x48"
    assert summary.usable == 5
    assert summary.notes == {"images with another FocalLengthIn35mmFilm (50 mm, none) than most (28 mm)": 2}


def test_an_image_of_a_panoramas_shape_needs_a_field_of_view(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]
) -> None:
    photo("0.jpg", 100.5, 13.75, size=(64, 32), FocalLengthIn35mmFilm=7, **TIME)
    with pytest.raises(SurveyError, match=r"64x32, twice as wide as high, .* or hfov_deg if they are a plain camera's"):
        run()
    summary, _ = run("cameras=[{hfov_deg: 90}]")
    assert summary.usable == 1


def test_a_card_of_videos_is_told_what_to_do(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]
) -> None:
    photo("DCIM/A.MP4").write_bytes(b"\0\0\0\x18ftypmp42")
    photo("DCIM/A.gpx").write_text("<gpx/>")
    with pytest.raises(
        SurveyError, match=r"no image, but 1 videos such as DCIM/A.MP4; make a drive of them: roadscan ingest video /"
    ):
        run()
    photo("0.jpg", 100.5, 13.75, **TIME)
    summary, _ = run()
    assert summary.notes == {"videos, which `roadscan ingest video` takes": 1, "files that are no images": 1}


GPX = """<gpx version="1.1" creator="hand"><trk><trkseg>
<trkpt lat="13.75" lon="100.5000"><time>2024-01-30T19:00:00Z</time></trkpt>
<trkpt lat="13.75" lon="100.5004"><time>2024-01-30T19:00:02Z</time></trkpt>
</trkseg></trk></gpx>"""


def test_frames_of_a_video_are_counted_from_its_start(photo: Photo, tmp_path: Path) -> None:
    for number in (1, 2, 4):  # one was deleted
        photo(f"frame_{number:06d}.jpg")
    photo("cover.jpg")
    (tmp_path / "log.gpx").write_text(GPX)
    given = [f"track={tmp_path / 'log.gpx'}", "clock_offset_s=0"]
    config = [*given, "start_time=2024-01-31T02:00:00+07:00", "rate_hz=2"]
    rows = read_drive(ingest(ingest_config("track", tmp_path / "photos", tmp_path / "drive", config)).uri).frames
    assert rows["lon"].to_pylist()[1:] == pytest.approx([100.5, 100.5001, 100.5003], abs=1e-8)
    assert rows["reason"].to_pylist()[0].startswith("no_time: file name 'cover.jpg' ends in no number")
    bare = ingest(ingest_config("track", tmp_path / "photos", tmp_path / "drive", given))
    assert bare.usable == 0
    assert "set start_time and rate_hz for frames of a video" in bare.examples["no_time"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["start_time=2024-01-31T02:00:00Z"], "rate_hz: .*give both"),
        (["rate_hz=2"], "rate_hz: .*give both"),
        (["start_time=2024-01-31T02:00:00", "rate_hz=2"], "start_time: .*no time zone; set utc_offset_h"),
        (["start_time=2567-01-31T02:00:00Z", "rate_hz=2"], "start_time: .*minus 543 it is 2024"),
        (["start_time=noon", "rate_hz=2"], "start_time: .*expected ISO 8601"),
    ],
)
def test_a_start_time_that_cannot_be_used_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ingest_config("track", "photos", "drive", ["track=log.gpx", "clock_offset_s=0", *overrides])


def test_a_key_that_cannot_be_read_keeps_its_true_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import boto3
    from moto import mock_aws

    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    data = jpeg(gps_tags(100.5, 13.75), **TIME)
    keys = ["night/a.jpg", "night//b.jpg", "night/e\u0301.jpg", "night/folder/", "nightly/c.jpg", "/night/d.jpg"]
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="odd")
        for key in keys:
            client.put_object(Bucket="odd", Key=key, Body=b"" if key.endswith("/") else data)
        summary = ingest(ingest_config("exif", "s3://odd/night", tmp_path / "drive"))
        whole = [entry.key for entry in open_store("s3://odd").entries()]
    reasons = {row["image_uri"]: row["reason"] for row in read_drive(summary.uri).frames.to_pylist()}
    assert set(reasons) == {"a.jpg", "/b.jpg", "e\u0301.jpg"}
    assert reasons["a.jpg"] is None
    assert reasons["/b.jpg"].startswith("bad_key: key '/b.jpg' is not relative to its root")
    assert r"'e\u0301.jpg'; rename it to 'é.jpg'" in reasons["e\u0301.jpg"]
    assert sorted(whole) == sorted(keys)
