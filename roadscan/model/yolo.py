"""The only door to ultralytics.

Its import has side effects, so the environment is set first: no network, no automatic installation of packages, no
pickled code, and no settings shared with other programs on the machine.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from PIL import Image

from roadscan.errors import ModelError
from roadscan.model.bundle import StateDict, Task, Variant
from roadscan.model.unfold import is_folded, unfold_batchnorm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_settings = tempfile.mkdtemp(prefix="roadscan-yolo-")
atexit.register(shutil.rmtree, _settings, ignore_errors=True)
os.environ.update(
    YOLO_OFFLINE="1",  # otherwise it looks for fonts, weights and updates, and sends events
    YOLO_AUTOINSTALL="false",  # otherwise a missing module runs pip
    YOLO_VERBOSE=os.environ.get("YOLO_VERBOSE", "false"),
    ULTRALYTICS_SAFE_LOAD="1",  # a .pt is a pickle: load only classes on the allow-list
    YOLO_CONFIG_DIR=_settings,  # its settings file is written by every process
)
_image_open = Image.open

from ultralytics.nn.tasks import DetectionModel, SegmentationModel, load_checkpoint
from ultralytics.utils.nms import non_max_suppression

# ultralytics replaces Pillow's open, for every program in the process, by one that goes looking for a HEIF package
# when a file is no image.
Image.open = _image_open

STRIDE_PX = 32  # of YOLOv8's coarsest feature map: input sides are multiples of it
MAX_DETECTIONS = 300  # an image


def build(task: Task, variant: Variant, n_classes: int) -> torch.nn.Module:
    """A YOLOv8 network with fresh weights.

    Args:
        task: detect or segment.
        variant: n, s, m, l or x.
        n_classes: size of the classification output.
    """
    if task == "segment":
        return cast(torch.nn.Module, SegmentationModel(f"yolov8{variant}-seg.yaml", nc=n_classes, verbose=False))
    return cast(torch.nn.Module, DetectionModel(f"yolov8{variant}.yaml", nc=n_classes, verbose=False))


def restore(task: Task, variant: Variant, n_classes: int, weights: StateDict) -> torch.nn.Module:
    """A YOLOv8 network with given weights, ready for inference: evaluation mode, BatchNorm fused.

    Raises:
        ModelError: the weights are of another network.
    """
    network = build(task, variant, n_classes)
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


def adapt(
    task: Task, variant: Variant, n_classes: int, initial: StateDict, batches: Iterable[torch.Tensor]
) -> StateDict:
    """Weights of another set of classes, made ready to be trained on.

    Tensors whose name or shape does not fit (the head's class scores) take fresh values. Where BatchNorm was folded
    into the convolutions, it is unfolded.

    Args:
        task: of the network to train.
        variant: likewise.
        n_classes: likewise.
        initial: the weights to start from.
        batches: (b, 3, h, w) float images in 0..1 to measure activations on; read only where BatchNorm was folded.
    """
    network = build(task, variant, n_classes)
    own = network.state_dict()
    fitting = {name: tensor for name, tensor in initial.items() if name in own and own[name].shape == tensor.shape}
    network.load_state_dict({**own, **fitting})
    if is_folded(network):
        unfold_batchnorm(network, batches)
    return cast(StateDict, network.state_dict())


def suppress(output: torch.Tensor, n_classes: int, confidence: float, iou: float) -> list[torch.Tensor]:
    """Non-maximum suppression, class by class.

    Args:
        output: (batch, 4 + n_classes + extra, anchors), the network's output: xywh boxes in input pixels, class scores,
            mask coefficients.
        n_classes: number of class scores.
        confidence: lowest score kept.
        iou: overlap at which the lower score is dropped.

    Returns:
        For each image (n, 6 + extra): xyxy, score, class index, coefficients; highest score first.
    """
    # The stock limit of 2 s + 0.05 s an image drops the rest of a batch on a slow machine, with no more than a warning.
    return cast(
        "list[torch.Tensor]",
        non_max_suppression(output, confidence, iou, nc=n_classes, max_det=MAX_DETECTIONS, max_time_img=float("inf")),
    )


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


def train_stock(
    task: Task,
    variant: Variant,
    data: Path,
    folder: Path,
    n_classes: int,
    initial: StateDict | None,
    on_epoch: Callable[[int, dict[str, float]], None],
    settings: dict[str, Any],
) -> StateDict:
    """Train with ultralytics' own trainer in this process.

    Args:
        task: detect or segment.
        variant: YOLOv8 size.
        data: ``data.yaml`` of a YOLO dataset.
        folder: where the trainer keeps its files.
        n_classes: of the dataset.
        initial: weights to start from, of the whole network with its number of classes (`adapt`); None for scratch.
        on_epoch: called with the epoch and its validation metrics.
        settings: ultralytics' training settings, by its own names.

    Returns:
        The averaged weights of the epoch that was best on the validation split.
    """
    from ultralytics import YOLO

    model = YOLO(f"yolov8{variant}{'-seg' if task == 'segment' else ''}.yaml", task=task)
    if initial is not None:
        start = folder / "initial.pt"
        folder.mkdir(parents=True, exist_ok=True)
        network = build(task, variant, n_classes)
        network.load_state_dict(initial)
        torch.save({"model": network, "train_args": {}}, start)
        settings = {**settings, "pretrained": str(start)}
    model.add_callback("on_train_start", _use_cpu_well)
    model.add_callback("on_fit_epoch_end", lambda trainer: on_epoch(trainer.epoch, dict(trainer.metrics)))
    with torch.autocast("cpu", torch.bfloat16):  # no effect on a GPU, where the trainer brings its own
        model.train(data=str(data), project=str(folder), name="run", exist_ok=True, plots=False, **settings)
    network, _ = load_checkpoint(str(model.trainer.best))
    return cast(StateDict, network.float().state_dict())


def _use_cpu_well(trainer: Any) -> None:
    """All cores, and the memory layout that convolutions on a CPU are fast in; the stock trainer uses neither."""
    if trainer.device.type == "cpu":
        torch.set_num_threads(os.cpu_count() or 1)
        trainer.model.to(memory_format=torch.channels_last)


def validate_stock(
    weights: StateDict,
    task: Task,
    variant: Variant,
    classes: tuple[str, ...],
    data: Path,
    split: str,
    image_size_px: int,
) -> dict[str, Any]:
    """Score weights with ultralytics' own validator on one split of a YOLO dataset.

    Returns:
        ``mAP50``, ``mAP50-95``, ``precision``, ``recall`` (means over classes, at the confidence of best F1), and
        ``per_class``: for each class ``AP50``, ``AP50-95`` and ``instances``.
    """
    from ultralytics import YOLO

    model = YOLO(f"yolov8{variant}{'-seg' if task == 'segment' else ''}.yaml", task=task)
    model.model = build(task, variant, len(classes))
    model.model.load_state_dict(weights)
    model.model.names = dict(enumerate(classes))
    with tempfile.TemporaryDirectory() as folder:
        found = model.val(
            data=str(data),
            split=split,
            imgsz=image_size_px,
            plots=False,
            project=folder,
            rect=True,
            workers=0,
            verbose=False,
        )
    box, counts = found.box, found.nt_per_class
    return {
        "mAP50": round(float(box.map50), 4),
        "mAP50-95": round(float(box.map), 4),
        "precision": round(float(box.mp), 4),
        "recall": round(float(box.mr), 4),
        "per_class": {
            classes[index]: {
                "AP50": round(float(box.ap50[i]), 4),
                "AP50-95": round(float(box.ap[i]), 4),
                "instances": int(counts[index]),
            }
            for i, index in enumerate(box.ap_class_index)
        },
    }
