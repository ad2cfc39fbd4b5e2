"""A semantic model from a drawn dataset to its file, its scores and its pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support import labelled
from support.distributed import config_of, digest

from roadscan.dataset.label_maps import BACKGROUND
from roadscan.dataset.read import read_dataset
from roadscan.errors import ConfigError, ModelError
from roadscan.model.bundle import unpack
from roadscan.model.detector import Detector
from roadscan.model.segmenter import Segmenter
from roadscan.storage import open_store
from roadscan.train import loop
from roadscan.train.check import check_training
from roadscan.train.initial import loss_on
from roadscan.train.ranks import SingleProcess
from roadscan.train.result import TrainSummary, write_result

CPU = torch.device("cpu")


@pytest.mark.slow
def test_a_run_that_is_stopped_and_goes_on_leaves_a_model_and_pictures(tmp_path: Path) -> None:
    root = tmp_path / "data"
    labelled.draw_dataset(root, {"train": 8, "val": 3, "test": 2}, task="semantic")
    config = config_of(root, epochs=2, loss={"gamma": 1, "alpha": "from_frequency"}, limits="shapes alone")
    dataset = read_dataset(str(root))
    whole = loop.train(config, dataset, None, SingleProcess(tmp_path / "whole", CPU))

    class Stopped(Exception):
        pass

    def stop(history: list[dict[str, object]]) -> None:
        if len(history) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        loop.train(config, dataset, None, SingleProcess(tmp_path / "parts", CPU), stop)
    state = loop.train(config, dataset, None, SingleProcess(tmp_path / "parts", CPU))
    assert digest(state.network) == digest(whole.network)
    losses = [row["pixel_loss"] for row in state.history]
    assert losses[1] < losses[0]

    store = open_store(tmp_path / "out")
    summary = write_result(state, dataset, config, "scratch", store, CPU)
    assert TrainSummary.read(store) == summary
    assert set(summary.metrics) == {"val", "test"}
    assert set(summary.metrics["val"]) == {"miou", "miou_with_background", "pixel_accuracy", "boundary_f1"}
    bundle = unpack(store.read("model.zip"), where="model.zip")
    assert (bundle.card.task, bundle.card.classes, bundle.card.limits) == ("semantic", labelled.NAMES, "shapes alone")
    assert len(bundle.calibration) == 3
    assert set(bundle.card.metrics["val"]["per_class"]) == {*labelled.NAMES, BACKGROUND}
    alpha = bundle.card.training["loss_on_dataset"]["alpha"]
    assert min(alpha, key=alpha.__getitem__) == BACKGROUND  # most pixels are, so they weigh least
    for picture in ("val-samples", "val-confusion", "test-samples", "curves"):
        pixels = cv2.imdecode(np.frombuffer(store.read(f"{picture}.png"), np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        assert pixels.std() > 1
    (found,) = Segmenter(bundle, device="cpu").infer(np.zeros((1, 96, 160, 3), np.uint8))
    assert found.shape == (4, 96, 160)
    assert found.sum(0) == pytest.approx(np.ones((96, 160)), abs=1e-5)
    with pytest.raises(ModelError, match=r"the model is for task semantic, so it gives the class of every pixel"):
        Detector(bundle, device="cpu")
    assert json.loads(store.read("summary.json"))["best_epoch"] in (1, 2)


def test_what_means_nothing_for_pixels_is_refused_before_a_training_starts(tmp_path: Path) -> None:
    labelled.draw_dataset(tmp_path / "data", {"train": 2, "val": 1}, task="semantic")
    fields = {"out": str(tmp_path / "model.zip"), "runs": str(tmp_path / "runs")}
    check_training(config_of(tmp_path / "data", loss={"gamma": 2, "alpha": "from_frequency"}, **fields))
    with pytest.raises(ConfigError, match=r"loss\.cls_gain: got 2\.0, which is of boxes"):
        check_training(config_of(tmp_path / "data", loss={"cls_gain": 2}, **fields))
    with pytest.raises(ConfigError, match=r"loss\.alpha: .* \(missing: background\)"):
        check_training(config_of(tmp_path / "data", loss={"alpha": dict.fromkeys(labelled.NAMES, 0.5)}, **fields))
    with pytest.raises(ConfigError, match=r"repeat_threshold: got 0\.5, which is of objects"):
        check_training(config_of(tmp_path / "data", repeat_threshold=0.5, **fields))
    with pytest.raises(ConfigError, match=r"augment\.paste_rare: got 0\.2, which is of objects"):
        check_training(config_of(tmp_path / "data", augment={"paste_rare": 0.2}, **fields))


def test_alpha_from_frequency_is_the_share_of_pixels_of_other_classes(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 4, "val": 1}, task="semantic")
    alpha = loss_on(dataset, config_of(tmp_path, loss={"alpha": "from_frequency"})).alpha
    assert isinstance(alpha, dict)
    shares = {name: 1 - value for name, value in alpha.items()}
    assert sum(shares.values()) == pytest.approx(1)
    area = sum(
        cv2.contourArea(parts[0]) for image in dataset.splits["train"] for parts in image.outlines or ()
    ) / (4 * 96 * 160)  # fmt: skip
    assert 1 - shares[BACKGROUND] == pytest.approx(area, rel=0.05)
