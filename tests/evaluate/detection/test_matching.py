from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from support.scenes import Recipe, image, make_scenes, objects

from roadscan.errors import ConfigError
from roadscan.evaluate.detection import ImageResult, match
from roadscan.evaluate.detection.matching import AREA_RANGES, IOU_THRESHOLDS

BOX = [0, 0, 100, 100]
ALL, SMALL, MEDIUM, LARGE = range(4)


def test_nothing_there_and_nothing_found():
    for results in ([], [image(([],), None)]):
        matches = match(results, ["a", "b"])
        assert matches.truths.shape == (len(results), 2, 4)
        assert matches.right.shape == matches.ignored.shape == (4, 0)
        assert matches.scores.dtype == np.float32


@pytest.mark.parametrize(
    ("width", "passed"),
    [(100, 10), (75, 6), (50, 1), (49, 0)],  # overlap = width / 100; .50 .55 .60 .65 .70 .75 are six
)
def test_bits_are_the_thresholds_that_the_overlap_reaches(width, passed):
    matches = match([image(([BOX], [0]), ([[0, 0, width, 100]], [0], [0.5]))], ["a"])
    assert matches.right[ALL].tolist() == [(1 << passed) - 1]
    assert matches.ignored[ALL].tolist() == [0]


def test_of_equal_scores_the_one_given_first_is_right():
    matches = match([image(([BOX], [0]), ([BOX, BOX], [0, 0], [0.5, 0.5]))], ["a"])
    assert (matches.right[ALL] & 1).tolist() == [1, 0]
    assert matches.ranks.tolist() == [0, 1]


def test_another_class_takes_nothing():
    matches = match([image(([BOX], [0]), ([BOX], [1], [0.5]))], ["a", "b"])
    assert matches.right.max() == 0


def test_area_ranges_ignore_the_others():
    # Sides 100 (large) and 20 (small) are true; each is found, and something of side 50 that is not there.
    boxes = [BOX, [200, 0, 220, 20]]
    matches = match([image((boxes, [0, 0]), ([*boxes, [0, 200, 50, 250]], [0, 0, 0], [0.9, 0.8, 0.7]))], ["a"])
    assert (matches.right & 1).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert (matches.ignored & 1).tolist() == [[0, 0, 0], [1, 0, 1], [1, 1, 0], [0, 1, 1]]
    assert matches.truths[0, 0].tolist() == [2, 1, 0, 1]


def test_an_edge_belongs_to_both_ranges():
    matches = match([image(([[0, 0, 32, 32]], [0]), None)], ["a"])
    assert matches.truths[0, 0].tolist() == [1, 1, 1, 0]
    assert list(AREA_RANGES) == ["all", "small", "medium", "large"]


def test_detections_lie_by_class_and_falling_score_and_rank_within_their_image():
    matches = match(make_scenes(1, Recipe(images=300, classes=3, truths=2, false=4)), list("abc"))
    for index in range(3):
        where = matches.of_class(index)
        assert (matches.classes[where] == index).all()
        assert (np.diff(matches.scores[where]) <= 0).all()
        for number in range(300):
            ranks = matches.ranks[where][matches.images[where] == number]
            assert ranks.tolist() == list(range(len(ranks)))
    assert sum(len(matches.scores[matches.of_class(index)]) for index in range(3)) == len(matches.scores)


def test_selected_images_are_as_if_matched_alone():
    results = make_scenes(2, Recipe(images=12, drives=5))
    chosen = np.array([7, 2, 11, 4])
    part, alone = match(results, list("abcd")).select(chosen), match([results[i] for i in chosen], list("abcd"))
    assert len(part.scores)
    for field in fields(part):
        if field.name == "conditions":
            assert part.conditions == alone.conditions
        elif field.name != "drives":
            np.testing.assert_array_equal(getattr(part, field.name), getattr(alone, field.name), err_msg=field.name)
    drives = [results[i].drive_id for i in chosen]
    assert (part.drives[:, None] == part.drives).tolist() == [[a == b for b in drives] for a in drives]


def test_an_image_without_a_drive_is_its_own():
    results = [image(([],), None, key=key, drive_id=drive) for key, drive in [("a", "x"), ("b", None), ("c", "x")]]
    results.append(image(([],), None, key="1", drive_id=None))
    assert match(results, ["a"]).drives.tolist() == [0, 1, 0, 2]


def test_what_cannot_be_matched_is_named():
    good = image(([BOX], [0]), ([BOX], [0], [0.5]), key="frame-7")
    nan = replace(good.found, boxes_xyxy=np.full((1, 4), np.nan, np.float32))
    for results, kind, message in [
        ([good, good], "box", "a key occurs twice"),
        ([replace(good, truth=objects([BOX], [3]))], "box", "frame-7: its truth: class 3; expected 0 to 0"),
        ([replace(good, found=objects([BOX], [-1], [0.5]))], "box", "frame-7: its detections: class -1"),
        ([replace(good, found=objects([BOX], [0]))], "box", "frame-7: its detections: expected a finite score"),
        ([replace(good, found=objects([BOX], [0], [np.nan]))], "box", "a finite score each"),
        ([replace(good, found=nan)], "box", "expected a finite box"),
        ([replace(good, found=objects([BOX, BOX], [0], [0.5]))], "box", "2 boxes, 1 classes"),
        ([good], "mask", "frame-7: its truth: 0 masks for 1 objects"),
    ]:
        with pytest.raises(ConfigError, match=message):
            match(results, ["a"], kind=kind)


def test_masks_of_different_sizes_are_refused():
    small, large = ({"size": size, "counts": ""} for size in ([2, 2], [4, 4]))
    result = ImageResult("k", objects([BOX], [0], None, (small,)), objects([BOX], [0], [0.5], (large,)))
    with pytest.raises(ConfigError, match="image k: masks of"):
        match([result], ["a"], kind="mask")


def test_thresholds_are_those_of_coco():
    assert np.allclose(IOU_THRESHOLDS, [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
