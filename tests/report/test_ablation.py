from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from roadscan.evaluate.detection import Calibration
from roadscan.report.ablation import learning, loss_colors, merge_bins, reliability


def calibration(*bins: tuple[float, float, int]) -> Calibration:
    scores, right, counts = zip(*bins, strict=True) if bins else ((), (), ())
    return Calibration(0.1, np.array(scores), np.array(right), np.array(counts, np.int64))


def test_bins_of_several_runs_are_put_together_by_score_and_weighted_by_their_detections() -> None:
    one, other = calibration((0.1, 0.0, 30), (0.8, 0.9, 40)), calibration((0.2, 0.5, 10), (0.9, 1.0, 40))
    scores, right = merge_bins([one, other])  # 120 detections: 3 bins of 40
    np.testing.assert_allclose(scores, [(0.1 * 30 + 0.2 * 10) / 40, 0.8, 0.9])
    np.testing.assert_allclose(right, [5 / 40, 0.9, 1.0])


def test_few_detections_are_one_point_and_none_is_none() -> None:
    scores, right = merge_bins([calibration((0.2, 0, 1), (0.4, 1, 1), (0.9, 0, 2))])
    assert (scores.tolist(), right.tolist()) == ([pytest.approx(0.6)], [pytest.approx(0.25)])
    assert [len(part) for part in merge_bins([calibration()])] == [0, 0]
    assert [len(part) for part in merge_bins([])] == [0, 0]


def test_pictures_grow_with_the_variants() -> None:
    history = [{"epoch": epoch, "map50_95": 0.1 * epoch, "box_loss": 1 / epoch} for epoch in (1, 2, 3)]
    curves = learning({"n": {"bce": [history, history], "gfl": []}})
    two = {variant: {"bce": [calibration((0.5, 0.4, 99))], "gfl": []} for variant in "ns"}
    narrow, wide = (Image.open(io.BytesIO(data)).size[0] for data in (curves, reliability(two)))
    assert narrow < wide


def test_losses_have_colours_of_their_own() -> None:
    assert len(set(loss_colors(map(str, range(12))).values())) == 12
