from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadscan.errors import SurveyError
from roadscan.survey.drive import read_drive
from roadscan.survey.geodesy import LocalFrame, wrap_deg
from roadscan.survey.importers import IngestSummary, gpslog, ingest, ingest_config
from roadscan.survey.importers.fixes import Fix, LogForm
from roadscan.survey.importers.gpslog import GpsLog, read_log
from roadscan.survey.importers.track import locate

SIZE = "cameras=[{width_px: 64, height_px: 48, hfov_deg: 70}]"

# East along the parallel of 13.75 degrees, 0.0002 degrees of longitude a second. One degree there is
# 111319.49 · cos(13.75°) / sqrt(1 - 0.00669438 · sin²(13.75°)) = 108149.5 m, so the speed is 21.63 m/s.
# After 19:00:03 the log is lost for 30 s.
GPX = """<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="hand" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>
<trkpt lat="13.75" lon="100.5000"><time>2024-01-30T19:00:00Z</time><hdop>1.0</hdop></trkpt>
<trkpt lat="13.75" lon="100.5002"><time>2024-01-30T19:00:01Z</time><hdop>2.0</hdop></trkpt>
<trkpt lat="13.75" lon="100.5004"><time>2024-01-30T19:00:02Z</time></trkpt>
<trkpt lat="13.75" lon="100.5006"><time>2024-01-30T19:00:03Z</time></trkpt>
<trkpt lat="13.75" lon="100.5006"><time>2024-01-30T19:00:03Z</time></trkpt>
<trkpt lat="13.75" lon="100.5007"></trkpt>
</trkseg><trkseg>
<trkpt lat="13.75" lon="100.5066"><time>2024-01-30T19:00:33Z</time></trkpt>
<trkpt lat="13.75" lon="100.5068"><time>2024-01-30T19:00:34Z</time></trkpt>
</trkseg></trk></gpx>
"""


def sentence(body: str, checksum: int | None = None) -> str:
    """An NMEA line; its checksum is the XOR of the characters between $ and *."""
    return f"${body}*{reduce(lambda a, b: a ^ ord(b), body, 0) if checksum is None else checksum:02X}"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., IngestSummary]:
    (tmp_path / "log.gpx").write_text(GPX)

    def ingest_times(times: list[str], *overrides: str, offset_s: float = 0) -> IngestSummary:
        lines = [f"{number}.jpg,{time}" for number, time in enumerate(times)]
        (tmp_path / "times.csv").write_text("\n".join(["image_uri,captured_at", *lines, ""]))
        given = [f"track={tmp_path / 'log.gpx'}", f"clock_offset_s={offset_s}", SIZE, *overrides]
        return ingest(ingest_config("track", tmp_path / "times.csv", tmp_path / "drive", given))

    return ingest_times


def rows(summary: IngestSummary) -> list[dict[str, Any]]:
    return read_drive(summary.uri).frames.to_pylist()


def test_a_frame_lies_between_two_fixes(run: Callable[..., IngestSummary]) -> None:
    summary = run(["2024-01-30T19:00:00.25Z"])
    (row,) = rows(summary)
    assert row["lon"] == pytest.approx(100.50005, abs=1e-8)  # a quarter of 0.0002 degrees
    assert row["lat"] == pytest.approx(13.75, abs=1e-8)
    assert row["heading_deg"] == pytest.approx(90, abs=0.01)
    assert row["speed_mps"] == pytest.approx(21.63, abs=0.01)
    assert row["hdop"] == 2.0  # the worse of 1 and 2
    assert summary.notes == {"fixes at a time that was there already": 1, "track points without a time": 1}


def test_the_clock_offset_is_camera_minus_gps(run: Callable[..., IngestSummary]) -> None:
    # The camera's clock is 2.5 s fast, so its 19:00:04 is 19:00:01.5 of the GPS, half way from 100.5002 to 100.5004.
    (row,) = rows(run(["2024-01-30T19:00:04Z"], offset_s=2.5))
    assert row["captured_at"] == datetime(2024, 1, 30, 19, 0, 1, 500_000, tzinfo=UTC)
    assert row["lon"] == pytest.approx(100.5003, abs=1e-8)


