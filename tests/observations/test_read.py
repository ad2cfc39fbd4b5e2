from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from support.observation_tables import (
    RANGES,
    START,
    WRITERS,
    csv,
    other,
    parquet,
    pose,
    read,
    rejected,
    row,
    tables,
    world_table,
)
from support.world import World

from roadscan.errors import StorageError, SurveyError
from roadscan.observations import (
    read_observations,
)
from roadscan.observations.schema import REQUIRED
from roadscan.taxonomy import HIGHWAY


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


@pytest.mark.parametrize("name", ["o.parquet", "o.csv", "folder"])
def test_what_does_not_exist_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SurveyError, match=r"--observations: got .*, which does not exist or has no \.parquet, \.csv"):
        read(str(tmp_path / name))


@pytest.mark.parametrize(("name", "data"), [("o.parquet", b"PAR0"), ("o.csv", b""), ("o.csv", b"\xff\xfe\x00")])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SurveyError, match=rf"{name}: (not valid (Parquet|CSV)|no columns)"):
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


def test_a_drive_id_that_is_no_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match=r"drive_id: got '\.\./a'; expected 1 to 128 letters"):
        read(csv(tmp_path / "o.csv", row(drive_id="../a")))


def test_a_full_temporary_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.ipc.new_stream", full)
    with pytest.raises(StorageError, match="No space left on device; set TMPDIR"):
        read(csv(tmp_path / "o.csv", row()))


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


@pytest.mark.parametrize("known", [True, False])
def test_lines_need_their_ends(tmp_path: Path, world: World, known: bool) -> None:
    names = tuple(name for name in RANGES if known or not name.startswith(("near", "far")))
    path = tmp_path / "o.parquet"
    pq.write_table(world_table(world, 1, names), path)
    line = next(c.name for c in HIGHWAY.classes if c.geometry == "line")
    assert any(f"rows of {line} lack near_" in note for note in read(str(path)).notes) != known


@pytest.mark.parametrize("data", [b"class,\xff\xfe\na,b\n", b"class,score\na,1\n\xff,\xfe,3\n"])
def test_a_name_or_a_broken_line_that_is_no_text_is_told(
    tmp_path: Path, data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o.csv").write_bytes(data)
    with pytest.raises(SurveyError, match=r"o\.csv: (not valid CSV|no columns)"):
        read(str(tmp_path / "o.csv"))
    assert "Traceback" not in capfd.readouterr().err
