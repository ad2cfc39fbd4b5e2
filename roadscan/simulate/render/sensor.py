"""What happens between the scene and the file: glare, rain on the lens, motion blur, gain, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from roadscan.arrays import Image
from roadscan.simulate.render.projection import View
from roadscan.simulate.world.conditions import Atmosphere

#: Noise is drawn from this many grey levels of standard deviation and picked from a tile by a random offset.
NOISE_MARGIN_PX = 64


@lru_cache(maxsize=8)
def _noise_tile(height: int, width: int, sigma_dn: float) -> tuple[Image, Image]:
    """Positive and negative parts of Gaussian noise, mostly common to the channels, a little larger than an image."""
    rng = np.random.default_rng(111)
    shape = (height + NOISE_MARGIN_PX, width + NOISE_MARGIN_PX)
    grey = rng.standard_normal(shape, dtype=np.float32)[..., None] * (0.85 * sigma_dn)
    grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.6))[..., None] * 1.6
    noise = np.rint(grey + rng.standard_normal((*shape, 3), dtype=np.float32) * (0.5 * sigma_dn))
    return np.clip(noise, 0, 127).astype(np.uint8), np.clip(-noise, 0, 127).astype(np.uint8)


@lru_cache(maxsize=4)
def _rain_tile(height: int, width: int) -> Image:
    """Streaks of falling rain, a little larger than an image."""
    rng = np.random.default_rng(112)
    tile = np.zeros((height + NOISE_MARGIN_PX, width + NOISE_MARGIN_PX, 3), np.uint8)
    scale = width / 1920
    for _ in range(420):
        x, y = rng.uniform(0, tile.shape[1]), rng.uniform(0, tile.shape[0])
        length, lean = rng.uniform(14, 70) * scale, rng.normal(0.06, 0.03)
        value = int(rng.uniform(12, 46))
        end = (int(x + lean * length), int(y + length))
        cv2.line(tile, (int(x), int(y)), end, (value, value, value), max(1, round(1.4 * scale)), cv2.LINE_AA)
    return tile


def _window(tile: Image, rng: np.random.Generator) -> Image:
    height, width = tile.shape[0] - NOISE_MARGIN_PX, tile.shape[1] - NOISE_MARGIN_PX
    y, x = (int(v) for v in rng.integers(0, NOISE_MARGIN_PX, 2))
    return tile[y : y + height, x : x + width]


def _glare(image: Image, view: View, atmosphere: Atmosphere) -> None:
    """Veiling glare of the sun, when it shines into the lens."""
    axes = view.axes @ atmosphere.to_sun
    if axes[2] < 0.2:
        return
    sun = view.focal_px * axes[:2] / axes[2] + np.array([view.width_px / 2, view.height_px / 2])
    step = 16
    rows, columns = np.mgrid[0 : view.height_px : step, 0 : view.width_px : step]
    distance = np.hypot(columns - sun[0], rows - sun[1]) / view.width_px
    veil = atmosphere.condition.glare * (96 * np.exp(-distance / 0.16) + 34 * np.exp(-distance / 0.6))
    warm = veil[..., None] * np.array([0.72, 0.88, 1.0])
    layer = cv2.resize(np.clip(warm, 0, 255).astype(np.uint8), (view.width_px, view.height_px))
    cv2.add(image, layer, dst=image)


def _drops(image: Image, rng: np.random.Generator) -> None:
    """Water drops on the windscreen: small blurred, displaced discs with a bright rim."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(3, 12))):
        radius = int(rng.uniform(0.004, 0.012) * width)
        x, y = (int(rng.uniform(3 * radius, side - 3 * radius)) for side in (width, height))
        patch = image[y - radius : y + radius, x - radius : x + radius]
        blurred = cv2.flip(cv2.blur(patch, (radius | 1, radius | 1)), 0)
        mask = np.zeros(patch.shape[:2], np.uint8)
        cv2.circle(mask, (radius, radius), radius - 1, 255, -1)
        bright = cv2.convertScaleAbs(blurred, alpha=1.02, beta=9)
        cv2.copyTo(np.asarray(bright), mask, patch)


@dataclass(frozen=True)
class Shake:
    """How the camera moved while the shutter was open.

    Attributes:
        length_px: of the motion, in pixels of a 1920 px wide image.
        angle_rad: its direction in the image; 0 is across.
    """

    length_px: float = 0.0
    angle_rad: float = 0.0


STILL = Shake()


def _smear(image: Image, shake: Shake) -> Image:
    """Every point becomes a line as long as the motion."""
    length = shake.length_px * image.shape[1] / 1920
    half = int(np.ceil(length / 2))
    steps = np.linspace(-length / 2, length / 2, 4 * half + 1)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    across, down = (np.rint(steps * part).astype(int) for part in (np.cos(shake.angle_rad), np.sin(shake.angle_rad)))
    np.add.at(kernel, (half + down, half + across), 1 / len(steps))
    return np.asarray(cv2.filter2D(image, -1, kernel), np.uint8)


def expose(image: Image, view: View, atmosphere: Atmosphere, rng: np.random.Generator, shake: Shake = STILL) -> Image:
    """The picture that the sensor reads of a rendered scene.

    Args:
        image: the scene, uint8 BGR (height, width, 3); changed in place where that saves time.
        view: the camera, for the sun's place in the image.
        atmosphere: light and weather.
        rng: of this frame.
        shake: of the camera, beside the blur of driving.

    Returns:
        The exposed picture, same shape.
    """
    condition = atmosphere.condition
    if condition.glare > 0:
        _glare(image, view, atmosphere)
    if condition.wet > 0:
        cv2.add(image, _window(_rain_tile(view.height_px, view.width_px), rng), dst=image)
        _drops(image, rng)
    length = rng.uniform(0, condition.blur_px) * view.width_px / 1920
    if length >= 1.5:
        kernel = (max(1, round(length)), 1) if rng.random() < 0.4 else (1, max(1, round(length)))
        image = np.asarray(cv2.blur(image, kernel), np.uint8)
    if shake.length_px > 0:
        image = _smear(image, shake)
    curve = 255 * (np.arange(256) / 255 * atmosphere.exposure) ** (1 / 1.04)
    image = np.asarray(cv2.LUT(image, np.clip(curve, 0, 255).astype(np.uint8)), np.uint8)
    positive, negative = _noise_tile(view.height_px, view.width_px, condition.noise_dn)
    state = int(rng.integers(0, 1 << 30))
    cv2.add(image, _window(positive, np.random.default_rng(state)), dst=image)
    cv2.subtract(image, _window(negative, np.random.default_rng(state)), dst=image)
    return image


def encode_jpeg(image: Image, quality: int) -> bytes:
    """The picture as JPEG bytes, quality 1..100."""
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok, "OpenCV encodes every uint8 BGR image"
    return bytes(data)
