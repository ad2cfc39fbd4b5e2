from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from support.drives import CAMERA, frame, make_drive

from roadscan.errors import StorageError, SurveyError
from roadscan.parsing import conform
from roadscan.schemas import ACCURACY, DRIVE_FRAMES
from roadscan.storage import open_store, parquet_bytes, sha256_hex
from roadscan.survey.drive import find_drives, may_be_uploading, read_drive, rejection, write_drive
from roadscan.survey.lens import Lens


def test_a_drive_reads_back(tmp_path: Path) -> None:
    drive = read_drive(make_drive(str(tmp_path / "d1"), n=4))
    assert (drive.drive_id, drive.image_root) == ("d1", str(tmp_path / "d1"))
    assert drive.cameras == {"front": CAMERA}
    assert drive.frames.schema == DRIVE_FRAMES
    assert drive.frames["frame_id"].to_pylist() == ["000000", "000001", "000002", "000003"]


def test_a_plain_camera_is_told_as_every_version_reads_it(tmp_path: Path) -> None:
    """Others say what else they are, and read back."""
    fisheye = replace(CAMERA, camera_id="wide", lens=Lens("fisheye", (500.0, 500.0), (320.0, 240.0), (0.1, 0, 0, 0)))
    table = pa.Table.from_pylist([frame(0)], DRIVE_FRAMES)
    write_drive(open_store(tmp_path), drive_id="d", cameras=[CAMERA, fisheye], frames=table, source="test")
    plain, wide = json.loads((tmp_path / "drive.json").read_bytes())["cameras"]
    assert [*plain] == [
        "camera_id", "width_px", "height_px", "focal_px", "mount_height_m", "mount_yaw_deg", "mount_pitch_deg"
    ]  # fmt: skip
    assert {*wide} - {*plain} == {"lens"}
    assert read_drive(str(tmp_path)).cameras == {"front": CAMERA, "wide": fisheye}


def test_drives_are_found_below_a_folder_or_at_it(tmp_path: Path) -> None:
    a, b = (make_drive(str(tmp_path / name), name) for name in "ab")
    (tmp_path / "no-drive").mkdir()
    assert find_drives(str(tmp_path)) == [a, b]
    assert find_drives(a) == [a]
    assert find_drives(str(tmp_path / "nowhere")) == []


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path: Path) -> None:
    drive = make_drive(str(tmp_path / "d1"))
    (tmp_path / "a\\b").mkdir()
    left_out: dict[str, str] = {}
    assert find_drives(str(tmp_path), left_out=left_out) == [drive]
    assert list(left_out) == [f"{tmp_path}/a\\b"]
    with pytest.raises(StorageError, match="is not relative to its root"):
        find_drives(str(tmp_path))


def test_a_drive_whose_times_were_kept_by_a_copy_is_as_young_as_the_copy(tmp_path: Path) -> None:
    """``cp -p``, ``rsync -a`` and tar set the time of the last change, and a wrong clock sets one that has not come."""
    uri = make_drive(str(tmp_path / "d1"), uploading=True)
    now = datetime.now(UTC)
    for kept in (datetime(2026, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)):
        os.utime(tmp_path / "d1" / "drive.json", (kept.timestamp(), kept.timestamp()))
        assert may_be_uploading(uri, 3, now)
        assert not may_be_uploading(uri, 3, now + timedelta(days=3.1))
    assert not may_be_uploading(uri, 3, now - timedelta(days=3.1))  # a store that has it from later than that is wrong


def test_an_image_root_that_is_no_address_is_a_folder_of_the_drive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = Path(make_drive("drives/d1"), "drive.json")
    tree = json.loads(manifest.read_text())
    for told, root in (
        ("imgs/front", f"{tmp_path}/drives/d1/imgs/front"),
        ("imgs/", f"{tmp_path}/drives/d1/imgs"),
        ("/survey/d1/", "/survey/d1"),
        ("s3://raw/d1", "s3://raw/d1"),
    ):
        manifest.write_text(json.dumps(tree | {"image_root": told}))
        assert read_drive("drives/d1").image_root == root
    manifest.write_text(json.dumps(tree | {"image_root": "../d2"}))
    with pytest.raises(SurveyError, match=r"drive\.json: image_root: key '\.\./d2' has an empty, '\.' or '\.\.' part"):
        read_drive("drives/d1")