def test_gaps_and_ends_have_no_position(run: Callable[..., IngestSummary]) -> None:
    seconds = ["18:59:59", "19:00:00", "19:00:03", "19:00:10", "19:00:33", "19:00:34", "19:00:35"]
    summary = run([f"2024-01-30T{second}Z" for second in seconds])
    found = rows(summary)
    assert [row["lon"] is not None for row in found] == [False, True, True, False, True, True, False]
    assert found[0]["reason"] == "no_gps: 1.0 s before the track; check clock_offset_s and utc_offset_h"
    assert found[3]["reason"] == "no_gps: in a gap of 30.0 s of the track; max_gap_s is 5"
    assert found[6]["reason"].startswith("no_gps: 1.0 s after the track")
    assert found[4]["heading_deg"] == pytest.approx(90, abs=0.01)  # not the course of the jump over the gap
    assert summary.reasons == {"no_gps": 3}
    # A third of the way over the gap, 7 of 30 s from 100.5006 to 100.5066.
    bridged = rows(run(["2024-01-30T19:00:10Z"], "max_gap_s=31"))
    assert bridged[0]["lon"] == pytest.approx(100.5006 + 0.006 * 7 / 30, abs=1e-8)


def log_of(time_s: np.ndarray, x: np.ndarray, y: np.ndarray) -> GpsLog:
    """A log by metres about 100.5 E 13.75 N, from 2024 on."""
    lon, lat = LocalFrame(100.5, 13.75).to_lonlat(x, y)
    at = [datetime.fromtimestamp(1_706_641_200 + second, UTC) for second in time_s]
    log = gpslog.log_of(map(Fix, at, lon, lat), "log")
    assert log is not None
    return log


@pytest.mark.parametrize(("every_s", "noise_m"), [(0.1, 0.1), (1.0, 0.0)])
def test_on_a_bend_frames_lie_on_the_arc_and_head_along_it(every_s: float, noise_m: float) -> None:
    """A bend of 30 m at 10 m/s, which turns by 19 degrees a second; straight lines between fixes miss it by 0.42 m."""
    time_s, at, rng = np.arange(0, 12, every_s), np.arange(2.03, 9, 0.1), np.random.default_rng(5)

    def arc(seconds: np.ndarray) -> np.ndarray:
        return 30 * np.stack([1 - np.cos(seconds / 3), np.sin(seconds / 3)])

    log = log_of(time_s, *(arc(time_s) + rng.normal(0, noise_m, (2, len(time_s)))))
    located = locate(log, 1_706_641_200 + at, 5.0)
    off_m = np.hypot(*(np.stack(LocalFrame(100.5, 13.75).to_xy(located.lon, located.lat)) - arc(at)))
    assert np.median(off_m) < 0.02 + noise_m
    off_deg = wrap_deg(located.heading_deg - np.degrees(at / 3))
    assert np.abs(off_deg).max() < 0.5 + 20 * noise_m
    assert located.speed_mps == pytest.approx(10, abs=0.1 + 3 * noise_m)


def test_a_log_that_is_parted_says_nothing_of_the_way_between() -> None:
    """North until second 3, a fix alone, then east; each is known where it was said, and its course by its own part."""
    log = log_of(
        np.array([0.0, 1, 2, 3, 20, 40, 41, 42]),
        np.array([0.0, 0, 0, 0, 50, 60, 69, 78]),
        np.array([0.0, 9, 18, 27, 90, 99, 99, 99]),
    )
    located = locate(log, log.time_s[[0, 3, 4, 5, 7]], 5.0)
    assert located.heading_deg[[0, 1]] == pytest.approx(0, abs=0.01)
    assert np.isnan([located.heading_deg[2], located.speed_mps[2]]).all()
    assert located.heading_deg[[3, 4]] == pytest.approx(90, abs=0.01)
    assert np.isfinite(located.lon).all()
    assert np.isnan(locate(log, log.time_s[[3, 4]] + 1, 5.0).lon).all()


def test_times_that_cannot_be_read_stay_rows(run: Callable[..., IngestSummary]) -> None:
    summary = run(["2024-01-30T19:00:01Z", "noon", ""])
    assert summary.frames == 3
    assert summary.reasons == {"no_time": 2}


def test_times_from_exif_are_those_of_the_camera(photo: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "log.gpx").write_text(GPX)
    photo("1.jpg", time="2024:01:31 02:00:01")
    photo("2.jpg")
    (tmp_path / "photos/3.jpg").write_bytes(b"")
    given = [f"track={tmp_path / 'log.gpx'}", "clock_offset_s=0", "utc_offset_h=7"]
    found = rows(ingest(ingest_config("track", tmp_path / "photos", tmp_path / "drive", given)))
    assert found[0]["lon"] == pytest.approx(100.5002, abs=1e-8)
    assert found[1]["reason"].startswith("no_time: the image has no DateTimeOriginal; set start_time and rate_hz")
    assert found[2]["reason"] == "empty"


