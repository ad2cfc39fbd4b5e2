"""Whole simulations: files, determinism, truth tables."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from roadscan.config import load_config
from roadscan.dataset.occlusion import HEAVILY
from roadscan.dataset.read import read_dataset
from roadscan.errors import ConfigError
from roadscan.simulate import SimulationConfig, SimulationSummary, simulate
from roadscan.simulate.frames import Job, render_frame, shoot
from roadscan.simulate.training_set import write_yolo_dataset
from roadscan.simulate.world.conditions import CONDITIONS
from roadscan.survey.drive import read_drive

from .conftest import SMALL

CONFIG = SMALL.model_copy(update={"nights": 2, "density": 2.0, "frame_spacing_m": 25.0})


def digests(folder: Path) -> dict[str, str]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulationSummary]:
    folder = tmp_path_factory.mktemp("simulated")
    calls: list[tuple[int, int]] = []
    summary = simulate(str(folder), CONFIG, lambda now: calls.append((now.done, now.total)))
    assert calls == [(i + 1, summary.frames) for i in range(summary.frames)]
    return folder, summary


def test_files_and_summary_agree(written: tuple[Path, SimulationSummary]) -> None:
    folder, summary = written
    assert summary.drive_ids == ("sim-s5-n01", "sim-s5-n02")
    frames = 0
    for drive_id in summary.drive_ids:
        drive = read_drive(str(folder / "drives" / drive_id))
        frames += drive.frames.num_rows
        for key in drive.frames["image_uri"].to_pylist():
            image = cv2.imread(str(folder / "drives" / drive_id / key))
            assert image.shape == (360, 640, 3)
        truth = pq.read_table(folder / "truth" / "frames" / f"{drive_id}.parquet")
        assert truth["frame_id"].to_pylist() == drive.frames["frame_id"].to_pylist()
    assert frames == summary.frames == sum(summary.frames_by_condition.values())


def test_boxes_lie_in_the_image_and_name_assets_that_stand(written: tuple[Path, SimulationSummary]) -> None:
    folder, summary = written
    assets = {row["asset_id"]: row for row in pq.read_table(folder / "truth/assets.parquet").to_pylist()}
    total = 0
    for night, drive_id in enumerate(summary.drive_ids, start=1):
        for row in pq.read_table(folder / f"truth/boxes/{drive_id}.parquet").to_pylist():
            x0, y0, x1, y1 = row["box_px"]
            assert 0 <= x0 < x1 <= 640
            assert 0 <= y0 < y1 <= 360
            assert 0.35 <= row["visible_fraction"] <= 1
            owner = assets[row["asset_id"]]
            assert owner["class"] == row["class"]
            assert owner["first_night"] <= night <= owner["last_night"]
            total += 1
    assert total == summary.boxes > 10


def test_truth_of_assets_and_changes(written: tuple[Path, SimulationSummary]) -> None:
    folder, summary = written
    rows = pq.read_table(folder / "truth/assets.parquet").to_pylist()
    assert len(rows) == summary.assets
    for row in rows:
        assert abs(row["lon"] - CONFIG.origin_lon) < 0.05
        assert abs(row["lat"] - CONFIG.origin_lat) < 0.05
        assert (row["geometry"] == "line") is (row["lons"] is not None)
        if row["lons"]:
            steps = np.hypot(
                np.diff(row["lons"]) * 106_700, np.diff(row["lats"]) * 110_650
            )  # metres a degree at 16.4 N
            assert steps.sum() == pytest.approx(row["length_m"], rel=0.01)
    changes = pq.read_table(folder / "truth/changes.parquet").to_pylist()
    assert {row["change"] for row in changes} == {"removed", "added", "damaged"}
    assert {row["night"] for row in changes} == {2}
    assert len(changes) == summary.changes


@pytest.mark.slow
def test_same_seed_gives_same_bytes_for_any_number_of_workers(
    written: tuple[Path, SimulationSummary], tmp_path: Path
) -> None:
    simulate(str(tmp_path), CONFIG.model_copy(update={"workers": 2}))
    assert digests(tmp_path) == digests(written[0])


def test_another_seed_gives_another_road() -> None:
    assert shoot(Job(SMALL, 1, 3)).jpeg != shoot(Job(SMALL.model_copy(update={"seed": 10}), 1, 3)).jpeg


@pytest.mark.parametrize("condition", ["day", "haze", "dusk", "backlight", "rain", "night", "rainy night"])
def test_every_condition_renders_and_is_named(condition: str) -> None:
    config = SMALL.model_copy(update={"conditions": (condition,), "width_px": 480, "height_px": 270})
    shot = shoot(Job(config, 1, 2))
    image = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shot.condition == condition
    assert bool(image.mean() < 70) is condition.endswith("night")
    assert image.std() > 12


def decoded(config: SimulationConfig, frame: int) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(shoot(Job(config, 1, frame)).jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)


def test_a_rainy_night_is_both() -> None:
    config = SMALL.model_copy(update={"conditions": ("rainy night",), "traffic": 0.0})
    assert shoot(Job(config, 1, 2)).conditions == ("night", "rain")


def test_a_bump_blurs_and_changes_nothing_else() -> None:
    still, shaken = (SMALL.model_copy(update={"traffic": 0.0, "blur": share}) for share in (0.0, 1.0))
    before, after = shoot(Job(still, 1, 3)), shoot(Job(shaken, 1, 3))
    assert (before.conditions, after.conditions) == (("day",), ("day", "blur"))
    assert before.labels == after.labels
    sharp, smeared = decoded(still, 3).astype(float), decoded(shaken, 3).astype(float)
    assert smeared.mean() == pytest.approx(sharp.mean(), abs=1.0)
    # Mostly down the image: rows differ less from the next than they did, and columns by about as much.
    rows, columns = (np.abs(np.diff(smeared, axis=a)).mean() / np.abs(np.diff(sharp, axis=a)).mean() for a in (0, 1))
    assert rows < 0.6
    assert rows < columns


def test_some_frames_are_blurred_as_often_as_it_is_asked_for() -> None:
    config = SMALL.model_copy(update={"blur": 0.3, "width_px": 320, "height_px": 180, "length_km": 0.5})
    blurred = ["blur" in shoot(Job(config, 1, frame)).conditions for frame in range(40)]
    assert 4 <= sum(blurred) <= 20  # binomial, 40 of 0.3: outside of it once in 500


def test_spray_is_thrown_up_on_a_wet_road_alone_and_hides_what_is_behind_vehicles() -> None:
    wet = SMALL.model_copy(update={"conditions": ("rain",), "traffic": 1.5})
    thrown = wet.model_copy(update={"spray": 1.0})
    before, after = shoot(Job(wet, 1, 4)), shoot(Job(thrown, 1, 4))
    assert "spray" not in before.conditions
    assert "spray" in after.conditions
    assert before.labels == after.labels
    # The road is darker than the air, and mist of the air's colour lies on it: the more of it the nearer to that.
    frames = [render_frame(wet.model_copy(update={"spray": strength}), 1, 4)[0] for strength in (0.0, 0.5, 2.0)]
    hidden = [frame.drawn["spray"] for frame in frames]
    off = [np.abs(frame.image[180:] - np.array(CONDITIONS["rain"].fog)).mean() for frame in frames]
    assert hidden[0] == 0.0 < hidden[1] < hidden[2] < 0.5
    assert off[0] > off[1] + 2 > off[2] + 4
    dry = SMALL.model_copy(update={"traffic": 1.5})
    assert shoot(Job(dry.model_copy(update={"spray": 1.0}), 1, 4)).jpeg == shoot(Job(dry, 1, 4)).jpeg


def test_config_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="nigths"):
        load_config(SimulationConfig, overrides=["nigths=3"])
    with pytest.raises(ConfigError, match="length_km"):
        load_config(SimulationConfig, overrides=["length_km=-1"])


def read_labels(folder: Path) -> list[tuple[str, list[float]]]:
    rows = []
    for path in sorted(folder.glob("labels/*/*.txt")):
        rows += [(path.stem, [float(v) for v in line.split()]) for line in path.read_text().splitlines()]
    return rows


@pytest.mark.slow
@pytest.mark.parametrize(("task", "classes"), [("detect", 7), ("segment", 5)])
def test_yolo_dataset(tmp_path: Path, task: str, classes: int) -> None:
    config = SMALL.model_copy(update={"width_px": 480, "height_px": 270, "density": 2.0, "seed": 1})
    assert task in ("detect", "segment")
    summary = write_yolo_dataset(tmp_path, config, task, 18, shares=(0.6, 0.2, 0.2))  # type: ignore[arg-type]
    frames = pq.read_table(tmp_path / "frames.parquet").to_pylist()
    assert len(frames) == sum(summary.images.values()) == 19  # round(10.8) + round(3.6) + round(3.6)
    roads = {split: {f["drive_id"] for f in frames if f["split"] == split} for split in ("train", "val", "test")}
    assert not roads["train"] & roads["val"]
    assert not roads["val"] & roads["test"]
    for frame in frames:
        assert (tmp_path / frame["image"]).is_file()
        assert (tmp_path / frame["image"].replace("images/", "labels/").replace(".jpg", ".txt")).is_file()
    read = {image.key: image for images in read_dataset(str(tmp_path)).splits.values() for image in images}
    for frame in frames:
        image = read[frame["image"]]
        assert image.conditions == tuple(sorted(frame["conditions"]))
        assert len(frame["visibility"]) == len(image.classes)
        assert [share < 0.65 for share in frame["visibility"]] == [name == HEAVILY for name in image.occlusions]
    rows = read_labels(tmp_path)
    assert len(rows) == sum(summary.objects.values()) > 5
    for _, (index, *values) in rows:
        assert index in range(classes)
        assert all(0 <= v <= 1 for v in values)
        assert len(values) == 4 if task == "detect" else len(values) >= 6
    text = (tmp_path / "data.yaml").read_text()
    assert "train: images/train" in text
    assert text.count("\n  ") == classes
