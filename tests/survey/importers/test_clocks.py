from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from roadscan.survey.importers import IngestSummary

Photo = Callable[..., Path]
STEP_DEG = 0.0002  # of longitude; 21.6 m at 13.75 degrees


def clock(hours: int, minutes: int, seconds: float) -> tuple[tuple[int, int], ...]:
    return (hours, 1), (minutes, 1), (round(seconds * 1000), 1000)


def seconds_after(rows: list[dict[str, Any]], start: datetime) -> list[float]:
    return [(row["captured_at"] - start).total_seconds() for row in rows]


@pytest.mark.parametrize("year", [1970, 1980, 2569])
def test_a_year_that_cannot_be_is_no_time_or_the_cameras(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]], year: int
) -> None:
    gps = {"GPSDateStamp": f"{year}:11:01".encode(), "GPSTimeStamp": clock(3, 0, 0)}
    photo("alone.jpg", 100.5, 13.75, **gps)
    photo("zoned.jpg", 100.5, 13.75, **gps, time="2026:11:01 10:00:00", offset="+07:00")
    photo("zoned_wrong.jpg", 100.5, 13.75, **gps, time=f"{year}:11:01 10:00:00", offset="+07:00")
    summary, (alone, zoned, wrong) = run()
    assert alone["reason"].startswith(f"no_time: {year}-11-01; expected 1990 to 2100")
    assert ("minus 543 it is 2026" in alone["reason"]) == (year == 2569)
    assert (alone["captured_at"], wrong["captured_at"]) == (None, None)
    assert (zoned["captured_at"], zoned["reason"]) == (datetime(2026, 11, 1, 3, tzinfo=UTC), None)
    assert summary.notes["GPS times outside 1990 to 2100, the camera's taken"] == 1


def test_a_roll_over_of_the_gps_week_is_mended_where_the_camera_knows_the_day(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]
) -> None:
    # 1 November 2026 less 1024 weeks is 18 March 2007.
    gps = {"GPSDateStamp": b"2007:03:18", "GPSTimeStamp": clock(3, 0, 0.5)}
    photo("a.jpg", 100.5, 13.75, **gps, time="2026:11:01 10:00:20")  # a camera without a zone knows the day
    photo("b.jpg", 100.5, 13.75, **gps)
    summary, (mended, alone) = run()
    assert mended["captured_at"] == datetime(2026, 11, 1, 3, 0, 0, 500_000, tzinfo=UTC)
    assert alone["captured_at"].year == 2007  # nothing tells
    assert summary.notes["GPS times advanced by a week roll-over, 7168 days, as the camera's day says"] == 1


def test_days_between_gps_and_camera_are_told(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]
) -> None:
    photo(
        *("a.jpg", 100.5, 13.75),
        GPSDateStamp=b"2026:11:01",
        GPSTimeStamp=clock(3, 0, 0),
        time="2000:01:01 00:00:09",
        offset="+07:00",
    )
    summary, (row,) = run()
    assert row["captured_at"] == datetime(2026, 11, 1, 3, tzinfo=UTC)
    assert summary.notes == {"GPS and camera times more than a day apart, GPS time taken": 1}


def burst(photo: Photo, late_s: float = 0.0, **more: Any) -> None:
    """Twenty photographs, five a second, whose GPS time has whole seconds; the camera's clock is late by so much."""
    start = datetime(2026, 11, 1, 3, tzinfo=UTC)
    for number in range(20):
        at = start + timedelta(seconds=number / 5)
        shown = at.astimezone(UTC) + timedelta(hours=7, seconds=late_s)
        tags = {"time": f"{shown:%Y:%m:%d %H:%M:%S}", "SubSecTimeOriginal": f"{shown.microsecond // 1000:03d}".encode()}
        gps = {"GPSDateStamp": b"2026:11:01", "GPSTimeStamp": clock(3, 0, at.second)}
        photo(f"img{number}.jpg", 100.5 + number * STEP_DEG / 5, 13.75, **gps, **tags, **more)


@pytest.mark.parametrize("late_s", [0.0, 0.4, 30.0])
@pytest.mark.parametrize("offset", ["+07:00", None])
def test_images_of_one_whole_second_have_their_own_times(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]], late_s: float, offset: str | None
) -> None:
    burst(photo, late_s, offset=offset)
    summary, rows = run()
    rows.sort(key=lambda row: int(row["frame_id"].removeprefix("img")))
    assert seconds_after(rows, datetime(2026, 11, 1, 3, tzinfo=UTC)) == pytest.approx([n / 5 for n in range(20)])
    assert [row["speed_mps"] for row in rows] == pytest.approx([21.6] * 20, abs=0.1)
    # The clock that is right, with its zone, tells; else the second's images are spread, and that is said.
    spread = {"images that shared a second, spread within it in the order of their names": 16}
    assert summary.notes == ({} if offset and late_s == 0 else spread)


def test_a_stuck_gps_time_gives_way_to_the_cameras(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]
) -> None:
    for number in range(10):
        photo(
            *(f"{number}.jpg", 100.5 + number * STEP_DEG, 13.75),
            GPSDateStamp=b"2026:11:01",
            GPSTimeStamp=clock(3, 0, min(number, 2)),
            time=f"2026:11:01 10:00:{number:02d}",
            offset="+07:00",
        )
    summary, rows = run()
    assert seconds_after(rows, datetime(2026, 11, 1, 3, tzinfo=UTC)) == list(range(10))
    assert all(row["heading_deg"] == pytest.approx(90, abs=0.1) for row in rows)
    assert summary.notes == {"GPS times stuck, the camera's taken": 8}


def test_frames_that_share_a_time_which_nothing_mends_are_told(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]
) -> None:
    for number in range(10):
        gps = {"GPSDateStamp": b"2026:11:01", "GPSTimeStamp": clock(3, 0, 0)}
        photo(f"{number}.jpg", 100.5 + number * STEP_DEG, 13.75, **gps)
    summary, rows = run()
    assert {row["captured_at"] for row in rows} == {datetime(2026, 11, 1, 3, tzinfo=UTC)}
    assert summary.notes == {"frames at the time of another of their camera, but elsewhere": 10}


def test_the_first_and_the_last_second_of_a_drive_may_be_cut(
    photo: Photo, run: Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]
) -> None:
    taken = [0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.25]
    for number, at in enumerate(taken):
        photo(f"{number:02d}.jpg", 100.5, 13.75, time=f"2026:11:01 03:00:{int(at):02d}", offset="+00:00")
    _, rows = run()
    assert seconds_after(rows, datetime(2026, 11, 1, 3, tzinfo=UTC)) == taken
