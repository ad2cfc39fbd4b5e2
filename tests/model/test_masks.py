from __future__ import annotations

import numpy as np
import pytest
import torch
from pycocotools import mask as coco

from roadscan.model.decode import plan_letterbox
from roadscan.model.masks import encode_masks


def decoded(rle: str | None, image_hw: tuple[int, int]) -> np.ndarray:
    return coco.decode({"size": list(image_hw), "counts": rle})


@pytest.mark.parametrize("image_hw", [(360, 640), (1080, 1920), (420, 420)])
def test_masks_are_those_of_ultralytics(image_hw: tuple[int, int]) -> None:
    from ultralytics.utils.ops import process_mask_native

    letterbox = plan_letterbox(image_hw, 640, 32)
    h, w = letterbox.input_hw
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.randn(1, 4, 12, 12), (h // 4, w // 4), mode="bicubic")[0]
    coefficients = torch.randn(3, 4)
    size = torch.tensor([image_hw[1], image_hw[0]] * 2)
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.6], [0.3, 0.2, 0.9, 0.95], [0.0, 0.0, 1.0, 1.0]]) * size
    theirs = process_mask_native(smooth, coefficients, boxes, image_hw).numpy()
    logits = torch.einsum("nc,cij->nij", coefficients, smooth).numpy()
    for rle, their in zip(encode_masks(logits, boxes.numpy(), letterbox), theirs, strict=True):
        ours = decoded(rle, image_hw)
        union = np.logical_or(ours, their).sum()
        assert np.logical_and(ours, their).sum() / union > 0.98  # they round the padding to whole prototype pixels


def test_a_mask_never_leaves_its_box() -> None:
    letterbox = plan_letterbox((100, 200), 320, 32)
    logits = np.ones((1, letterbox.input_hw[0] // 4, 80), np.float32)
    (rle,) = encode_masks(logits, np.array([[20, 30, 60, 70]], np.float32), letterbox)
    mask = decoded(rle, (100, 200))
    assert mask[30:70, 20:60].all()
    assert mask.sum() == 40 * 40


def test_an_empty_box_gives_an_empty_mask() -> None:
    letterbox = plan_letterbox((100, 200), 320, 32)
    (rle,) = encode_masks(np.ones((1, 40, 80), np.float32), np.array([[20, 30, 20, 30]], np.float32), letterbox)
    assert decoded(rle, (100, 200)).sum() == 0
