"""Another detector's tables as real files, on a disk and in a real S3 store, through to a register."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from support.world import World, commit, drive

from roadscan.cli import run
from roadscan.errors import StorageError, SurveyError, WarehouseError
from roadscan.inventory import InventoryConfig, query, update_inventory
from roadscan.inventory.foreign import (
    COLUMNS,
    REQUIRED,
    Foreign,
    ForeignSummary,
    check_rows,
    commit_observations,
    read_observations,
    rejected_key,
)
from roadscan.schemas import FRAMES, OBSERVATIONS
from roadscan.storage import open_store
from roadscan.taxonomy import HIGHWAY
from roadscan.warehouse import Warehouse

RANGES = ("range_m", "range_sigma_m", "near_bearing_deg", "near_range_m", "far_bearing_deg", "far_range_m")
START = datetime(2026, 3, 1, 20, tzinfo=UTC)


def row(**changed: object) -> dict[str, object]:
    """One good row; frame 0 of drive a."""
    good = {
        "drive_id": "a",
        "frame_id": "f0",
        "captured_at": START,
        "camera_lon": 100.5,
        "camera_lat": 13.75,
        "class": "Warning Sign",
        "score": 0.9,
        "bearing_deg": 10.0,
    }
    return good | changed


def other(n: int, **changed: object) -> dict[str, object]:
    """One good row of another frame: `n` seconds and about 11 n metres on."""
    moved = {"frame_id": f"f{n}", "captured_at": START + timedelta(seconds=n), "camera_lat": 13.75 + n * 1e-4}
    return row(**(moved | changed))


def parquet(path: Path, *rows: dict[str, object]) -> str:
    names = dict.fromkeys(name for one in rows for name in one)
    pq.write_table(pa.table({name: [one.get(name) for one in rows] for name in names}), path)
    return str(path)


def csv(path: Path, *rows: dict[str, object]) -> str:
    """As a user's own program would write it: cells by `str`."""
    names = list(dict.fromkeys(name for one in rows for name in one))
    lines = [",".join("" if one.get(name) is None else str(one[name]) for name in names) for one in rows]
    path.write_text("\n".join([",".join(names), *lines]) + "\n", encoding="utf-8")
    return str(path)


WRITERS = pytest.mark.parametrize(("write", "suffix"), [(parquet, "parquet"), (csv, "csv")])


def read(uri: str, frames: str | None = None) -> ForeignSummary:
    with read_observations(uri, frames) as found:
        return found.summary


def tables(uri: str, drive_id: str = "a", frames: str | None = None) -> tuple[list[dict], list[dict]]:
    with read_observations(uri, frames) as found:
        made = found.drive(drive_id)
        return made.frames.to_pylist(), made.observations.to_pylist()


def rejected(found: Foreign) -> list[dict]:
    assert found.rejected is not None
    return pq.read_table(io.BytesIO(found.rejected)).to_pylist()


def committed(uri: str, out: str, *, replace: bool = False, frames: str | None = None) -> Warehouse:
    warehouse = Warehouse(out)
    with read_observations(uri, frames) as found:
        commit_observations(warehouse, found, replace=replace)
    return warehouse


# ------------------------------------------------------------------------------------------ reading


@WRITERS
def test_one_row_is_a_frame_and_an_observation(tmp_path: Path, write: Callable[..., str], suffix: str) -> None:
    frames, observations = tables(write(tmp_path / f"o.{suffix}", row()))
    pose = {"drive_id": "a", "frame_id": "f0", "captured_at": START, "camera_lon": 100.5, "camera_lat": 13.75}
    unknown = {"image_uri": None, "heading_deg": None}
    (frame,), (seen,) = frames, observations
    key = frame.pop("run_key")
    assert frame == pose | unknown | {
        "camera_id": "unknown",
        "fov_deg": None,
        "status": "ok",
        "reason": None,
        "width_px": None,
        "height_px": None,
        "n_detections": 1,
    }
    given = {"class": "Warning Sign", "score": pytest.approx(0.9), "bearing_deg": 10.0, "model_sha256": "unknown"}
    assert {name: value for name, value in seen.items() if value is not None} == {
        **pose, **given, "observation_id": "a/f0/000", "run_key": key, "code_version": seen["code_version"],
    }  # fmt: skip


