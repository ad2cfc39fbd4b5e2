from __future__ import annotations

from itertools import zip_longest

import numpy as np
import pytest
import torch

from roadscan.model import yolo
from roadscan.model.bundle import Bundle, load
from roadscan.model.head import SIDES, decode_head

HW = (96, 160)


@pytest.fixture(params=["detect_model", "segment_model"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return load(request.getfixturevalue(request.param))


def _images(count: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, (count, *HW, 3), np.uint8))


def _stock(bundle: Bundle, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Ultralytics' own decoding of every anchor."""
    card = bundle.card
    network = yolo.restore(card.task, card.variant, len(card.classes), bundle.weights, card.activation)
    return yolo.split_output(network(images.permute(0, 3, 1, 2).flip(1) / 255))


def test_candidates_are_the_boxes_that_ultralytics_decodes(bundle: Bundle) -> None:
    images, n_classes = _images(2), len(bundle.card.classes)
    stock, prototypes = _stock(bundle, images)
    confidence = float(stock[:, 4 : 4 + n_classes].amax(1).median())
    raw = yolo.RawNetwork(bundle)(images)
    found = decode_head(raw[0], HW, n_classes, confidence)
    for image, candidates in enumerate(found):
        best = stock[image, 4 : 4 + n_classes].amax(0)
        wanted = stock[image][:, best > confidence]
        near = candidates[:, candidates[4 : 4 + n_classes].amax(0) > confidence]
        assert 0 < wanted.shape[1] < stock.shape[2]
        torch.testing.assert_close(near, wanted, atol=1e-4, rtol=1e-5)
    for ours, theirs in zip_longest(raw[1:], [prototypes] if prototypes is not None else []):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_an_image_without_candidates_is_beside_others() -> None:
    head = torch.full((3, SIDES + 2, 12 * 20 + 6 * 10 + 3 * 5), -9.0)
    head[1, SIDES, 7] = 2.0
    found = decode_head(head, HW, 2, 0.5)
    assert found.shape == (3, 6, 1)
    assert found[0].abs().sum() == found[2].abs().sum() == 0
    # Row 0, column 7 of the grid of 8 px; all 16 bins weigh the same, so each side is 7.5 strides away.
    assert found[1, :4, 0].tolist() == pytest.approx([60, 4, 120, 120])
    assert found[1, 4, 0] == pytest.approx(1 / (1 + np.exp(-2)))


def test_nothing_found_has_its_shape() -> None:
    assert decode_head(torch.full((2, SIDES + 3, 315), -9.0), HW, 3, 0.5).shape == (2, 7, 0)