def test_images_that_no_store_has_are_told_by_the_drive(tmp_path: Path) -> None:
    manifest = Path(make_drive(str(tmp_path), "d1"), "drive.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"image_root": "http://cam.example/d1"}))
    with pytest.raises(SurveyError, match=r"drive\.json: image_root: http://.* scheme 'http' is not supported"):
        read_drive(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({1: {"frame_id": "000000"}}, "1 frame ids occur more than once, e.g. ['000000']"),
        ({1: {"camera_id": "rear"}}, "camera_id ['rear'] not among"),
        ({1: {"image_uri": None}}, "wrong type or a null"),
    ],
)
def test_a_wrong_table_is_refused_before_anything_is_written(tmp_path: Path, changes: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(SurveyError) as caught:
        make_drive(str(tmp_path), n=3, replace=changes, images=dict.fromkeys(range(3)))
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([frame(0)]).drop_columns(["hdop"])
    with pytest.raises(SurveyError, match=r"columns \['hdop'\] are missing"):
        write_drive(open_store(tmp_path), drive_id="d", cameras=[CAMERA], frames=table, source="test")


def test_a_drive_of_before_has_no_accuracy(tmp_path: Path) -> None:
    """Written without the columns, as earlier versions did; read with them."""
    table = pa.Table.from_pylist([frame(0)]).drop_columns([n for n in ACCURACY if n in frame(0)])
    name = "frames-0.parquet"
    data = parquet_bytes(conform(table, pa.schema([f for f in DRIVE_FRAMES if f.name not in ACCURACY])))
    make_drive(str(tmp_path), n=1)
    store = open_store(tmp_path)
    manifest = json.loads(store.read("drive.json"))
    store.write(name, data)
    store.write("drive.json", json.dumps(manifest | {"frames": {"path": name, "sha256": sha256_hex(data)}}).encode())
    (row,) = read_drive(str(tmp_path)).frames.to_pylist()
    assert row["lat"] == frame(0)["lat"]
    assert [row[name] for name in ACCURACY] == [None] * len(ACCURACY)


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "x" * 129])
def test_a_drive_id_must_be_a_folder_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(SurveyError, match="drive_id"):
        make_drive(str(tmp_path), name)


def test_no_drive_is_named(tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match=r"no drive\.json"):
        read_drive(str(tmp_path))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cameras": []}'])
def test_a_manifest_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "drive.json").write_text(text)
    with pytest.raises(SurveyError, match="not a drive manifest"):
        read_drive(str(tmp_path))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    make_drive(str(tmp_path))
    path = tmp_path / "drive.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "roadscan.drive/9"}))
    with pytest.raises(SurveyError, match=r"roadscan\.drive/9"):
        read_drive(str(tmp_path))


def test_frames_that_are_not_the_manifests_are_refused(tmp_path: Path) -> None:
    make_drive(str(tmp_path / "a"), n=2)
    make_drive(str(tmp_path / "b"), n=3)
    (ours,), (other,) = (list((tmp_path / name).glob("frames-*.parquet")) for name in "ab")
    ours.write_bytes(other.read_bytes())
    with pytest.raises(StorageError, match="sha256"):
        read_drive(str(tmp_path / "a"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"reason": "corrupt: bad EXIF"}, "corrupt: bad EXIF"),
        ({"lon": None}, "no_gps"),
        ({"lat": None}, "no_gps"),
        ({"lon": 0.0, "lat": 0.0}, "bad_gps"),
        ({"lat": 91.0}, "bad_gps"),
        ({"lon": float("nan")}, "bad_gps"),
        ({"captured_at": None}, "no_time"),
        ({"image_uri": "../other/1.jpg"}, "bad_key"),
        ({"image_uri": "/etc/passwd"}, "bad_key"),
        ({"image_uri": "s3://other/1.jpg"}, "bad_key"),
    ],
)
def test_a_frame_that_cannot_be_used_has_a_reason(changes: dict, reason: str | None) -> None:  # type: ignore[type-arg]
    found = rejection(frame(0, **changes))
    assert (found or "").partition(":")[0] == (reason or "").partition(":")[0]


