from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.observation_tables import START, WRITERS, csv, other, parquet, read, rejected, row, tables

from roadscan.errors import SurveyError
from roadscan.observations import (
    read_observations,
)
from roadscan.observations.check import check_rows
from roadscan.observations.schema import REQUIRED


def test_types_that_programs_write_are_taken(tmp_path: Path) -> None:
    columns = {
        "drive_id": pa.array(["a", "a"]).dictionary_encode(),
        "frame_id": pa.array([7, 8], pa.int32()),
        "captured_at": pa.array([START, START]).cast(pa.timestamp("ns", tz="Asia/Bangkok")),
        "camera_lon": pa.array([100, 100], pa.int64()),
        "camera_lat": pa.array([13.5, 13.5], pa.float32()),
        "class": pa.array(["Pole", "Pole"], pa.large_string()),
        "score": pa.array([0.5, 0.5], pa.float16()),
        "bearing_deg": pa.array([1, 2], pa.uint16()),
        "box_px": pa.array([[1, 2, 3, 4], None], pa.list_(pa.int64())),
        "range_m": pa.nulls(2),
    }
    pq.write_table(pa.table(columns), tmp_path / "o.parquet")
    frames, observations = tables(str(tmp_path / "o.parquet"))
    assert [f["frame_id"] for f in frames] == ["7", "8"]
    assert [f["captured_at"] for f in frames] == [START, START]
    assert [o["box_px"] for o in observations] == [[1, 2, 3, 4], None]


@pytest.mark.parametrize(
    ("cell", "expected", "naive"),
    [
        ("2026-03-02T03:00:00.5+07:00", START + timedelta(seconds=0.5), 0),
        ("2026-03-01T20:00:00Z", START, 0),
        ("2026-03-01 20:00:00.250", START + timedelta(seconds=0.25), 1),
        ("20260301T200000", START, 1),
        ("2026-02-30T20:00:00Z", None, 0),
        ("yesterday", None, 0),
        ("1772395200", None, 0),
        ("0001-01-01T00:00:00Z", None, 0),
    ],
)
@pytest.mark.parametrize("beside", [(), ("2026-03-01T20:00:09Z",), ("2026-03-01T20:00:09", "no time")])
def test_times_in_text(cell: str, expected: datetime | None, naive: int, beside: tuple[str, ...]) -> None:
    rows = [row(captured_at=text, score="1") for text in (cell, *beside)]
    batch = pa.RecordBatch.from_pylist(rows)
    checked, found_naive = check_rows(batch)
    assert checked["captured_at"][0].as_py() == expected
    assert checked["reason"][0].as_py() == (None if expected else "bad_time")
    assert found_naive == naive + sum("Z" not in text and text != "no time" for text in beside)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"drive_id": None}, "no_drive_id"),
        ({"frame_id": ""}, "no_frame_id"),
        ({"class": " "}, "no_class"),
        ({"captured_at": None}, "no_time"),
        ({"captured_at": datetime(1970, 1, 1, tzinfo=UTC)}, "bad_time"),
        ({"camera_lon": None}, "no_gps"),
        ({"camera_lat": float("nan")}, "no_gps"),
        ({"camera_lon": 181.0}, "bad_gps"),
        ({"camera_lat": -90.5}, "bad_gps"),
        ({"camera_lon": 0.0, "camera_lat": 0.0}, "bad_gps"),
        ({"score": None}, "no_score"),
        ({"score": float("nan")}, "no_score"),
        ({"score": 1.5}, "bad_score"),
        ({"score": -0.1}, "bad_score"),
        ({"bearing_deg": None}, "no_bearing_deg"),
        ({"bearing_deg": float("inf")}, "bad_bearing_deg"),
        ({"bearing_deg": 361.0}, "bad_bearing_deg"),
        ({"range_m": -1.0}, "bad_range_m"),
        ({"range_m": 20.0, "range_sigma_m": 0.0}, "bad_range_sigma_m"),
        ({"heading_deg": 1e9}, "bad_heading_deg"),
        ({"far_range_m": 1e9}, "bad_far_range_m"),
    ],
)
@WRITERS
def test_a_bad_row_is_counted_kept_and_not_used(
    tmp_path: Path, write: Callable[..., str], suffix: str, changed: dict[str, object], reason: str
) -> None:
    good = dict.fromkeys(changed, None) | other(1)
    with read_observations(write(tmp_path / f"o.{suffix}", good, other(2, **changed))) as found:
        assert found.summary.rejected == {reason: 1}
        assert (found.summary.rows, found.summary.used) == (2, 1)
        (bad,) = rejected(found)
        assert (bad["row"], bad["reason"], bad["source"]) == (2, reason, found.sources[0])
        assert bad["camera_lon"] == (None if changed.get("camera_lon", 1) is None else bad["camera_lon"])
        if {"drive_id", "frame_id"} & changed.keys():
            assert found.summary.frames == 1
        else:
            frame = found.drive("a").frames.to_pylist()[-1 if reason != "bad_time" else 1]
            assert (frame["frame_id"], frame["status"], frame["reason"]) == ("f2", "quarantined", reason)
            assert found.summary.frames_quarantined == 1


