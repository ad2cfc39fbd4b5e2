"""Mist in a picture: soft, ragged patches of the air's colour, and how much of the picture they hide."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from roadscan.arrays import Floats, Floats32, Image
from roadscan.simulate.render.noise import fractal_noise
from roadscan.simulate.render.projection import View
from roadscan.simulate.world.spray import Puff

#: Mist is computed on every eighth pixel.
COARSE = 8
#: Nearer than this a puff is passed, in metres.
NEAREST_M = 1.5


class Mist:
    """The mist of one frame, painted puff by puff from far to near.

    Args:
        view: the camera.
        found: the puffs in the world.
        bgr: colour of the air.

    Attributes:
        depths_m: of the puffs that are in view, falling.
    """

    def __init__(self, view: View, found: Sequence[Puff], bgr: tuple[float, float, float]) -> None:
        self._view, self._bgr = view, np.array(bgr, np.float32)
        self._clear: Floats32 = np.ones((-(-view.height_px // COARSE), -(-view.width_px // COARSE)), np.float32)
        placed = [(view.project(puff.middle), puff) for puff in found]
        kept = [(float(depth), pixel, puff) for (pixel, depth), puff in placed if depth > NEAREST_M]
        self._waiting = sorted(kept, key=lambda one: one[0])

    @property
    def hidden(self) -> float:
        """Share of the picture's light that mist has taken away so far."""
        return 1.0 - float(self._clear.mean())

    def paint_beyond(self, image: Image, depth_m: float) -> None:
        """Paint what is farther than a depth, and was not yet, into the picture."""
        while self._waiting and self._waiting[-1][0] > depth_m:
            depth, pixel, puff = self._waiting.pop()
            self._paint(image, depth, pixel, puff)

    def _paint(self, image: Image, depth_m: float, pixel: Floats, puff: Puff) -> None:
        rows, columns = np.mgrid[: self._clear.shape[0], : self._clear.shape[1]].astype(np.float32)
        radius = self._view.focal_px * puff.radius_m / depth_m
        x, y = ((axis + 0.5) * COARSE - middle for axis, middle in zip((columns, rows), pixel, strict=True))
        x, y = np.asarray(x / radius, np.float32), np.asarray(y / radius, np.float32)
        ragged = 0.45 + 1.1 * fractal_noise(410, 4 + 2 * x + np.float32(depth_m), 4 + 2 * y, 3)
        cover = np.asarray(np.clip(puff.opacity * ragged * np.exp(-(x**2 + y**2)), 0, 1), np.float32)
        self._clear *= 1 - cover
        size = (cover.shape[1] * COARSE, cover.shape[0] * COARSE)
        seen = np.flatnonzero((cover > 0.004).any(axis=1)) * COARSE
        if len(seen):
            part = slice(int(seen[0]), int(seen[-1]) + COARSE)
            share = cv2.resize(cover, size)[part][: image[part].shape[0], : image.shape[1], None]
            image[part] = (image[part] + (self._bgr - image[part]) * share).astype(np.uint8)
