from __future__ import annotations

import numpy as np
import pytest

from roadscan.model.backends.agreement import SCORE_TOLERANCE, compare
from roadscan.model.inference import Detections

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())


def _found(*rows: tuple[str, float, float, float, float, float]) -> Detections:
    boxes = np.array([row[2:] for row in rows], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([row[1] for row in rows], np.float32), tuple(row[0] for row in rows))


SIGN = ("sign", 0.8, 0.0, 0.0, 100.0, 100.0)
POLE = ("pole", 0.6, 200.0, 0.0, 220.0, 150.0)


def test_the_same_detections_agree() -> None:
    made = compare([_found(SIGN, POLE), NOTHING], [_found(SIGN, POLE), NOTHING], 0.25)
    assert made.objection is None
    assert (made.images, made.detections, made.alone, made.lowest_iou) == (2, 2, 0, 1.0)
    assert made.score_difference == made.box_difference_px == 0


@pytest.mark.parametrize(
    ("other", "alone"),
    [
        (_found(SIGN), 1),  # one is missing
        (_found(SIGN, POLE, ("sign", 0.5, 300.0, 0.0, 340.0, 40.0)), 1),  # one too many
        (_found(SIGN, ("sign", *POLE[1:])), 2),  # another class: neither has a partner
        (_found(("sign", 0.8 - SCORE_TOLERANCE - 0.01, *SIGN[2:]), POLE), 2),  # another score
        (_found(("sign", 0.8, 30.0, 0.0, 130.0, 100.0), POLE), 2),  # IoU 70 / 130
    ],
)
def test_what_only_one_found_is_counted(other: Detections, alone: int) -> None:
    made = compare([_found(SIGN, POLE)], [other], 0.25)
    assert made.alone == alone
    assert "does not agree with torch float32" in str(made.objection)


def test_a_detection_may_fall_below_the_threshold_but_not_vanish() -> None:
    above, below = ("sign", 0.27, *SIGN[2:]), ("sign", 0.24, *SIGN[2:])
    assert compare([_found(above)], [_found(below)], 0.25).objection is None
    assert compare([_found(below)], [_found(above)], 0.25).alone == 0
    assert compare([_found(above)], [NOTHING], 0.25).alone == 1
    assert compare([_found(below)], [NOTHING], 0.25).alone == 0


def test_figures_are_the_largest_differences() -> None:
    made = compare([_found(SIGN, POLE)], [_found(("sign", 0.78, 1.0, 0.0, 100.0, 98.0), POLE)], 0.25)
    assert made.lowest_iou == pytest.approx(0.99 * 0.98)
    assert made.typical_iou == pytest.approx((1 + 0.99 * 0.98) / 2)
    assert made.score_difference == pytest.approx(0.02, abs=1e-6)
    assert made.box_difference_px == 2.0


def test_boxes_that_are_all_off_by_a_pixel_do_not_pass() -> None:
    """A grid that begins half a cell later moves every box; each alone could be rounding."""
    boxes = [("sign", 0.8, x, 0.0, x + 30.0, 30.0) for x in np.arange(0.0, 500.0, 50.0)]
    moved = [(kind, score, x1 + 1, y1 + 1, x2 + 1, y2 + 1) for kind, score, x1, y1, x2, y2 in boxes]
    made = compare([_found(*boxes)], [_found(*moved)], 0.25)
    assert made.alone == 0
    assert "median 0.877" in str(made.objection)  # 29² / (2 · 30² - 29²) = 0.8770


def test_one_of_fifty_may_be_alone() -> None:
    boxes = [("sign", 0.8, x, 0.0, x + 30.0, 30.0) for x in np.arange(0.0, 2500.0, 50.0)]
    assert len(boxes) == 50
    assert compare([_found(*boxes)], [_found(*boxes[:-1])], 0.25).objection is None
    assert compare([_found(*boxes)], [_found(*boxes[:-2])], 0.25).objection is not None


def test_two_cannot_share_a_partner() -> None:
    assert compare([_found(SIGN, SIGN)], [_found(SIGN)], 0.25).alone == 1


def test_nothing_to_compare_is_no_agreement() -> None:
    assert "no calibration images; add them with 'roadscan model calibrate'" in str(compare([], [], 0.25).objection)
    assert "finds nothing on its 1 calibration" in str(compare([NOTHING], [NOTHING], 0.25).objection)
