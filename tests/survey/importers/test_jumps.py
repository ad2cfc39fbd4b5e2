from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadscan.errors import SurveyError
from roadscan.survey.drive import read_drive
from roadscan.survey.importers import IngestSummary, ingest, ingest_config
from roadscan.survey.importers.gpslog import read_log
from roadscan.survey.importers.jumps import believable

SIZE = "cameras=[{width_px: 64, height_px: 48, hfov_deg: 70}]"
STEP_DEG = 0.0002  # a second; 21.6 m at 13.75 degrees


def straight(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.arange(n, dtype=float), 100.5 + STEP_DEG * np.arange(n), np.full(n, 13.75)


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_a_vehicles_way_is_believed(n: int) -> None:
    assert believable(*straight(n)).tolist() == [True] * n


@pytest.mark.parametrize("wrong", [[0], [49], [20], [20, 21, 22], [0, 1, 30, 49], list(range(5, 15))])
@pytest.mark.parametrize("off_deg", [0.05, 30.0])
def test_only_the_wrong_positions_are_not_believed(wrong: list[int], off_deg: float) -> None:
    time_s, lon, lat = straight(50)
    lat[wrong] += off_deg  # 5.5 km, and another country
    assert np.flatnonzero(~believable(time_s, lon, lat)).tolist() == wrong


def test_of_two_ways_of_equal_length_the_shorter_is_believed() -> None:
    # Ten seconds of digits cut: 65 m behind, which is slow enough, and 87 m to the next fix at half a second.
    time_s, lon, lat = straight(20)
    time_s /= 2
    lon[8] -= 3 * STEP_DEG
    assert np.flatnonzero(~believable(time_s, lon, lat)).tolist() == [8]


def test_noise_of_a_frequent_receiver_and_the_antimeridian_are_no_jumps() -> None:
    rng = np.random.default_rng(7)
    time_s = np.arange(200) / 20
    lon = (179.999 + STEP_DEG * time_s + 180) % 360 - 180
    lat = 13.75 + rng.uniform(-5, 5, 200) / 111_000  # up to 10 m, 200 m/s, from one fix to the next
    assert believable(time_s, lon, lat).all()


def gpx(lon: np.ndarray, lat: np.ndarray) -> str:
    points = (
        f'<trkpt lat="{b:.7f}" lon="{a:.7f}"><time>2026-11-01T03:{n // 60:02d}:{n % 60:02d}Z</time></trkpt>'
        for n, (a, b) in enumerate(zip(lon, lat, strict=True))
    )
    return f'<gpx version="1.1" creator="x"><trk><trkseg>{"".join(points)}</trkseg></trk></gpx>'


def test_a_fix_that_jumps_is_bridged_and_counted(tmp_path: Path) -> None:
    _, lon, lat = straight(30)
    lat[15] += 0.05
    (tmp_path / "log.gpx").write_text(gpx(lon, lat))
    times = "".join(f"{n}.jpg,2026-11-01T03:00:{n:02d}Z\n" for n in range(30))
    (tmp_path / "times.csv").write_text(f"image_uri,captured_at\n{times}")
    given = [f"track={tmp_path / 'log.gpx'}", "clock_offset_s=0", SIZE]
    summary = ingest(ingest_config("track", tmp_path / "times.csv", tmp_path / "drive", given))
    rows = read_drive(summary.uri).frames.to_pylist()
    assert summary.usable == 30
    assert [row["lat"] for row in rows] == pytest.approx([13.75] * 30, abs=1e-7)
    assert [row["heading_deg"] for row in rows] == pytest.approx([90] * 30, abs=0.1)
    assert [row["speed_mps"] for row in rows] == pytest.approx([21.63] * 30, abs=0.05)
    assert summary.notes == {"fixes left out, more than 100 m/s from the others": 1}


def test_a_log_of_two_vehicles_is_refused(tmp_path: Path) -> None:
    _, lon, lat = straight(30)
    lat[1::2] += 0.05
    (tmp_path / "log.gpx").write_text(gpx(lon, lat))
    with pytest.raises(SurveyError, match=r"15 of 30 fixes, .* lie more than 100 m/s from the others"):
        read_log(str(tmp_path / "log.gpx"))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]:
    def ingest_places(lat: np.ndarray, per_second: int = 1) -> tuple[IngestSummary, list[dict[str, Any]]]:
        lines = (
            f"{n}.jpg,2026-11-01T03:00:{n // per_second:02d}Z,{100.5 + STEP_DEG * n / per_second:.7f},{b:.7f}\n"
            for n, b in enumerate(lat)
        )
        (tmp_path / "frames.csv").write_text("image_uri,captured_at,lon,lat\n" + "".join(lines))
        summary = ingest(ingest_config("table", tmp_path / "frames.csv", tmp_path / "drive", [SIZE]))
        return summary, read_drive(summary.uri).frames.to_pylist()

    return ingest_places


def test_a_frame_that_jumps_is_rejected_and_bends_no_course(
    run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]],
) -> None:
    lat = np.full(30, 13.75)
    lat[15] += 0.0045  # 498 m
    summary, rows = run(lat)
    assert summary.reasons == {"bad_gps": 1}
    assert summary.examples["bad_gps"] == (
        "15: bad_gps: 498 m away from frame 14, taken 1 s apart; expected at most 100 m/s"
    )
    assert (rows[15]["lon"], rows[15]["lat"], rows[15]["heading_deg"]) == (None, None, None)
    assert [row["heading_deg"] for n, row in enumerate(rows) if n != 15] == pytest.approx([90] * 29, abs=0.1)


def test_frames_of_one_whole_second_are_not_said_to_jump(
    run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]],
) -> None:
    summary, _ = run(13.75 + 0.0004 * (np.arange(8) % 4), per_second=4)  # 44 m within each second, and back
    assert summary.usable == 8