@pytest.mark.parametrize("name", ["camera_lon", "score", "bearing_deg", "range_m"])
@pytest.mark.parametrize("cell", ["12,5", "north", "1e", "0x10", "--1", "inf"])
def test_a_cell_of_csv_that_is_no_number_is_a_bad_row(tmp_path: Path, name: str, cell: str) -> None:
    rows = [dict.fromkeys(["range_m"], 20) | other(1), other(2, **{name: f'"{cell}"'}), other(3, score="+.5")]
    summary = read(csv(tmp_path / "o.csv", *rows))
    assert summary.rejected == {"bad_gps" if name == "camera_lon" else f"bad_{name}": 1}


@pytest.mark.parametrize("box", [[1.0, 2, 3], [1.0, 2, 3, 4, 5], [3.0, 2, 1, 4], [1.0, 2, 3, float("inf")], []])
@WRITERS
def test_a_box_that_is_none_is_a_bad_row(
    tmp_path: Path, write: Callable[..., str], suffix: str, box: list[float]
) -> None:
    if suffix == "csv" and not box:
        box = [7.0]  # an empty cell is no box, which is allowed
    cell = box if suffix == "parquet" else " ".join(map(str, box))
    good = [1.0, 2.0, 3.0, 4.0] if suffix == "parquet" else "1 2 3 4"
    rows = [other(1, box_px=good), other(2, box_px=cell), other(3, box_px=None)]
    summary = read(write(tmp_path / f"o.{suffix}", *rows))
    assert (summary.rejected, summary.used) == ({"bad_box_px": 1}, 2)


@pytest.mark.parametrize("name", REQUIRED)
@WRITERS
def test_a_missing_column_is_named(tmp_path: Path, write: Callable[..., str], suffix: str, name: str) -> None:
    short = {key: value for key, value in row().items() if key != name}
    with pytest.raises(SurveyError, match=rf"o\.{suffix}: no columns \['{name}'\]"):
        read(write(tmp_path / f"o.{suffix}", short))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("drive_id", 1.5, "drive_id is of type double; expected text"),
        ("class", 3, "class is of type int64; expected text"),
        ("captured_at", 1772395200, "captured_at is of type int64; expected timestamps"),
        ("camera_lon", "100.5", "camera_lon is of type string; expected numbers"),
        ("score", True, "score is of type bool; expected numbers"),
        ("range_m", "far", "range_m is of type string; expected numbers"),
        ("box_px", 5, "box_px is of type int64; expected lists of four"),
        ("box_px", {"x": 1}, "expected lists of four"),
        ("score", None, "score is of type null; expected numbers"),
    ],
)
def test_a_column_of_another_type_is_named(tmp_path: Path, name: str, value: object, words: str) -> None:
    with pytest.raises(SurveyError, match=words):
        read(parquet(tmp_path / "o.parquet", row(**{name: value})))


def test_a_column_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text(",".join([*REQUIRED, "score"]) + "\n")
    with pytest.raises(SurveyError, match=r"columns \['score'\] are there more than once"):
        read(str(path))
