from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.videos import (
    DEGREE_M,
    LON,
    START,
    blackvue,
    box,
    camm_full,
    camm_plain,
    east,
    gopro,
    gpmf,
    gpmf9,
    novatek,
    record,
    relabel,
    spherical,
)

from roadscan.errors import ConfigError, SurveyError
from roadscan.survey.drive import read_drive
from roadscan.survey.importers import IngestSummary, ingest, ingest_config

Run = Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Import tmp_path / "sd" -> its summary, and the rows of the drive."""

    def ingest_videos(*overrides: str, source: str = "sd") -> tuple[IngestSummary, list[dict[str, Any]]]:
        summary = ingest(ingest_config("video", tmp_path / source, tmp_path / "drive", overrides))
        return summary, read_drive(summary.uri).frames.to_pylist()

    return ingest_videos


def seconds(rows: list[dict[str, Any]]) -> list[float]:
    """When each frame was taken, in seconds after the start of the recording."""
    return [round((row["captured_at"] - START).total_seconds(), 3) for row in rows]


def off_m(row: dict[str, Any]) -> float:
    """How far a frame is from where the vehicle was at its time."""
    lon, lat = east((row["captured_at"] - START).total_seconds())
    return abs(row["lon"] - lon) * DEGREE_M + abs(row["lat"] - lat) * 110_600


def camm(path: Path, *, plain: bool = False) -> Path:
    """A recording of 4 s with ten positions a second."""
    samples = []
    for tenth in range(40):
        lon, lat = east(tenth / 10)
        one = camm_plain(lon, lat) if plain else camm_full(lon, lat, START + timedelta(seconds=tenth / 10))
        samples.append((100 * tenth, 100, one))
    return relabel(record(path, range(0, 4000, 40), samples=samples, made_at=START), b"camm")


def log(path: Path, seconds: int, start: datetime = START) -> None:
    """A GPX of the vehicle, a point a second."""
    points = "".join(
        f'<trkpt lat="{east(second)[1]}" lon="{east(second)[0]:.9f}">'
        f"<time>{start + timedelta(seconds=second):%FT%TZ}</time></trkpt>"
        for second in range(seconds)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<gpx version="1.1" creator="hand"><trk><trkseg>{points}</trkseg></trk></gpx>')


FORMS: dict[str, tuple[Callable[[Path], Path], str, float]] = {
    # How to record 4 s, what it is called, and how far positions may be off: GPMF counts 1e-7 degrees, 1.1 cm; NMEA
    # 1e-5 minutes, 1.8 cm; Novatek single-precision minutes, about 0.6 m, and its clock is taken from the picture in
    # the file before a block, 0.12 s at 20 m/s.
    "GoPro to HERO10": (lambda path: gopro(path, 4), "GPMF", 0.03),
    "GoPro from HERO11": (lambda path: gopro(path, 4, payload=gpmf9), "GPMF", 0.03),
    "CAMM": (camm, "CAMM", 0.01),
    "CAMM without time": (lambda path: camm(path, plain=True), "CAMM", 0.01),
    "BlackVue": (lambda path: blackvue(path, 5), "NMEA", 0.03),
    "Novatek": (lambda path: novatek(path, 5), "Novatek", 3.2),
}


@pytest.mark.parametrize("form", FORMS)
def test_pictures_are_where_the_vehicle_was_then(form: str, run: Run, tmp_path: Path) -> None:
    make, name, within_m = FORMS[form]
    make(tmp_path / "sd" / "a.mp4")
    summary, rows = run()
    usable = [row for row in rows if row["reason"] is None]
    # A picture each 0.04 s, 0.8 m: the first that is at least 3 m away is 3.2 m away. The last fix of CAMM and GPMF is
    # at 3.9 s, and 3.84 is the last multiple of 0.16 up to there.
    assert summary.notes[f"videos that carry positions as {name}"] == 1
    assert summary.usable == len(usable) >= 24
    assert max(off_m(row) for row in usable) <= within_m
    assert all(abs(row["heading_deg"] - 90) < 0.5 for row in usable)
    if name in ("GPMF", "CAMM"):
        assert seconds(usable) == [round(0.16 * number, 3) for number in range(25)]
        assert [row["image_uri"] for row in usable[:2]] == ["a.mp4#t=0.000000", "a.mp4#t=0.160000"]
        assert [row["frame_id"] for row in usable[:2]] == ["a_000000000", "a_000000160"]
    assert [camera.width_px for camera in summary.cameras] == [320]


def test_dilution_of_precision_is_kept(run: Run, tmp_path: Path) -> None:
    gopro(tmp_path / "sd" / "a.mp4", 2)
    _, rows = run()
    usable = [row for row in rows if not row["reason"]]
    assert {row["hdop"] for row in usable} == {1.2}
    assert {row["pos_sigma_m"] for row in usable} == {3.0}  # times uere_m, 2.5
    assert {row["altitude_m"] for row in usable} == {9.0}


def test_the_accuracy_that_a_camera_tells_is_that_of_its_frames(run: Run, tmp_path: Path) -> None:
    camm(tmp_path / "sd" / "a.mp4")
    _, rows = run()
    usable = [row for row in rows if not row["reason"]]
    assert {(row["hdop"], row["pos_sigma_m"], row["altitude_m"]) for row in usable} == {(None, 1.5, 9.0)}


def test_frames_come_by_time_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    gopro(tmp_path / "sd" / "a.mp4", 3)
    _, rows = run("interval_s=0.5")
    # Pictures are 0.04 s apart: the first one 0.5 s after the last is 0.52 s after it.
    assert seconds(rows) == [0.0, 0.52, 1.04, 1.56, 2.08, 2.6]
    _, rows = run("spacing_m=10")
    # At least 10 m at 20 m/s, in steps of 0.8 m: 13 pictures, 0.52 s.
    assert seconds([row for row in rows if not row["reason"]]) == [0.0, 0.52, 1.04, 1.56, 2.08, 2.6]


def test_a_vehicle_that_stands_gives_one_frame(run: Run, tmp_path: Path) -> None:
    gopro(tmp_path / "sd" / "a.mp4", 5, speed_mps=0.1)
    _, rows = run()
    assert seconds([row for row in rows if not row["reason"]]) == [0.0]


def test_chapters_are_one_drive_whose_frames_go_on_at_their_seam(run: Run, tmp_path: Path) -> None:
    # Both of recording 7; by name the second would come before the first of recording 8.
    gopro(tmp_path / "sd" / "GX010007.MP4", 3)
    gopro(tmp_path / "sd" / "GX020007.MP4", 3, first_s=3)
    gopro(tmp_path / "sd" / "GX010008.MP4", 2, first_s=60)
    (tmp_path / "sd" / "GL010007.LRV").write_bytes(b"a copy")
    summary, rows = run()
    assert summary.notes["copies of low resolution (.lrv)"] == 1
    usable = [row for row in rows if row["reason"] is None]
    times = seconds(usable)
    # 3.2 m apart throughout, also over the seam at 3 s, where the last fix of the first chapter is 2.9 s.
    assert times[:37] == [round(0.16 * number, 3) for number in range(37)]
    assert [row["image_uri"][:12] for row in usable if 2.8 < seconds([row])[0] < 3.2] == [
        "GX010007.MP4",  # at 2.88 s
        "GX020007.MP4",  # at 3.04 s
    ]
    assert max(off_m(row) for row in usable) < 0.03


def test_where_no_position_is_known_a_picture_a_second_is_told(run: Run, tmp_path: Path) -> None:
    # No fix for the first two seconds.
    samples = [
        (1000 * second, 1000, gpmf([east(second + part / 10) for part in range(10)], START + timedelta(seconds=second),
                                   fixed=0 if second < 2 else 3))
        for second in range(4)
    ]  # fmt: skip
    record(tmp_path / "sd" / "a.mp4", range(0, 4000, 40), samples=samples)
    summary, rows = run()
    assert seconds([row for row in rows if row["reason"]]) == [0.0, 1.0]
    assert rows[0]["reason"].startswith("no_gps: 2.0 s before the track")
    assert seconds(rows)[2] == 2.0
    assert summary.notes["GPMF positions without a fix"] == 20


def test_a_log_beside_a_video_places_it_by_the_time_in_the_file(run: Run, tmp_path: Path) -> None:
    record(tmp_path / "sd" / "20261101_100000_F.mp4", range(0, 4000, 40), made_at=START)
    log(tmp_path / "sd" / "20261101_100000_F.GPX", 5)
    summary, rows = run()
    assert (summary.frames, summary.usable) == (25, 25)
    assert max(off_m(row) for row in rows) < 0.03


def test_a_log_beside_a_video_may_be_a_table(run: Run, tmp_path: Path) -> None:
    record(tmp_path / "sd" / "a.mp4", range(0, 4000, 40), made_at=START)
    rows = [
        f"{START + timedelta(seconds=second):%FT%TZ},{east(second)[0]:.9f},{east(second)[1]}" for second in range(5)
    ]
    (tmp_path / "sd" / "a.csv").write_text("\n".join(["captured_at,lon,lat", *rows]))
    summary, frames = run()
    assert (summary.frames, summary.usable) == (25, 25)
    assert max(off_m(row) for row in frames) < 0.01


@pytest.mark.parametrize(
    "clock",
    [
        ("time_pattern=%Y%m%d_%H%M%S", r"time_regex=(\d+_\d+)", "utc_offset_h=7"),
        ("start_time=2026-11-01T10:00:00+07:00",),
    ],
)
def test_the_clock_may_be_in_the_name_or_given(clock: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    record(tmp_path / "sd" / "20261101_100000_F.mp4", range(0, 3000, 40))
    log(tmp_path / "log.gpx", 10, START + timedelta(seconds=2))
    # The camera's clock is 2 s behind the log's, whose point at 03:00:02 is where the vehicle was at its start.
    summary, rows = run(*clock, f"track={tmp_path / 'log.gpx'}", "clock_offset_s=-2")
    assert summary.usable == summary.frames == 19
    assert rows[0]["captured_at"] == START + timedelta(seconds=2)
    assert abs(rows[0]["lon"] - LON) * DEGREE_M < 0.01


def test_videos_follow_on_a_given_start(run: Run, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        record(tmp_path / "sd" / name, range(0, 2000, 40))
    log(tmp_path / "log.gpx", 6)
    _, rows = run(f"track={tmp_path / 'log.gpx'}", "clock_offset_s=0", "start_time=2026-11-01T03:00:00Z")
    assert seconds(rows) == [round(0.16 * number, 3) for number in range(25)]
    assert {row["image_uri"][:1]: seconds([row])[0] for row in reversed(rows)} == {"a": 0.0, "b": 2.08}


def test_a_log_needs_to_know_the_clock_only_where_the_video_does_not(run: Run, tmp_path: Path) -> None:
    gopro(tmp_path / "sd" / "a.mp4", 3)
    log(tmp_path / "log.gpx", 6)
    summary, rows = run(f"track={tmp_path / 'log.gpx'}")
    assert summary.usable == summary.frames
    assert {row["hdop"] for row in rows} == {None}  # of the log, which has none
    record(tmp_path / "sd" / "a.mp4", range(0, 2000, 40), made_at=START)
    with pytest.raises(ConfigError, match=r"clock_offset_s: required, as a\.mp4 carries no GPS time"):
        run(f"track={tmp_path / 'log.gpx'}")


def test_a_video_without_positions_or_time_says_what_to_set(run: Run, tmp_path: Path) -> None:
    record(tmp_path / "sd" / "a.mp4", range(0, 2000, 40))
    summary, rows = run()
    assert summary.usable == 0
    assert summary.shortfall is not None
    assert rows[0]["reason"].startswith(
        "no_time: the video does not say when it was recorded; set start_time, or time_p"
    )
    record(tmp_path / "sd" / "a.mp4", range(0, 2000, 40), made_at=START)
    _, rows = run()
    assert [row["reason"][:36] for row in rows] == ["no_gps: the video carries no positio"] * 2


def test_a_bad_video_is_a_row_and_the_others_are_used(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "sd"
    good = gopro(folder / "a.mp4", 2).read_bytes()
    (folder / "b.mp4").write_bytes(good[: good.rindex(b"moov") - 50])
    (folder / "c.insv").write_bytes(good)
    (folder / "d.mp4").write_bytes(b"")
    (folder / "notes.txt").write_text("of the driver")
    (folder / ".thumbs").mkdir()
    (folder / ".thumbs" / "a.mp4").write_bytes(good)
    summary, rows = run()
    bad = {row["image_uri"]: row["reason"] for row in rows if row["reason"] and "#t=" not in row["image_uri"]}
    assert bad["b.mp4"].startswith("corrupt: no moov box, which says where the pictures are: the camera was cut off")
    assert bad["c.insv"] == "unsupported: two fisheye images, which is no view of a camera"
    assert bad["d.mp4"].startswith("corrupt: ")
    assert summary.usable == 12  # 0 to 1.76 s; the last fix is at 1.9 s
    assert (summary.notes["files that are no videos"], summary.notes["hidden files, such as thumbnails"]) == (1, 1)


def test_a_single_cut_off_video_is_a_clear_error(run: Run, tmp_path: Path) -> None:
    data = gopro(tmp_path / "sd" / "a.mp4", 2).read_bytes()
    (tmp_path / "sd" / "a.mp4").write_bytes(data[: data.rindex(b"moov") - 50])
    with pytest.raises(SurveyError, match=r"a\.mp4: corrupt: no moov box"):
        run(source="sd/a.mp4")


def test_two_cameras_need_a_pattern(run: Run, tmp_path: Path) -> None:
    for name in ("20261101_F.mp4", "20261101_R.mp4"):
        gopro(tmp_path / "sd" / name, 2)
    summary, _ = run()
    assert summary.reasons["bad_camera"] == 1
    cameras = "cameras=[{camera_id: F, hfov_deg: 90}, {camera_id: R, hfov_deg: 90, mount_yaw_deg: 180}]"
    summary, rows = run("camera_pattern=_([FR])", cameras)
    assert summary.usable == 24
    assert {(row["camera_id"], row["image_uri"][9:10]) for row in rows} == {("F", "F"), ("R", "R")}
    assert {round(row["heading_deg"]) for row in rows if not row["reason"]} == {90}  # the vehicle's


def test_a_time_lapse_is_refused(run: Run, tmp_path: Path) -> None:
    # A sample a second of video, of two seconds of the road.
    samples = [
        (1000 * second, 1000, gpmf([east(2 * second)], START + timedelta(seconds=2 * second))) for second in range(25)
    ]
    record(tmp_path / "sd" / "a.mp4", range(0, 25_000, 200), samples=samples)
    summary, rows = run()
    assert [row["reason"] for row in rows] == ["unsupported: a time lapse, 2 s by GPS a second of video"]
    assert summary.usable == 0


def test_a_folder_without_videos_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sd").mkdir()
    (tmp_path / "sd" / "a.jpg").write_bytes(b"")
    with pytest.raises(SurveyError, match=r"holds no video \(1 other files\); expected \.mp4, \.mov"):
        run()


def test_images_are_not_copied_out_of_videos(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="copy_images: got True; not used with kind=video"):
        ingest_config("video", tmp_path, tmp_path / "drive", ["copy_images=true"])


def test_a_video_as_wide_as_two_of_its_heights_needs_its_field_of_view(run: Run, tmp_path: Path) -> None:
    gopro(tmp_path / "sd" / "a.mp4", 2, draw=lambda number: np.full((100, 200, 3), number, np.uint8))
    with pytest.raises(SurveyError, match="200x100, twice as wide as high, as equirectangular panoramas are"):
        run()


EQUIRECTANGULAR = b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>"


def test_a_video_of_panoramas_is_a_drive_of_panoramas(run: Run, tmp_path: Path) -> None:
    path = gopro(tmp_path / "sd" / "a.mp4", 2, draw=lambda number: np.full((100, 200, 3), number, np.uint8))
    spherical(path, box(b"uuid", bytes(16) + EQUIRECTANGULAR))
    summary, _ = run()
    assert summary.usable == summary.frames > 0
    assert (summary.cameras[0].projection, summary.cameras[0].width_px) == ("equirectangular", 200)


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        (b"<GSpherical:ProjectionType>cubemap</GSpherical:ProjectionType>", "a cubemap panorama, which is neither"),
        (
            EQUIRECTANGULAR + b"<GSpherical:StereoMode>left-right</GSpherical:StereoMode>",
            "a stereo panorama (left-right)",
        ),
    ],
)
def test_a_video_of_other_panoramas_is_told_why_not(run: Run, tmp_path: Path, mark: bytes, reason: str) -> None:
    gopro(tmp_path / "sd" / "a.mp4", 2)
    path = gopro(tmp_path / "sd" / "b.mp4", 2, draw=lambda number: np.full((100, 200, 3), number, np.uint8))
    spherical(path, box(b"uuid", bytes(16) + mark))
    _, rows = run()
    assert rows[-1]["reason"].startswith(f"unsupported: {reason}")
