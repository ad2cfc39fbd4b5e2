from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.trajectories import sbet, smrmsg

from roadscan.errors import ConfigError, SurveyError
from roadscan.survey.drive import read_drive
from roadscan.survey.geodesy import LocalFrame
from roadscan.survey.importers import IngestSummary, ingest, ingest_config
from roadscan.survey.importers.fixes import LogForm
from roadscan.survey.importers.gpslog import read_log

# Sunday 2026-11-01 00:00 of GPS time, 18 s ahead of UTC, begins the week; the drive is on Wednesday at 03:00 UTC.
SUNDAY = datetime(2026, 11, 1, tzinfo=UTC) - timedelta(seconds=18)
START = datetime(2026, 11, 4, 3, tzinfo=UTC)
INTO_S = (START - SUNDAY).total_seconds()
SIZE = "cameras=[{width_px: 64, height_px: 48, hfov_deg: 70}]"
#: 200 records a second for 10 s: a bend of 100 m at 20 m/s, entered north-west, so that it turns over north.
TIME_S = np.arange(0, 10, 0.005)
TURN = np.radians(-60) + 20 * TIME_S / 100
X, Y = 100 * (np.cos(np.radians(-60)) - np.cos(TURN)), 100 * (np.sin(TURN) - np.sin(np.radians(-60)))
LON, LAT = LocalFrame(100.5, 13.75).to_lonlat(X, Y)
TRUE_DEG = np.degrees(TURN)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]:
    def ingest_images(name: str, data: bytes | str, at_s: list[float], *overrides: str):
        log = tmp_path / name
        log.write_bytes(data if isinstance(data, bytes) else data.encode())
        lines = [f"{n}.jpg,{(START + timedelta(seconds=at)).isoformat()}" for n, at in enumerate(at_s)]
        (tmp_path / "times.csv").write_text("\n".join(["image_uri,captured_at", *lines, ""]))
        given = [f"track={log}", "clock_offset_s=0", SIZE, *overrides]
        summary = ingest(ingest_config("track", tmp_path / "times.csv", tmp_path / "drive", given))
        return summary, read_drive(summary.uri).frames.to_pylist()

    return ingest_images


def test_an_sbet_gives_frames_their_whole_pose(run: Callable[..., Any], tmp_path: Path) -> None:
    """The platform's heading is 35 degrees on, its wander; sqrt(0.03² + 0.04²) = 0.05 m, 1.2 minutes of arc = 0.02°."""
    (tmp_path / "smrmsg_d1.out").write_bytes(smrmsg(INTO_S + np.arange(-1.0, 12), 0.03, 0.04, 1.2))
    summary, (row, turning) = run(
        "sbet_d1.out", sbet(INTO_S + TIME_S, LON, LAT, TRUE_DEG, wander_deg=35), [2.0025, 5.235], "log_date=2026-11-04"
    )
    x, y = LocalFrame(100.5, 13.75).to_xy(row["lon"], row["lat"])
    turn = np.radians(-60) + 20 * 2.0025 / 100
    assert [float(x), float(y)] == pytest.approx(
        [100 * (0.5 - np.cos(turn)), 100 * (np.sin(turn) + np.sqrt(0.75))], abs=1e-4
    )
    assert row["heading_deg"] == pytest.approx(np.degrees(turn) % 360, abs=0.01)
    assert (row["altitude_m"], row["roll_deg"], row["pitch_deg"]) == pytest.approx((12.5, 1, -2))
    assert (row["pos_sigma_m"], row["heading_sigma_deg"]) == pytest.approx((0.05, 0.02))
    assert row["speed_mps"] == pytest.approx(20, abs=0.05)
    # After 5.235 s it heads 0.01 degrees left of north or right of it; never what lies half way from 359.9 to 0.1.
    assert turning["heading_deg"] == pytest.approx((-60 + np.degrees(20 * 5.235 / 100)) % 360, abs=0.01)
    assert summary.notes == {}


def test_a_trajectory_that_nothing_says_the_accuracy_of(run: Callable[..., Any]) -> None:
    summary, (row,) = run("sbet.out", sbet(INTO_S + TIME_S, LON, LAT, TRUE_DEG), [2.0], "log_date=2026-11-07")
    assert row["pos_sigma_m"] is row["heading_sigma_deg"] is None
    assert summary.notes == {"trajectories without an SMRMSG, so that nothing says how sure they are": 1}


def test_images_that_the_trajectory_does_not_cover_are_counted(run: Callable[..., Any]) -> None:
    summary, rows = run(
        "sbet.out", sbet(INTO_S + TIME_S, LON, LAT, TRUE_DEG), [-5, -1, 0, 4, 9, 11], "log_date=2026-11-04"
    )
    assert (summary.usable, summary.reasons) == (3, {"no_gps": 3})
    assert rows[0]["reason"] == "no_gps: 5.0 s before the track; check clock_offset_s and utc_offset_h"


