from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.model.slices import CUT_PX, SliceConfig, plan_slices
from roadscan.scan.config import ScanConfig

CONFIGS = st.builds(
    lambda size, overlap, scale, rows: SliceConfig(size_px=size, overlap_px=overlap, scale=scale, rows=rows),
    st.sampled_from([64, 128, 320]),
    st.integers(16, 32),
    st.sampled_from([0.5, 1.0, 1.7]),
    st.sampled_from([(0.0, 1.0), (0.3, 0.6), (0.5, 0.51)]),
)


@given(CONFIGS, st.integers(1, 700), st.integers(1, 700), st.data())
def test_what_is_smaller_than_the_overlap_is_whole_in_some_slice(
    config: SliceConfig, height: int, width: int, data: st.DataObject
) -> None:
    layout = plan_slices((height, width), config)
    top, bottom = (
        round(config.rows[0] * height),
        max(round(config.rows[1] * height), round(config.rows[0] * height) + 1),
    )
    # Less what two cuts and the rounding of the overlap to image pixels take; where slices end, a border may cut.
    most = (config.overlap_px - 2 * CUT_PX) / config.scale - 1
    low = top + (CUT_PX / config.scale + 1 if top else 0)
    high = bottom - (CUT_PX / config.scale + 1 if bottom < height else 0)
    if high - low < 1:
        return
    w, h = data.draw(st.floats(0.5, min(most, width))), data.draw(st.floats(0.5, min(most, high - low)))
    x, y = data.draw(st.floats(0, width - w)), data.draw(st.floats(low, high - h))
    box, (window_h, window_w) = np.array([[x, y, x + w, y + h]], np.float32), layout.letterbox.image_hw
    windows = [np.array([x, y, x + window_w, y + window_h], np.float32) for x, y in layout.origins_xy]
    shown = [window for window in windows if (box[0, :2] >= window[:2]).all() and (box[0, 2:] <= window[2:]).all()]
    assert any(not layout.is_cut(box, window)[0] for window in shown)


@given(CONFIGS, st.integers(1, 700), st.integers(1, 700))
def test_slices_cover_their_rows_and_nothing_outside_of_the_image(config: SliceConfig, height: int, width: int) -> None:
    layout = plan_slices((height, width), config)
    covered = np.zeros((height, width), bool)
    window_h, window_w = layout.letterbox.image_hw
    for x, y in layout.origins_xy:
        assert 0 <= x <= width - window_w
        assert 0 <= y <= height - window_h
        covered[y : y + window_h, x : x + window_w] = True
    rows = slice(round(config.rows[0] * height), round(config.rows[1] * height))
    assert covered[rows].all()
    assert len(set(layout.origins_xy)) == len(layout.origins_xy)


def test_a_slice_shows_the_image_s_own_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (500, 900, 3), np.uint8)
    layout = plan_slices((500, 900), SliceConfig(size_px=320))
    slices = layout.cut(image)
    assert slices.shape == (len(layout.origins_xy), 320, 320, 3)
    for pixels, (x, y) in zip(slices, layout.origins_xy, strict=True):
        assert np.array_equal(pixels, image[y : y + 320, x : x + 320])


def test_only_the_borders_inside_of_the_image_cut() -> None:
    layout = plan_slices((400, 400), SliceConfig(size_px=256, overlap_px=64))
    assert layout.origins_xy[0] == (0, 0)
    boxes = [[0, 0, 50, 50], [200, 10, 256, 50], [200, 10, 251, 50], [200, 10, 253, 50]]
    window = np.array([0, 0, 256, 256], np.float32)
    assert layout.is_cut(np.array(boxes, np.float32), window).tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("slices={size_px: 128, overlap_px: 65}", "expected up to half"),
        ("slices={rows: [0.6, 0.3]}", "expected \\[from, to\\]"),
        ("slices={size_px: 100}", "multiple of 32"),
    ],
)
def test_slices_that_cannot_be_are_refused(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(ScanConfig, None, ["drives=[d]", "warehouse=w", setting])


def test_slices_need_every_pixel() -> None:
    with pytest.raises(ConfigError, match="decode: got scaled, and slices"):
        load_config(ScanConfig, None, ["drives=[d]", "warehouse=w", "slices={}", "decode=scaled"])


def test_a_semantic_model_sees_whole_images() -> None:
    fields = ["drives=[d]", "warehouse=w", "task=semantic"]
    load_config(ScanConfig, None, [*fields, "backend=torch", "confidence=0.6"])
    for setting in ("slices={}", "iou=0.5", "backend=openvino"):
        with pytest.raises(
            ConfigError, match=f"{setting.partition('=')[0]}: got .*, and a semantic model draws no boxes"
        ):
            load_config(ScanConfig, None, [*fields, setting])


def test_a_scan_with_slices_is_another_one() -> None:
    plain, sliced, finer = (
        load_config(ScanConfig, None, ["drives=[d]", "warehouse=w", *more]).fingerprint()
        for more in ([], ["slices={}"], ["slices={overlap_px: 64}"])
    )
    assert len({plain, sliced, finer}) == 3
