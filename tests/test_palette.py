"""Colours as people see them whose eyes lack one kind of cone."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest

from roadscan.palette import colors_of
from roadscan.taxonomy import HIGHWAY

#: On linear RGB. Source: G. Machado, M. Oliveira, L. Fernandes, IEEE TVCG 15 (6), 2009, at their full severity.
SEEN = {
    "everybody": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(color: str, matrix: object) -> np.ndarray:
    srgb = np.array([int(color[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(matrix) @ linear, 0, 1)
    back = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    return cv2.cvtColor(back.astype(np.float32)[None, None], cv2.COLOR_RGB2LAB)[0, 0]


@pytest.mark.parametrize("eyes", SEEN)
def test_two_classes_of_the_highway_differ_for_every_kind_of_eyes(eyes: str) -> None:
    colors = dict(zip(HIGHWAY.names, colors_of(HIGHWAY.names), strict=True))
    apart = {
        pair: np.linalg.norm(lab(colors[pair[0]], SEEN[eyes]) - lab(colors[pair[1]], SEEN[eyes]))
        for pair in combinations(colors, 2)
    }
    assert min(apart.values()) > 10, min(
        apart, key=apart.get
    )  # 2.3 is just noticeable; the colours of before came to 4


def test_classes_that_nobody_knows_have_colours_that_are_told_apart() -> None:
    names = [f"class {n}" for n in range(7)]
    assert len({*colors_of([*HIGHWAY.names, *names])}) == len(HIGHWAY.names) + len(names)