@WRITERS
def test_every_optional_column_arrives(tmp_path: Path, write: Callable[..., str], suffix: str) -> None:
    optional = {
        "observation_id": "x1", "image_uri": "s3://b/1.jpg", "heading_deg": -5.0, "fov_deg": 64.0, "range_m": 20.0,
        "range_sigma_m": 2.0, "near_bearing_deg": 1.0, "near_range_m": 5.0, "far_bearing_deg": 2.0,
        "far_range_m": 40.0, "model_sha256": "m",
    }  # fmt: skip
    box = [1.0, 2.0, 30.5, 40.0] if suffix == "parquet" else '"[1, 2, 30.5, 40]"'
    (frame,), (seen,) = tables(write(tmp_path / f"o.{suffix}", row(**optional, box_px=box)))
    expected = optional | {"heading_deg": 355.0}  # -5 is the same direction
    assert {name: seen[name] for name in expected if name in seen} == {
        name: value for name, value in expected.items() if name in OBSERVATIONS.names
    }
    assert seen["box_px"] == [1.0, 2.0, 30.5, 40.0]
    assert {name: frame[name] for name in expected if name in FRAMES.names} == {
        "image_uri": "s3://b/1.jpg", "heading_deg": 355.0, "fov_deg": 64.0,
    }  # fmt: skip


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


def test_times_without_a_zone_are_utc_with_a_note(tmp_path: Path) -> None:
    path = parquet(tmp_path / "o.parquet", row(captured_at=START.replace(tzinfo=None)))
    assert tables(path)[0][0]["captured_at"] == START
    assert "1 times have no zone and were taken as UTC" in read(path).notes
    aware = START.astimezone(timezone(timedelta(hours=7)))
    assert not any("zone" in note for note in read(csv(tmp_path / "o.csv", row(captured_at=aware.isoformat()))).notes)


def test_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    text = csv(tmp_path / "o.csv", row(**{"class": '"Sign, ""big"""'}), other(1))
    data = Path(text).read_bytes().replace(b"\n", b"\r\n")
    Path(text).write_bytes(b"\xef\xbb\xbf" + data)
    assert read(text).classes == {'Sign, "big"': 1, "Warning Sign": 1}


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "t" / "deep").mkdir(parents=True)
    parquet(tmp_path / "t" / "1.parquet", row(), other(1))
    csv(tmp_path / "t" / "deep" / "2.csv", row(drive_id="b"))
    pacsv.write_csv(pa.Table.from_pylist([other(2)]), pa.output_stream(tmp_path / "t" / "3.csv.gz", compression="gzip"))
    (tmp_path / "t" / "README.txt").write_text("not a table")
    summary = read(str(tmp_path / "t"))
    assert (summary.drives, summary.frames, summary.rows, summary.used) == (2, 4, 4, 4)


def test_the_order_of_rows_and_the_format_do_not_matter(tmp_path: Path) -> None:
    rows = [row(bearing_deg=b, **{"class": c}) for b in (3.0, 1.0, 2.0) for c in ("Pole", "Sign")] + [other(1)]
    keys = set()
    for n, order in enumerate((rows, rows[::-1])):
        for path in (parquet(tmp_path / f"{n}.parquet", *order), csv(tmp_path / f"{n}.csv", *order)):
            with read_observations(path) as found:
                keys.add(found.keys["a"])
    assert len(keys) == 1
    with read_observations(csv(tmp_path / "x.csv", *rows[:-1], other(1, score=0.91))) as found:
        assert found.keys["a"] not in keys


