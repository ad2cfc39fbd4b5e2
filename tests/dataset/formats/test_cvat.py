"""CVAT for images: every shape that has an area is an object, and no other is lost without a word."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.written import HEIGHT, WIDTH, picture, put

from roadscan.dataset.draft import Reading
from roadscan.dataset.read import inspect, read_dataset
from roadscan.errors import DatasetError

BOX = '<box label="sign" xtl="10" ytl="20" xbr="40" ybr="35" z_order="0"/>'


def cvat(
    root: Path, *shapes: str, subset: str = 'subset="Train"', meta: str = "", yaml: str = "", height_px: int = HEIGHT
) -> Reading:
    """A dataset of one image, read."""
    put(root, "images/Train/a.jpg", picture(1))
    if yaml:
        put(root, "dataset.yaml", yaml.encode())
    image = f'<image id="0" name="a.jpg" {subset} width="{WIDTH}" height="{height_px}">{"".join(shapes)}</image>'
    put(root, "annotations.xml", f"<annotations><version>1.1</version>{meta}{image}</annotations>".encode())
    return inspect(str(root))


def box_of(reading: Reading) -> list[float]:
    assert [str(error) for error in reading.errors] == []
    (image,) = reading.dataset.splits["train"]
    return [round(float(side), 2) for side in image.boxes_xyxy[0]]


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (BOX, [10, 20, 40, 35]),
        # 30 x 15 px about (25, 27.5), turned a quarter: 15 x 30
        (BOX.replace("/>", ' rotation="90.0"/>'), [17.5, 12.5, 32.5, 42.5]),
        ('<polygon label="sign" points="10.00,20.00;40.00,20.00;25.00,35.00"/>', [10, 20, 40, 35]),
        ('<ellipse label="sign" cx="25" cy="30" rx="15" ry="10"/>', [10, 20, 40, 40]),
        ('<ellipse label="sign" cx="25" cy="30" rx="15" ry="10" rotation="90"/>', [15, 15, 35, 45]),
        # 3 x 2 px from (10, 20): one clear pixel, then five set
        ('<mask label="sign" rle="1, 5" left="10" top="20" width="3" height="2"/>', [10, 20, 13, 22]),
        ('<mask label="sign" rle="0, 1, 5" left="10" top="20" width="3" height="2"/>', [10, 20, 11, 21]),
    ],
)
def test_every_shape_with_an_area_is_an_object(tmp_path: Path, shape: str, box: list[float]) -> None:
    assert box_of(cvat(tmp_path, shape)) == box


def test_the_outline_of_an_ellipse_lies_on_it(tmp_path: Path) -> None:
    reading = cvat(tmp_path, '<ellipse label="sign" cx="48" cy="32" rx="20" ry="10" rotation="30"/>')
    (outline,) = (reading.dataset.splits["train"][0].outlines or ())[0]
    x, y = (outline - [48, 32]).T
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)  # turned clockwise as seen, y down
    np.testing.assert_allclose(((x * cos + y * sin) / 20) ** 2 + ((y * cos - x * sin) / 10) ** 2, 1, atol=1e-5)


def test_a_shape_without_an_area_is_an_error_unless_its_class_is_left_out(tmp_path: Path) -> None:
    line = '<polyline label="rail" points="0,0;10,10"/>'
    (error,) = cvat(tmp_path, BOX, line).errors
    assert str(error) == (
        "annotations.xml: image 0 (a.jpg), polyline 2: got a polyline of class 'rail'; expected a box, polygon, mask "
        "or ellipse: draw it so, or leave the class out with 'classes: {ignore: [rail]}'"
    )
    reading = cvat(tmp_path, BOX, line, yaml="classes: {ignore: [rail]}")
    assert box_of(reading) == [10, 20, 40, 35]
    assert reading.dataset.names == ("sign",)
    assert [one.text for one in reading.warnings] == ["class rail: 1 objects are left out, as classes.ignore says"]


def test_tags_of_an_image_are_its_conditions_and_objects_may_be_marked_as_occluded(tmp_path: Path) -> None:
    tags = '<tag label="rain" source="manual"/><tag label="night"/>'
    reading = cvat(tmp_path, BOX, tags, BOX.replace("<box", '<box occluded="1"'))
    (image,) = reading.dataset.splits["train"]
    assert (image.conditions, image.occlusions) == (("night", "rain"), (None, "occluded"))
    assert reading.warnings == ()


def test_all_labels_of_the_project_are_classes_in_its_order(tmp_path: Path) -> None:
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("sign", "rail", "pole"))
    point = "<label><name>1</name><parent>sign</parent></label>"  # of a skeleton
    reading = cvat(tmp_path, BOX, meta=f"<meta><task><labels>{labels}{point}</labels></task></meta>")
    assert reading.dataset.names == ("sign", "rail", "pole")


def test_a_task_without_subsets_needs_lists(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"does not say which split 1 .*\n  train: {annotations: annotations.xml, list"
    ):
        cvat(tmp_path, BOX, subset="")
    put(tmp_path, "train.txt", b"a.jpg\n")
    (tmp_path / "dataset.yaml").write_text("train: {annotations: annotations.xml, list: train.txt}")
    assert len(read_dataset(str(tmp_path)).splits["train"]) == 1


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<box label="sign" xtl="10" ytl="20" xbr="40"/>', "box 1: box is .*with an area"),
        ('<box xtl="10" ytl="20" xbr="40" ybr="35"/>', "box 1: label is missing"),
        ('<polygon label="sign" points="10,20;40"/>', "points are '10,20;40'"),
        ('<ellipse label="sign" cx="x" cy="30" rx="15" ry="10"/>', "cx is 'x'; expected a number"),
        ('<mask label="sign" rle="1, 9" left="10" top="20" width="3" height="2"/>', "rle does not add up to .* 3 x 2"),
        (
            '<mask label="sign" rle="1.5, 4.5" left="10" top="20" width="3" height="2"/>',
            "rle does not add up to .* 3 x 2",
        ),
        (
            '<mask label="sign" rle="9" left="90" top="0" width="9000000" height="9000000"/>',
            "expected it inside the image",
        ),
        ('<mask label="sign" rle="6" left="10" top="20" width="3" height="2"/>', "the mask is empty"),
        ('<star label="sign"/>', "<star> is not known"),
    ],
)
def test_what_is_wrong_is_told_with_its_shape(tmp_path: Path, shape: str, message: str) -> None:
    (error,) = cvat(tmp_path, shape).errors
    assert re.search(rf"^annotations.xml: image 0 \(a.jpg\), .*{message}", str(error))


def test_an_image_of_a_size_that_none_has_is_told(tmp_path: Path) -> None:
    """One of more than 64 bits, which NumPy would take for an object."""
    for height_px in (10**30, 2**31):
        (error,) = cvat(tmp_path, BOX, height_px=height_px).errors
        assert str(error).startswith(
            f"annotations.xml: image 0: width, height are ('{WIDTH}', '{height_px}'); expected"
        )


def test_tracks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"annotations.xml: it has tracks, so it is CVAT for video"):
        cvat(tmp_path, BOX, meta='<track id="0" label="sign"/>')
