from __future__ import annotations

import numpy as np
import pytest
from support.scenes import Recipe, image, make_scenes

import roadscan.model.yolo  # noqa: F401 - prepares the environment for ultralytics
from roadscan.evaluate.detection.confusion import confusion_matrix
from roadscan.evaluate.detection.overlap import box_iou

A, B, C = [0, 0, 50, 50], [100, 0, 150, 50], [200, 0, 250, 50]
NAMES = ["x", "y"]


def test_nothing_there_and_nothing_found():
    assert confusion_matrix([], NAMES, 0.5).tolist() == [[0] * 3] * 3
    assert confusion_matrix([image(([],), None)], NAMES, 0.5).tolist() == [[0] * 3] * 3


def test_rows_are_true_and_columns_found():
    # A is an x found as x, B an x found as y, C a y not found; a y is found where nothing is.
    truth = ([A, B, C], [0, 0, 1])
    found = ([A, B, [300, 0, 350, 50]], [0, 1, 1], [0.9, 0.8, 0.7])
    assert confusion_matrix([image(truth, found)], NAMES, 0.5).tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]


def test_the_most_confident_takes_the_truth_whatever_its_class():
    found = ([A, A], [0, 1], [0.6, 0.9])
    assert confusion_matrix([image(([A], [0]), found)], NAMES, 0.5).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_every_truth_and_every_detection_kept_is_counted_once(kind):
    results = make_scenes(1, Recipe(6, masks=kind == "mask"))
    lowest = {"a": 0.3, "b": 0.1, "c": 0.5, "d": 0.9}
    matrix = confusion_matrix(results, list("abcd"), lowest, kind=kind)
    truth = np.concatenate([r.truth.classes for r in results])
    found = np.concatenate(
        [r.found.classes[r.found.scores >= [*lowest.values()] @ np.eye(4)[r.found.classes].T] for r in results]
    )
    assert matrix[:4].sum(axis=1).tolist() == np.bincount(truth, minlength=4).tolist()
    assert matrix[:, :4].sum(axis=0).tolist() == np.bincount(found, minlength=4).tolist()
    assert matrix[4, 4] == 0
    assert np.trace(matrix[:4, :4]) > 0


def test_it_agrees_with_ultralytics():
    import torch
    from ultralytics.utils.metrics import ConfusionMatrix

    results = make_scenes(2, Recipe(40, levels=None, crowded=True))
    theirs = ConfusionMatrix(dict(enumerate("abcd")))
    for r in results:
        found = {"cls": r.found.classes, "conf": r.found.scores, "bboxes": r.found.boxes_xyxy}
        truth = {"cls": r.truth.classes, "bboxes": r.truth.boxes_xyxy}
        found, truth = ({k: torch.from_numpy(v) for k, v in part.items()} for part in (found, truth))
        theirs.process_batch(found, truth, conf=0.3, iou_thres=0.5)
    assert all((np.abs(box_iou(r.found.boxes_xyxy, r.truth.boxes_xyxy) - 0.5) > 1e-6).all() for r in results)
    np.testing.assert_array_equal(confusion_matrix(results, list("abcd"), 0.3), theirs.matrix.T)