def test_small_batches_make_no_difference(tmp_path: Path) -> None:
    path = parquet(tmp_path / "o.parquet", *[other(n % 5, drive_id="ab"[n % 2], bearing_deg=n) for n in range(40)])
    with read_observations(path) as whole, read_observations(path, batch_rows=3) as parts:
        assert parts.summary == whole.summary
        assert parts.keys == whole.keys


def test_unknown_classes_and_columns_are_kept_and_named(tmp_path: Path) -> None:
    path = csv(tmp_path / "o.csv", row(**{"class": "ป้าย"}, range=5))
    summary = read(path)
    assert summary.classes == {"ป้าย": 1}
    assert "classes that are not known are kept, as points: ป้าย" in summary.notes
    assert any(note.endswith("columns that are not used: range") for note in summary.notes)


def test_a_range_without_a_sigma_is_given_one(tmp_path: Path) -> None:
    rows = [row(range_m=20.0, range_sigma_m=1.0), other(1, range_m=20.0), other(2, range_sigma_m=4.0)]
    _, observations = tables(parquet(tmp_path / "o.parquet", *rows))
    assert [o["range_sigma_m"] for o in observations] == [1.0, 6.0, None]  # 30 % of 20 m; of no range there is none


# ------------------------------------------------------------------------------------------ bad rows


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


def test_broken_lines_are_counted_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    names = ",".join(REQUIRED)
    good = "a,f0,2026-03-01T20:00:00Z,100.5,13.75,Pole,0.9,{}"
    lines = [names, good.format(1), "a,f0", good.format(999), good.format(2) + ",9", "", good.format(-999)]
    path = tmp_path / "o.csv"
    path.write_text("\n".join(lines))
    with read_observations(str(path)) as found:
        assert found.summary.rejected == {"bad_bearing_deg": 2, "broken_line": 2}
        assert (found.summary.rows, found.summary.used) == (5, 1)
        bad = {(r["row"], r["line"] or r["bearing_deg"]) for r in rejected(found)}
    assert bad == {(2, "a,f0"), (3, "999"), (4, good.format(2) + ",9"), (5, "-999")}


def test_a_frame_with_one_usable_row_is_ok(tmp_path: Path) -> None:
    (frame,), observations = tables(parquet(tmp_path / "o.parquet", row(score=7.0), row(), row(camera_lat=99.0)))
    assert (frame["status"], frame["reason"], frame["n_detections"], frame["camera_lat"]) == ("ok", None, 1, 13.75)
    assert len(observations) == 1


def test_the_same_row_twice_counts_once(tmp_path: Path) -> None:
    rows = [row(), row(bearing_deg=11.0), row(), row(range_m=5.0)]
    with read_observations(parquet(tmp_path / "o.parquet", *rows)) as found:
        assert found.summary.rejected == {"duplicate": 1}
        assert found.summary.used == 3
        (again,) = rejected(found)
        assert (again["row"], again["drive_id"], again["bearing_deg"]) == (3, "a", "10")
        ids = found.drive("a").observations["observation_id"].to_pylist()
    assert ids == ["a/f0/000", "a/f0/001", "a/f0/002"]
    own = parquet(tmp_path / "own.parquet", row(observation_id=1), row(observation_id=2))
    assert read(own).rejected == {}  # the detector says that they are two


# ------------------------------------------------------------------------------------------ bad tables


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


@pytest.mark.parametrize("name", ["o.parquet", "o.csv", "folder"])
def test_what_does_not_exist_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SurveyError, match=r"--observations: got .*, which does not exist or has no \.parquet, \.csv"):
        read(str(tmp_path / name))


@pytest.mark.parametrize(("name", "data"), [("o.parquet", b"PAR0"), ("o.csv", b""), ("o.csv", b"\xff\xfe\x00")])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SurveyError, match=rf"{name}: (cannot be read as a table|no columns)"):
        read(str(tmp_path / name))


