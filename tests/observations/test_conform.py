from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from support.observation_tables import START, WRITERS, csv, other, parquet, read, rejected, row, tables

from roadscan.errors import SurveyError
from roadscan.observations import (
    read_observations,
)
from roadscan.schemas import ACCURACY, FRAMES, OBSERVATIONS

ACCURATE = {"pos_sigma_m": 0.05, "heading_sigma_deg": 0.2, "altitude_m": 12.5, "pitch_deg": -1.0, "roll_deg": 2.0}


@WRITERS
def test_one_row_is_a_frame_and_an_observation(tmp_path: Path, write: Callable[..., str], suffix: str) -> None:
    frames, observations = tables(write(tmp_path / f"o.{suffix}", row()))
    pose = {"drive_id": "a", "frame_id": "f0", "captured_at": START, "camera_lon": 100.5, "camera_lat": 13.75}
    unknown = {"image_uri": None, "heading_deg": None}
    (frame,), (seen,) = frames, observations
    key = frame.pop("run_key")
    assert key == "73d177c438ce190d87fcf3e3"  # as ever: columns that a scan alone knows change no table's digest
    assert frame == pose | unknown | {
        "camera_id": "unknown",
        "fov_deg": None,
        "status": "ok",
        "reason": None,
        "width_px": None,
        "height_px": None,
        "n_detections": 1,
        "light": None,
        "blur": None,
        **dict.fromkeys(ACCURACY),
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
        "far_range_m": 40.0, "model_sha256": "m", "bearing_sigma_deg": 0.5,
    } | ACCURATE  # fmt: skip
    box = [1.0, 2.0, 30.5, 40.0] if suffix == "parquet" else '"[1, 2, 30.5, 40]"'
    (frame,), (seen,) = tables(write(tmp_path / f"o.{suffix}", row(**optional, box_px=box)))
    expected = optional | {"heading_deg": 355.0}  # -5 is the same direction
    assert {name: seen[name] for name in expected if name in seen} == {
        name: value for name, value in expected.items() if name in OBSERVATIONS.names
    }
    assert seen["box_px"] == [1.0, 2.0, 30.5, 40.0]
    assert {name: frame[name] for name in expected if name in FRAMES.names} == {
        "image_uri": "s3://b/1.jpg", "heading_deg": 355.0, "fov_deg": 64.0,
    } | ACCURATE  # fmt: skip


def test_what_is_told_of_accuracy_makes_another_table(tmp_path: Path) -> None:
    """Of which the digest of one that tells nothing is as ever, also where it has the columns."""
    keys = [
        tables(parquet(tmp_path / f"{number}.parquet", row(**told)))[0][0]["run_key"]
        for number, told in enumerate(({}, {"pos_sigma_m": None}, {"pos_sigma_m": 0.5}, {"bearing_sigma_deg": 0.5}))
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


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


def test_a_range_without_a_sigma_is_given_one(tmp_path: Path) -> None:
    rows = [row(range_m=20.0, range_sigma_m=1.0), other(1, range_m=20.0), other(2, range_sigma_m=4.0)]
    _, observations = tables(parquet(tmp_path / "o.parquet", *rows))
    assert [o["range_sigma_m"] for o in observations] == [1.0, 6.0, None]  # 30 % of 20 m; of no range there is none


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


def test_two_boxes_are_two_detections_whatever_else_is_the_same(tmp_path: Path) -> None:
    """Side by side at one bearing to the degree; the first one is there twice."""
    boxes = ([0.0, 0.0, 9.0, 9.0], [1.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 9.0], None)
    rows = [row(box_px=box) for box in boxes]
    with read_observations(parquet(tmp_path / "o.parquet", *rows)) as found:
        assert found.summary.rejected == {"duplicate": 1}
        assert found.drive("a").observations["box_px"].to_pylist() == [boxes[0], boxes[1], None]


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
