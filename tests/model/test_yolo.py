from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from roadscan.errors import ModelError
from roadscan.model import yolo
from roadscan.model.bundle import ModelCard, Task, load, save
from roadscan.model.importing import import_weights
from roadscan.model.unfold import is_folded, unfold_batchnorm


def folded(network: torch.nn.Module) -> torch.nn.Module:
    """The network with every BatchNorm's scale moved into its convolution, as deployed weights have it."""
    for block in network.modules():
        if hasattr(block, "conv") and isinstance(getattr(block, "bn", None), torch.nn.BatchNorm2d):
            conv, norm = block.conv, block.bn
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            conv.weight.data *= scale.reshape(-1, 1, 1, 1)
            norm.bias.data -= norm.running_mean * scale
            norm.weight.data.fill_(1)
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
    return network


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    made = yolo.build("detect", "n", 3)
    for layer in made.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
    return made.eval()


def test_unfolding_keeps_what_the_network_computes_and_gives_statistics(network: torch.nn.Module) -> None:
    images = torch.rand(4, 3, 128, 128)
    with torch.no_grad():
        before = folded(network)(images)[0]
        assert is_folded(network)
        unfold_batchnorm(network, [images[:2], images[2:]])
        assert not is_folded(network)
        after = network.eval()(images)[0]
        torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-2)
        # In training BatchNorm uses the batch's own statistics, and these are now the stored ones: nothing moves.
        stem = network.model[0]
        torch.testing.assert_close(stem.train()(images), stem.eval()(images), rtol=1e-3, atol=1e-3)


def test_adapting_keeps_the_body_and_renews_the_scores(network: torch.nn.Module) -> None:
    fresh = yolo.build("detect", "n", 7)
    scores = fresh.state_dict()["model.22.cv3.0.2.weight"].clone()
    yolo.adapt(fresh, network.state_dict(), [])
    assert torch.equal(fresh.state_dict()["model.0.conv.weight"], network.state_dict()["model.0.conv.weight"])
    assert torch.equal(fresh.state_dict()["model.22.cv3.0.2.weight"], scores)
    assert fresh.training


def test_a_detection_model_can_start_a_segmentation(network: torch.nn.Module) -> None:
    fresh = yolo.build("segment", "n", 5)
    yolo.adapt(fresh, network.state_dict(), [])
    assert torch.equal(fresh.state_dict()["model.9.cv2.conv.weight"], network.state_dict()["model.9.cv2.conv.weight"])


def test_weights_of_another_variant_start_nothing(network: torch.nn.Module) -> None:
    with pytest.raises(ModelError, match=r"initial weights: \d+ of the network's \d+ tensors fit by name and shape"):
        yolo.adapt(yolo.build("detect", "s", 3), network.state_dict(), [])


def test_leaky_relu_is_in_every_convolution_and_comes_back_with_the_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    leaky = yolo.build("detect", "n", 3, "leaky_relu").eval()
    assert not any(isinstance(module, torch.nn.SiLU) for module in leaky.modules())
    card = ModelCard(task="detect", variant="n", classes=("a", "b", "c"), activation="leaky_relu")
    save(tmp_path / "m.zip", card, leaky.state_dict())
    bundle = load(str(tmp_path / "m.zip"))
    again = yolo.restore("detect", "n", 3, bundle.weights, bundle.card.activation)
    images = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(again(images)[0], leaky(images)[0], rtol=1e-2, atol=1e-1)  # the file is float16


def test_pillow_is_left_as_it_was() -> None:
    assert Image.open.__module__ == "PIL.Image"


def test_weights_of_another_network_are_refused(detect_model: str) -> None:
    weights = load(detect_model).weights
    with pytest.raises(ModelError, match="not those of YOLOv8s for detect"):
        yolo.restore("detect", "s", 7, weights)
    with pytest.raises(ModelError, match="not those of YOLOv8n for segment"):
        yolo.restore("segment", "n", 7, weights)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(yolo.build("detect", "n", 80).state_dict(), path)
    return path


def test_coco_weights_come_in_as_a_model_file(state: Path, tmp_path: Path) -> None:
    card, digest = import_weights(
        state, tmp_path / "m.zip", task="detect", variant="n", classes="coco", run_pickle=False
    )
    model = load(str(tmp_path / "m.zip"))
    assert model.sha256 == digest
    assert (card.classes[0], len(card.classes), card.initialised_from) == ("person", 80, "weights.safetensors")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": "a,b"}, "not those of YOLOv8n"),
        ({"variant": "s"}, "not those of YOLOv8s"),
        ({"variant": "q"}, "variant 'q'"),
        ({"task": "pose"}, "task 'pose'"),
    ],
)
def test_wrong_words_for_weights_are_named(state: Path, tmp_path: Path, changes: dict[str, str], words: str) -> None:
    settings = {"task": "detect", "variant": "n", "classes": "coco", **changes}
    with pytest.raises(ModelError, match=words):
        import_weights(state, tmp_path / "m.zip", run_pickle=False, **settings)
    assert not (tmp_path / "m.zip").exists()


def test_a_pickle_needs_permission_and_must_be_a_model(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"model": "nothing"}, path)
    settings = {"task": "detect", "variant": "n", "classes": "coco"}
    with pytest.raises(ModelError, match="--run-pickle"):
        import_weights(path, tmp_path / "m.zip", run_pickle=False, **settings)
    with pytest.raises(ModelError, match="not an Ultralytics YOLOv8 checkpoint"):
        import_weights(path, tmp_path / "m.zip", run_pickle=True, **settings)


def test_an_ultralytics_checkpoint_comes_in(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    made = yolo.build("segment", "n", 2)
    made.names = {0: "cat", 1: "dog"}
    torch.save({"model": made}, path)
    card, _ = import_weights(path, tmp_path / "m.zip", task="detect", variant="x", classes="coco", run_pickle=True)
    assert (card.task, card.variant, card.classes) == ("segment", "n", ("cat", "dog"))


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_a_class_head_with_a_prior_starts_from_it(task: Task) -> None:
    torch.manual_seed(0)
    network = yolo.build(task, "n", 5)
    torch.manual_seed(0)
    stock = yolo.build(task, "n", 5).state_dict()
    yolo.set_prior(network, 0.01)
    changed = {name: one for name, one in network.state_dict().items() if not torch.equal(one, stock[name])}
    assert {*changed} == {f"model.22.cv3.{level}.2.bias" for level in range(3)}
    for bias in changed.values():
        assert torch.allclose(bias.sigmoid(), torch.tensor(0.01))
    scores = network.train()(torch.rand(2, 3, 64, 64))["scores"].sigmoid()
    assert scores.median().item() == pytest.approx(0.01, rel=0.3)  # its weights are fresh, so not everywhere the same


def test_only_as_many_classes_keep_the_class_head(network: torch.nn.Module) -> None:
    assert yolo.keeps_class_head(yolo.build("detect", "n", 3), network.state_dict())
    assert not yolo.keeps_class_head(yolo.build("detect", "n", 4), network.state_dict())
