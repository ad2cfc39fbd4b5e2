from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from roadscan.model import nms
from roadscan.model.nms import suppress


def output_of(xywh: torch.Tensor, scores: torch.Tensor, *extra: torch.Tensor) -> torch.Tensor:
    """The output of a network for one image, from columns with a row an anchor."""
    return torch.cat([xywh, scores, *extra], 1).float().T[None]


def random_output(seed: int, images: int, n_classes: int, anchors: int, *, tied: bool, extra: int = 2) -> torch.Tensor:
    """Boxes in clusters, as around objects, on a grid of 1/64 px: even far class offsets in float32 keep it."""
    rng = np.random.default_rng(seed)
    objects = rng.uniform([20, 20, 10, 10], [600, 360, 200, 200], (5, 4))
    xywh = objects[rng.integers(5, size=(images, anchors))] * rng.normal(1, 0.06, (images, anchors, 4))
    scores = rng.random((images, anchors, n_classes)) ** 3
    if tied:
        scores = scores.round(1)
    output = np.concatenate([(xywh * 32).round() / 32, scores, rng.normal(size=(images, anchors, extra))], 2)
    return torch.from_numpy(output).float().transpose(1, 2)


def by_hand(image: np.ndarray, n_classes: int, confidence: float, iou: float, every_class: bool) -> list[list[float]]:
    """The definition, a box at a time, of one image's output (4 + n_classes + extra, anchors)."""
    candidates = []
    for x, y, w, h, *rest in image.T.tolist():
        scores, extra = rest[:n_classes], rest[n_classes:]
        for kind in range(n_classes) if every_class else [scores.index(max(scores))]:
            if scores[kind] > np.float32(confidence):
                candidates.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2, scores[kind], kind, *extra])
    kept: list[list[float]] = []
    for one in sorted(candidates, key=lambda row: -row[4]):  # stable
        if all(one[5] != better[5] or overlap(one, better) <= iou for better in kept):
            kept.append(one)
    return kept[: nms.MAX_DETECTIONS]


def overlap(a: list[float], b: list[float]) -> float:
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common) if common else 0.0


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 3),
    n_classes=st.integers(1, 4),
    anchors=st.integers(0, 60),
    tied=st.booleans(),
    every_class=st.booleans(),
    confidence=st.sampled_from([0.0, 0.1, 0.5, 0.99]),
    iou=st.sampled_from([0.0, 0.5, 0.7]),
    one_call=st.booleans(),
)
def test_what_stays_is_what_the_definition_says(
    seed: int, images: int, n_classes: int, anchors: int, tied: bool, every_class: bool, confidence: float, iou: float,
    one_call: bool,
) -> None:  # fmt: skip
    output = random_output(seed, images, n_classes, anchors, tied=tied)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nms, "ONE_CALL", 10**6 if one_call else 0)
        found = suppress(output, n_classes, confidence, iou, every_class=every_class)
    for rows, image in zip(found, output.numpy().astype(np.float64), strict=True):
        expected = by_hand(image, n_classes, confidence, iou, every_class)
        assert rows.tolist() == np.array(expected, np.float32).reshape(-1, 6 + 2).tolist()


@pytest.mark.parametrize("every_class", [False, True])
@pytest.mark.parametrize(("confidence", "iou"), [(0.25, 0.6), (0.001, 0.7)])
@pytest.mark.parametrize("n_classes", [1, 7, 80])
def test_where_no_scores_are_equal_it_is_ultralytics_own(
    n_classes: int, confidence: float, iou: float, every_class: bool
) -> None:
    from ultralytics.utils.nms import non_max_suppression

    output = random_output(n_classes, 3, n_classes, 400, tied=False)
    scores = output[:, 4 : 4 + n_classes]
    scores.copy_((scores.flatten().argsort().argsort() / scores.numel()).reshape(scores.shape) ** (n_classes + 2))
    theirs = non_max_suppression(
        output, confidence, iou, nc=n_classes, multi_label=every_class, max_det=300, max_time_img=float("inf")
    )
    ours = suppress(output, n_classes, confidence, iou, every_class=every_class)
    assert [len(rows) for rows in ours] == [len(rows) for rows in theirs]
    for ours_rows, their_rows in zip(ours, theirs, strict=True):
        assert torch.equal(ours_rows, their_rows)
    assert sum(map(len, ours)) > 20


