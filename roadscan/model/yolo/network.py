"""The network: built, adapted to classes, restored from weights; and what its output means."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from roadscan.errors import ModelError
from roadscan.model.bundle import Activation, StateDict, Task, Variant
from roadscan.model.unfold import is_folded, unfold_batchnorm

if TYPE_CHECKING:
    from collections.abc import Iterable

from ultralytics.nn.modules import Conv, ConvTranspose
from ultralytics.nn.tasks import DetectionModel, SegmentationModel, load_checkpoint

from roadscan.model.yolo.semantic import SemanticHead, with_semantic_head

STRIDE_PX = 32  # of YOLOv8's coarsest feature map: input sides are multiples of it


def build(task: Task, variant: Variant, n_classes: int, activation: Activation = "silu") -> torch.nn.Module:
    """A YOLOv8 network with fresh weights.

    Args:
        task: detect, segment, or semantic.
        variant: n, s, m, l or x.
        n_classes: size of the classification output; of semantic without the background.
        activation: after every convolution; leaky_relu with a slope of 0.1 below zero.
    """
    kind, suffix = (SegmentationModel, "-seg") if task == "segment" else (DetectionModel, "")
    network: torch.nn.Module = kind(f"yolov8{variant}{suffix}.yaml", nc=n_classes, verbose=False)
    if task == "semantic":
        with_semantic_head(network, n_classes)
    if activation == "leaky_relu":
        for module in network.modules():
            if isinstance(module, Conv | ConvTranspose) and isinstance(module.act, torch.nn.SiLU):
                module.act = torch.nn.LeakyReLU(0.1, inplace=True)
    return network


def restore(
    task: Task, variant: Variant, n_classes: int, weights: StateDict, activation: Activation = "silu"
) -> torch.nn.Module:
    """A YOLOv8 network with given weights, ready for inference: evaluation mode, BatchNorm fused.

    Raises:
        ModelError: the weights are of another network.
    """
    network = build(task, variant, n_classes, activation)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = sorted(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
    if wrong:
        name = wrong[0]
        raise ModelError(
            f"the weights are not those of YOLOv8{variant} for {task} with {n_classes} classes: {len(wrong)} tensors "
            f"differ, first {name}: got {given.get(name, 'none')}, expected {shapes.get(name, 'none')}"
        )
    network.load_state_dict(weights)
    fused: torch.nn.Module = network.eval().fuse(verbose=False)  # type: ignore[operator]
    return fused.requires_grad_(False)


def to_float32(raw: dict[str, Any]) -> dict[str, Any]:
    """The head's raw output in float32, whatever precision the network computes in.

    What follows from it are pixels: bfloat16 has 8 bits, so at pixel 600 a box would move in steps of 4, and the loss
    of a small object there would point anywhere.
    """
    return {name: [one.float() for one in x] if isinstance(x, list) else x.float() for name, x in raw.items()}


def adapt(network: torch.nn.Module, initial: StateDict, batches: Iterable[torch.Tensor]) -> None:
    """Start a network to be trained from weights of another set of classes.

    Tensors whose name or shape does not fit (the head's class scores) keep their fresh values. Where BatchNorm was
    folded into the convolutions, it is unfolded.

    Args:
        network: changed in place.
        initial: the weights to start from.
        batches: (b, 3, h, w) float images in 0..1 to measure activations on; read only where BatchNorm was folded.

    Raises:
        ModelError: as `fitting`.
    """
    network.load_state_dict({**network.state_dict(), **fitting(network, initial)})
    if is_folded(network):
        unfold_batchnorm(network, batches)
    network.train()


def set_prior(network: torch.nn.Module, prior: float) -> None:
    """Have a fresh class head give every class about this probability everywhere: its biases become -log((1 - π) / π).

    Source: Lin et al. 2017, arXiv:1708.02002, section 4.1 (Initialization).
    """
    for bias in _class_biases(network).values():
        torch.nn.init.constant_(bias, -math.log((1 - prior) / prior))


def keeps_class_head(network: torch.nn.Module, initial: StateDict) -> bool:
    """Whether `adapt` to these weights would take over their class head, since they have as many classes."""
    return _class_biases(network).keys() <= fitting(network, initial).keys()


def _class_biases(network: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The biases of the class scores, one tensor a feature map, by name; of a semantic head the only one."""
    head: Any = network.model[-1]  # type: ignore[index]
    last = [head.logits.bias] if isinstance(head, SemanticHead) else [layers[-1].bias for layers in head.cv3]
    return {name: one for name, one in network.named_parameters() if any(one is bias for bias in last)}


def fitting(network: torch.nn.Module, initial: StateDict) -> StateDict:
    """Those of the weights that fit a network by name and shape.

    Raises:
        ModelError: the weights have no backbone in common with the network.
    """
    own = network.state_dict()
    found = {name: tensor for name, tensor in initial.items() if name in own and own[name].shape == tensor.shape}
    if len(found) < len(own) / 2:
        raise ModelError(
            f"initial weights: {len(found)} of the network's {len(own)} tensors fit by name and shape; "
            "expected weights of the same YOLOv8 variant"
        )
    return found


def split_output(output: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The network's raw output as (predictions, mask prototypes or None).

    Prototypes are (batch, 32, height / 4, width / 4).
    """
    first = output[0]
    if isinstance(first, tuple):  # segmentation: ((predictions, prototypes), training outputs)
        return first[0], first[1]
    return first, None


def read_checkpoint(path: Path) -> tuple[StateDict, tuple[str, ...], Task, Variant]:
    """Weights, class names, task and variant of an Ultralytics YOLOv8 ``.pt``; it unpickles the file.

    Raises:
        ModelError: not a YOLOv8 checkpoint for detection or segmentation.
    """
    try:
        network, _ = load_checkpoint(str(path.resolve()))
        names = tuple(network.names[i] for i in range(len(network.names)))
        task: Task = "segment" if isinstance(network, SegmentationModel) else "detect"
        variant = cast(Variant, str(network.yaml["scale"]))
        weights = network.float().state_dict()
    except Exception as error:  # noqa: BLE001 - a pickle can raise anything
        raise ModelError(f"{path}: not an Ultralytics YOLOv8 checkpoint ({type(error).__name__}: {error})") from None
    return weights, names, task, variant


def coco_names() -> tuple[str, ...]:
    """The 80 class names of COCO, in the order of its pretrained weights."""
    from ultralytics.utils import ROOT, YAML

    names = YAML.load(ROOT / "cfg" / "datasets" / "coco.yaml")["names"]
    return tuple(names[i] for i in range(len(names)))