@WRITERS
def test_an_empty_table_is_an_error(tmp_path: Path, write: Callable[..., str], suffix: str) -> None:
    path = tmp_path / f"o.{suffix}"
    if suffix == "csv":
        path.write_text(",".join(REQUIRED) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist([row()]).slice(0, 0), path)
    with pytest.raises(SurveyError, match="no rows; expected one a detection"):
        read(str(path))


def test_no_usable_row_says_why(tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match=r"none of 2 rows can be used.*\n  2 bad_range_m: expected 0.1 to 1000"):
        read(csv(tmp_path / "o.csv", row(range_m=-1), other(1, range_m=0)))


@pytest.mark.parametrize(
    ("name", "a", "b"),
    [
        ("captured_at", START, START + timedelta(seconds=1)),
        ("camera_lon", 100.5, 100.50001),  # 1 m
        ("camera_lat", 13.75, 13.75001),
        ("heading_deg", 1.0, 359.0),
        ("fov_deg", 60.0, 64.0),
        ("image_uri", "1.jpg", "2.jpg"),
    ],
)
def test_two_poses_of_a_frame_are_an_error(tmp_path: Path, name: str, a: object, b: object) -> None:
    path = parquet(tmp_path / "o.parquet", other(1), row(**{name: a}), row(**{name: b, "bearing_deg": 5.0}))
    with pytest.raises(SurveyError, match=rf"frame 'f0' of drive 'a': {name} is .*row 2 of .* and .*row 3 of"):
        read(path)


def test_rounding_and_silence_are_no_other_pose(tmp_path: Path) -> None:
    rows = [row(), row(camera_lon=100.5000004, bearing_deg=5.0, heading_deg=0.001), row(heading_deg=359.999, score=0.1)]
    (frame,), _ = tables(parquet(tmp_path / "o.parquet", *rows))
    assert (frame["camera_lon"], frame["heading_deg"]) == (100.5, 0.001)


def test_an_observation_id_twice_is_an_error(tmp_path: Path) -> None:
    twice = parquet(tmp_path / "o.parquet", row(observation_id="x"), other(1, observation_id="x"))
    with pytest.raises(SurveyError, match=r"observation_id 'x' is there twice: row 1 of .*, and row 2 of"):
        read(twice)
    # Each drive counts its own: ids of the warehouse are of a drive.
    assert (
        read(parquet(tmp_path / "p.parquet", row(observation_id="x"), row(drive_id="b", observation_id="x"))).used == 2
    )


def test_a_drive_id_that_is_no_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match=r"drive_id: got '\.\./a'; expected 1 to 128 letters"):
        read(csv(tmp_path / "o.csv", row(drive_id="../a")))


def test_a_full_temporary_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("roadscan.inventory.foreign._Kept.add", full)
    with pytest.raises(StorageError, match="No space left on device; set TMPDIR"):
        read(csv(tmp_path / "o.csv", row()))


# ------------------------------------------------------------------------------------------ frames


def pose(n: int, **changed: object) -> dict[str, object]:
    return {name: value for name, value in other(n, **changed).items() if name not in ("class", "score", "bearing_deg")}


@WRITERS
def test_a_table_of_frames_adds_those_without_detections(
    tmp_path: Path, write: Callable[..., str], suffix: str
) -> None:
    listed = write(tmp_path / f"frames.{suffix}", *[pose(n, heading_deg=90.0, fov_deg=64.0) for n in range(3)])
    path = write(tmp_path / f"o.{suffix}", other(1), other(5))
    frames, (seen, _) = tables(path, frames=listed)
    assert [(f["frame_id"], f["n_detections"], f["fov_deg"]) for f in frames] == [
        ("f0", 0, 64.0), ("f1", 1, 64.0), ("f2", 0, 64.0), ("f5", 1, None),
    ]  # fmt: skip
    assert seen["heading_deg"] == 90.0


