"""Label Studio's tasks: one annotation of each counts, and what was drawn is in percent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.written import HEIGHT, WIDTH, picture, put

from roadscan.dataset.draft import Reading
from roadscan.dataset.read import inspect, read_dataset
from roadscan.errors import DatasetError

SIZE = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
RECTANGLE = {"x": 25, "y": 25, "width": 50, "height": 25, "rotation": 0}
AS_DRAWN = [24, 16, 72, 32]  # of 96 x 64 px


def region(value: dict[str, Any], kind: str = "rectanglelabels", **fields: Any) -> dict[str, Any]:
    return {**SIZE, "id": "r", "type": kind, "value": value | {kind: ["sign"]}, **fields}


def studio(
    root: Path, *regions: dict[str, Any], image: str = "a.jpg", annotations: Any = None, yaml: str = ""
) -> Reading:
    """A dataset of one task, read."""
    put(root, "images/a.jpg", picture(1))
    made = [{"id": 1, "result": regions}] if annotations is None else annotations
    put(root, "project-4.json", json.dumps([{"id": 7, "data": {"image": image}, "annotations": made}]).encode())
    put(root, "dataset.yaml", f"train: {{annotations: project-4.json}}\n{yaml}".encode())
    return inspect(str(root))


def box_of(reading: Reading) -> list[float]:
    assert [str(error) for error in reading.errors] == []
    (image,) = reading.dataset.splits["train"]
    return [round(float(side), 2) for side in image.boxes_xyxy[0]]


@pytest.mark.parametrize(
    ("value", "kind", "box"),
    [
        (RECTANGLE, "rectanglelabels", AS_DRAWN),
        # 48 x 16 px, turned a quarter about its upper left corner (24, 16): to the left of it and below
        (RECTANGLE | {"rotation": 90}, "rectanglelabels", [8, 16, 24, 64]),
        ({"points": [[25, 25], [75, 25], [50, 50]], "closed": True}, "polygonlabels", AS_DRAWN),
        ({"x": 50, "y": 37.5, "radiusX": 25, "radiusY": 12.5, "rotation": 0}, "ellipselabels", AS_DRAWN),
        (RECTANGLE, "labels", AS_DRAWN),
    ],
)
def test_what_was_drawn_is_an_object(tmp_path: Path, value: dict[str, Any], kind: str, box: list[float]) -> None:
    assert box_of(studio(tmp_path, region(value, kind))) == box


@pytest.mark.parametrize(
    "image",
    ["a.jpg", "/data/upload/4/5e3f2a1b-a.jpg", "/data/local-files/?d=roads%2Fimages%2Fa.jpg", "s3://b/images/a.jpg"],
)
def test_the_image_is_found_by_its_name(tmp_path: Path, image: str) -> None:
    yaml = "path_prefix: /data/upload/4\n" if "upload" in image else ""
    assert box_of(studio(tmp_path, region(RECTANGLE), image=image, yaml=yaml)) == AS_DRAWN


def test_of_several_annotations_the_ground_truth_is_taken(tmp_path: Path) -> None:
    other = {"id": 2, "result": [region(RECTANGLE | {"x": 0})]}
    truth = {"id": 3, "result": [region(RECTANGLE)]}
    cancelled = other | {"was_cancelled": True}
    assert box_of(studio(tmp_path, annotations=[cancelled, truth])) == AS_DRAWN
    assert box_of(studio(tmp_path, annotations=[other, truth | {"ground_truth": True}])) == AS_DRAWN
    (error,) = studio(tmp_path, annotations=[other, truth]).errors
    assert str(error).startswith("project-4.json: task 7: has 2 annotations; expected one")


def test_a_task_that_nobody_annotated_is_background(tmp_path: Path) -> None:
    (image,) = studio(tmp_path, annotations=[]).dataset.splits["train"]
    assert (image.width_px, len(image.classes)) == (WIDTH, 0)


def test_what_has_no_area_is_told(tmp_path: Path) -> None:
    key = region({"x": 5, "y": 5, "width": 1}, "keypointlabels")
    brush = region({"format": "rle", "rle": [0, 1]}, "brushlabels")
    rating = {"id": "c", "type": "rating", "value": {"rating": 3}}
    reading = studio(tmp_path, key, brush, rating)
    assert [error.text.partition(";")[0] for error in reading.errors] == [
        "got a keypoint of class 'sign'",
        "got a brush of class 'sign'",
    ]
    assert [one.text for one in reading.warnings] == ["left out: 1 rating, which is of the whole image"]


def test_choices_of_a_whole_image_are_its_conditions(tmp_path: Path) -> None:
    of_image = {"id": "c", "type": "choices", "value": {"choices": ["rain", "night"]}}
    of_region = {"id": "r", "type": "choices", "value": {"x": 1, "width": 2, "choices": ["broken"]}}
    reading = studio(tmp_path, of_image, of_region)
    assert reading.dataset.splits["train"][0].conditions == ("night", "rain")
    assert [one.text for one in reading.warnings] == ["left out: 1 choices, which is of the whole image"]


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (region(RECTANGLE | {"width": 0}), r"region r: width, height are \(0.0, 25.0\); expected an area"),
        (region(RECTANGLE) | {"image_rotation": 90}, "region r: image_rotation is 90"),
        (region(RECTANGLE) | {"original_width": None}, r"width, height are \(None, 64\)"),
        (region({"points": [[1, 2], [3, 4]]}, "polygonlabels"), "region r: points are"),
        ({**SIZE, "id": "r", "type": "rectanglelabels", "value": RECTANGLE}, "rectanglelabels is None; expected one"),
        (region(RECTANGLE | {"x": 80}), "region r: the box reaches outside of the image"),
    ],
)
def test_what_is_wrong_is_told_with_its_region(tmp_path: Path, drawn: dict[str, Any], message: str) -> None:
    studio(tmp_path, drawn)
    with pytest.raises(DatasetError, match=f"project-4.json: task 7.*{message}"):
        read_dataset(str(tmp_path))
