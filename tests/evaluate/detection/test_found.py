from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.scenes import Recipe, make_scenes

from roadscan.dataset.records import LabelledImage
from roadscan.errors import DatasetError
from roadscan.evaluate.detection import ImageResult, match
from roadscan.evaluate.detection.found import found_bytes, read_found
from roadscan.schemas import FOUND

NAMES = ("a", "b", "c", "d")


def labelled(result: ImageResult) -> LabelledImage:
    """The image whose truth a result has."""
    truth, outlines = result.truth, None
    if truth.masks is not None:  # boxes, whose pixels are those of their corners
        outlines = tuple(
            (np.array([[b[0], b[1]], [b[2], b[1]], [b[2], b[3]], [b[0], b[3]]]),) for b in truth.boxes_xyxy
        )
    return LabelledImage(
        result.key, 320, 240, truth.classes, truth.boxes_xyxy, outlines, result.drive_id, result.conditions
    )


@pytest.mark.parametrize("masks", [False, True])
def test_what_is_read_gives_the_same_matches_as_what_was_written(masks: bool) -> None:
    results = [
        replace(one, conditions=("night", "rain")) for one in make_scenes(3, Recipe(images=6, drives=2, masks=masks))
    ]
    data = found_bytes(results, NAMES, "digest")
    again = read_found(data, [labelled(one) for one in reversed(results)], NAMES, "digest")
    assert [one.key for one in again] == sorted(one.key for one in results)
    for before, after in zip(sorted(results, key=lambda one: one.key), again, strict=True):
        np.testing.assert_array_equal(before.found.boxes_xyxy, after.found.boxes_xyxy)
        np.testing.assert_array_equal(before.found.scores, after.found.scores)
        np.testing.assert_array_equal(before.found.classes, after.found.classes)
        assert (before.drive_id, before.conditions) == (after.drive_id, after.conditions)
        if masks:
            assert before.found.masks == after.found.masks
    assert match(again, NAMES).right.tobytes() == match(sorted(results, key=lambda one: one.key), NAMES).right.tobytes()


def test_the_file_says_what_its_columns_are() -> None:
    schema = pq.read_schema(io.BytesIO(found_bytes(make_scenes(0, Recipe(images=2)), NAMES, "d")))
    assert schema.remove_metadata().equals(FOUND.remove_metadata())
    assert schema.field("box_px").metadata[b"unit"] == b"px"


def test_images_without_detections_are_there() -> None:
    (one,) = make_scenes(0, Recipe(images=1, truths=0, false=0))
    (again,) = read_found(found_bytes([one], NAMES, "d"), [labelled(one)], NAMES, "d")
    assert len(again.found.classes) == 0


def test_detections_of_another_dataset_are_refused() -> None:
    results = make_scenes(0, Recipe(images=2))
    with pytest.raises(DatasetError, match=r"digest now, expected before; set another name"):
        read_found(found_bytes(results, NAMES, "before"), [labelled(one) for one in results], NAMES, "now")
