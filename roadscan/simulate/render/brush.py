"""Painting single faces: antialiased polygons, textures in perspective, plants, and the glow of lamps."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from roadscan.arrays import Floats, Image
from roadscan.simulate.world.faces import Texture

#: Fractional bits of polygon coordinates.
SHIFT = 4


def fixed_point(pixels: Floats) -> NDArray[np.int32]:
    """Pixel coordinates (corner origin) as OpenCV's fixed point (pixel-centre origin)."""
    return np.rint(np.clip((pixels - 0.5) * (1 << SHIFT), -(1 << 24), 1 << 24)).astype(np.int32)


def _lut(factor: Floats, offset: Floats) -> Image:
    """Table of `value * factor + offset` for each channel, shape (1, 256, 3)."""
    ramp = np.arange(256, dtype=np.float64)[:, None]
    return np.clip(ramp * factor + offset, 0, 255).astype(np.uint8)[None]


def _clip_rect(rect: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = rect
    return max(x0, 0), max(y0, 0), min(x1, shape[1]), min(y1, shape[0])


def paint_panel(
    image: Image, corners: Floats, texture: Texture, factor: Floats, offset: Floats
) -> tuple[Image, int, int] | None:
    """Paint a texture onto a quadrilateral.

    Args:
        image: target.
        corners: top left, top right, bottom right, bottom left in pixels, shape (4, 2).
        texture: what to paint.
        factor: light per channel, a multiple of the texture's value.
        offset: added to it, in grey levels.

    Returns:
        The covered pixels as a mask of 0 or 255 with the column and row of its corner; None when outside the image.
    """
    low, high = np.floor(corners.min(axis=0)).astype(int) - 1, np.ceil(corners.max(axis=0)).astype(int) + 1
    x0, y0, x1, y1 = _clip_rect((int(low[0]), int(low[1]), int(high[0]), int(high[1])), image.shape)
    if x1 <= x0 or y1 <= y0:
        return None
    level = texture.nearest(float(np.linalg.norm(corners[1] - corners[0])))
    picture, alpha = texture.levels[level], texture.masks[level]
    height, width = alpha.shape
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
    target = (corners - np.array([x0, y0]) - 0.5).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    size = (x1 - x0, y1 - y0)
    warped = cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpPerspective(alpha, matrix, size, flags=cv2.INTER_LINEAR)
    region = image[y0:y1, x0:x1]
    lit = cv2.LUT(warped, _lut(factor, offset)).astype(np.int32)
    weight = cover.astype(np.int32)[..., None]
    region[:] = (region + ((lit - region) * weight) // 255).astype(np.uint8)
    return np.where(cover >= 128, 255, 0).astype(np.uint8), x0, y0


def paint_sprite(
    image: Image, corners: Floats, texture: Texture, factor: Floats, offset: Floats
) -> tuple[Image, int, int] | None:
    """Paint a plant into the upright rectangle around `corners`; arguments and result as for `paint_panel`."""
    x0, y0 = np.rint(corners.min(axis=0)).astype(int).tolist()
    x1, y1 = np.rint(corners.max(axis=0)).astype(int).tolist()
    cx0, cy0, cx1, cy1 = _clip_rect((x0, y0, x1, y1), image.shape)
    if cx1 <= cx0 or cy1 <= cy0 or x1 - x0 > 4 * image.shape[1]:
        return None
    level = texture.nearest(x1 - x0)
    picture, alpha = texture.levels[level], texture.masks[level]
    lit = cv2.LUT(picture, _lut(factor, offset))
    if (cx0, cy0, cx1, cy1) == (x0, y0, x1, y1):
        colour = cv2.resize(lit, (x1 - x0, y1 - y0))
        cover = cv2.resize(alpha, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
    else:  # scale only what falls inside the image
        scale = np.array([alpha.shape[1] / (x1 - x0), alpha.shape[0] / (y1 - y0)])
        shift = (np.array([cx0 - x0, cy0 - y0]) + 0.5) * scale - 0.5
        matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
        size, inverse = (cx1 - cx0, cy1 - cy0), cv2.WARP_INVERSE_MAP
        colour = cv2.warpAffine(lit, matrix, size, flags=cv2.INTER_LINEAR | inverse, borderMode=cv2.BORDER_REPLICATE)
        cover = cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_NEAREST | inverse)
    cv2.copyTo(colour, cover, image[cy0:cy1, cx0:cx1])
    return np.asarray(cover, np.uint8), cx0, cy0


@lru_cache(maxsize=512)
def _halo(radius_px: int) -> NDArray[np.float32]:
    """A lamp's halo, 1 in the middle, in a square of side 2 * radius_px."""
    axis = (np.arange(2 * radius_px) + 0.5) / radius_px - 1
    rows, columns = axis[:, None], axis[None, :]
    radius = np.hypot(rows, columns)
    return np.asarray(np.clip(np.exp(-radius * 7) + 0.55 * np.exp(-((radius / 0.10) ** 2)) - 0.002, 0, 1), np.float32)


def paint_glow(image: Image, centre: Floats, radius_px: float, bgr: Floats) -> None:
    """Add the halo of a lamp to the picture."""
    radius = int(np.clip(radius_px, 2, 0.12 * image.shape[1]))
    x, y = int(centre[0]), int(centre[1])
    x0, y0, x1, y1 = _clip_rect((x - radius, y - radius, x + radius, y + radius), image.shape)
    if x1 <= x0 or y1 <= y0:
        return
    part = _halo(radius)[y0 - y + radius : y1 - y + radius, x0 - x + radius : x1 - x + radius]
    layer = np.clip(part[..., None] * bgr, 0, 255).astype(np.uint8)
    region = image[y0:y1, x0:x1]
    cv2.add(region, layer, dst=region)
