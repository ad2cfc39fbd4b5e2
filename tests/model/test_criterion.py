"""Our loss inside YOLOv8's, against the stock one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support import labelled

from roadscan.errors import ConfigError
from roadscan.model import yolo
from roadscan.model.bundle import Task, load
from roadscan.model.losses import LossConfig

Batch = dict[str, torch.Tensor]
OBJECTS = dict.fromkeys(labelled.NAMES, 1)


def batch_of(root: Path, task: Task, count: int = 6) -> Batch:
    dataset = labelled.draw_dataset(root, {"train": count}, task=task)
    images = yolo.TrainingImages(
        root, dataset.splits["train"], task=task, config=yolo.AugmentConfig(), image_size_px=160,
        input_hw=(160, 160), seed=0, mosaic_epochs=1,
    )  # fmt: skip
    return yolo.collate([images[yolo.Item(0, place, place)] for place in range(count)])


def network_of(task: Task, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return yolo.build(task, "n", len(labelled.NAMES)).train()


def stock_loss(network: torch.nn.Module, task: Task) -> object:
    from ultralytics.utils.loss import v8DetectionLoss, v8SegmentationLoss

    return (v8SegmentationLoss if task == "segment" else v8DetectionLoss)(network)


@pytest.mark.parametrize("task", ["detect", "segment"])
@pytest.mark.parametrize(
    "loss",
    [
        LossConfig(gamma=0),
        LossConfig(kind="bce", alpha=0.3),
        LossConfig(scale_gain=True).on(OBJECTS),
    ],
    ids=["gamma=0", "bce", "scaled"],
)
def test_without_gamma_every_item_is_the_stock_loss_to_the_last_bit(
    task: Task, loss: LossConfig, tmp_path: Path
) -> None:
    batch, network = batch_of(tmp_path, task), network_of(task)
    ours = yolo.criterion(network, labelled.NAMES, loss)
    output = network(batch["img"].float() / 255)
    parts, items = ours(output, batch)
    stock_parts, stock_items = stock_loss(network, task)(output, batch)  # type: ignore[operator]
    assert torch.equal(parts, stock_parts)
    assert items.keys() == stock_items.keys()
    assert all(torch.equal(items[name], stock_items[name]) for name in items)
    assert parts[:3].min() > 0  # there was something to compare


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_it_is_the_stock_loss_on_an_image_without_objects(task: Task, tmp_path: Path) -> None:
    batch, network = batch_of(tmp_path, task, 1), network_of(task)
    batch |= {"cls": torch.zeros(0, 1), "bboxes": torch.zeros(0, 4), "batch_idx": torch.zeros(0)}
    output = network(batch["img"].float() / 255)
    parts, _ = yolo.criterion(network, labelled.NAMES, LossConfig(gamma=0))(output, batch)
    assert torch.equal(parts, stock_loss(network, task)(output, batch)[0])  # type: ignore[operator]
    assert parts.isfinite().all()


@pytest.mark.skipif(not labelled.GTSDB.exists(), reason="needs the GTSDB images in shared/data")
def test_it_is_the_stock_loss_on_photographs(tmp_path: Path) -> None:
    from roadscan.dataset.read import read_dataset

    dataset = read_dataset(str(labelled.GTSDB))
    images = [image for image in dataset.splits["train"] if len(image.classes)][:4]
    pixels = yolo.TrainingImages(
        labelled.GTSDB, images, task="detect", config=yolo.AugmentConfig(mosaic=0), image_size_px=640,
        input_hw=(384, 640), seed=0, mosaic_epochs=0,
    )  # fmt: skip
    batch = yolo.collate([pixels[yolo.Item(0, place, place)] for place in range(4)])
    torch.manual_seed(0)
    network = yolo.build("detect", "n", len(dataset.names)).train()
    output = network(batch["img"].float() / 255)
    parts, _ = yolo.criterion(network, dataset.names, LossConfig(gamma=0))(output, batch)
    assert torch.equal(parts, stock_loss(network, "detect")(output, batch)[0])  # type: ignore[operator]


def test_gamma_changes_class_and_mask_losses_alone(tmp_path: Path) -> None:
    batch, network = batch_of(tmp_path, "segment"), network_of("segment")
    output = network(batch["img"].float() / 255)
    plain, focal = (yolo.criterion(network, labelled.NAMES, LossConfig(gamma=g))(output, batch)[1] for g in (0, 2))
    changed = {name for name in plain if not torch.equal(plain[name], focal[name])}
    assert changed == {"cls_loss", "seg_loss"}
    assert focal["cls_loss"] < plain["cls_loss"]


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0])
def test_a_scaled_gain_makes_up_for_most_of_what_gamma_takes_where_boxes_fit(gamma: float, tmp_path: Path) -> None:
    batch, network = batch_of(tmp_path, "detect"), network_of("detect")
    yolo.adapt(network, load("demo").weights, [])  # its boxes; its classes are others, so the class head is fresh
    output = network(batch["img"].float() / 255)
    plain, focal, scaled = (
        float(yolo.criterion(network, labelled.NAMES, loss.on(OBJECTS))(output, batch)[1]["cls_loss"])
        for loss in (LossConfig(), LossConfig(gamma=gamma), LossConfig(gamma=gamma, scale_gain=True))
    )
    assert focal < plain
    assert abs(plain - scaled) < 0.5 * abs(plain - focal)


def test_one_alpha_for_every_class_is_the_same_as_one_alpha(tmp_path: Path) -> None:
    batch, network = batch_of(tmp_path, "segment"), network_of("segment")
    output = network(batch["img"].float() / 255)
    single, each = (
        yolo.criterion(network, labelled.NAMES, LossConfig(gamma=2, alpha=alpha))(output, batch)[0]
        for alpha in (0.3, dict.fromkeys(labelled.NAMES, 0.3))
    )
    assert torch.allclose(single, each, rtol=1e-6)


def test_alpha_of_a_class_reaches_the_masks_of_that_class_alone(tmp_path: Path) -> None:
    """At gamma 0 the mask loss is linear in each class's alpha: sum over classes of (alpha a_c + (1 - alpha) b_c).

    So moving one class's alpha moves the loss as much as it does when the other classes' alphas are elsewhere, and
    moving all of them moves it by the sum.
    """
    batch, network = batch_of(tmp_path, "segment", 8), network_of("segment")
    assert set(batch["cls"].view(-1).long().tolist()) == {0, 1, 2}
    output = network(batch["img"].float() / 255)

    def mask_loss(*alphas: float) -> float:
        config = LossConfig(gamma=0, alpha=dict(zip(labelled.NAMES, alphas, strict=True)))
        return float(yolo.criterion(network, labelled.NAMES, config)(output, batch)[1]["seg_loss"])

    base = mask_loss(0.5, 0.5, 0.5)
    alone = [mask_loss(*(0.9 if c == moved else 0.5 for c in range(3))) - base for moved in range(3)]
    assert len({round(difference, 6) for difference in alone}) == 3  # each class has a part of its own
    assert mask_loss(0.9, 0.9, 0.9) - base == pytest.approx(sum(alone), rel=1e-3)
    # What a class's part is can be told by hand: with only its images in the batch the others' alphas change nothing.
    for kind in range(3):
        own = {"cls": torch.full_like(batch["cls"], kind)}
        alphas = [0.1] * 3
        alphas[kind] = 0.5
        config = LossConfig(gamma=0, alpha=dict(zip(labelled.NAMES, alphas, strict=True)))
        got = yolo.criterion(network, labelled.NAMES, config)(output, batch | own)[1]["seg_loss"]
        half = yolo.criterion(network, labelled.NAMES, LossConfig(gamma=0))(output, batch | own)[1]["seg_loss"] / 2
        assert float(got) == pytest.approx(float(half), rel=1e-5)


def test_smooth_l1_replaces_ciou_and_leaves_the_rest(tmp_path: Path) -> None:
    batch, network = batch_of(tmp_path, "detect"), network_of("detect")
    output = network(batch["img"].float() / 255)
    ciou, smooth = (
        yolo.criterion(network, labelled.NAMES, LossConfig(box=box))(output, batch)[1]  # type: ignore[arg-type]
        for box in ("ciou", "smooth_l1")
    )
    assert {name for name in ciou if not torch.equal(ciou[name], smooth[name])} == {"box_loss"}
    assert smooth["box_loss"] > 0


def test_alpha_must_name_every_class() -> None:
    with pytest.raises(ConfigError, match=r"loss\.alpha: got values for square; expected one for each class"):
        yolo.criterion(network_of("detect"), labelled.NAMES, LossConfig(alpha={"square": 0.5}))
