from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roadscan.cli import run
from roadscan.survey.importers import IngestSummary, ingest, ingest_config

SIZE = "cameras=[{width_px: 64, height_px: 48, hfov_deg: 70}]"
START = datetime(2026, 11, 1, 3, tzinfo=UTC)


@pytest.fixture
def drive(tmp_path: Path) -> Callable[..., IngestSummary]:
    """Ten frames a second apart, 0.0002 degrees east of each other (21.6 m), and one without a position."""

    def ingest_frames(lon: float, lat: float, heading: str = "", *overrides: str) -> IngestSummary:
        lines = []
        for n in range(10):
            at, east = START + timedelta(seconds=n), (lon + n * 0.0002 + 180) % 360 - 180
            lines.append(f"{n}.jpg,{at.isoformat()},{east:.6f},{lat},{heading}")
        table = ["image_uri,captured_at,lon,lat,heading_deg", *lines, f"10.jpg,{START.isoformat()},,,", ""]
        (tmp_path / "frames.csv").write_text("\n".join(table))
        return ingest(ingest_config("table", tmp_path / "frames.csv", tmp_path / "drive", [SIZE, *overrides]))

    return ingest_frames


def test_a_summary_tells_where_and_when_a_drive_was(drive: Callable[..., IngestSummary]) -> None:
    found = drive(100.5, 13.75).extent
    assert found.place == "13.75000 N to 13.75000 N, 100.50000 E to 100.50180 E"
    assert found.seen_at.endswith("mlat=13.75000&mlon=100.50090#map=12/13.75000/100.50090")
    assert (found.started_at, found.ended_at) == (START, START + timedelta(seconds=9))
    assert found.length_km == pytest.approx(0.195, abs=0.001)  # 9 · 21.63 m
    # 10 of 11 are 0.909; a heading comes of the course.
    assert found.shares == {"position": 0.909, "time": 1.0, "heading": 0.909, "usable": 0.909}


def test_a_drive_over_the_antimeridian_is_no_way_around_the_earth(drive: Callable[..., IngestSummary]) -> None:
    found = drive(179.9991, -16.8).extent
    assert found.place == "16.80000 S to 16.80000 S, 179.99910 E to 179.99910 W"
    assert "mlon=-180.00000" in found.seen_at or "mlon=180.00000" in found.seen_at


def test_a_drive_of_which_nothing_is_usable_has_no_extent(drive: Callable[..., IngestSummary]) -> None:
    found = drive(13.75, 100.5).extent  # swapped
    assert (found.place, found.started_at, found.length_km) == ("", None, 0.0)
    assert found.shares == {"position": 0.0, "time": 1.0, "heading": 0.0, "usable": 0.0}


def test_the_command_prints_it(
    drive: Callable[..., IngestSummary], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive(100.5, 13.75)
    assert run(["ingest", "table", str(tmp_path / "frames.csv"), "--out", str(tmp_path / "drive"), "--set", SIZE]) == 0
    shown = capsys.readouterr().out
    assert "13.75000 N to 13.75000 N, 100.50000 E to 100.50180 E" in shown
    assert "usable: 0.909" in shown


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        ("", None),
        ("90", None),
        ("115", None),
        ("180", "on average 90 to the right"),
        ("45", "on average 45 to the left"),
        ("270", "on average 180 to the"),
    ],
)
def test_headings_that_contradict_the_course_are_told(
    drive: Callable[..., IngestSummary], heading: str, told: str | None
) -> None:
    notes = drive(100.5, 13.75, heading).notes
    contradictions = {note: count for note, count in notes.items() if "off the course" in note}
    assert list(contradictions.values()) == ([10] if told else [])
    assert all(told is not None and told in note for note in contradictions)
    assert "off the course" not in "".join(drive(100.5, 13.75, heading, "heading=course").notes)
