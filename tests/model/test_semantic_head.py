"""The semantic network: its output, its weights, its loss."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from roadscan.dataset.label_maps import VOID_VALUE
from roadscan.errors import ModelError
from roadscan.model import yolo
from roadscan.model.bundle import Bundle, ModelCard, pack, unpack
from roadscan.model.losses import LossConfig

NAMES = ("sign", "pole", "rail")


def trained_a_little(network: torch.nn.Module) -> torch.nn.Module:
    """The network with statistics that are not those of fresh weights, so that fusing them has something to do."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return network


@pytest.mark.parametrize("activation", ["silu", "leaky_relu"])
def test_every_pixel_has_a_logit_of_each_class_and_the_background(activation: str) -> None:
    network = yolo.build("semantic", "n", 3, activation)  # type: ignore[arg-type]
    assert network(torch.rand(2, 3, 64, 96))["logits"].shape == (2, 4, 64, 96)
    kinds = {type(module) for module in network.modules()}
    assert (torch.nn.SiLU in kinds, torch.nn.LeakyReLU in kinds) == (activation == "silu", activation == "leaky_relu")


def test_a_model_file_gives_the_network_back() -> None:
    torch.manual_seed(0)
    network = trained_a_little(yolo.build("semantic", "n", 3))
    card = ModelCard(task="semantic", variant="n", classes=NAMES)
    weights = {name: t.half().float() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    network.load_state_dict(weights)
    bundle = unpack(pack(card, weights), where="x")
    assert bundle.card == card
    pixels = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network.eval()(pixels.permute(0, 3, 1, 2).flip(1) / 255)["logits"]
        (got,) = yolo.RawNetwork(Bundle(card, bundle.weights, ""))(pixels)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


def test_weights_of_boxes_give_it_backbone_and_neck() -> None:
    torch.manual_seed(1)
    boxes = yolo.build("detect", "n", 7)
    network = yolo.build("semantic", "n", 3)
    fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    yolo.adapt(network, boxes.state_dict(), [])
    own, given = network.state_dict(), boxes.state_dict()
    body = [name for name in own if not name.startswith("model.22.")]
    assert all(torch.equal(own[name], given[name]) for name in body)
    assert all(torch.equal(own[name], fresh[name]) for name in own.keys() - set(body))
    assert not yolo.keeps_class_head(network, given)
    assert yolo.keeps_class_head(network, fresh)


def test_weights_of_another_task_are_refused() -> None:
    with pytest.raises(ModelError, match=r"not those of YOLOv8n for semantic with 3 classes"):
        yolo.restore("semantic", "n", 3, yolo.build("detect", "n", 3).state_dict())


def test_the_loss_is_the_mean_over_pixels_that_are_not_void_times_the_images() -> None:
    torch.manual_seed(2)
    criterion = yolo.criterion(yolo.build("semantic", "n", 3), NAMES, LossConfig())
    logits = torch.randn(2, 4, 8, 8, requires_grad=True)
    mask = torch.randint(0, 4, (2, 8, 8), dtype=torch.uint8)
    mask[0, :3] = VOID_VALUE
    loss, items = criterion({"logits": logits}, {"semantic_mask": mask})
    expected = cross_entropy(logits, mask.long(), ignore_index=VOID_VALUE)
    torch.testing.assert_close(items, {"pixel_loss": expected.detach()})
    torch.testing.assert_close(loss, 2 * expected)
    assert tuple(items) == criterion.loss_names


def test_images_without_a_pixel_to_learn_from_have_no_loss() -> None:
    criterion = yolo.criterion(yolo.build("semantic", "n", 3), NAMES, LossConfig(gamma=2, alpha=0.75))
    logits = torch.randn(1, 4, 8, 8, requires_grad=True)
    loss, _ = criterion({"logits": logits}, {"semantic_mask": torch.full((1, 8, 8), VOID_VALUE, dtype=torch.uint8)})
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_alpha_weighs_each_class() -> None:
    even = dict.fromkeys((*NAMES, "background"), 1.0)
    logits = torch.zeros(1, 4, 1, 4)
    batch = {"semantic_mask": torch.tensor([[[0, 1, 2, 3]]], dtype=torch.uint8)}
    losses = []
    for alpha in (even, {**even, "pole": 0.2}):
        criterion = yolo.criterion(yolo.build("semantic", "n", 3), NAMES, LossConfig(alpha=alpha))
        losses.append(criterion({"logits": logits}, batch)[0].item())
    assert losses[1] / losses[0] == pytest.approx(3.2 / 4)