def test_a_table_of_frames_is_checked_as_well(tmp_path: Path) -> None:
    path = csv(tmp_path / "o.csv", other(1), other(2, score=9), other(3))
    with pytest.raises(SurveyError, match=r"frames.csv: no columns \['camera_lat'\]"):
        read(path, csv(tmp_path / "frames.csv", {k: v for k, v in pose(1).items() if k != "camera_lat"}))
    with pytest.raises(SurveyError, match=r"frame 'f1' of drive 'a': camera_lon is 101.0 .*frames.csv.* and 100.5"):
        read(path, csv(tmp_path / "frames.csv", pose(1, camera_lon=101)))
    listed = csv(tmp_path / "frames.csv", pose(1, camera_lon=999), pose(2), pose(7, captured_at=""), pose(8))
    with read_observations(path, listed) as found:
        assert found.summary.rejected == {"bad_gps": 1, "bad_score": 1, "no_time": 1}
        got = {f["frame_id"]: (f["status"], f["reason"]) for f in found.drive("a").frames.to_pylist()}
    # What f2 showed is unknown, so it must not count as having shown nothing.
    assert got == {
        "f1": ("ok", None), "f2": ("quarantined", "bad_score"), "f3": ("ok", None), "f7": ("quarantined", "no_time"),
        "f8": ("ok", None),
    }  # fmt: skip


# ------------------------------------------------------------------------------------------ committing


def test_one_release_for_all_drives_and_none_for_the_same_again(tmp_path: Path) -> None:
    out = str(tmp_path / "w")
    path = parquet(tmp_path / "o.parquet", row(), row(drive_id="b", captured_at=datetime(2026, 4, 1, tzinfo=UTC)))
    warehouse = committed(path, out)
    release = warehouse.current()
    assert (release.number, len(release.files)) == (1, 6)
    assert {f.path.split("/")[1] for f in release.of("observations")} == {
        "survey_month=2026-03",
        "survey_month=2026-04",
    }
    before = sorted(p.name for p in (tmp_path / "w").rglob("*"))
    committed(csv(tmp_path / "o.csv", *pq.read_table(path).to_pylist()), out)
    assert warehouse.current() == release
    assert sorted(p.name for p in (tmp_path / "w").rglob("*")) == before


def test_the_runs_and_views_are_those_of_a_scan(tmp_path: Path) -> None:
    path = parquet(tmp_path / "o.parquet", row(model_sha256="m"), other(1, score=9.0), other(2))
    out = committed(path, str(tmp_path / "w")).store.uri
    (run_row,) = query(out, "SELECT * FROM runs").to_pylist()
    counts = [run_row[name] for name in ("frames", "frames_ok", "frames_quarantined", "frames_failed", "observations")]
    assert counts == [3, 2, 1, 0, 2]
    assert (run_row["drive_uri"], run_row["model_sha256"]) == (path, "m,unknown")
    (coverage,) = query(out, "SELECT frames, frames_ok, detections FROM drive_coverage").to_pylist()
    assert coverage == {"frames": 3, "frames_ok": 2, "detections": 2}
    assert query(out, "SELECT frame_id, reason FROM quarantine").to_pylist() == [
        {"frame_id": "f1", "reason": "bad_score"}
    ]
    assert query(out, "SELECT count(*) AS n FROM surveyed_frames").to_pylist() == [{"n": 2}]


