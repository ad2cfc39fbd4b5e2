"""Export a model for other programs, with its card inside; what was exported must find what PyTorch finds.

What a program is given, and gives, is as in Ultralytics' own exports, so that what reads those reads these. The file
says so itself, in the facts of `facts_of`.
"""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import torch
import yaml

from roadscan import __version__
from roadscan.errors import ModelError
from roadscan.model.backends.agreement import UNCALIBRATED, Agreement, compare
from roadscan.model.backends.choose import calibration_images, found_in
from roadscan.model.backends.engine import Pixels, require_installed
from roadscan.model.backends.exported import ExportedEngine, filled
from roadscan.model.backends.openvino import import_openvino
from roadscan.model.backends.pytorch import TorchEngine
from roadscan.model.bundle import Bundle, load
from roadscan.model.decode import PADDING_GREY
from roadscan.model.exported import CARD, FIXED, Exported, read_model_bytes, unpack_model
from roadscan.model.formats import SUFFIXES, FixedInput, Format

MADE_FROM = "roadscan_model_sha256"
OPSET = 18  # ONNX Runtime computes Resize of 19 on the CPU, also where a GPU does the rest
INPUT = (
    "images: float32 (batch, 3, height, width), RGB, 0 to 1, sides multiples of 32; an image is scaled to fit, "
    "centred, with grey (114/255) around it"
)
OUTPUT = (
    "output0: float32 (batch, 4 + {classes} classes{coefficients}, anchors): x and y of a box's centre, its width and "
    "height, in pixels of the input; then the score of each class, 0 to 1, in the order of names{and_coefficients}. "
    "A box counts for its best class where that has {confidence:g} or more; of boxes of one class that overlap by more "
    "than IoU {iou:g} the best alone (non-maximum suppression)"
)
PROTOTYPES = (
    "output1: float32 (batch, 32, height / 4, width / 4): mask prototypes; a box's mask is where the sum of them, each "
    "times its coefficient, is above 0, inside of the box"
)
MOST_PX, MOST_SCORE, LEAST_MASK_IOU = 0.5, 0.01, 0.95  # that boxes, scores and masks may differ by


@dataclass(frozen=True)
class Export:
    """An export that was made.

    Attributes:
        path: of the file, or folder.
        sha256: its digest, as in the rows of a scan with it.
        agreement: with PyTorch in float32 on the model's calibration images.
    """

    path: Path
    sha256: str
    agreement: Agreement

    @property
    def difference(self) -> str:
        """The largest difference in words."""
        found = self.agreement
        return (
            f"{found.box_difference_px:.4f} px, {found.score_difference:.6f} of the score, over {found.detections} "
            f"detections in {found.images} images"
        )


def export_model(uri: str, to: Format, out: Path | None = None, fixed_bhw: FixedInput | None = None) -> Export:
    """A model file -> an exported one, written only if it finds what PyTorch finds on the model's calibration images.

    Args:
        uri: of the model file.
        to: the format.
        out: what to write; None for the model's own name with the format's ending, in the working folder.
        fixed_bhw: batch, height and width in pixels of the only input that the network shall take; None for any.

    Raises:
        ModelError: the model, or the file to write, cannot be used; a program is missing; or boxes differ.
    """
    bundle, target = load(uri), out or Path(PurePosixPath(uri).stem + SUFFIXES[to])
    _check(bundle, to, target, fixed_bhw)
    with _scratch_beside(target) as folder:
        made = Path(folder) / target.name
        _convert(_Wanted(bundle, fixed_bhw), to, made)
        exported = unpack_model(read_model_bytes(str(made)), where=str(target))
        assert isinstance(exported, Exported)
        agreement = agreement_of(bundle, exported)
        if objection := objection_to(agreement):
            raise ModelError(f"{target}: not written, {objection}")
        made.replace(target)
    return Export(target, exported.sha256, agreement)


def read_fixed(text: str) -> FixedInput:
    """``16x384x640`` -> batch, height and width.

    Raises:
        ModelError: it is written otherwise.

    >>> read_fixed("16x384x640")
    (16, 384, 640)
    """
    if not re.fullmatch(r"\d+x\d+x\d+", text):
        raise ModelError(f"fixed: got {text!r}; expected BATCHxHEIGHTxWIDTH, such as 16x384x640")
    batch, height, width = map(int, text.split("x"))
    return batch, height, width