@pytest.mark.parametrize("anchors", [16, 17, 8400])
def test_of_equal_scores_the_earliest_anchor_stays(anchors: int) -> None:
    # An untrained network: one score everywhere. Sorting 17 equal values or more without `stable` moves them; the loop
    # of ultralytics 8.4 keeps anchor 8 of 17.
    boxes = torch.tensor([[50.0, 50, 20, 20]]).expand(anchors, 4)
    number = torch.arange(anchors)[:, None]
    (found,) = suppress(output_of(boxes, torch.full((anchors, 1), 0.5), number), 1, confidence=0.25, iou=0.5)
    assert found[:, 6].tolist() == [0]


def test_an_image_does_not_depend_on_what_shares_its_batch() -> None:
    output = random_output(1, 4, 3, 900, tied=True)
    together = suppress(output, 3, confidence=0.001, iou=0.7, every_class=True)
    for i in range(4):
        (alone,) = suppress(output[i : i + 1], 3, confidence=0.001, iou=0.7, every_class=True)
        assert torch.equal(alone, together[i])


def test_classes_far_up_are_compared_as_exactly_as_the_first() -> None:
    # 10 px wide, moved by 1.125: overlap 8.875 / 11.125 = 0.79775. In float32 at class 2000 boxes would lie on a grid
    # of 1 px, where it is 9/11 = 0.82.
    boxes = torch.tensor([[20.0, 20, 10, 10], [21.125, 20, 10, 10]])
    for kind in (0, 2000):
        scores = torch.zeros(2, 2001)
        scores[:, kind] = torch.tensor([0.9, 0.8])
        (apart,) = suppress(output_of(boxes, scores), 2001, confidence=0.25, iou=0.798)
        (same,) = suppress(output_of(boxes, scores), 2001, confidence=0.25, iou=0.797)
        assert (len(apart), len(same)) == (2, 1)


def test_suppression_keeps_the_best_of_a_class_and_other_classes() -> None:
    # Three boxes at one place: two of class 0, one of class 1; and one elsewhere below the confidence.
    boxes = torch.tensor([[50, 50, 20, 20], [51, 50, 20, 20], [50, 50, 20, 20], [150, 50, 20, 20]])
    scores = torch.tensor([[0.9, 0], [0.8, 0], [0, 0.7], [0.1, 0]])
    (found,) = suppress(output_of(boxes, scores), 2, confidence=0.25, iou=0.5)
    assert found[:, 4].tolist() == pytest.approx([0.9, 0.7])
    assert found[:, 5].tolist() == [0, 1]
    assert found[0, :4].tolist() == [40, 40, 60, 60]


def test_a_box_counts_for_each_of_its_classes_where_precision_is_measured() -> None:
    scored = output_of(torch.tensor([[50.0, 50, 20, 20]]), torch.tensor([[0.6, 0.4]]))
    (best,) = suppress(scored, 2, confidence=0.25, iou=0.5)
    (every,) = suppress(scored, 2, confidence=0.25, iou=0.5, every_class=True)
    assert best[:, 5].tolist() == [0]
    assert every[:, 5].tolist() == [0, 1]


def test_an_image_gives_at_most_300_detections_and_the_best_ones() -> None:
    boxes = torch.arange(500)[:, None] * torch.tensor([[30.0, 0, 0, 0]]) + torch.tensor([[0.0, 0, 20, 20]])
    scores = torch.linspace(0.3, 0.9, 500)[:, None]
    found = suppress(output_of(boxes, scores).repeat(2, 1, 1), 1, confidence=0.25, iou=0.5)
    assert [len(rows) for rows in found] == [300, 300]
    assert torch.equal(found[1][:, 4], scores.flatten().flip(0)[:300])


def test_nothing_above_the_confidence_gives_no_rows() -> None:
    output = random_output(0, 2, 3, 50, tied=False)
    assert [rows.shape for rows in suppress(output, 3, confidence=1.0, iou=0.5)] == [(0, 8), (0, 8)]


@pytest.mark.slow
def test_it_starts_without_ultralytics_and_without_torchvisions_python() -> None:
    code = "import sys, roadscan.model.nms; print({'ultralytics', 'torchvision', 'torch._dynamo'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