def test_other_content_needs_replace_and_leaves_the_rest(tmp_path: Path) -> None:
    out = str(tmp_path / "w")
    warehouse = committed(parquet(tmp_path / "1.parquet", row(), row(drive_id="b")), out)
    before = sorted(p.name for p in (tmp_path / "w").rglob("*"))
    new = parquet(tmp_path / "2.parquet", row(score=0.5), row(drive_id="b"), row(drive_id="c"))
    with pytest.raises(
        WarehouseError, match=r"has 1 of these drives with other content, e.g. 'a' from .*1.parquet.*--replace"
    ):
        committed(new, out)
    assert sorted(p.name for p in (tmp_path / "w").rglob("*")) == before
    kept = {f.path for f in warehouse.current().files if f.drive_id == "b"}
    committed(new, out, replace=True)
    release = warehouse.current()
    assert release.number == 2
    assert {f.path for f in release.files if f.drive_id == "b"} == kept
    scores = warehouse.read(release, "observations", drive_id="a")["score"].to_pylist()
    assert scores == [0.5]
    assert len(release.of("runs")) == 3


def test_drives_without_any_observation_are_committed(tmp_path: Path) -> None:
    path = parquet(tmp_path / "o.parquet", row(), row(drive_id="all-bad", score=7.0))
    listed = parquet(tmp_path / "frames.parquet", pose(0), pose(0, drive_id="nothing-seen"))
    warehouse = committed(path, str(tmp_path / "w"), frames=listed)
    frames = warehouse.read(warehouse.current(), "frames").to_pylist()
    assert {(f["drive_id"], f["status"], f["n_detections"]) for f in frames} == {
        ("a", "ok", 1), ("all-bad", "quarantined", 0), ("nothing-seen", "ok", 0),
    }  # fmt: skip
    assert warehouse.read(warehouse.current(), "observations").num_rows == 1
    assert update_inventory(InventoryConfig(warehouse=warehouse.store.uri)).drives == 3


def test_a_scanned_drive_of_that_id_is_not_overwritten(tmp_path: Path, world: World, warehouse: Warehouse) -> None:
    path = parquet(tmp_path / "o.parquet", row(drive_id="night-01"))
    with pytest.raises(WarehouseError, match=r"'night-01'.*--replace"):
        committed(path, warehouse.store.uri)


def test_another_publisher_in_between_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, publish = str(tmp_path / "w"), Warehouse.publish
    theirs = parquet(tmp_path / "theirs.parquet", row(score=0.1))

    def late(self: Warehouse, change: object) -> object:
        with monkeypatch.context() as patched:
            patched.setattr(Warehouse, "publish", publish)
            committed(theirs, out)
        return publish(self, change)

    with monkeypatch.context() as patched:
        patched.setattr(Warehouse, "publish", late)
        with pytest.raises(WarehouseError, match=r"'a' from .*theirs.parquet"):
            committed(parquet(tmp_path / "mine.parquet", row()), out)
    assert Warehouse(out).current().number == 1


def test_rejected_rows_stand_in_the_warehouse(tmp_path: Path) -> None:
    warehouse = committed(csv(tmp_path / "o.csv", row(), other(1, score="x")), str(tmp_path / "w"))
    (path,) = (tmp_path / "w" / "logs").iterdir()
    with read_observations(str(tmp_path / "o.csv")) as found:
        assert warehouse.store.path(rejected_key(found.rejected)) == path
    (bad,) = pq.read_table(path).to_pylist()
    assert (bad["reason"], bad["score"], bad["frame_id"], bad["row"]) == ("bad_score", "x", "f1", 2)


# ------------------------------------------------------------------------------------------ registers


def world_table(world: World, nights: int, names: tuple[str, ...]) -> pa.Table:
    drives = [drive(world, night) for night in range(nights)]
    return pa.concat_tables([d.observations.select([*REQUIRED, *names]) for d in drives])


def register(path: Path, table: pa.Table) -> Warehouse:
    """The register that a table alone makes."""
    pq.write_table(table, path.with_suffix(".parquet"))
    warehouse = committed(str(path.with_suffix(".parquet")), str(path))
    update_inventory(InventoryConfig(warehouse=str(path)))
    return warehouse


def points(warehouse: Warehouse) -> pa.Table:
    assets = warehouse.read(warehouse.current(), "assets")
    return assets.filter(pc.is_null(assets["length_m"]))


