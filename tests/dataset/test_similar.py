"""Fingerprints of images, and finding those that are close."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.written import picture

from roadscan.dataset.similar import ALIKE_BITS, BLOCK, alike, fingerprint


def pixels_of(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def bits_between(first: np.ndarray, second: np.ndarray) -> int:
    return sum(int(a ^ b).bit_count() for a, b in zip(first.tolist(), second.tolist(), strict=True))


def test_copies_are_alike_and_others_are_not() -> None:
    original = pixels_of(picture(1, width=640, height=360))
    look = fingerprint(original)
    copies = {
        "saved again": pixels_of(cv2.imencode(".jpg", original, [cv2.IMWRITE_JPEG_QUALITY, 50])[1].tobytes()),
        "halved": cv2.resize(original, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        "zoomed": cv2.resize(original[2:-2, 3:-3], (640, 360)),
    }
    for name, copy in copies.items():
        assert bits_between(look, fingerprint(copy)) <= ALIKE_BITS, name
    others = [bits_between(look, fingerprint(pixels_of(picture(seed)))) for seed in range(2, 30)]
    assert min(others) > 2 * ALIKE_BITS


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 6), st.integers(0, 5), st.integers(100, 140), st.integers(0, 99))
def test_pairs_are_those_of_counting_bit_by_bit(extra: int, others: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 2**63, (BLOCK - 3 + extra, 4), dtype=np.uint64)  # across the edge of a block
    second = rng.integers(0, 2**63, (others, 4), dtype=np.uint64)
    expected = []
    for row, look in enumerate(first):
        bits = [bits_between(look, other) for other in second]
        if bits and min(bits) <= most:
            expected.append((row, bits.index(min(bits)), min(bits)))
    assert list(alike(first, second, most)) == expected