def facts_of(bundle: Bundle, fixed_bhw: FixedInput | None) -> dict[str, Any]:
    """What an exported file tells of itself: Ultralytics' names, by which its readers decode it; ours; and the card."""
    card = bundle.card
    batch, *size_hw = fixed_bhw or (1, card.image_size_px, card.image_size_px)
    with_masks = card.task == "segment"
    output = OUTPUT.format(
        classes=len(card.classes), coefficients=" + 32" if with_masks else "", confidence=card.confidence, iou=card.iou,
        and_coefficients="; then 32 mask coefficients" if with_masks else "",
    )  # fmt: skip
    return {
        "description": f"YOLOv8{card.variant} for {card.task}, exported by roadscan {__version__}",
        "author": "roadscan",
        "license": card.licence,
        "stride": 32,
        "task": card.task,
        "batch": batch,
        "imgsz": size_hw,
        "names": dict(enumerate(card.classes)),
        "args": {"batch": batch, "dynamic": fixed_bhw is None, "nms": False},
        "channels": 3,
        "end2end": False,
        "roadscan_input": INPUT,
        "roadscan_outputs": "\n".join([output, *([PROTOTYPES] if with_masks else [])]),
        FIXED: repr(fixed_bhw),
        MADE_FROM: bundle.sha256,
        CARD: card.model_dump_json(),
    }


def agreement_of(bundle: Bundle, exported: Exported) -> Agreement:
    """How an exported network compares with PyTorch in float32 on the model's calibration images."""
    device, threads = ("cuda" if exported.format == "tensorrt" else "cpu"), torch.get_num_threads()
    images = [_fitted(image, exported.fixed_bhw) for image in calibration_images(bundle)]
    engines = TorchEngine(bundle, device, "full", threads), ExportedEngine(exported, device, threads)
    wanted, got = (found_in(images, engine, bundle.card) for engine in engines)
    return compare(wanted, got, bundle.card.confidence)


def objection_to(found: Agreement) -> str | None:
    """Why an exported network must not be used; None where it finds the same boxes."""
    is_close = found.box_difference_px <= MOST_PX and found.score_difference <= MOST_SCORE
    if found.objection or (is_close and not found.alone and found.lowest_mask_iou >= LEAST_MASK_IOU):
        return found.objection
    return (
        f"boxes differ from PyTorch's: expected all the same within {MOST_PX:g} px and {MOST_SCORE:g} of the score, "
        f"and masks of IoU {LEAST_MASK_IOU:g}; got: {found.figures}"
    )


def _fitted(image: Pixels, fixed_bhw: FixedInput | None) -> Pixels:
    """An image as an input of the one size that a network takes."""
    if fixed_bhw is None:
        return image
    _, height, width = fixed_bhw
    ratio = min(height / image.shape[0], width / image.shape[1], 1)
    size_wh = max(int(image.shape[1] * ratio), 1), max(int(image.shape[0] * ratio), 1)
    small: Pixels = cv2.resize(image, size_wh).astype(np.uint8, copy=False) if ratio < 1 else image
    (whole,) = filled(small[None], (1, height, width))
    fitted: Pixels = whole[0]
    return fitted


def _check(bundle: Bundle, to: Format, target: Path, fixed_bhw: FixedInput | None) -> None:
    """Refuse what cannot become an export, before anything is converted."""
    if not target.name.endswith(SUFFIXES[to]) or target.name == SUFFIXES[to]:
        raise ModelError(f"out {target}: expected a name that ends in {SUFFIXES[to]}, by which its readers know {to}")
    if target.is_dir() or (to == "openvino" and target.exists()):
        raise ModelError(f"out {target}: is there already; delete it, or give another name")
    if fixed_bhw is not None and (min(fixed_bhw) < 1 or any(side % 32 for side in fixed_bhw[1:])):
        raise ModelError(f"fixed {fixed_bhw}: expected a batch from 1, and sides that are multiples of 32")
    if to == "tensorrt" and fixed_bhw is None:
        raise ModelError("tensorrt: an engine is built for one size; expected --fixed, such as --fixed 16x384x640")
    if bundle.card.task == "semantic":
        raise ModelError(f"{to}: models for task semantic are not exported; scan with the model file itself")
    if not bundle.calibration:
        raise ModelError(f"{target}: not written, as nothing would tell whether it is right: {UNCALIBRATED}")
    if to in ("onnx", "tensorrt"):
        require_installed("onnxruntime", "export to torchscript")
    if to == "openvino":
        require_installed("openvino", "export to onnx")
    if to == "tensorrt":
        from roadscan.model import yolo

        yolo.require_tensorrt()