def test_times_from_file_names(photo: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "log.gpx").write_text(GPX)
    photo("front/0007_20240131_020001_500.jpg")
    photo("front/thumbnail.jpg")
    given = [
        f"track={tmp_path / 'log.gpx'}",
        "clock_offset_s=0",
        "utc_offset_h=7",
        "time_pattern='%Y%m%d_%H%M%S_%f'",
        "time_regex='^[0-9]+_(.*)'",
    ]
    found = rows(ingest(ingest_config("track", tmp_path / "photos", tmp_path / "drive", given)))
    assert found[0]["lon"] == pytest.approx(100.5003, abs=1e-8)
    assert found[1]["reason"].startswith("no_time: file name 'thumbnail' does not match time_regex")


# 13°45.0000' is 13.75°, 100°30.0300' is 100.5005°. Midnight lies between the second RMC and the next GGA.
NMEA = [
    sentence("GNGGA,235957.00,1345.0000,N,10030.0000,E,1,09,0.8,5.0,M,-27.0,M,,"),  # before any date is known
    sentence("GNGGA,235958.00,1345.0000,N,10030.0300,E,1,09,0.9,5.0,M,-27.0,M,,"),
    sentence("GNRMC,235958.00,A,1345.0000,N,10030.0300,E,40.0,90.0,311223,,,A"),
    sentence("GPGSV,1,1,01,01,40,083,46"),
    sentence("GNRMC,235959.00,A,1345.0000,N,10030.0600,E,40.0,90.0,311223,,,A"),
    "",
    sentence("GNGGA,000000.00,1345.0000,N,10030.0900,E,1,09,1.1,5.0,M,-27.0,M,,"),  # of the next day, before its RMC
    sentence("GNRMC,000000.00,A,1345.0000,N,10030.0900,E,40.0,90.0,010124,,,A"),
    sentence("GNRMC,000001.00,A,1399.0000,N,10030.1200,E,40.0,90.0,010124,,,A", checksum=0),
    "$GNRMC,000002.00,A,1345.0000,N,1003",  # cut short
    sentence("GNRMC,000003.00,V,,,,,,,010124,,,N"),
    sentence("GNGGA,000003.00,,,,,0,00,99.9,,M,,M,,"),
    "[00:04] " + sentence("GNRMC,000004.00,A,1345.0000,N,10030.2100,E,40.0,90.0,010124,,,A"),
]


def test_nmea_joins_rmc_and_gga_over_midnight(tmp_path: Path) -> None:
    (tmp_path / "log.nmea").write_text("\r\n".join(NMEA))
    log = read_log(str(tmp_path / "log.nmea"))
    midnight = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
    assert (log.time_s - midnight).tolist() == [-3, -2, -1, 0, 4]
    assert log.lon == pytest.approx([100.5, 100.5005, 100.501, 100.5015, 100.5035], abs=1e-9)
    assert log.lat == pytest.approx([13.75] * 5, abs=1e-9)
    assert log.hdop[[0, 1, 3]].tolist() == [0.8, 0.9, 1.1]
    assert np.isnan(log.hdop[[2, 4]]).all()
    assert log.notes == {"NMEA sentences with a wrong or no checksum": 2, "sentences without a fix": 2}


def test_nmea_tells_its_accuracy(tmp_path: Path) -> None:
    """By its kind of fix: autonomous, differential, RTK fixed, RTK float; and in GST, which comes first."""
    lines = []
    for second, quality in enumerate((1, 2, 4, 5, 4)):
        lines.append(sentence(f"GNRMC,00000{second}.00,A,1345.0000,N,10030.0{second}00,E,40.0,90.0,010124,,,A"))
        lines.append(sentence(f"GNGGA,00000{second}.00,1345.0000,N,10030.0{second}00,E,{quality},09,0.8,5.5,M,-27,M,,"))
    lines.append(sentence("GNGST,000004.00,1.0,,,,0.3,0.4,0.5"))
    lines.append(sentence("GNGST,000002.00,1.0,,,,,,"))  # it states nothing
    (tmp_path / "log.nmea").write_text("\n".join(lines))
    log = read_log(str(tmp_path / "log.nmea"))
    assert log.pos_sigma_m.tolist() == pytest.approx([np.nan, 0.8, 0.03, 0.5, 0.5], nan_ok=True)  # 0.3² + 0.4² = 0.5²
    assert log.altitude_m.tolist() == [5.5] * 5
    located = locate(log, log.time_s[0] + np.array([0.5, 1.5, 2.5]), 5.0)
    assert located.pos_sigma_m.tolist() == pytest.approx([0.8, 0.8, 0.5])  # the worse of the two fixes


