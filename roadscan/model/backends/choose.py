"""The choice of a backend: the one that was asked for, or the fastest that is installed and agrees with PyTorch."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from itertools import groupby
from typing import Any

import cv2
import numpy as np

from roadscan.errors import Malformed, ModelError
from roadscan.model.backends.agreement import SCORE_TOLERANCE, UNCALIBRATED, Agreement, compare
from roadscan.model.backends.cache import machine, write_atomically
from roadscan.model.backends.engine import Backend, Choice, Engine, Pixels, Precision, is_installed, version_of
from roadscan.model.backends.exported import open_exported
from roadscan.model.backends.onnx import OnnxRuntimeEngine, TensorRtEngine
from roadscan.model.backends.openvino import OpenVinoEngine
from roadscan.model.backends.pytorch import TorchEngine
from roadscan.model.bundle import Bundle, ModelCard
from roadscan.model.exported import Exported, Model
from roadscan.model.inference import Detections, Inference
from roadscan.parsing import read_json
from roadscan.storage import sha256_hex

REFERENCE: Backend = "torch"
logger = logging.getLogger(__name__)


def preference(device: str, precision: Precision) -> tuple[Backend, ...]:
    """Backends that `auto` tries, fastest first, as measured; PyTorch ends the list.

    YOLOv8n, 640x384, milliseconds of one core an image, pixels to boxes, on a CPU with AVX512-BF16: full: ONNX Runtime
    24, OpenVINO 27, PyTorch 36; half: OpenVINO 14, PyTorch 17. On a GPU nothing was measured, so there it is PyTorch.
    """
    if device.startswith("cuda"):
        return ("torch",)
    return ("onnxruntime", "openvino", "torch") if precision == "full" else ("openvino", "torch")


def choose_engine(wanted: Choice, model: Model, device: str, precision: Precision, threads: int) -> Engine:
    """A model -> the engine that runs it.

    Args:
        wanted: a backend, or auto.
        model: the model; an exported one is run by the program it was exported for, and agreed when it was exported.
        device: cpu or cuda.
        precision: full or half.
        threads: cores to use.

    Raises:
        ModelError: the backend that was asked for is not installed, cannot run there, or does not agree with PyTorch.
    """
    if isinstance(model, Exported):
        return open_exported(wanted, model, device, precision, threads)
    if wanted == "auto":
        return _first_that_agrees(model, device, precision, threads)
    engine = open_engine(wanted, model, device, precision, threads)
    if wanted != REFERENCE and (objection := agreement(engine, model, device, precision).objection):
        raise ModelError(f"backend {wanted}, precision {precision}: {objection}; set backend=torch")
    return engine


def open_engine(backend: Backend, bundle: Bundle, device: str, precision: Precision, threads: int) -> Engine:
    """A model -> its engine in a backend, whether that agrees with PyTorch or not.

    Raises:
        ModelError: the backend is not installed, cannot run on that device, or cannot take the network.
    """
    if backend != "torch" and (backend == "tensorrt") != device.startswith("cuda"):
        raise ModelError(f"backend {backend}: does not run on {device}; set backend=torch, or another device")
    if backend == "torch":
        return TorchEngine(bundle, device, precision, threads)
    try:
        if backend == "openvino":
            return OpenVinoEngine(bundle, precision, threads)
        if backend == "onnxruntime":
            return OnnxRuntimeEngine(bundle, precision, threads)
        return TensorRtEngine(bundle, device, precision)
    except ModelError:
        raise
    except Exception as error:  # whatever ails another project's converter, the reference runs
        raise ModelError(
            f"backend {backend}: the network cannot be brought into it ({type(error).__name__}: {error}); "
            "set backend=torch"
        ) from error


def agreement(engine: Engine, bundle: Bundle, device: str, precision: Precision) -> Agreement:
    """An engine -> how it compares with PyTorch in float32 on the model's calibration images.

    The result is kept beside the engine: for what it runs on, its version, and this processor.
    """
    kept = None
    if engine.folder:
        ran = sha256_hex("\n".join((engine.runs_on, version_of(engine.backend), machine())).encode())[:12]
        kept = engine.folder / f"verdict-{engine.backend}-{precision}-{ran}.json"
    if kept is not None and kept.exists():
        with suppress(Malformed):  # of another version, or damaged: it is measured again
            return read_json(kept.read_bytes(), Agreement)
    reference = TorchEngine(bundle, device, "full", engine.lanes or 1)
    images = calibration_images(bundle)
    wanted, got = (found_in(images, one, bundle.card) for one in (reference, engine))
    found = compare(wanted, got, bundle.card.confidence)
    if kept is not None:
        write_atomically(kept, json.dumps(found.to_dict()).encode())
    return found


def _first_that_agrees(bundle: Bundle, device: str, precision: Precision, threads: int) -> Engine:
    reasons = []
    for backend in preference(device, precision):
        if backend == REFERENCE or not is_installed(backend):
            continue
        reason: str | None = UNCALIBRATED  # known before anything is converted
        try:
            if bundle.calibration:
                engine = open_engine(backend, bundle, device, precision, threads)
                reason = agreement(engine, bundle, device, precision).objection
        except ModelError as error:
            reason = str(error)
        if reason is None:
            return engine
        reasons.append(f"{backend} is not used: {reason}")
    engine = open_engine(REFERENCE, bundle, device, precision, threads)
    if reasons:
        engine.runs_on += f" ({'; '.join(reasons)})"
        _warn_once("; ".join(reasons))
    return engine


@cache
def _warn_once(text: str) -> None:
    logger.warning("%s", text)


def found_in(images: Sequence[Pixels], engine: Engine, card: ModelCard) -> list[Detections]:
    """Inputs of the network -> what an engine finds in each, as `compare` takes it: with a lower confidence."""
    lowest = max(card.confidence - SCORE_TOLERANCE, 0.001)
    inference = Inference(engine, card.classes, lowest, card.iou)
    batches = groupby(images, key=np.shape)
    return [found for _, alike in batches for found in inference.infer(np.stack(list(alike)))]


def calibration_images(bundle: Bundle) -> list[Pixels]:
    """A model -> its calibration images, decoded: (h, w, 3) uint8 BGR each.

    Raises:
        ModelError: one cannot be decoded.
    """
    decoded: list[Any] = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in bundle.calibration]
    images = [image for image in decoded if image is not None and not any(np.mod(image.shape[:2], 32))]
    if len(images) < len(bundle.calibration):
        raise ModelError("the model's calibration images are damaged; write them again with 'roadscan model calibrate'")
    return images
