from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import piexif
import pytest

from roadscan.errors import ConfigError, SurveyError
from roadscan.survey.drive import read_drive
from roadscan.survey.geodesy import LocalFrame
from roadscan.survey.importers import IngestConfig, IngestSummary, ingest, ingest_config
from roadscan.survey.importers.images import inspect_image

from .conftest import gps_tags, jpeg

Photo = Callable[..., Path]
TIME = {"time": "2024:01:31 02:00:00", "offset": "+07:00"}


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., IngestConfig]:
    return lambda *overrides: ingest_config("exif", tmp_path / "photos", tmp_path / "drive", overrides)


def rows(summary: IngestSummary) -> dict[str, dict[str, Any]]:
    return {row["frame_id"]: row for row in read_drive(summary.uri).frames.to_pylist()}


def test_every_tag_comes_out_in_its_unit(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    photo(
        "a.jpg",
        100.5,
        13.75,
        GPSImgDirection=(27050, 100),
        GPSSpeed=(90, 1),
        GPSSpeedRef=b"K",
        GPSDOP=(12, 10),
        GPSHPositioningError=(35, 10),
        GPSAltitude=(1250, 100),
        GPSAltitudeRef=1,
        GPSDateStamp=b"2024:01:30",
        GPSTimeStamp=((19, 1), (0, 1), (12500, 1000)),
        FocalLengthIn35mmFilm=28,
        **TIME,
    )
    summary = ingest(config())
    row = rows(summary)["a"]
    assert (row["lon"], row["lat"]) == (pytest.approx(100.5, abs=1e-7), pytest.approx(13.75, abs=1e-7))
    assert row["heading_deg"] == 270.5
    assert row["speed_mps"] == pytest.approx(25)  # 90 km/h / 3.6
    assert row["hdop"] == 1.2
    assert (row["pos_sigma_m"], row["altitude_m"]) == (3.5, -12.5)  # stated, so not HDOP times 2.5 m; below the sea
    assert row["captured_at"] == datetime(2024, 1, 30, 19, 0, 12, 500_000, tzinfo=UTC)  # GPS time before camera time
    camera = read_drive(summary.uri).cameras["front"]
    assert (camera.width_px, camera.height_px, camera.mount_height_m) == (64, 48, 1.8)
    # 64x48 has a diagonal of 80 px; 35 mm film has one of 43.267 mm: 28 / 43.267 · 80 = 51.77 px.
    assert camera.focal_px == pytest.approx(51.77, abs=0.01)
    assert (summary.frames, summary.usable, summary.reasons) == (1, 1, {})


@pytest.mark.parametrize(("ref", "mps"), [(b"K", 10 / 3.6), (b"M", 4.4704), (b"N", 5.14444), (None, 10 / 3.6)])
def test_speed_units(photo: Photo, config: Callable[..., IngestConfig], ref: bytes | None, mps: float) -> None:
    photo("a.jpg", 100.5, 13.75, GPSSpeed=(10, 1), **({"GPSSpeedRef": ref} if ref else {}), **TIME)
    assert rows(ingest(config()))["a"]["speed_mps"] == pytest.approx(mps, abs=1e-4)


def test_degrees_minutes_seconds_and_the_other_hemispheres(
    photo: Photo, config: Callable[..., IngestConfig], tmp_path: Path
) -> None:
    gps = gps_tags(-70, -33) | {
        piexif.GPSIFD.GPSLatitude: ((33, 1), (27, 1), (3600, 100)),
        piexif.GPSIFD.GPSLongitude: ((70, 1), (3930, 100), (0, 1)),
    }
    photo("a.jpg").write_bytes(jpeg(gps, **TIME))
    row = rows(ingest(config()))["a"]
    assert row["lat"] == pytest.approx(-(33 + 27 / 60 + 36 / 3600))
    assert row["lon"] == pytest.approx(-(70 + 39.3 / 60))


def test_times_with_and_without_a_zone(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    photo("zone.jpg", 100.5, 13.75, SubSecTimeOriginal=b"25", **TIME)
    photo("naive.jpg", 100.5, 13.75, time="2024:01:31 02:00:00")
    photo("none.jpg", 100.5, 13.75)
    summary = ingest(config())
    found = rows(summary)
    assert found["zone"]["captured_at"] == datetime(2024, 1, 30, 19, 0, 0, 250_000, tzinfo=UTC)
    assert found["naive"]["reason"].startswith("no_time: 2024-01-31T02:00:00 has no time zone; set utc_offset_h")
    assert summary.reasons == {"no_time": 2}
    with_offset = rows(ingest(config("utc_offset_h=7")))
    assert with_offset["naive"]["captured_at"] == datetime(2024, 1, 30, 19, tzinfo=UTC)
    assert with_offset["none"]["reason"].startswith("no_time: the image has neither")


def test_bad_frames_keep_their_rows(photo: Photo, config: Callable[..., IngestConfig], tmp_path: Path) -> None:
    good = photo("good.jpg", 100.5, 13.75, **TIME)
    photo("no_gps.jpg", **TIME)
    photo("zero.jpg", 0.0, 0.0, **TIME)
    photo("off_earth.jpg", 200.0, 13.75, **TIME)
    photo("void.jpg", 100.5, 13.75, GPSStatus=b"V", **TIME)
    photo("no_ref.jpg").write_bytes(
        jpeg({piexif.GPSIFD.GPSLatitude: ((13, 1),) * 3, piexif.GPSIFD.GPSLongitude: ((100, 1),) * 3}, **TIME)
    )
    photo("unknown.jpg").write_bytes(jpeg(gps_tags(1, 1) | {piexif.GPSIFD.GPSLatitude: ((0, 0),) * 3}, **TIME))
    photo("half.jpg", 100.5, 13.75, size=(32, 24), **TIME)
    photo("upright.jpg", 100.5, 13.75, size=(48, 64), **TIME)
    folder = tmp_path / "photos"
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_bytes(b"\n<!DOCTYPE html><html>502 Bad Gateway</html>")
    (folder / "text.jpg").write_bytes(b"not found")
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "cut.jpg").write_bytes(good.read_bytes()[:-5])
    (folder / "stub.jpg").write_bytes(good.read_bytes()[:30])
    (folder / "notes.txt").write_text("no frame")
    summary = ingest(config())
    found = rows(summary)
    reasons = {name: (row["reason"] or "").partition(":")[0] for name, row in found.items()}
    assert reasons == {
        "good": "",
        "no_gps": "no_gps",
        "zero": "bad_gps",
        "off_earth": "bad_gps",
        "void": "no_gps",
        "no_ref": "no_gps",
        "unknown": "no_gps",
        "half": "",
        "upright": "bad_size",
        "empty": "empty",
        "page": "not_an_image",
        "text": "not_an_image",
        "phone": "not_an_image",
        "cut": "truncated",
        "stub": "corrupt",
    }
    assert (found["zero"]["lon"], found["zero"]["lat"]) == (None, None)
    assert "HTML" in found["page"]["reason"]
    assert summary.frames == 15
    assert summary.usable == 2
    assert sum(summary.reasons.values()) == 13
    assert summary.notes == {"files that are no images": 1}
    assert summary.examples["bad_size"].startswith("upright: bad_size: got 48x64")


def test_a_thumbnails_end_is_not_the_images_end() -> None:
    whole = jpeg(size=(640, 480))
    exif = piexif.dump({"0th": {}, "1st": {}, "thumbnail": jpeg(size=(160, 120))})
    buffer = io.BytesIO()
    piexif.insert(exif, whole, buffer)
    data = buffer.getvalue()
    assert data.count(b"\xff\xd9") == 2
    assert inspect_image(data).reason is None
    assert inspect_image(data + b"padding of the camera").reason is None
    assert inspect_image(data + b"a film with\xff\xda in it").reason is None  # as phones append to motion photos
    assert inspect_image(data[:-100]).reason == f"truncated: {len(data) - 100} bytes without an end-of-image marker"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_is_no_exif(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    path = photo("a.jpg", 100.5, 13.75, **TIME)
    data = path.read_bytes()
    start = data.index(b"Exif\0\0") + 14
    path.write_bytes(data[:start] + b"\xff" * 60 + data[start + 60 :])
    assert (
        rows(ingest(config("cameras=[{width_px: 64, height_px: 48}]")))["a"]["reason"]
        == "no_gps: the image has no GPS position"
    )


def test_a_missing_heading_is_the_course_of_the_track(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    # 20 m a second towards 120 degrees, then standing for three frames.
    frame = LocalFrame(100.5, 13.75)
    for second in range(9):
        way = 20.0 * min(second, 5)
        lon, lat = frame.to_lonlat(way * math.sin(math.radians(120)), way * math.cos(math.radians(120)))
        photo(f"{second}.jpg", float(lon), float(lat), time=f"2024:01:31 02:00:0{second}", offset="+07:00")
    found = rows(ingest(config()))
    assert [found[str(n)]["heading_deg"] for n in range(5)] == pytest.approx([120] * 5, abs=0.1)
    assert [found[str(n)]["speed_mps"] for n in range(4)] == pytest.approx([20] * 4, abs=0.01)
    assert found["8"]["heading_deg"] is None
    assert found["8"]["speed_mps"] == pytest.approx(0, abs=0.01)


def test_recorded_heading_is_the_cameras_unless_told(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    photo("a.jpg", 100.5, 13.75, GPSImgDirection=(10, 1), GPSSpeed=(0, 1), **TIME)
    cameras = "cameras=[{mount_yaw_deg: 90}]"
    assert rows(ingest(config(cameras)))["a"]["heading_deg"] == 280  # the camera looks to the right of 280
    assert rows(ingest(config(cameras, "heading=vehicle")))["a"]["heading_deg"] == 10
    assert rows(ingest(config(cameras, "heading=course")))["a"]["heading_deg"] is None


def test_a_magnetic_heading_is_none(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    photo("a.jpg", 100.5, 13.75, GPSImgDirection=(10, 1), GPSImgDirectionRef=b"M", GPSSpeed=(0, 1), **TIME)
    photo("b.jpg", 100.5, 13.75, GPSImgDirection=(10, 1), GPSImgDirectionRef=b"T", GPSSpeed=(0, 1), **TIME)
    summary = ingest(config())
    assert [row["heading_deg"] for row in rows(summary).values()] == [None, 10.0]
    assert summary.notes == {"headings from magnetic north, not used": 1}


def test_several_cameras_by_folder(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    photo("left/1.jpg", 100.5, 13.75, **TIME)
    photo("right/1.jpg", 100.5, 13.75, size=(80, 60), **TIME)
    photo("rear/1.jpg", 100.5, 13.75, **TIME)
    pattern = "camera_pattern='^([^/]+)/'"
    summary = ingest(config("cameras=[{camera_id: left}, {camera_id: right, hfov_deg: 90}]", pattern))
    found = rows(summary)
    assert set(found) == {"left_1", "right_1", "rear_1"}
    assert found["right_1"]["camera_id"] == "right"
    assert found["rear_1"]["reason"] == "bad_camera: got 'rear'; expected one of ['left', 'right']"
    cameras = read_drive(summary.uri).cameras
    assert cameras["right"].focal_px == pytest.approx(40)  # 80 / 2 / tan 45°
    assert cameras["left"].fov_deg == pytest.approx(70)
    with pytest.raises(ConfigError, match="of 3 cameras"):
        ingest(config(pattern))


def test_an_upright_phone_gives_upright_sizes(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    path = photo("a.jpg", 100.5, 13.75, **TIME)
    exif = piexif.load(path.read_bytes())
    exif["0th"][piexif.ImageIFD.Orientation] = 6
    piexif.insert(piexif.dump(exif), str(path))
    camera = read_drive(ingest(config()).uri).cameras["front"]
    assert (camera.width_px, camera.height_px) == (48, 64)


def test_equal_names_in_two_folders_are_two_frames(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    photo("x/1.jpg", 100.5, 13.75, **TIME)
    photo("y/1.jpg", 100.5, 13.75, **TIME)
    assert set(rows(ingest(config()))) == {"x_1", "y_1"}
    photo("x_1.jpg", 100.5, 13.75, **TIME)
    with pytest.raises(SurveyError, match=r"frame_id: 1 ids occur more than once, e.g. 'x_1'"):
        ingest(config())


def test_a_folder_without_images_is_an_error(tmp_path: Path, config: Callable[..., IngestConfig]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("")
    with pytest.raises(SurveyError, match=r"source: .*photos holds no image \(1 other files\)"):
        ingest(config())


def test_images_stay_where_they_are_or_are_copied(
    photo: Photo, config: Callable[..., IngestConfig], tmp_path: Path
) -> None:
    data = photo("x/1.jpg", 100.5, 13.75, **TIME).read_bytes()
    drive = read_drive(ingest(config()).uri)
    assert drive.image_root == str(tmp_path / "photos")
    assert drive.frames["image_uri"].to_pylist() == ["x/1.jpg"]
    calls: list[tuple[int, int]] = []
    copied = read_drive(ingest(config("copy_images=true"), lambda now: calls.append((now.done, now.total))).uri)
    assert copied.image_root == copied.uri
    assert copied.frames["image_uri"].to_pylist() == ["images/x/1.jpg"]
    assert (tmp_path / "drive/images/x/1.jpg").read_bytes() == data
    assert (1, 1) in calls


def test_copying_into_the_source_is_refused(photo: Photo, tmp_path: Path) -> None:
    photo("1.jpg", 100.5, 13.75, **TIME)
    config = ingest_config("exif", tmp_path / "photos", tmp_path / "photos/drive", ["copy_images=true"])
    with pytest.raises(ConfigError, match=r"copy_images: out .* lies within the images' folder"):
        ingest(config)


def test_a_drive_beside_its_images_has_no_other_root(photo: Photo, tmp_path: Path) -> None:
    photo("1.jpg", 100.5, 13.75, **TIME)
    config = ingest_config("exif", tmp_path / "photos", tmp_path / "photos")
    first, second = ingest(config), ingest(config)
    assert (first.frames, second.frames) == (1, 1)
    assert (tmp_path / "photos/drive.json").read_text().count('"image_root": null') == 1


def test_a_bad_drive_id_stops_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match="drive_id: got 'a b'"):
        ingest(ingest_config("exif", tmp_path / "nowhere", tmp_path / "a b"))


def test_a_drive_without_any_gps_is_written_all_the_same(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    for number in range(3):
        photo(f"{number}.jpg", **TIME)
    summary = ingest(config())
    assert (summary.frames, summary.usable, summary.reasons) == (3, 0, {"no_gps": 3})


def test_images_that_are_all_broken_cannot_tell_the_camera(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    photo("1.jpg").write_bytes(b"")
    with pytest.raises(SurveyError, match=r"none of the first 1 below .* can be read \(1.jpg: empty\)"):
        ingest(config())
    summary = ingest(config("cameras=[{width_px: 64, height_px: 48, hfov_deg: 70}]"))
    assert (summary.usable, summary.reasons) == (0, {"empty": 1})


DEGREES = [((4790, 100), (0, 1), (0, 1)), ((-4790, 100), (0, 1), (0, 1)), ((-47, 1), (54, 1), (0, 1))]


@pytest.mark.parametrize("west", DEGREES)
@pytest.mark.parametrize("letter", ["W", "E"])
def test_a_sign_and_a_letter_that_agree_are_one_hemisphere(
    photo: Photo, config: Callable[..., IngestConfig], west: Any, letter: str
) -> None:
    position = gps_tags(1, -13.75) | {piexif.GPSIFD.GPSLongitude: west, piexif.GPSIFD.GPSLongitudeRef: letter.encode()}
    data = signed_jpeg(position)
    photo("a.jpg").write_bytes(data)
    found = rows(ingest(config()))["a"]
    east = letter == "E" and west == DEGREES[0]
    assert (found["lon"], found["lat"]) == (pytest.approx(47.9 if east else -47.9), pytest.approx(-13.75))


def signed_jpeg(gps: dict[int, Any]) -> bytes:
    """As `jpeg`, with the signed degrees that some programs write where the standard has none: type 10 for type 5."""
    unsigned = {tag: _unsigned(value) for tag, value in gps.items()}
    data = jpeg(unsigned, **TIME)
    for value in gps.values():
        if isinstance(value, tuple):
            for up, down in (part for part in value if part[0] < 0):
                data = data.replace(struct.pack(">II", up & 0x7FFFFFFF, down), struct.pack(">ii", up, down))
    return data.replace(struct.pack(">HHI", piexif.GPSIFD.GPSLongitude, 5, 3), struct.pack(">HHI", 4, 10, 3))


def _unsigned(value: Any) -> Any:
    return tuple((up & 0x7FFFFFFF, down) for up, down in value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"GPSLatitudeRef": None}, "GPSLatitudeRef is missing; expected N or S"),
        ({"GPSLongitudeRef": b"East"}, "GPSLongitudeRef is 'East'; expected E or W"),
        ({"GPSLatitude": ((0, 0), (0, 0), (0, 0))}, "GPSLatitude has 0/0"),
        ({"GPSLatitude": ((13, 1), (75, 1), (0, 1))}, "expected minutes and seconds below 60"),
        ({"GPSStatus": b"V"}, "GPSStatus is V"),
        ({"GPSLatitude": None, "GPSLongitude": None}, "the image has no GPS position"),
    ],
)
def test_why_an_image_has_no_position_is_told(
    photo: Photo, config: Callable[..., IngestConfig], changed: dict[str, Any], reason: str
) -> None:
    tags = gps_tags(100.5, 13.75) | {getattr(piexif.GPSIFD, name): value for name, value in changed.items()}
    photo("a.jpg").write_bytes(jpeg({tag: value for tag, value in tags.items() if value is not None}, **TIME))
    found = rows(ingest(config()))["a"]["reason"]
    assert found.startswith("no_gps: ")
    assert reason in found


def test_a_time_that_cannot_be_read_is_shown(photo: Photo, config: Callable[..., IngestConfig]) -> None:
    photo("a.jpg", 100.5, 13.75, time="2026-11-01T10:00:00")
    reason = rows(ingest(config()))["a"]["reason"]
    assert reason == "no_time: DateTimeOriginal is '2026-11-01T10:00:00'; expected YYYY:MM:DD HH:MM:SS"