def test_the_southern_and_western_hemispheres(tmp_path: Path) -> None:
    lines = [sentence(f"GPRMC,00000{n}.00,A,3330.0000,S,07045.0000,W,0.0,,010124,,,A") for n in range(2)]
    (tmp_path / "log.nmea").write_text("\n".join(lines))
    log = read_log(str(tmp_path / "log.nmea"))
    assert log.lat.tolist() == [-33.5, -33.5]
    assert log.lon.tolist() == [-70.75, -70.75]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 usable fixes"),
        ("lat,lon\n1,2\n", "0 usable fixes"),
        (NMEA[2], "1 usable fixes"),
        (NMEA[0] + "\n" + NMEA[1], "0 usable fixes"),  # GGA alone has no date
        (NMEA[8], "1 NMEA sentences with a wrong or no checksum"),
        ("<gpx><trk>", "not valid GPX"),
        ("<gpx version='1.1' creator='x'></gpx>", "0 usable fixes"),
    ],
)
def test_a_log_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "log").write_text(text)
    with pytest.raises(SurveyError, match=message):
        read_log(str(tmp_path / "log"))
    with pytest.raises(SurveyError, match="does not exist"):
        read_log(str(tmp_path / "nothing"))


def test_a_tables_own_positions_are_not_looked_at(run: Callable[..., IngestSummary], tmp_path: Path) -> None:
    run(["2024-01-30T19:00:00Z"])
    (tmp_path / "times.csv").write_text("image_uri,captured_at,lon,lat\n0.jpg,2024-01-30T19:00:00Z,E100.5,N13\n")
    given = [f"track={tmp_path / 'log.gpx'}", "clock_offset_s=0", SIZE]
    (row,) = rows(ingest(ingest_config("track", tmp_path / "times.csv", tmp_path / "drive", given)))
    assert (row["reason"], row["lon"]) == (None, pytest.approx(100.5))


def nmea(**changed: str) -> str:
    """Twenty RMC sentences, a second apart; those of seconds 4 and 7 with other latitudes, letters or modes."""
    plain = {"lat": "1345.0000", "ns": "N", "lon": "", "ew": "E", "mode": "A", "day": "011126"}
    lines = []
    for n in range(20):
        one = plain | (changed if n in (4, 7) else {})
        lon = one["lon"] or f"10030.{n * 120:04d}"
        lines.append(
            sentence(
                f"GPRMC,0300{n:02d}.00,A,{one['lat']},{one['ns']},{lon},{one['ew']},40.0,90.0,{one['day']},,,{one['mode']}"
            )
        )
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        ({"lat": "13X5.0000"}, "NMEA sentences that cannot be read"),
        ({"lat": "."}, "NMEA sentences that cannot be read"),
        ({"lat": "12:45.0"}, "NMEA sentences that cannot be read"),
        ({"lat": "1375.0000"}, "NMEA sentences that cannot be read"),
        ({"lat": "345.0000"}, "NMEA sentences that cannot be read"),
        ({"lat": "9945.0000"}, "sentences without a fix"),
        ({"ns": ""}, "NMEA sentences that cannot be read"),
        ({"ns": "E"}, "NMEA sentences that cannot be read"),
        ({"ew": ""}, "NMEA sentences that cannot be read"),
        ({"lon": "1003.0048"}, "NMEA sentences that cannot be read"),
        ({"mode": "N"}, "sentences without a fix"),
    ],
)
def test_a_sentence_whose_position_is_no_position_is_skipped_and_counted(
    tmp_path: Path, changed: dict[str, str], note: str
) -> None:
    (tmp_path / "log.nmea").write_text(nmea(**changed))
    log = read_log(str(tmp_path / "log.nmea"))
    assert len(log.time_s) == 18
    assert log.lat.tolist() == [13.75] * 18
    assert log.notes == {note: 2}


def test_a_lower_case_hemisphere_is_read(tmp_path: Path) -> None:
    (tmp_path / "log.nmea").write_text(nmea(ns="n", ew="e"))
    log = read_log(str(tmp_path / "log.nmea"))
    assert (log.lat.tolist(), log.notes) == ([13.75] * 20, {})