def median_error_m(world: World, assets: pa.Table) -> float:
    """Of the truth's point assets, to the nearest asset of their class; 30 m where there is none."""
    errors = []
    lon, lat, kind = (assets[name].to_numpy(zero_copy_only=False) for name in ("lon", "lat", "class"))
    for known in world.truth(0).to_pylist():
        if known["geometry"] == "point":
            east = (lon - known["lon"]) * 111_320 * np.cos(np.radians(known["lat"]))
            distance = np.hypot(east, (lat - known["lat"]) * 110_600)[kind == known["class"]]
            errors.append(min([30.0, *distance]))
    return float(np.median(errors))


def test_bearings_alone_make_a_register_and_ranges_a_better_one(tmp_path: Path, world: World) -> None:
    bearings = points(register(tmp_path / "bearings", world_table(world, 2, ())))
    ranges = points(register(tmp_path / "ranges", world_table(world, 2, RANGES)))
    assert pc.sum(pc.equal(bearings["state"], "confirmed")).as_py() > 15  # of 33 that stand
    assert bearings["evidence_box_px"].null_count == len(bearings)
    with_ranges, without = median_error_m(world, ranges), median_error_m(world, bearings)
    assert with_ranges < without
    assert with_ranges < 3.0  # what the design promises of few drives


def test_one_drive_gives_candidates_or_confirmed(tmp_path: Path, world: World) -> None:
    assets = points(register(tmp_path / "one", world_table(world, 1, ())))
    assert len(assets) > 15
    assert set(assets["state"].to_pylist()) <= {"candidate", "confirmed"}


def test_a_second_night_reports_nothing_missing_where_the_view_is_unknown(tmp_path: Path, world: World) -> None:
    table = world_table(world, 2, RANGES)
    mute = pc.and_(pc.equal(table["drive_id"], "night-02"), pc.equal(table["class"], "Bus Stop"))
    warehouse = register(tmp_path / "w", table.filter(pc.invert(mute)))
    assets = points(warehouse)
    stops = assets.filter(pc.equal(assets["class"], "Bus Stop"))
    assert len(stops) > 3
    assert not {"missing", "suspect"} & set(stops["state"].to_pylist())


def test_a_table_with_all_columns_gives_what_the_scan_gives(tmp_path: Path, world: World) -> None:
    """Same rows, same register: nothing is lost on the way through another program's table."""
    d = drive(world, 0)
    names = [name for name in OBSERVATIONS.names if name in COLUMNS]
    fov = dict(zip(d.frames["frame_id"].to_pylist(), d.frames["fov_deg"].to_pylist(), strict=True))
    table = d.observations.select(names).append_column(
        "fov_deg", pa.array([fov[f] for f in d.observations["frame_id"].to_pylist()])
    )
    pq.write_table(table, tmp_path / "o.parquet")
    poses = ["drive_id", "frame_id", "captured_at", "camera_lon", "camera_lat", "heading_deg", "fov_deg", "image_uri"]
    pq.write_table(d.frames.select(poses), tmp_path / "frames.parquet")
    ours = committed(str(tmp_path / "o.parquet"), str(tmp_path / "ours"), frames=str(tmp_path / "frames.parquet"))
    scanned = Warehouse(str(tmp_path / "scanned"))
    commit(scanned, d)
    places = []
    for warehouse in (ours, scanned):
        update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
        assets = warehouse.read(warehouse.current(), "assets")
        places.append(sorted(zip(*(assets[n].to_pylist() for n in ("class", "state", "lon", "lat")), strict=True)))
    assert [p[:2] for p in places[0]] == [p[:2] for p in places[1]]
    for mine, theirs in zip(*places, strict=True):
        assert mine[2:] == pytest.approx(theirs[2:], abs=1e-5)  # 1 m: rows of a frame are in another order
    assert len(places[0]) > 20


