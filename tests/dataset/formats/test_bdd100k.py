"""BDD100K: boxes alone are objects; videos are drives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.written import HEIGHT, WIDTH, picture, put

from roadscan.dataset.check import check_dataset
from roadscan.dataset.draft import Reading
from roadscan.dataset.read import inspect, read_dataset
from roadscan.errors import DatasetError

BOX = {"x1": 10, "y1": 20, "x2": 40, "y2": 35}
SIGN = {"id": "0", "category": "traffic sign", "box2d": BOX}
SIZE = {"size": {"width": WIDTH, "height": HEIGHT}}


def bdd(root: Path, frame: dict[str, Any], *labels: dict[str, Any]) -> Reading:
    """A dataset of one frame, read."""
    put(root, "images/a.jpg", picture(1))
    put(
        root,
        "labels/bdd100k_labels_images_train.json",
        json.dumps([{"name": "a.jpg", "labels": labels} | frame]).encode(),
    )
    return inspect(str(root))


def test_lanes_and_areas_are_counted_and_left_out(tmp_path: Path) -> None:
    lane = {"category": "lane", "poly2d": [{"vertices": [[0, 0], [9, 9]], "types": "LL", "closed": False}]}
    reading = bdd(tmp_path, SIZE, SIGN, lane, lane, {"category": "drivable area", "poly2d": []})
    (image,) = reading.dataset.splits["train"]
    assert image.boxes_xyxy.tolist() == [[10, 20, 40, 35]]
    assert reading.dataset.names == ("traffic sign",)
    assert [one.text for one in reading.warnings] == [
        "left out: 1 drivable area without box2d",
        "left out: 2 lane without box2d",
    ]


@pytest.mark.parametrize(
    ("attributes", "conditions"),
    [
        ({"weather": "clear", "timeofday": "daytime"}, ("day",)),
        ({"weather": "rainy", "timeofday": "night"}, ("night", "rain")),
        ({"weather": "overcast", "timeofday": "dawn/dusk"}, ("dusk",)),
        ({"weather": "undefined", "timeofday": "undefined"}, ()),
        (None, ()),
    ],
)
def test_a_video_is_a_drive_and_the_time_of_day_and_weather_are_conditions(
    tmp_path: Path, attributes: dict[str, str] | None, conditions: tuple[str, ...]
) -> None:
    (image,) = bdd(tmp_path, SIZE | {"videoName": "v1", "attributes": attributes}, SIGN).dataset.splits["train"]
    assert (image.drive_id, image.conditions) == ("v1", conditions)


def test_a_box_may_be_occluded(tmp_path: Path) -> None:
    attributes = [{"occluded": True}, {"occluded": False}, {}]
    image = bdd(tmp_path, SIZE, *(SIGN | {"attributes": one} for one in attributes)).dataset.splits["train"][0]
    assert image.occlusions == ("occluded", "not occluded", None)


def test_a_frame_without_a_size_is_taken_for_one_of_bdd100k(tmp_path: Path) -> None:
    bdd(tmp_path, {}, SIGN)
    error = check_dataset(str(tmp_path)).errors[0]
    assert str(error) == "images/a.jpg: the upright image is 96x64 px, its labels say 1280x720 px"


def test_scalabel_says_the_size_once(tmp_path: Path) -> None:
    put(tmp_path, "images/a.jpg", picture(1))
    tree = {"frames": [{"name": "a.jpg", "labels": [SIGN]}], "config": {"imageSize": SIZE["size"]}}
    put(tmp_path, "scalabel.json", json.dumps(tree).encode())
    put(tmp_path, "dataset.yaml", b"train: {annotations: scalabel.json}")
    (image,) = read_dataset(str(tmp_path)).splits["train"]
    assert (image.width_px, image.boxes_xyxy.tolist()) == (WIDTH, [[10, 20, 40, 35]])


@pytest.mark.parametrize(
    ("frame", "label", "message"),
    [
        ({}, {"box2d": BOX}, "frame a.jpg, label 0: category is missing"),
        ({}, {"category": "car", "box2d": BOX | {"x2": None}}, r"frame a.jpg, label 0: box2d is \[10, 20, None, 35\]"),
        ({"name": ""}, SIGN, "frame : name is missing"),
        ({"size": {"width": 0, "height": 1}}, SIGN, r"frame a.jpg: width, height are \(0, 1\)"),
    ],
)
def test_what_is_wrong_is_told_with_its_frame(
    tmp_path: Path, frame: dict[str, Any], label: dict[str, Any], message: str
) -> None:
    bdd(tmp_path, SIZE | frame, label)
    with pytest.raises(DatasetError, match=f"bdd100k_labels_images_train.json: {message}"):
        read_dataset(str(tmp_path))
