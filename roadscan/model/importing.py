"""Bring weights from elsewhere in as a roadscan model file."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import safetensors
import safetensors.torch
from pydantic import ValidationError

from roadscan import __version__
from roadscan.errors import ModelError
from roadscan.model import yolo
from roadscan.model.bundle import Bundle, ModelCard, Variant, save
from roadscan.model.calibration import calibration_from_folder


def import_weights(
    weights: Path, out: Path, *, task: str, variant: str, classes: str, run_pickle: bool, calibrate: Path | None = None
) -> tuple[ModelCard, str]:
    """Convert Ultralytics or COCO weights.

    Args:
        weights: an Ultralytics ``.pt`` (task, variant and classes come from it), or a state dict in ``.safetensors``.
        out: the model file to write.
        task: of a state dict, detect, segment or semantic.
        variant: of a state dict, n, s, m, l or x.
        classes: of a state dict, ``coco`` or names separated by commas.
        run_pickle: whether a ``.pt``, which is a pickle and may run code, may be read.
        calibrate: folder of images to take calibration images from, see `roadscan.model.calibration`.

    Returns:
        The card and the file's sha256.

    Raises:
        ModelError: the file cannot be read, or its weights are not those of the network named.
    """
    if not weights.is_file():
        raise ModelError(f"weights {weights}: no such file")
    if weights.suffix == ".pt":
        if not run_pickle:
            raise ModelError(f"weights {weights}: a .pt is a pickle and may run code; add --run-pickle if you trust it")
        tensors, names, task, variant = yolo.read_checkpoint(weights)
    else:
        names = yolo.coco_names() if classes == "coco" else tuple(name.strip() for name in classes.split(","))
        try:
            tensors = safetensors.torch.load_file(weights)
        except safetensors.SafetensorError as error:
            raise ModelError(f"weights {weights}: not a .safetensors file ({error})") from None
    try:
        card = ModelCard.model_validate(
            {
                "task": task,
                "variant": variant,
                "classes": names,
                "initialised_from": weights.name,
                "trained_on": f"imported from {weights.name}",
                "limits": "imported weights: see their own source for what they were trained on",
                "code_version": __version__,
            }
        )
    except ValidationError:
        raise ModelError(
            f"task {task!r}, variant {variant!r}: expected detect, segment or semantic, and one of {get_args(Variant)}"
        ) from None
    whole = {name: tensor.float() for name, tensor in tensors.items()}
    yolo.restore(card.task, card.variant, len(card.classes), whole)
    calibration = calibration_from_folder(Bundle(card, whole, ""), calibrate) if calibrate else ()
    return card, save(out, card, tensors, calibration)