# ------------------------------------------------------------------------------------------ command and S3


def test_the_command_commits_and_builds(tmp_path: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(world_table(world, 1, RANGES), tmp_path / "o.parquet")
    arguments = ["inventory", "--observations", str(tmp_path / "o.parquet"), "--out", str(tmp_path / "w")]
    assert run([*arguments, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "Warning Sign" in shown
    assert "warehouse:" in shown
    assert not (tmp_path / "w").exists()
    assert run(arguments) == 0
    assert "night-01" in query(str(tmp_path / "w"), "SELECT drive_id FROM runs")["drive_id"].to_pylist()
    number = Warehouse(str(tmp_path / "w")).current().number
    assert number == 2  # the observations, the register
    capsys.readouterr()
    assert run([*arguments, "--set", "tracking.min_score=0.25"]) == 0
    assert "0 drives to commit, 1 already there" in capsys.readouterr().out
    assert Warehouse(str(tmp_path / "w")).current().number == number


def test_the_command_shows_what_it_rejects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = csv(tmp_path / "o.csv", row(), other(1, score=5), other(2))
    assert run(["inventory", "--observations", path, "--out", str(tmp_path / "w"), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "rejected: 1 bad_score (expected 0 to 1)" in shown
    assert not (tmp_path / "w").exists()


def test_a_dry_run_tells_that_replace_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    committed(csv(tmp_path / "1.csv", row()), str(tmp_path / "w"))
    arguments = ["inventory", "--observations", csv(tmp_path / "2.csv", row(score=0.1)), "--out", str(tmp_path / "w")]
    assert run([*arguments, "--dry-run"]) == 1
    assert "give --replace" in capsys.readouterr().err
    assert run([*arguments, "--dry-run", "--replace"]) == 0
    assert "1 drives to commit" in capsys.readouterr().out
    assert Warehouse(str(tmp_path / "w")).current().number == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--frames", "f.csv", "--out", "w"], "--frames and --replace go with --observations"),
        (["--replace", "--out", "w"], "--frames and --replace go with --observations"),
        (["--observations", "o.csv"], "warehouse: required"),
        (["--observations", "no.csv", "--out", "w"], "does not exist"),
    ],
)
def test_wrong_arguments_are_explained(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["inventory", *arguments]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.s3
def test_tables_and_warehouse_in_an_object_store(tmp_path: Path, s3: object, world: World) -> None:
    table = world_table(world, 1, RANGES)
    buffers = io.BytesIO(), io.BytesIO()
    pq.write_table(table.slice(0, 100), buffers[0])
    pacsv.write_csv(table.slice(100), buffers[1])
    store = open_store(f"s3://raw/{tmp_path.name}")
    store.write("table/1.parquet", buffers[0].getvalue())
    store.write("table/2.csv", buffers[1].getvalue())
    warehouse = committed(f"{store.uri}/table", f"s3://warehouse/{tmp_path.name}")
    local = committed(_local(tmp_path, table), str(tmp_path / "w"))
    remote_key, local_key = (w.read(w.current(), "runs")["run_key"][0] for w in (warehouse, local))
    assert remote_key == local_key
    with pytest.raises(SurveyError, match="does not exist"):
        read(f"{store.uri}/nothing.parquet")


def _local(tmp_path: Path, table: pa.Table) -> str:
    pq.write_table(table, tmp_path / "o.parquet")
    return str(tmp_path / "o.parquet")


@pytest.mark.parametrize("known", [True, False])
def test_lines_need_their_ends(tmp_path: Path, world: World, known: bool) -> None:
    names = tuple(name for name in RANGES if known or not name.startswith(("near", "far")))
    path = tmp_path / "o.parquet"
    pq.write_table(world_table(world, 1, names), path)
    line = next(c.name for c in HIGHWAY.classes if c.geometry == "line")
    assert any(f"rows of {line} lack near_" in note for note in read(str(path)).notes) != known