def test_gpx_in_another_encoding_or_under_a_prefix_is_read(tmp_path: Path) -> None:
    prefixed = GPX.replace("<", "<g:").replace("<g:/", "</g:").replace("<g:?", "<?")
    prefixed = prefixed.replace(
        'xmlns="http://www.topografix.com/GPX/1/1"', 'xmlns:g="http://www.topografix.com/GPX/1/1"'
    )
    plain = read_log(_written(tmp_path / "plain.gpx", GPX.encode()))
    for name, data in {"prefix": prefixed.encode(), "utf16": GPX.replace("UTF-8", "UTF-16").encode("utf-16")}.items():
        log = read_log(_written(tmp_path / name, data))
        assert (log.time_s.tolist(), log.lon.tolist()) == (plain.time_s.tolist(), plain.lon.tolist())
        assert log.hdop[0] == 1.0


def test_what_lies_before_the_first_sentence_is_no_harm(tmp_path: Path) -> None:
    log = read_log(_written(tmp_path / "log.nmea", b"\xff\xfe\x00\x01" + nmea().encode()))
    assert len(log.time_s) == 20


def _written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ('<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document/></kml>', "it is KML; export GPX"),
        (
            '<gpx version="1.1" creator="x"><wpt lat="1" lon="2"/><wpt lat="1" lon="2"/></gpx>',
            "it has 2 waypoints, which",
        ),
        ('<gpx version="1.1" creator="x"><rte><rtept lat="1" lon="2"/></rte></gpx>', "it has 1 route points, which"),
    ],
)
def test_a_file_that_is_no_track_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SurveyError, match=message):
        read_log(_written(tmp_path / "log", text.encode()))


@pytest.mark.parametrize(
    ("year", "why"),
    [
        ("2569", "the log is of 2569-01-30, the image of 2026-01-30: years of the Buddhist era"),
        ("1969", "the log is of 1969-01-30, the image of 2026-01-30: years of the Buddhist era"),
        ("2024", "the log is of 2024-01-30, the image of 2026-01-30"),
    ],
)
def test_a_log_of_another_day_is_told_by_its_days(
    run: Callable[..., IngestSummary], tmp_path: Path, year: str, why: str
) -> None:
    (tmp_path / "log.gpx").write_text(GPX.replace("2024-", f"{year}-"))
    given = run(["2026-01-30T19:00:01Z"])
    assert given.examples == {"no_gps": f"0: no_gps: {why}"}
    late = run([f"{year}-01-30T19:00:01Z"])
    assert late.usable == (year == "2024")  # also where log and image agree on a year that cannot be


def test_images_that_share_a_second_are_spread_along_the_log(run: Callable[..., IngestSummary]) -> None:
    summary = run([f"2024-01-30T19:00:0{n // 2}Z" for n in range(6)])
    assert [row["lon"] for row in rows(summary)] == pytest.approx([100.5 + n * 0.0001 for n in range(6)], abs=1e-8)
    assert summary.notes["images that shared a second, spread within it in the order of their names"] == 3


def test_a_log_may_be_a_table(tmp_path: Path) -> None:
    text = "when,lat,lon,pos_sigma_m\n1793502000,13.75,100.5,0.4\n1793502001,13.75,north,\n1793502002,13.75,100.5004,\n"
    path = _written(tmp_path / "log.csv", text.encode())
    log = read_log(path, LogForm({"captured_at": "when"}, "epoch_s"))
    assert log.time_s.tolist() == [1793502000, 1793502002]
    assert (log.lon.tolist(), log.lat.tolist()) == ([100.5, 100.5004], [13.75, 13.75])
    assert log.pos_sigma_m[0] == 0.4
    assert np.isnan([log.pos_sigma_m[1], *log.hdop, *log.altitude_m]).all()
    assert log.notes == {"rows of the log that cannot be read": 1}
    local = b"captured_at,lon,lat\n2026-11-01 10:00:00,100.5,13.75\n2026-11-01 10:00:01,100.5002,13.75\n"
    log = read_log(_written(tmp_path / "log.csv", local), LogForm(utc_offset_h=7))
    assert log.time_s.tolist() == [1793502000, 1793502001]  # 03:00 UTC
    with pytest.raises(SurveyError, match=r"0 usable fixes \(2 rows of the log that cannot be read\)"):
        read_log(str(tmp_path / "log.csv"))