def _scratch_beside(target: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder on the target's own disk, from which it is moved once it is right."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=target.parent, prefix=".exporting-")
    except OSError as error:
        raise ModelError(f"out {target}: cannot be written there ({error.strerror})") from None


@dataclass(frozen=True)
class _Wanted:
    """What is to be written.

    Attributes:
        bundle: the model.
        fixed_bhw: as of `export_model`.
    """

    bundle: Bundle
    fixed_bhw: FixedInput | None

    @property
    def facts(self) -> dict[str, Any]:
        """What the file tells of itself."""
        return facts_of(self.bundle, self.fixed_bhw)

    @property
    def text_facts(self) -> dict[str, str]:
        """The same for formats that keep texts alone; Ultralytics reads them as Python's literals."""
        return {name: str(value) for name, value in self.facts.items()}

    @property
    def example(self) -> torch.Tensor:
        """An input (b, 3, h, w); where any will do, a small one of sides that differ: equal ones would stay equal."""
        batch, height, width = self.fixed_bhw or (2, 64, 96)
        return torch.zeros(batch, 3, height, width)

    @property
    def outputs(self) -> list[str]:
        """Their names."""
        return ["output0", "output1"] if self.bundle.card.task == "segment" else ["output0"]


def _convert(wanted: _Wanted, to: Format, out: Path) -> None:
    try:
        _CONVERTERS[to](wanted, out)
    except ModelError:
        raise
    except Exception as error:  # whatever ails another project's converter
        raise ModelError(f"{to}: the network cannot be brought into it ({type(error).__name__}: {error})") from error


def _to_onnx(wanted: _Wanted, out: Path) -> None:
    from roadscan.model import yolo

    sizes = None
    if wanted.fixed_bhw is None:
        height, width = (yolo.STRIDE_PX * torch.export.Dim(name, min=1) for name in ("height", "width"))
        sizes = {"images_bchw": {0: torch.export.Dim("batch", min=1), 2: height, 3: width}}
    program = torch.onnx.export(
        yolo.ExportedNetwork(wanted.bundle),
        (wanted.example,),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=["images"],
        output_names=wanted.outputs,
        dynamic_shapes=sizes,
    )
    assert program is not None
    program.model.metadata_props.update(wanted.text_facts)
    program.save(out, external_data=False)


def _to_openvino(wanted: _Wanted, out: Path) -> None:
    openvino = import_openvino()
    model = openvino.convert_model(_traced(wanted), example_input=wanted.example)
    model.reshape({model.inputs[0]: [-1, 3, -1, -1] if wanted.fixed_bhw is None else list(wanted.example.shape)})
    for tensor, name in zip([*model.inputs, *model.outputs], ["images", *wanted.outputs], strict=True):
        tensor.tensor.set_names({name})
    for name, text in wanted.text_facts.items():
        model.set_rt_info(text, [name])
    for name, value in _model_info(wanted.bundle).items():
        model.set_rt_info(value, ["model_info", name])
    openvino.save_model(model, out / "model.xml", compress_to_fp16=False)
    (out / "metadata.yaml").write_text(yaml.safe_dump(wanted.facts, sort_keys=False, allow_unicode=True))


def _model_info(bundle: Bundle) -> dict[str, Any]:
    """What OpenVINO's Model API reads of a network, to feed it right."""
    return {
        "model_type": "YOLO", "reverse_input_channels": True, "pad_value": PADDING_GREY, "scale_values": [255.0],
        "resize_type": "fit_to_window_letterbox", "iou_threshold": bundle.card.iou,
        "confidence_threshold": bundle.card.confidence,
        "labels": [name.replace(" ", "_") for name in bundle.card.classes],
    }  # fmt: skip


def _to_torchscript(wanted: _Wanted, out: Path) -> None:
    _traced(wanted).save(str(out), _extra_files={"config.txt": json.dumps(wanted.facts)})


def _to_tensorrt(wanted: _Wanted, out: Path) -> None:
    from roadscan.model import yolo

    onnx = out.with_suffix(SUFFIXES["onnx"])
    _to_onnx(wanted, onnx)
    yolo.build_tensorrt(onnx, out, wanted.facts)


def _traced(wanted: _Wanted) -> Any:
    """The network as TorchScript, which is deprecated and says so; OpenVINO knows no other way in."""
    from roadscan.model import yolo

    network = yolo.ExportedNetwork(wanted.bundle)
    with torch.inference_mode(), warnings.catch_warnings(action="ignore"):
        return torch.jit.trace(network, wanted.example, check_trace=False)  # type: ignore[no-untyped-call]


_CONVERTERS: dict[Format, Callable[[_Wanted, Path], None]] = {
    "onnx": _to_onnx, "openvino": _to_openvino, "torchscript": _to_torchscript, "tensorrt": _to_tensorrt,
}  # fmt: skip
