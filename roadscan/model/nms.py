"""Non-maximum suppression: from the network's output to the detections of each image."""

from __future__ import annotations

import contextlib
import itertools
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch

from roadscan.errors import ModelError

MAX_DETECTIONS = 300  # an image
ONE_CALL = 4096  # so few candidates of a whole batch are compared at once; more, image by image
MAX_CANDIDATES = 30_000  # an image: of an untrained network's boxes nearly all are above a low confidence


def _load_operators() -> None:
    """Register torchvision's operators without its Python, which takes a second to import: it wants torch's compiler.

    Where a release keeps its library elsewhere, the import registers them.
    """
    package = find_spec("torchvision")
    folders = package.submodule_search_locations if package else None
    for library in (found for folder in folders or () for found in Path(folder).glob("_C*.so")):
        with contextlib.suppress(OSError):
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    if not hasattr(torch.ops.torchvision, "nms"):
        with contextlib.suppress(ImportError, RuntimeError):
            import torchvision  # noqa: F401 - for what it registers
    if not hasattr(torch.ops.torchvision, "nms"):
        got = version("torchvision") if package else "none"
        raise ModelError(
            f"torchvision: got {got}, whose operators do not load beside torch {torch.__version__}; "
            "install the release of torchvision that belongs to it, from the same index"
        )


_load_operators()


def suppress(
    output: torch.Tensor, n_classes: int, confidence: float, iou: float, *, every_class: bool = False
) -> list[torch.Tensor]:
    """Non-maximum suppression, class by class.

    The result is a function of the output alone: of equal scores the earlier anchor's comes first, then the lower
    class's. A sort that is not stable would let one of them win by chance, and another one in a larger image; an
    untrained network gives all anchors the same score. Classes are kept apart by offsets that are exact in float64: in
    float32 class 79 would lie on a grid of 1/16 px.

    Args:
        output: (batch, 4 + n_classes + extra, anchors), the network's output: xywh boxes in input pixels, class scores,
            mask coefficients.
        n_classes: number of class scores.
        confidence: a score above it is kept.
        iou: overlap above which the lower score is dropped.
        every_class: a box counts for each of its classes above the confidence, as average precision is measured;
            else for its best class alone.

    Returns:
        For each image (n, 6 + extra): xyxy, score, class index, coefficients; highest score first, at most
        `MAX_DETECTIONS`, on the output's device.
    """
    image, anchor = (output[:, 4 : 4 + n_classes].amax(1) > confidence).nonzero(as_tuple=True)
    columns = output[image, :, anchor]
    xywh, scores, extra = columns[:, :4], columns[:, 4 : 4 + n_classes], columns[:, 4 + n_classes :]
    if every_class:
        row, kind = (scores > confidence).nonzero(as_tuple=True)
    else:
        row, kind = torch.arange(len(scores), device=scores.device), scores.max(1).indices
    centre, half, score, of_image = xywh[row, :2], xywh[row, 2:] / 2, scores[row, kind], image[row]
    boxes = torch.cat([centre - half, centre + half], 1)
    kept = _survivors(boxes, score, of_image, kind, n_classes, iou)
    found = torch.cat([boxes[kept], score[kept, None], kind[kept, None], extra[row[kept]]], 1)
    return [rows[:MAX_DETECTIONS] for rows in torch.split(found, _counts(of_image[kept], len(output)))]


def _counts(of_image: torch.Tensor, n_images: int) -> list[int]:
    counts: list[int] = torch.bincount(of_image, minlength=n_images).tolist()
    return counts


def _survivors(
    boxes: torch.Tensor, scores: torch.Tensor, of_image: torch.Tensor, kind: torch.Tensor, n_classes: int, iou: float
) -> torch.Tensor:
    """Indices of the candidates that stay, image by image, in each the highest score first."""
    groups = of_image * n_classes + kind
    if len(boxes) > ONE_CALL:
        ends = list(itertools.accumulate(_counts(of_image, 1)))
        parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        return torch.cat([part.start + _not_overlapped(boxes[part], scores[part], groups[part], iou) for part in parts])
    kept = _not_overlapped(boxes, scores, groups, iou)
    return kept[of_image[kept].sort(stable=True).indices]


def _not_overlapped(boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, iou: float) -> torch.Tensor:
    """Indices of the boxes that no better one of their group overlaps, highest score first."""
    best = scores.sort(descending=True, stable=True).indices[:MAX_CANDIDATES]
    if not len(best):
        return best
    xyxy = boxes[best].double()
    # Whole pixels between groups, so that no coordinate is rounded; boxes may reach out of the image.
    apart = (xyxy.max() - xyxy.min()).ceil() + 1
    kept: torch.Tensor = torch.ops.torchvision.nms(xyxy + (groups[best] * apart)[:, None], scores[best].double(), iou)
    return best[kept]
