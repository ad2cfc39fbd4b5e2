from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from roadscan.model.decode import Letterbox, plan_letterbox
from roadscan.model.masks import empty_mask, encode_mask, feet_of_mask


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
    ours = [encode_mask(plane, box, letterbox) for plane, box in zip(logits, boxes.numpy(), strict=True)]
    for rle, their in zip(ours, theirs, strict=True):
        ours = decoded(rle, image_hw)
        union = np.logical_or(ours, their).sum()
        assert np.logical_and(ours, their).sum() / union > 0.98  # they round the padding to whole prototype pixels


def test_a_mask_never_leaves_its_box() -> None:
    letterbox = plan_letterbox((100, 200), 320, 32)
    logits = np.ones((1, letterbox.input_hw[0] // 4, 80), np.float32)
    rle = encode_mask(logits[0], np.array([20, 30, 60, 70], np.float32), letterbox)
    mask = decoded(rle, (100, 200))
    assert mask[30:70, 20:60].all()
    assert mask.sum() == 40 * 40


def test_an_empty_box_gives_an_empty_mask() -> None:
    letterbox = plan_letterbox((100, 200), 320, 32)
    rle = encode_mask(np.ones((40, 80), np.float32), np.array([20, 30, 20, 30], np.float32), letterbox)
    assert decoded(rle, (100, 200)).sum() == 0


def by_whole_image(plane: np.ndarray, box: np.ndarray, letterbox: Letterbox) -> str:
    """The mask as an image of the original's size, encoded by COCO's own program."""
    (x1, y1), (x2, y2) = (int(v) for v in np.floor(box[:2])), (int(v) for v in np.ceil(box[2:]))
    image = np.zeros(letterbox.image_hw, np.uint8, order="F")
    if x2 > x1 and y2 > y1:
        (scale_x, scale_y), left, top = letterbox.scale, letterbox.left, letterbox.top
        shift = [((x1 + 0.5) * scale_x + left) / 4 - 0.5, ((y1 + 0.5) * scale_y + top) / 4 - 0.5]
        matrix = np.array([[scale_x / 4, 0, shift[0]], [0, scale_y / 4, shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        image[y1:y2, x1:x2] = (
            cv2.warpAffine(plane, matrix, (x2 - x1, y2 - y1), flags=flags, borderMode=cv2.BORDER_REPLICATE) > 0
        )
    return coco.encode(image)["counts"].decode()


@st.composite
def boxes_in(draw: st.DrawFn, width: int, height: int) -> list[float]:
    """Boxes anywhere in an image, often along its border, sometimes empty."""
    sides = []
    for length in (width, height):
        ends = st.one_of(st.sampled_from([0.0, float(length)]), st.floats(0, length, width=32))
        sides.append(sorted([draw(ends), draw(ends)]))
    return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), height=st.integers(1, 400), width=st.integers(1, 400), seed=st.integers(0, 2**32 - 1))
def test_encoding_the_box_alone_gives_what_encoding_the_whole_image_gives(
    data: st.DataObject, height: int, width: int, seed: int
) -> None:
    letterbox = plan_letterbox((height, width), 64, 32)
    rng = np.random.default_rng(seed)
    kind = data.draw(st.sampled_from(["noise", "all", "nothing", "half"]))
    plane = rng.normal(size=(letterbox.input_hw[0] // 4, letterbox.input_hw[1] // 4)).astype(np.float32)
    plane = {"noise": plane, "all": np.ones_like(plane), "nothing": -np.ones_like(plane), "half": plane + 1}[kind]
    box = np.array(data.draw(boxes_in(width, height)), np.float32)
    assert encode_mask(plane, box, letterbox) == by_whole_image(plane, box, letterbox)


def test_runs_of_millions_of_pixels_are_written_as_coco_writes_them() -> None:
    letterbox = plan_letterbox((2160, 3840), 640, 32)
    plane = np.ones((letterbox.input_hw[0] // 4, 160), np.float32)
    for box in ([0, 0, 3840, 2160], [1000, 0, 3000, 2160], [3839, 2159, 3840, 2160], [0, 0, 1, 1]):
        whole = by_whole_image(plane, np.array(box, np.float32), letterbox)
        assert encode_mask(plane, np.array(box, np.float32), letterbox) == whole
    assert empty_mask((2160, 3840)) == coco.encode(np.zeros((2160, 3840), np.uint8, order="F"))["counts"].decode()


@settings(max_examples=300, deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 60), share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_feet_are_the_lower_edges_of_the_lowest_pixels(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    found = feet_of_mask(coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode(), (height, width))
    column = np.flatnonzero(mask.any(axis=0))
    low = height - np.argmax(mask[::-1, column], axis=0)
    assert np.array_equal(found, np.stack([column + 0.5, low], axis=1))


def test_feet_of_a_mask_of_millions_of_pixels() -> None:
    mask = np.zeros((2160, 3840), np.uint8, order="F")
    mask[100:2000, 5:3000] = 1
    mask[2159, 3839] = 1
    found = feet_of_mask(coco.encode(mask)["counts"].decode(), mask.shape)
    assert found[:, 0].tolist() == [*(np.arange(5, 3000) + 0.5), 3839.5]
    assert found[:, 1].tolist() == [2000.0] * 2995 + [2160.0]
    assert len(feet_of_mask(empty_mask((2160, 3840)), (2160, 3840))) == 0
