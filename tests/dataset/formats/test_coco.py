"""COCO datasets: the same truth as in YOLO reads the same, and what is wrong is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from support.written import HEIGHT, NAMES, WIDTH, Written, picture, put, write_coco

from roadscan.dataset.read import inspect, read_dataset
from roadscan.dataset.records import Dataset
from roadscan.demo.server import S3Server
from roadscan.errors import DatasetError, NotFound, StorageError

SIZE = {"width": WIDTH, "height": HEIGHT}
IMAGE = {"id": 5, "file_name": "a.jpg", **SIZE}
BOX = {"id": 1, "image_id": 5, "category_id": 1, "bbox": [10, 20, 30, 15], "segmentation": [], "iscrowd": 0}
TRIANGLE = [10.5, 20.25, 40.0, 20.25, 25.0, 35.75]


def same_truth(yolo_root: Path, coco_root: str | Path, *, with_outlines: bool) -> None:
    """Write the same random objects in both formats."""
    rng, made = np.random.default_rng(3), Written()
    for split in ("train", "val"):
        images, annotations = [], []
        for number in range(4):
            name, lines = f"{split}{number}", []
            for _ in range(number):
                kind, points = int(rng.integers(3)), rng.uniform(0, 1, (4, 2)) * (WIDTH, HEIGHT)
                low, high = points.min(0), points.max(0)
                shares = points / (WIDTH, HEIGHT)
                if not with_outlines:
                    shares = np.array([(low + high) / 2, high - low]) / (WIDTH, HEIGHT)
                lines.append(" ".join([str(kind), *(f"{share:.9f}" for share in shares.ravel())]))
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": 100 - number,
                        "category_id": (90, 7, 33)[kind],
                        "bbox": [*low, *(high - low)],
                        **({"segmentation": [points.ravel().tolist()]} if with_outlines else {}),
                    }
                )
            made.add(split, name, "\n".join(lines), drive_id=f"drive-{split}-{number % 2}")
            origin = {"drive_id": f"drive-{split}-{number % 2}", "condition": "day"}
            images.append({"id": 100 - number, "file_name": f"{name}.jpg", **SIZE, **origin})
        names = {7: "pole", 33: "rail", 90: "sign"}
        write_coco(coco_root, split, images, annotations, [{"id": i, "name": n} for i, n in names.items()])
    made.names = ("sign", "pole", "rail")
    made.write(yolo_root)


def assert_same(yolo: Dataset, coco_: Dataset) -> None:
    """Same but for the order of the classes, which COCO takes from the category ids."""
    assert coco_.names == ("pole", "rail", "sign")
    assert coco_.task == yolo.task
    for split, images in yolo.splits.items():
        for one, other in zip(images, coco_.splits[split], strict=True):
            assert (one.key, one.width_px, one.height_px) == (other.key, other.width_px, other.height_px)
            assert (one.drive_id, one.conditions) == (other.drive_id, other.conditions)
            assert [yolo.names[c] for c in one.classes] == [coco_.names[c] for c in other.classes]
            np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1e-3)
            for parts, others in zip(one.outlines or (), other.outlines or (), strict=True):
                np.testing.assert_allclose(parts[0], others[0], atol=1e-3)


@pytest.mark.parametrize("with_outlines", [False, True])
def test_the_same_truth_reads_the_same(tmp_path: Path, with_outlines: bool) -> None:
    same_truth(tmp_path / "yolo", tmp_path / "coco", with_outlines=with_outlines)
    assert_same(read_dataset(str(tmp_path / "yolo")), read_dataset(str(tmp_path / "coco")))


@pytest.mark.s3
def test_a_bucket_reads_as_a_disk_does(s3: S3Server, tmp_path: Path) -> None:
    uri = f"s3://raw/{tmp_path.name}"
    same_truth(tmp_path / "yolo", uri, with_outlines=True)
    assert_same(read_dataset(str(tmp_path / "yolo")), read_dataset(uri))


def test_run_length_masks_become_outlines(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[8:20, 10:30] = 1
    mask[12:16, 14:20] = 0  # a hole, which an outline has not
    mask[40:41, 60:61] = 1  # a second part, of one pixel
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, mask.ravel(order="F"), 0])), prepend=0).tolist()
    runs.append(WIDTH * HEIGHT - sum(runs))
    compressed = str(coco.encode(mask)["counts"], "ascii")
    size = [HEIGHT, WIDTH]
    entries = [
        BOX | {"segmentation": {"size": size, "counts": counts}, "id": number}
        for number, counts in enumerate((compressed, runs))
    ]
    write_coco(tmp_path, "train", [IMAGE], entries)
    (image,) = read_dataset(str(tmp_path)).splits["train"]
    assert image.boxes_xyxy.tolist() == [[10, 8, 61, 41]] * 2  # of both parts, to the pixels' outer edges
    for parts in image.outlines or ():
        extents = sorted([*part.min(0), *part.max(0)] for part in parts)
        assert extents == [[10, 8, 30, 20], [60, 40, 61, 41]]


def test_crowds_are_left_out_and_counted(tmp_path: Path) -> None:
    crowd = BOX | {"iscrowd": 1, "id": 2, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, WIDTH * HEIGHT]}}
    write_coco(tmp_path, "train", [IMAGE], [BOX, crowd])
    reading = inspect(str(tmp_path))
    assert reading.dataset.task == "detect"
    assert reading.dataset.splits["train"][0].boxes_xyxy.tolist() == [[10, 20, 40, 35]]
    assert [str(w) for w in reading.warnings] == ["annotations/instances_train.json: left out: 1 crowds (iscrowd)"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 6}, "annotation 1: image_id is 6"),
        ({"image_id": [5]}, r"annotation 1: image_id is \[5\]"),
        ({"category_id": 9}, r"category_id is 9; expected one of \[0, 1, 2\]"),
        ({"bbox": [10, 20, 30]}, r"bbox is \[10, 20, 30\]"),
        ({"bbox": [10, 20, 0, 5]}, "with an area"),
        ({"bbox": None}, "bbox is None"),
        ({"bbox": ["10", 20, 30, 5]}, "bbox is"),
        ({"bbox": [float("nan"), 20, 30, 5]}, "not a finite number"),
        ({"bbox": [80, 20, 30, 5]}, "the box reaches outside of the image"),
        ({"segmentation": [[1, 2, 3, 4]]}, "segmentation has"),
        ({"segmentation": [TRIANGLE, [1, 2, 3, 4, 5, 6, 7]]}, "segmentation has"),
        ({"segmentation": "x"}, "segmentation has x"),
        ({"segmentation": [[10, 10, 20, 20, 200, 15]]}, "the outline reaches outside"),
        ({"segmentation": {"size": [1, 1], "counts": [0, 1]}}, r"mask size is \[1, 1\]"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, 7]}}, "counts do not add up to 6144"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [WIDTH * HEIGHT]}}, "the mask is empty"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": 3}}, "counts is a int"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "zzzzzzzz"}}, "segmentation: "),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "\u0e01"}}, "segmentation: "),
    ],
)
def test_a_bad_annotation_is_told(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_coco(tmp_path, "train", [IMAGE], [BOX | changes])
    with pytest.raises(DatasetError, match=message) as caught:
        read_dataset(str(tmp_path))
    assert "annotations/instances_train.json: annotation 1: " in str(caught.value)


def test_a_box_among_outlines_is_told(tmp_path: Path) -> None:
    outlines = [BOX | {"id": number, "segmentation": [TRIANGLE]} for number in (2, 3)]
    write_coco(tmp_path, "train", [IMAGE], [BOX, *outlines])
    (error,) = inspect(str(tmp_path)).errors
    assert str(error).startswith(
        "annotations/instances_train.json: annotation 1: got a box and no outline, and of the 3 "
    )


def test_annotations_without_an_id_are_told_one_by_one(tmp_path: Path) -> None:
    box = {name: value for name, value in BOX.items() if name != "id"}
    write_coco(tmp_path, "train", [IMAGE], [box, box, box | {"segmentation": [TRIANGLE]}])
    reading = inspect(str(tmp_path))
    assert [error.where for error in reading.errors] == ["annotations/instances_train.json: annotation None"]
    assert len(reading.dataset.splits["train"][0].classes) == 2


def test_an_outline_among_boxes_is_told(tmp_path: Path) -> None:
    boxes = [BOX | {"id": number} for number in (2, 3)]
    write_coco(tmp_path, "train", [IMAGE], [BOX | {"segmentation": [TRIANGLE]}, *boxes])
    (error,) = inspect(str(tmp_path)).errors
    assert str(error) == (
        "annotations/instances_train.json: annotation 1: got an outline of 3 points, and of the 3 objects of this "
        "dataset 2 have a box and 1 an outline: give it a box, or set 'task: detect' in the dataset's YAML file to "
        "train on the boxes around outlines"
    )


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"id": 5, "file_name": "b.jpg", **SIZE}, "image 5: expected an 'id', a whole number or a text that no other"),
        ({"id": 6, "file_name": "a.jpg", **SIZE}, "image 6: a.jpg is listed twice"),
        ({"id": 6, "file_name": "b.jpg", "width": "96", "height": 64}, r"width, height are \('b.jpg', '96', 64\)"),
        ({"id": 6, "width": 96, "height": 64}, r"file_name, width, height are \(None, 96, 64\)"),
        ({"id": None, "file_name": "b.jpg", **SIZE}, "image None: expected an 'id'"),
        ({"id": 6, "file_name": "gone.jpg", **SIZE}, "images/train/gone.jpg: there is no such image"),
        ({"id": 6, "file_name": "../../../gone.jpg", **SIZE}, "gone.jpg: there is no such image"),
    ],
)
def test_a_bad_image_is_told(tmp_path: Path, image: dict[str, Any], message: str) -> None:
    write_coco(tmp_path, "train", [IMAGE], [BOX])
    path = tmp_path / "annotations" / "instances_train.json"
    tree = json.loads(path.read_text())
    path.write_text(json.dumps(tree | {"images": [IMAGE, image]}))
    with pytest.raises(DatasetError, match=message):
        read_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([], "expected COCO instances"),
        ({"images": [], "annotations": []}, "expected COCO instances"),
        ({"images": [1], "annotations": [], "categories": []}, "expected COCO instances"),
        ({"images": [], "annotations": [], "categories": []}, "expected at least one"),
        ({"images": [], "annotations": [], "categories": [{"id": "1", "name": "a"}]}, "whole number 'id'"),
        ({"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}] * 2}, "same id"),
        ({"images": [], "annotations": [], "categories": [{"id": i, "name": "a"} for i in (1, 2)]}, "each once"),
    ],
)
def test_a_file_that_is_no_coco_is_refused(tmp_path: Path, tree: Any, message: str) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps(tree))
    with pytest.raises(DatasetError, match=message):
        read_dataset(str(tmp_path))


def test_splits_must_have_the_same_categories(tmp_path: Path) -> None:
    write_coco(tmp_path, "train", [IMAGE], [BOX])
    write_coco(tmp_path, "val", [IMAGE], [], [{"id": 1, "name": "other"}])
    with pytest.raises(DatasetError, match=r"instances_val.json: categories are \['other'\]"):
        read_dataset(str(tmp_path))


def test_coco_yaml_says_where_things_are(tmp_path: Path) -> None:
    write_coco(tmp_path, "train", [IMAGE], [BOX])
    (tmp_path / "annotations").rename(tmp_path / "truth")
    (tmp_path / "images" / "train").rename(tmp_path / "photos")
    entry = {"annotations": "./truth/instances_train.json", "images": "photos/"}
    (tmp_path / "coco.yaml").write_text(json.dumps({"train": entry}))
    for uri in (tmp_path, tmp_path / "coco.yaml"):
        (image,) = read_dataset(str(uri)).splits["train"]
        assert image.key == "photos/a.jpg"
        assert len(image.classes) == 1


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        ({"train": {"images": "b", "annotations": None}}, DatasetError, "train.annotations: got None"),
        ({"train": {"annotations": "a.json"}, "valid": {}}, DatasetError, "valid.annotations: required"),
        ({"train": {"annotations": "a.json"}, "more": "b"}, DatasetError, "more: unknown field; known fields: .*test"),
        ({"train": {"annotations": "../a.json", "images": "b"}}, StorageError, "'..' part"),
        ({"train": {"annotations": "a.json", "images": "b"}}, NotFound, "a.json"),
    ],
)
def test_a_wrong_coco_yaml_is_refused(tmp_path: Path, tree: Any, error: type[Exception], message: str) -> None:
    (tmp_path / "coco.yaml").write_text(json.dumps(tree))
    with pytest.raises(error, match=message):
        read_dataset(str(tmp_path))


def test_the_names_of_the_original_are_known(tmp_path: Path) -> None:
    write_coco(tmp_path, "val2017", [IMAGE], [BOX], [{"id": 1, "name": NAMES[0]}])
    (tmp_path / "images" / "val2017").rename(tmp_path / "val2017")
    (tmp_path / "images").rmdir()
    dataset = read_dataset(str(tmp_path))
    assert [image.key for image in dataset.splits["val"]] == ["val2017/a.jpg"]


def _with(tmp_path: Path, *, image: dict[str, Any] | None = None, box: dict[str, Any] | None = None) -> Dataset:
    """A dataset of one image and one box, read."""
    write_coco(tmp_path, "train", [IMAGE], [BOX | (box or {})])
    path = tmp_path / "annotations" / "instances_train.json"
    tree = json.loads(path.read_text())
    path.write_text(json.dumps(tree | {"images": [IMAGE | (image or {})]}))
    return read_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("image", "box"),
    [
        ({"id": 5.0}, {}),
        ({}, {"image_id": 5.0, "category_id": 1.0}),
        ({"id": "five"}, {"image_id": "five"}),
        ({"id": 100000000000000005}, {"image_id": 100000000000000005}),
        ({"width": float(WIDTH), "height": float(HEIGHT)}, {}),
        ({}, {"iscrowd": "0"}),
        ({}, {"iscrowd": False}),
        ({}, {"iscrowd": None}),
    ],
)
def test_numbers_may_be_written_in_other_ways(tmp_path: Path, image: dict[str, Any], box: dict[str, Any]) -> None:
    (read,) = _with(tmp_path, image=image, box=box).splits["train"]
    assert read.boxes_xyxy.tolist() == [[10, 20, 40, 35]]


@pytest.mark.parametrize("value", ["false", "no", -1, 2, [0]])
def test_a_crowd_is_told_by_0_and_1_alone(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DatasetError, match=r"annotation 1: iscrowd is .*; expected 0 or 1"):
        _with(tmp_path, box={"iscrowd": value})


@pytest.mark.parametrize(
    "name", ["./a.jpg", "images\\train\\a.jpg", "train/a.jpg", "/data/roads/images/train/a.jpg", "%61.jpg"]
)
def test_names_written_elsewhere_find_their_images(tmp_path: Path, name: str) -> None:
    assert [image.key for image in _with(tmp_path, image={"file_name": name}).splits["train"]] == ["images/train/a.jpg"]


@pytest.mark.parametrize("prefix", ["https://bucket.example/roads", "../../media/upload/4"])
def test_a_name_that_is_not_found_says_what_to_set(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(DatasetError, match=f"images/train/a.jpg has this name: set 'path_prefix: {prefix}'"):
        _with(tmp_path, image={"file_name": f"{prefix}/a.jpg"})
    (tmp_path / "dataset.yaml").write_text(f"path_prefix: {prefix}\n")
    assert [i.key for i in read_dataset(str(tmp_path)).splits["train"]] == ["images/train/a.jpg"]


def test_the_case_of_a_file_name_does_not_matter(tmp_path: Path) -> None:
    write_coco(tmp_path, "Train", [IMAGE], [BOX])
    write_coco(tmp_path, "Validation", [IMAGE], [BOX])
    assert {split: len(images) for split, images in read_dataset(str(tmp_path)).splits.items()} == {
        "train": 1,
        "val": 1,
    }


def test_two_files_for_a_split_are_refused(tmp_path: Path) -> None:
    write_coco(tmp_path, "train", [IMAGE], [BOX])
    write_coco(tmp_path, "train_old_backup", [IMAGE], [])
    with pytest.raises(DatasetError, match=r"two files for train: .*instances_train.json and .*_train_old_backup.json"):
        read_dataset(str(tmp_path))


def test_a_file_of_no_split_is_told(tmp_path: Path) -> None:
    write_coco(tmp_path, "train", [IMAGE], [BOX])
    write_coco(tmp_path, "validated", [IMAGE], [BOX])
    (warning,) = inspect(str(tmp_path)).warnings
    assert (warning.kind, warning.where) == ("file not read", "annotations/instances_validated.json")


def test_what_is_there_is_named_where_no_split_is(tmp_path: Path) -> None:
    write_coco(tmp_path, "default", [IMAGE, {**IMAGE, "id": 6, "file_name": "b.jpg"}], [BOX])
    message = (
        r"found annotations/instances_default.json: say in dataset.yaml .*\n  train: \{annotations: .*list: train.txt"
    )
    with pytest.raises(DatasetError, match=message):
        read_dataset(str(tmp_path))
    for split, name in (("train", "a"), ("val", "b")):
        (tmp_path / f"{split}.txt").write_text(f"{name}.jpg\n")
    entry = "{{annotations: annotations/instances_default.json, list: {}.txt}}"
    (tmp_path / "dataset.yaml").write_text("".join(f"{one}: {entry.format(one)}\n" for one in ("train", "val")))
    splits = read_dataset(str(tmp_path)).splits
    assert {split: [(i.key, len(i.classes)) for i in images] for split, images in splits.items()} == {
        "train": [("images/default/a.jpg", 1)],
        "val": [("images/default/b.jpg", 0)],
    }


def test_categories_are_told_by_name_where_ids_differ(tmp_path: Path) -> None:
    write_coco(tmp_path, "train", [IMAGE], [BOX], [{"id": 1, "name": "sign"}, {"id": 2, "name": "pole"}])
    write_coco(tmp_path, "val", [IMAGE], [BOX], [{"id": 1, "name": "pole"}, {"id": 2, "name": "sign"}])
    dataset = read_dataset(str(tmp_path))
    assert dataset.names == ("sign", "pole")
    assert {split: images[0].classes.tolist() for split, images in dataset.splits.items()} == {"train": [0], "val": [1]}


def test_a_category_that_only_groups_others_is_told(tmp_path: Path) -> None:
    """As Roboflow writes it: the first category is the project."""
    categories = [{"id": 0, "name": "roads", "supercategory": "none"}]
    categories += [{"id": 1, "name": "sign", "supercategory": "roads"}]
    write_coco(tmp_path, "train", [IMAGE], [BOX], categories)
    (warning,) = inspect(str(tmp_path)).warnings
    assert warning.kind == "class without object"
    assert "category 'roads' has no annotation and is the supercategory of others" in warning.text
    (tmp_path / "dataset.yaml").write_text("classes: {ignore: [roads]}\n")
    assert read_dataset(str(tmp_path)).names == ("sign",)


def test_an_export_of_roboflow_reads_as_it_comes(tmp_path: Path) -> None:
    for split, folder in (("train", "train"), ("val", "valid")):
        write_coco(tmp_path, split, [IMAGE], [BOX])
        (tmp_path / "images" / split).rename(tmp_path / folder)
        (tmp_path / "annotations" / f"instances_{split}.json").rename(tmp_path / folder / "_annotations.coco.json")
    splits = read_dataset(str(tmp_path)).splits
    assert {split: [i.key for i in images] for split, images in splits.items()} == {
        "train": ["train/a.jpg"],
        "val": ["valid/a.jpg"],
    }


def test_images_have_conditions_and_objects_are_hidden_in_part(tmp_path: Path) -> None:
    put(tmp_path, "images/train/a.jpg", picture(1))
    images = [{"id": 1, "file_name": "a.jpg", **SIZE, "conditions": ["rain", "night", "rain"]}]
    attributes = [{"visibility": 0.8}, {"visibility": 0.5, "occluded": True}, {"occluded": True}, {"occluded": 0}, {}]
    annotations = [
        {"id": i, "image_id": 1, "category_id": 0, "bbox": [4 + i, 4, 8, 8], "attributes": one}
        for i, one in enumerate(attributes)
    ]
    write_coco(tmp_path, "train", images, annotations, [{"id": 0, "name": "sign"}])
    (image,) = read_dataset(str(tmp_path)).splits["train"]
    assert image.conditions == ("night", "rain")
    assert image.occlusions == ("partly occluded", "heavily occluded", "occluded", "not occluded", None)


@pytest.mark.parametrize(
    ("entry", "attributes", "message"),
    [
        ({"conditions": "rain"}, {"visibility": 80}, "visibility is 80; expected a share from 0 to 1"),
        ({"conditions": "rain"}, {"occluded": "partly"}, "occluded is 'partly'; expected true or false, or 1 or 0"),
        ({"conditions": ["rain", 7]}, {}, "conditions: got ['rain', 7]; expected names, such as night, rain"),
    ],
)
def test_what_is_no_condition_or_visibility_is_an_error(
    tmp_path: Path, entry: dict[str, object], attributes: dict[str, object], message: str
) -> None:
    put(tmp_path, "images/train/a.jpg", picture(1))
    box = {"id": 3, "image_id": 1, "category_id": 0, "bbox": [4, 4, 8, 8], "attributes": attributes}
    images = [{"id": 1, "file_name": "a.jpg", **SIZE, **entry}]
    write_coco(tmp_path, "train", images, [box], [{"id": 0, "name": "sign"}])
    assert message in [error.text for error in inspect(str(tmp_path)).errors]
