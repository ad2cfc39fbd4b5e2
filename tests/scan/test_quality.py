"""How light and how blurred frames are, beside the formula written out and pictures that were blurred on purpose."""

from __future__ import annotations

import cv2
import numpy as np
import pyarrow as pa
import pytest
from scipy.ndimage import uniform_filter1d

from roadscan.model.decode import plan_letterbox
from roadscan.model.image_input import prepare_pixels
from roadscan.scan.quality import Quality, blur_effect, hard_frames, quality_of
from roadscan.schemas import FRAMES


def look(image: np.ndarray, side_px: int = 640) -> Quality:
    return quality_of(prepare_pixels(image, plan_letterbox(image.shape[:2], side_px, 32), None))


def scene(width: int = 1280, height: int = 720) -> np.ndarray:
    """Rectangles of many sizes and colours, with edges as sharp as pixels are."""
    rng = np.random.default_rng(0)
    image = np.full((height, width, 3), 120, np.uint8)
    for _ in range(400):
        x, y, w, h = (rng.random(4) * (width, height, width / 12, height / 12)).astype(int).tolist()
        cv2.rectangle(image, (x, y), (x + w, y + h), rng.integers(0, 256, 3).tolist(), -1)
    return image


def test_light_is_the_mean_luminance_without_the_letterbox() -> None:
    image = np.zeros((360, 500, 3), np.uint8)  # 500 is no multiple of 32: grey is put beside it
    assert look(image, 500).light == 0.0
    image[:, 250:] = (0, 0, 255)  # red is 0.299 of luminance, and in half of the picture
    assert look(image, 500).light == pytest.approx(0.299 / 2, abs=1e-6)
    assert look(np.full((720, 1280, 3), 255, np.uint8)).light == pytest.approx(1.0)


def test_blur_is_the_effect_of_the_source() -> None:
    grey = cv2.blur(cv2.cvtColor(scene(320, 160), cv2.COLOR_BGR2GRAY), (3, 2))
    shares = []
    for axis in (0, 1):
        # F, B, D_F, D_B, D_V and s_F, s_V of Crete et al., equations 1 to 5, in floating point.
        f = grey.astype(float)
        b = uniform_filter1d(f, 9, axis=axis, mode="mirror")
        d_f, d_b = np.abs(np.diff(f, axis=axis)), np.abs(np.diff(b, axis=axis))
        d_v = np.maximum(0, d_f - d_b)
        shares.append((d_f.sum() - d_v.sum()) / d_f.sum())
    assert blur_effect(grey) == pytest.approx(max(shares), abs=0.01)


def test_a_picture_of_one_value_is_blurred() -> None:
    assert look(np.full((720, 1280, 3), 90, np.uint8)).blur == 1.0


@pytest.mark.parametrize("down", [False, True])
def test_motion_blurs_whatever_its_direction(down: bool) -> None:
    sharp, (slow, fast) = scene(), (10, 25)
    blurs = [look(sharp).blur]
    blurs += [look(cv2.blur(sharp, (1, length) if down else (length, 1))).blur for length in (slow, fast)]
    assert blurs[0] < 0.5 < blurs[1] + 0.05 < blurs[2]


def test_a_dark_picture_is_not_a_blurred_one() -> None:
    sharp = scene()
    dark = look((sharp * 0.3).astype(np.uint8))
    assert dark.light == pytest.approx(0.3 * look(sharp).light, abs=0.01)
    assert dark.blur == pytest.approx(look(sharp).blur, abs=0.02)


def test_cameras_and_models_of_other_sizes_see_the_same() -> None:
    of_1280 = look(scene())
    large = cv2.resize(scene(), (2560, 1440), interpolation=cv2.INTER_CUBIC)
    for other in (look(large), look(large, 1280)):
        assert other.light == pytest.approx(of_1280.light, abs=0.005)
        assert other.blur == pytest.approx(of_1280.blur, abs=0.04)


def test_dark_and_blurred_frames_are_counted_and_unknown_ones_are_neither() -> None:
    looks = [(0.1, 0.3), (0.1, 0.9), (0.5, 0.9), (0.5, 0.3), (None, None)]
    rows = [{"light": light, "blur": blur} for light, blur in looks]
    frames = pa.Table.from_pylist(rows, pa.schema([FRAMES.field(name) for name in ("light", "blur")]))
    hard = hard_frames(frames)
    assert (hard.dark, hard.blurred) == (2, 2)
    none = hard_frames(frames.slice(4))
    assert (none.dark, none.blurred) == (0, 0)
