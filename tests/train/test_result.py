"""What a run leaves, read back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support import labelled
from support.distributed import config_of

from roadscan.errors import ConfigError, ModelError
from roadscan.model.bundle import load, unpack
from roadscan.model.detector import Detector
from roadscan.storage import open_store
from roadscan.train import loop
from roadscan.train.history import TENSORBOARD, check_tracking, write_history
from roadscan.train.initial import input_shape, read_initial
from roadscan.train.ranks import SingleProcess
from roadscan.train.result import TrainSummary, write_result

CPU = torch.device("cpu")
HISTORY = [
    {"epoch": 1, "lr": 0.01, "box_loss": 2.0},
    {"epoch": 2, "lr": 0.005, "box_loss": 1.5, "map50": 0.25, "fitness": 0.1},
]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_a_finished_run_leaves_a_model_that_detects_and_pictures(task: str, tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path / "data", {"train": 6, "val": 3, "test": 2}, task=task)
    config = config_of(tmp_path / "data", epochs=1, limits="shapes alone", loss={"gamma": 1.5, "alpha": 0.4})
    state = loop.train(config, dataset, None, SingleProcess(tmp_path / "run", CPU))
    store = open_store(tmp_path / "out")
    summary = write_result(state, dataset, config, "scratch", store, CPU)
    assert TrainSummary.read(store) == summary

    bundle = unpack(store.read("model.zip"), where="model.zip")
    assert bundle.sha256 == summary.model_sha256
    assert len(bundle.calibration) == 3
    card = bundle.card
    assert (card.task, card.classes, card.limits, card.initialised_from) == (
        task, labelled.NAMES, "shapes alone", "scratch"
    )  # fmt: skip
    assert card.training["loss"]["gamma"] == 1.5
    assert card.metrics["val"]["images"] == 3
    assert set(card.metrics["val"]["confidence_for_recall_0.9"]) == {"all", *labelled.NAMES}
    assert set(summary.metrics) == ({"val", "test"} if task == "detect" else {"val", "val masks", "test", "test masks"})
    for split in summary.metrics:
        for picture in ("precision-recall", "confusion", "samples"):
            assert _is_picture(store.read(f"{split.replace(' ', '-')}-{picture}.png"))
    assert _is_picture(store.read("curves.png"))
    Detector(bundle, device="cpu").infer(np.zeros((1, 96, 160, 3), np.uint8))


def _is_picture(data: bytes) -> bool:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return pixels is not None and pixels.std() > 1


@pytest.mark.slow
def test_the_same_run_and_a_finished_one_again_leave_the_same_bytes(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path / "data", {"train": 4, "val": 2})
    config, left = config_of(tmp_path / "data", epochs=1), []
    for run, epochs in (("one", 1), ("two", 1), ("two", 0)):  # its last time, there is nothing to be trained
        trained: list[object] = []
        state = loop.train(config, dataset, None, SingleProcess(tmp_path / run, CPU), trained.append)
        assert len(trained) == epochs
        store = open_store(tmp_path / f"out-{len(left)}")
        digest = write_result(state, dataset, config, "scratch", store, CPU).model_sha256
        left.append((digest, store.read("model.zip"), [row["epoch"] for row in state.history]))
    assert left[0] == left[1] == left[2]


def test_the_history_is_there_as_json_csv_and_for_tensorboard(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event

    store = open_store(tmp_path)
    write_history(HISTORY[:1], config_of(tmp_path), store)
    write_history(HISTORY, config_of(tmp_path), store)
    assert json.loads(store.read("history.json")) == HISTORY
    rows = list(csv.DictReader(io.StringIO(store.read("history.csv").decode())))
    assert rows[0] == {"epoch": "1", "lr": "0.01", "box_loss": "2.0", "map50": "", "fitness": ""}
    data, seen = store.read(TENSORBOARD), []
    while data:  # TFRecord: length, its checksum, the event, its checksum
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        seen += [(value.tag, event.step, round(value.simple_value, 6)) for value in event.summary.value]
        data = data[12 + length + 4 :]
    assert sorted(seen) == sorted(
        (name, row["epoch"], value) for row in HISTORY for name, value in row.items() if name != "epoch"
    )


def test_mlflow_gets_each_epoch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs MLflow: pip install mlflow-skinny")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    tracking = {"mlflow_uri": (tmp_path / "mlflow").as_uri(), "experiment": "shapes"}
    config = config_of(tmp_path, name="one", tracking=tracking)
    for rows in (HISTORY[:1], HISTORY[:1], HISTORY):  # killed after the first epoch was told of, and before it was kept
        write_history(rows, config, open_store(tmp_path / "run"))
    client = mlflow.MlflowClient(tracking_uri=tracking["mlflow_uri"])
    (run,) = client.search_runs([client.get_experiment_by_name("shapes").experiment_id])
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "box_loss")] == [(1, 2.0), (2, 1.5)]


def test_without_mlflow_its_address_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    config = config_of(tmp_path, tracking={"mlflow_uri": "file:///nowhere"})
    with pytest.raises(ConfigError, match=r"tracking\.mlflow_uri: MLflow is not installed"):
        check_tracking(config.tracking)


@pytest.mark.parametrize(("sizes", "expected"), [([(720, 1280)], (384, 640)), ([(720, 1280), (800, 600)], (640, 640))])
def test_the_input_holds_every_image(sizes: list[tuple[int, int]], expected: tuple[int, int], tmp_path: Path) -> None:
    empty = {"classes": np.zeros(0, np.int64), "boxes_xyxy": np.zeros((0, 4), np.float32)}
    images = [labelled.LabelledImage(f"{i}.jpg", w, h, **empty) for i, (h, w) in enumerate(sizes)]
    assert input_shape(images, config_of(tmp_path, image_size_px=640)) == expected
    assert input_shape(images, config_of(tmp_path, image_size_px=640, aspect="square")) == (640, 640)


def test_first_weights_come_from_a_model_file_or_a_state_dict(detect_model: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights, origin = read_initial(detect_model)
    assert weights.keys() == load(detect_model).weights.keys()
    assert origin.startswith("detect.zip, sha256 ")
    save_file(weights, tmp_path / "coco.safetensors")
    again, origin = read_initial(str(tmp_path / "coco.safetensors"))
    assert again.keys() == weights.keys()
    assert origin.startswith("coco.safetensors, sha256 ")
    (tmp_path / "bad.safetensors").write_bytes(b"{}")
    with pytest.raises(ModelError, match=r"not a \.safetensors file"):
        read_initial(str(tmp_path / "bad.safetensors"))
    with pytest.raises(ModelError, match="no such file"):
        read_initial(str(tmp_path / "none.zip"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"batch": 3, "execution": {"workers": 4}}, "batch: got 3 images for 4 parts"),
        ({"execution": {"workers": [3, 2]}}, "expected a number from 1, or"),
        ({"batch_norm": "sync", "execution": {"gpu": False}}, "batch_norm: sync needs GPUs"),
        ({"image_size_px": 100}, "multiple of 32"),
        ({"name": "../up"}, "pattern"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        config_of(tmp_path, **fields)