def test_the_week_must_be_known_and_right(run: Callable[..., Any]) -> None:
    data = sbet(INTO_S + TIME_S, LON, LAT, TRUE_DEG)
    with pytest.raises(SurveyError, match="says seconds of a GPS week and not of which; set log_date to a day of it"):
        run("sbet.out", data, [2.0])
    summary, _ = run("sbet.out", data, [2.0], "log_date=2026-10-28")
    assert summary.examples["no_gps"] == "0: no_gps: the log is of 2026-10-28, the image of 2026-11-04"
    with pytest.raises(ConfigError, match="log_date"):
        run("sbet.out", data, [2.0], "log_date=week 2443")


def test_a_clock_of_utc_is_not_ahead(run: Callable[..., Any]) -> None:
    data = sbet(INTO_S - 18 + TIME_S, LON, LAT, TRUE_DEG)
    _, (row,) = run("sbet.out", data, [2.0], "log_date=2026-11-04", "log_clock=utc")
    assert row["heading_deg"] == pytest.approx(np.degrees(np.radians(-60) + 0.4) % 360, abs=0.01)


def test_a_drive_over_the_end_of_the_week_goes_on(tmp_path: Path) -> None:
    """Some programs start the week anew at Saturday midnight, some count on."""
    week, times = 604_800.0, np.array([-2.0, -1, 0, 1, 2])
    for into_s in (week + times, (week + times) % week):
        (tmp_path / "sbet.out").write_bytes(sbet(into_s, 100.5 + times * 1e-4, 13.75 + 0 * times, 90 + 0 * times))
        log = read_log(str(tmp_path / "sbet.out"), LogForm(week_s=0.0))
        assert (log.time_s - week).tolist() == [-2, -1, 0, 1, 2]


def test_what_is_wrong_with_records_is_counted(tmp_path: Path) -> None:
    """Two of before the receiver knew, one NaN, one there twice, two in another order, and the last is cut."""
    times = np.array([0.0, 1, 2, 3, 4, 4, 6, 5, 7])
    rows = np.frombuffer(sbet(times, 100.5 + times * 1e-4, 13.75 + 0 * times, 90 + 0 * times), "<f8").reshape(-1, 17)
    rows = rows.copy()
    rows[:2, 1:3] = 0
    rows[2, 1] = np.nan
    (tmp_path / "sbet.out").write_bytes(rows.tobytes() + b"1234")
    log = read_log(str(tmp_path / "sbet.out"), LogForm(week_s=0.0))
    assert log.time_s.tolist() == [3, 4, 5, 6, 7]
    assert log.lon == pytest.approx([100.5003, 100.5004, 100.5005, 100.5006, 100.5007])
    assert log.notes == {
        "records of the trajectory that are cut short": 1,
        "records of the trajectory without a position": 3,
        "trajectories without an SMRMSG, so that nothing says how sure they are": 1,
        "fixes at a time that was there already": 1,
    }


def test_big_endian_numbers_are_read_and_told(tmp_path: Path) -> None:
    (tmp_path / "sbet.out").write_bytes(sbet(INTO_S + TIME_S, LON, LAT, TRUE_DEG, order=">"))
    log = read_log(str(tmp_path / "sbet.out"), LogForm(week_s=0.0))
    assert (len(log.time_s), log.lon[0]) == (2000, pytest.approx(100.5))
    assert log.notes["records of the trajectory that are big-endian, which no POSPac writes"] == 2000


def test_what_is_no_sbet_is_said(tmp_path: Path) -> None:
    def read(data: bytes, **form: Any) -> None:
        (tmp_path / "sbet.out").write_bytes(data)
        read_log(str(tmp_path / "sbet.out"), LogForm(week_s=0.0, **form))

    in_degrees = sbet(INTO_S + TIME_S, np.degrees(LON), np.degrees(LAT), TRUE_DEG)
    with pytest.raises(SurveyError, match=r"has latitudes such as 13\.75; expected radians"):
        read(in_degrees)
    with pytest.raises(SurveyError, match="0 usable fixes"):
        read(np.random.default_rng(0).bytes(136 * 50))
    with pytest.raises(SurveyError, match="0 usable fixes"):
        read(bytes(136 * 50))
    good = sbet(INTO_S + TIME_S, LON, LAT, TRUE_DEG)
    with pytest.raises(SurveyError, match=r"log_sigmas: .*nothing does not exist"):
        read(good, sigmas=str(tmp_path / "nothing"))
    (tmp_path / "other").write_bytes(good)
    with pytest.raises(SurveyError, match=r"log_sigmas: .*other is no SMRMSG"):
        read(good, sigmas=str(tmp_path / "other"))


