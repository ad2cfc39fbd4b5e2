"""`roadscan train` as a user runs it, each time on a Ray cluster of its own on this machine."""

from __future__ import annotations

import csv
import json
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from support import labelled
from support.commands import sets
from support.training import Trained, Training, history, write_config
from tensorboardX.proto.event_pb2 import Event

from roadscan.cli import run
from roadscan.dataset.read import read_dataset
from roadscan.dataset.staging import dataset_digest
from roadscan.demo.server import S3Server, free_ports
from roadscan.model.bundle import load
from roadscan.model.detector import Detector
from roadscan.storage import open_store
from roadscan.train.history import TENSORBOARD

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def refused(folder: Path, *arguments: str) -> str:
    """Run a training that must end with a message and nothing else; the message."""
    with Training(folder, *arguments) as training:
        code = training.end()
        assert code == 1, training.out + training.err
        assert training.err.startswith("error: ")
        assert "Traceback" not in training.err + training.out
        training.wait_until_nothing_runs()
        return training.err.removeprefix("error: ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config and its dataset."""
    folder = tmp_path_factory.mktemp("train")
    labelled.draw_dataset(folder / "data", {"train": 4, "val": 2})
    write_config(folder, epochs=1)
    return folder


def test_a_run_ends_with_a_model_that_detects(trained: Trained) -> None:
    assert (trained.code, trained.err) == (0, "")
    assert "epoch 4/4" in trained.out
    bundle = load(str(trained.folder / "model.zip"))
    assert bundle.sha256 in trained.out
    assert bundle.card.classes == labelled.NAMES
    assert (bundle.card.training["loss"]["kind"], bundle.card.training["loss"]["gamma"]) == ("gfl", 1.5)
    digest = dataset_digest(read_dataset(str(trained.folder / "data")))
    assert f"images: 24 train, 4 val, 2 test; digest {digest[:16]}" in bundle.card.trained_on
    assert {split: bundle.card.metrics[split]["images"] for split in ("val", "test")} == {"val": 4, "test": 2}
    summary = json.loads((trained.run / "summary.json").read_text())
    assert (summary["epochs"], summary["device"], summary["backend"]) == (4, "cpu", "gloo")
    image = cv2.imread(str(trained.folder / "data/images/val/val-0000.jpg"))
    (found,) = Detector(bundle, confidence=1e-6).infer(image[None])
    assert set(found.classes) <= set(labelled.NAMES)
    assert len(found.boxes_xyxy) == len(found.scores) > 0


def test_a_runs_history_has_a_row_an_epoch(trained: Trained) -> None:
    rows = json.loads((trained.run / "history.json").read_text())
    assert [(row["epoch"], row["workers"]) for row in rows] == [(1, 2), (2, 2), (3, 2), (4, 2)]
    with (trained.run / "history.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [{name: float(value) for name, value in row.items()} for row in table] == rows
    scalars = [
        (event.step, value.tag, value.simple_value)
        for event in tensorboard_events((trained.run / TENSORBOARD).read_bytes())
        for value in event.summary.value
    ]
    expected = [(row["epoch"], name, pytest.approx(row[name])) for row in rows for name in row if name != "epoch"]
    assert scalars == expected


def tensorboard_events(data: bytes) -> Iterator[Event]:
    """The records of a TensorBoard file: length, its checksum, event, its checksum."""
    while data:
        (length,) = struct.unpack_from("<Q", data)
        yield Event.FromString(data[12 : 12 + length])
        data = data[12 + length + 4 :]


def test_a_run_does_not_go_on_with_other_settings(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told before Ray starts: here nobody answers where it would be joined."""
    kept = (trained.run / "model.zip").read_bytes()
    monkeypatch.chdir(trained.folder)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_ports(1)[0]}")
    other = sets(out=tmp_path / "other.zip", **{"loss.gamma": 2.5, "batch": 8})
    assert run(["train", "run.yaml", *other]) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert "started with other settings" in message
    assert "batch: the run has 4, got 8" in message
    assert "loss.gamma: the run has 1.5, got 2.5" in message
    assert (trained.run / "model.zip").read_bytes() == kept
    assert not (tmp_path / "other.zip").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"initial": "none.zip"}, "model none.zip: no such file"),
        ({"initial": "run.yaml"}, "not a roadscan model file"),
        ({"out": "gs://bucket/model.zip"}, "scheme 'gs' is not supported"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    fields: dict[str, object],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert run(["train", "run.yaml", *sets(**fields)]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("error: ")
    assert message in told


def test_more_workers_than_the_cluster_has_room_for_are_refused(folder: Path) -> None:
    fields = {"execution.workers": 99, "batch": 99, "execution.cpus_per_worker": "null"}
    assert "execution.workers: got 99" in refused(folder, *sets(**fields))


def test_a_config_that_cannot_be_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.yaml").write_text("a: [")
    assert run(["train", str(tmp_path / "run.yaml")]) == 1
    assert "not valid YAML" in " ".join(capsys.readouterr().err.split())


def test_a_fault_that_only_the_first_worker_meets_ends_the_run(folder: Path) -> None:
    """The other one waits for it, and would for ever. A store may recover: a failure, which is tried again."""
    (folder / "runs" / "blocked" / "history.json").mkdir(parents=True)
    message = refused(folder, *sets(**{"name": "blocked", "execution.max_failures": 0}))
    assert message.startswith("workers failed more than max_failures=0 times")
    assert message.endswith("history.json: Is a directory")


def test_a_mistake_that_only_workers_can_see_ends_the_run_and_is_not_tried_again(tmp_path: Path) -> None:
    """One of two images of a batch is none: its worker ends, while the other waits for it."""
    labelled.draw_dataset(tmp_path / "data", {"train": 4, "val": 2})
    (tmp_path / "data/images/train/train-0001.jpg").write_bytes(b"no image")
    write_config(tmp_path, epochs=1)
    with Training(tmp_path, *sets(batch=2)) as training:
        seen: set[int] = set()
        while training.process.poll() is None:
            seen |= {one.pid for one in training.workers()}
            time.sleep(0.1)
        assert training.end() == 1, training.out + training.err
        assert "train-0001.jpg" in training.err
        assert "Traceback" not in training.err
    assert len(seen) == 2


@pytest.mark.s3
def test_a_run_from_s3_to_s3_that_starts_from_the_demo_model(s3: S3Server, tmp_path: Path) -> None:
    labelled.draw_dataset(tmp_path / "data", {"train": 4, "val": 2}, size_hw=(192, 320))  # in 160 pixels: 96x160
    raw = open_store(f"s3://raw/{tmp_path.name}")
    for path in (tmp_path / "data").rglob("*.*"):
        raw.write(path.relative_to(tmp_path).as_posix(), path.read_bytes())
    shutil.rmtree(tmp_path / "data")
    house = f"s3://warehouse/{tmp_path.name}"
    addresses = {"data": raw.uri_of("data"), "runs": f"{house}/runs", "out": f"{house}/model.zip"}
    write_config(tmp_path, epochs=1, initial="demo", **addresses)
    # By one worker; two that share nothing but S3: `test_train_faults`.
    with Training(tmp_path, *sets(**{"execution.cache_dir": tmp_path / "cache", "execution.workers": 1})) as training:
        assert training.end() == 0, training.err
    bundle = load(addresses["out"])
    assert bundle.card.classes == labelled.NAMES  # not the demo model's
    assert bundle.card.initialised_from.startswith("demo, sha256 ")
    written = set(open_store(f"{house}/runs/train").keys())
    assert {"history.json", "history.csv", "model.zip", "summary.json", TENSORBOARD} <= written
    assert len([key for key in written if key.endswith("/state.pt")]) == 1
    (small,) = (tmp_path / "cache").glob("shrunk-*.bgr")
    assert small.stat().st_size == 6 * 96 * 160 * 3
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith("log-")} == {"run.yaml", "cache"}


def test_mlflow_follows_a_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install mlflow-skinny")
    address = (tmp_path / "mlruns").as_uri()
    fields = {"name": "followed", "execution.workers": 1, "tracking.mlflow_uri": address}
    # MLflow would rather have a database, which its skinny package cannot use.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with Training(folder, *sets(**fields, out=tmp_path / "model.zip")) as training:
        assert training.end() == 0, training.err
    client = mlflow.MlflowClient(tracking_uri=address)
    (experiment,) = [one for one in client.search_experiments() if one.name == "roadscan"]
    (run,) = client.search_runs([experiment.experiment_id])
    (row,) = history(folder / "runs" / "followed")
    assert run.info.run_name == "followed"
    assert run.data.metrics["box_loss"] == pytest.approx(row["box_loss"])
