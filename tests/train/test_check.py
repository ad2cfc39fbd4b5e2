"""What is wrong with a training or a sweep is told before Ray starts: here nobody answers where Ray would be joined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import save_file
from support import labelled
from support.commands import sets

from roadscan.cli import run
from roadscan.demo.server import S3Server, free_ports
from roadscan.errors import AccessDenied
from roadscan.model import yolo
from roadscan.storage import open_store
from roadscan.train.check import check_writable
from roadscan.train.config import TrainConfig
from roadscan.train.initial import read_initial
from roadscan.train.state import write_settings

SMALL: dict[str, Any] = {"image_size_px": 64, "epochs": 1, "batch": 2}


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes as far as Ray ends with another message than is expected here."""
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_ports(1)[0]}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training and a sweep that could start."""
    monkeypatch.chdir(tmp_path)
    labelled.draw_dataset(tmp_path / "data", {"train": 2, "val": 1})
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(SMALL | {"data": "data"}))
    tune = {"train": SMALL | {"data": "data"}, "space": {"variant": ["n", "s"]}, "trials": 2}
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump(tune))
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], command: str, *arguments: str, **fields: object) -> str:
    assert run([command, f"{command}.yaml", *arguments, *sets(**fields)]) == 1
    return capsys.readouterr().err.removeprefix("error: ")


def test_what_is_right_comes_as_far_as_ray(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "tune"):
        assert refused(capsys, command).startswith("RAY_ADDRESS 127.0.0.1")


def test_a_dry_run_of_a_training_looks_and_prints(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "train.yaml", "--dry-run"]) == 0
    assert "data: data" in capsys.readouterr().out
    assert "no such file" in refused(capsys, "train", "--dry-run", initial="none.zip")
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("command", ["train", "tune"])
def test_labels_are_looked_at(folder: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = "data" if command == "train" else "train.data"
    labelled.draw_dataset(folder / "alone", {"train": 2})
    assert "split val: no images; got train" in refused(capsys, command, **{data: "alone"})
    label = folder / "data/labels/val/val-0000.txt"
    label.write_text("")
    assert "split val: no objects" in refused(capsys, command)
    label.write_text("0 0.5 0.5 3 0.2")
    assert "reaches outside of the image" in refused(capsys, command)
    assert "expected data.yaml" in refused(capsys, command, **{data: "nowhere"})


def test_a_runs_settings_are_looked_at(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_settings(TrainConfig.model_validate(SMALL | {"data": "data"}).identity(), open_store("runs/train"))
    assert refused(capsys, "train", data="./data", limits="none").startswith("RAY_ADDRESS")  # no part of the result
    assert "image_size_px: the run has 64, got 96" in refused(capsys, "train", image_size_px=96)
    assert refused(capsys, "train", image_size_px=96, name="other").startswith("RAY_ADDRESS")


def test_first_weights_are_looked_at(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "model none.zip: no such file" in refused(capsys, "train", initial="none.zip")
    assert "not a roadscan model file" in refused(capsys, "train", initial="train.yaml")
    assert "expected weights of the same YOLOv8 variant" in refused(capsys, "train", initial="demo", variant="s")
    assert "model none.zip: no such file" in refused(capsys, "tune", **{"train.initial": "none.zip"})
    message = refused(capsys, "tune", **{"space.initial": "[null, none.zip]"})
    assert message.startswith("model none.zip: no such file")
    message = refused(capsys, "tune", **{"train.initial": "demo"})
    assert message.startswith("variant s: initial weights: ")


def test_a_prior_for_a_class_head_that_is_kept_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = read_initial("demo")
    kept = {name: tensor for name, tensor in start.weights.items() if not name.startswith("model.22.cv3")}
    fresh = yolo.build("detect", "n", 3).state_dict()
    save_file(fresh | kept, "three-classes.safetensors")
    prior = {"loss.prior": 0.01}
    message = "loss.prior: got 0.01, but initial has as many classes as the dataset"
    assert refused(capsys, "train", initial="three-classes.safetensors", **prior).startswith(message)
    assert refused(capsys, "train", initial="three-classes.safetensors").startswith("RAY_ADDRESS")
    assert refused(capsys, "train", initial="demo", **prior).startswith("RAY_ADDRESS")  # of seven classes
    assert refused(capsys, "train", **prior).startswith("RAY_ADDRESS")


def test_what_would_repeat_or_paste_nothing_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "train", repeat_threshold=0.001).startswith("repeat_threshold: got 0.001, which repeats no")
    rare = {"augment.paste_rare": 0.5, "augment.rare_below": 0.001}
    assert refused(capsys, "train", **rare).startswith("augment.paste_rare: got 0.5, but every class is in a share")
    assert refused(capsys, "train", repeat_threshold=1, **{"augment.mixup": 0.5}).startswith("RAY_ADDRESS")


def test_alpha_is_looked_at(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "{square: 0.5, disk: 0.5, bar: 0.5}"
    message = "loss.alpha: got values for bar, disk, square; expected one for each class: square, disc, bar"
    assert refused(capsys, "train", **{"loss.alpha": wrong}).startswith(message)
    assert refused(capsys, "tune", **{"train.loss.alpha": wrong}).startswith(message)
    assert refused(capsys, "tune", **{"by_variant.s.loss.alpha": wrong}).startswith(message)
    for label in (folder / "data/labels/train").iterdir():
        label.write_text("0 0.5 0.5 0.1 0.1")
    message = "loss.alpha: got from_frequency, but the training split has no objects of disc, bar"
    assert refused(capsys, "train", **{"loss.alpha": "from_frequency"}).startswith(message)
    searched = "{variant: [n], loss.alpha: [0.25, from_frequency]}"
    assert refused(capsys, "tune", space=searched).startswith(message)
    assert refused(capsys, "train").startswith("RAY_ADDRESS")


def test_folders_are_looked_at(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").write_text("")
    assert "runs: " in refused(capsys, "train", runs="file/runs")
    assert "out: " in refused(capsys, "train", out="file/a.zip")
    assert "sweeps: " in refused(capsys, "tune", sweeps="file/sweeps")
    assert "scheme 'gs' is not supported" in refused(capsys, "train", out="gs://bucket/a.zip")


def test_a_folder_that_cannot_be_written_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable("runs", open_store(tmp_path / "new" / "runs"))
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(AccessDenied, match=r"^runs: .*/new/runs cannot be written"):
        check_writable("runs", open_store(tmp_path / "new" / "runs"))


@pytest.mark.s3
def test_buckets_are_looked_at(s3: S3Server, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such bucket" in refused(capsys, "train", out="s3://nowhere/a.zip")
    assert "no such bucket" in refused(capsys, "tune", sweeps="s3://nowhere")


def test_outputs_that_a_job_would_lose_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {"runtime_env": {"working_dir": "gcs://_ray_pkg_1.zip"}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    assert refused(capsys, "train").startswith("runs: got runs, in a job that was submitted with a working directory")
    assert refused(capsys, "train", runs=folder / "runs").startswith("out: got model.zip, in a job")
    assert refused(capsys, "tune").startswith("sweeps: got sweeps, in a job")
    assert refused(capsys, "train", runs=folder / "runs", out=folder / "a.zip").startswith("RAY_ADDRESS")