CSV = """time;lat;lon;height;roll;pitch;yaw;sigma;yaw_sigma
{0};0.239982772;1.754055899;12.5;0.0174533;-0.0349066;2.356194;0.05;0.000349066
{1};0.239982772;1.754059390;12.5;0.0174533;-0.0349066;2.356194;0.05;0.000349066
{2};nan;1.754062881;12.5;0.0174533;-0.0349066;2.356194;0.05;0.000349066
{3};0.239982772;1.754066371;12.5;0.0174533;-0.0349066;2.356194;0.05;0.000349066
"""
COLUMNS = (
    "columns={captured_at: time, altitude_m: height, roll_deg: roll, pitch_deg: pitch, heading_deg: yaw, "
    "pos_sigma_m: sigma, heading_sigma_deg: yaw_sigma}"
)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "  "])
def test_a_trajectory_as_text_in_radians_from_east(run: Callable[..., Any], tmp_path: Path, delimiter: str) -> None:
    """2.356194 rad = 135 degrees from east, counterclockwise: north-west, 315 from north; 0.000349066 rad = 0.02°."""
    text = CSV.format(*(INTO_S + n for n in range(4))).replace(";", delimiter)
    (tmp_path / "images.csv").write_text(f"image_uri,time\n0.jpg,{INTO_S + 0.5}\n")
    (tmp_path / "log.txt").write_text(text)
    given = [f"track={tmp_path / 'log.txt'}", "clock_offset_s=0", SIZE, COLUMNS, "time_format=gps_week_s"]
    given += ["log_date=2026-11-04", "log_angles=radians", "log_heading=east"]
    summary = ingest(ingest_config("track", tmp_path / "images.csv", tmp_path / "drive", given))
    (row,) = read_drive(summary.uri).frames.to_pylist()
    assert row["captured_at"] == START + timedelta(seconds=0.5)
    assert (row["lon"], row["lat"]) == pytest.approx((100.5000001, 13.75), abs=2e-4)
    assert row["heading_deg"] == pytest.approx(315, abs=1e-4)
    assert (row["altitude_m"], row["roll_deg"], row["pitch_deg"]) == pytest.approx((12.5, 1, -2), abs=1e-4)
    assert (row["pos_sigma_m"], row["heading_sigma_deg"]) == pytest.approx((0.05, 0.02), abs=1e-6)
    assert summary.notes == {"fixes off the earth": 1}


def test_headings_that_count_from_elsewhere_contradict_the_course(run: Callable[..., Any]) -> None:
    """Eastwards, and heading 0 as mathematics has it, taken for north."""
    rows = [f"{(START + timedelta(seconds=n)).isoformat()},{100.5 + n * 2e-4},13.75,0" for n in range(8)]
    text = "\n".join(["captured_at,lon,lat,heading_deg", *rows])
    summary, found = run("log.csv", text, [n + 0.5 for n in range(6)])
    assert any(
        "headings more than 30 degrees off the course, on average 90 to the left" in note for note in summary.notes
    )
    _, found = run("log.csv", text, [n + 0.5 for n in range(6)], "log_heading=east")
    assert [row["heading_deg"] for row in found] == [90] * 6


POS = """% program   : RTKLIB ver.2.4.2
% obs start : 2026/11/04 03:00:18.0 GPST
%
% (lat/lon/height=WGS84/ellipsoidal,Q=1:fix,2:float,3:sbas,4:dgps,5:single,6:ppp,ns=# of satellites)
%  {zone}                  latitude(deg) longitude(deg)  height(m)   Q  ns   sdn(m)   sde(m)   sdu(m)  age(s)
{first}   13.750000000  100.500000000    12.5000   1   9   0.0300   0.0400   0.0200   0.0000   0.00    3.0
{second}   13.750000000  100.500200000    12.5000   2   9   0.3000   0.4000   0.0200   0.0000   0.00    3.0
broken line
"""


@pytest.mark.parametrize(
    ("zone", "first", "second"),
    [
        ("GPST", "2026/11/04 03:00:18.000", "2026/11/04 03:00:19.000"),
        ("UTC ", "2026/11/04 03:00:00.000", "2026/11/04 03:00:01.000"),
        ("JST ", "2026/11/04 12:00:00.000", "2026/11/04 12:00:01.000"),
        # 2026-11-01 is 2443 weeks after 1980-01-06; 3 days and 3 hours are 270,000 s.
        ("GPST", "2443 270018.000", "2443 270019.000"),
    ],
)
def test_a_solution_of_rtklib(run: Callable[..., Any], zone: str, first: str, second: str) -> None:
    summary, (row,) = run("rover.pos", POS.format(zone=zone, first=first, second=second), [0.5])
    assert (row["lon"], row["lat"]) == pytest.approx((100.5001, 13.75), abs=1e-8)
    assert (row["altitude_m"], row["pos_sigma_m"]) == pytest.approx((12.5, 0.5))  # the worse: sqrt(0.3² + 0.4²)
    assert row["heading_deg"] == pytest.approx(90, abs=0.01)
    assert summary.notes == {"rows of the log that cannot be read": 1}


def test_a_solution_of_rtklib_in_other_coordinates_is_refused(run: Callable[..., Any]) -> None:
    text = POS.format(zone="GPST", first="", second="").replace("latitude(deg) longitude(deg)", "x-ecef(m) y-ecef(m)")
    with pytest.raises(SurveyError, match=r"x-ecef.*expected latitude\(deg\) and longitude\(deg\)"):
        run("rover.pos", text, [0.5])