def test_a_number_of_a_frame_that_cannot_be_is_unknown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nan, inf = float("nan"), float("inf")
    given = {
        "heading_deg": [inf, 1e300, nan, -360.0],
        "speed_mps": [-1.0, 101.0, 0.0, 100.0],
        "hdop": [-5.0, 1001.0, 0.9, None],
        "pos_sigma_m": [-1.0, 0.0, 1e9, 1000.0],
        "heading_sigma_deg": [inf, -3.0, 181.0, 0.1],
        "altitude_m": [nan, 1e300, -1000.0, 0.0],
        "pitch_deg": [91.0, -inf, -90.0, 0.0],
        "roll_deg": [-181.0, 181.0, 180.0, None],
    }
    rows = {row: {name: values[row] for name, values in given.items()} for row in range(4)}
    drive = read_drive(make_drive(str(tmp_path), n=4, replace=rows))
    assert drive.frames.select(list(given)).to_pydict() == {
        "heading_deg": [None, None, None, -360.0],
        "speed_mps": [None, None, 0.0, 100.0],
        "hdop": [None, None, 0.9, None],
        "pos_sigma_m": [None, None, None, 1000.0],
        "heading_sigma_deg": [None, None, None, 0.1],
        "altitude_m": [None, None, -1000.0, 0.0],
        "pitch_deg": [None, None, -90.0, 0.0],
        "roll_deg": [None, None, 180.0, None],
    }
    assert [rejection(row) for row in drive.frames.to_pylist()] == [None] * 4
    assert "drive d1: heading_deg of 3 frames is not within -360 to 360: unknown" in caplog.messages


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("focal_px", 0),
        ("focal_px", 1e300),
        ("mount_height_m", -1),
        ("mount_yaw_deg", 361),
        ("width_px", "1920"),
        ("mount_height_m", None),
        ("mount_pitch_deg", 90),
        ("distortion_k1", 0.1),
    ],
)
def test_a_camera_that_cannot_be_is_refused(tmp_path: Path, field: str, value: object) -> None:
    make_drive(str(tmp_path))
    path = tmp_path / "drive.json"
    tree = json.loads(path.read_text())
    tree["cameras"][0][field] = value
    path.write_text(json.dumps(tree))
    with pytest.raises(SurveyError, match=rf"(camera front: |cameras\.0\.){field}"):
        read_drive(str(tmp_path))


def test_a_corrected_calibration_is_another_drive_to_a_scan(tmp_path: Path) -> None:
    make_drive(str(tmp_path))
    before = read_drive(str(tmp_path)).sha256
    path = tmp_path / "drive.json"
    tree = json.loads(path.read_text())
    tree["cameras"][0]["mount_yaw_deg"] = 2.0
    path.write_text(json.dumps(tree))
    assert read_drive(str(tmp_path)).sha256 != before


@pytest.mark.parametrize(
    ("year", "reason"), [(1970, "no_time: 1970-11-01"), (2026, None), (2569, "no_time: 2569-11-01")]
)
def test_a_frame_of_a_year_that_cannot_be_is_never_scanned(year: int, reason: str | None) -> None:
    usable = {"reason": None, "image_uri": "a.jpg", "lon": 100.5, "lat": 13.75}
    found = rejection(usable | {"captured_at": datetime(year, 11, 1, tzinfo=UTC)})
    assert (found or "").startswith(reason or "")
    assert bool(found) == bool(reason)
