"""A dataset's YAML file: classes of classes, the format, and where labels are."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.written import HEIGHT, WIDTH, Written, put, write_coco

from roadscan.dataset.read import inspect, read_dataset
from roadscan.errors import DatasetError

IMAGE = {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
SIGNS = ("stop", "yield", "no entry", "tree", "other")


def dataset(root: Path, classes: str, names: tuple[str, ...] = SIGNS) -> str:
    """A YOLO dataset of one image with an object of each class."""
    made = Written(names=names)
    made.add("train", "a", "".join(f"{index} 0.{index + 1} 0.5 0.1 0.1\n" for index in range(len(names))))
    made.write(root)
    with (root / "data.yaml").open("a") as file:
        file.write(f"classes: {classes}\n")
    return str(root)


@pytest.mark.parametrize(
    ("classes", "names", "numbers"),
    [
        ("{}", SIGNS, [0, 1, 2, 3, 4]),
        ("{map: {stop: sign, yield: sign, no entry: sign}}", ("sign", "tree", "other"), [0, 0, 0, 1, 2]),
        ("{ignore: [tree, other]}", ("stop", "yield", "no entry"), [0, 1, 2]),
        ("{map: {'*': sign, tree: tree}, ignore: [other]}", ("sign", "tree"), [0, 0, 0, 1]),
        ("{map: {stop: halt}, ignore: ['*t*er', t*]}", ("halt", "yield", "no entry"), [0, 1, 2]),
        ("{map: {other: stop}}", ("stop", "yield", "no entry", "tree"), [0, 1, 2, 3, 0]),
        ("{map: {tree: no, other: 007}}", ("stop", "yield", "no entry", "no", "007"), [0, 1, 2, 3, 4]),
    ],
)
def test_classes_are_made_of_those_of_the_labels(
    tmp_path: Path, classes: str, names: tuple[str, ...], numbers: list[int]
) -> None:
    read = read_dataset(dataset(tmp_path, classes))
    assert read.names == names
    assert read.splits["train"][0].classes.tolist() == numbers


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    warnings = inspect(dataset(tmp_path, "{ignore: [tree, stop]}")).warnings
    assert [one.text for one in warnings] == [
        f"class {name}: 1 objects are left out, as classes.ignore says" for name in ("stop", "tree")
    ]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            "{map: {stp: sign}}",
            "classes: 'stp' is no class of the labels; they have stop, yield, no entry, tree, other",
        ),
        ("{ignore: ['x*']}", r"classes: 'x\*' is no class of the labels"),
        ("{map: {tree: bush}, ignore: [tree]}", "'tree' is in 'map' and in 'ignore'"),
        ("{ignore: ['*']}", "classes: class names are .*expected at least one"),
        ("{map: {tree: ''}}", "classes.map.tree: got ''; String should have at least 1 character"),
        ("{rename: {a: b}}", "classes.rename: unknown field; known fields: ignore, map"),
        ("[a]", r"classes: got \['a'\]"),
    ],
)
def test_wrong_classes_are_refused(tmp_path: Path, classes: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_dataset(dataset(tmp_path, classes))


def test_the_frames_table_says_drives_in_any_format(tmp_path: Path) -> None:
    made = Written()
    made.add("train", "a", None, drive_id="night-7")
    made.write(tmp_path)
    (tmp_path / "data.yaml").unlink()
    write_coco(tmp_path, "train", [IMAGE], [])
    assert read_dataset(str(tmp_path)).splits["train"][0].drive_id == "night-7"


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("format: pascal\ntrain: {annotations: a.json}", "format: got 'pascal'; Input should be 'yolo', 'coco', 'voc'"),
        ("format: coco\nnames: [a]", "names: unknown field"),
        ("format: cvat", "expected data.yaml, .*found annotations/instances_train.json"),
        ("train: {annotations: nowhere}", "nowhere: no file of labels, and no folder with .json or .xml files"),
        ("train: {annotations: odd.json}", "odd.json: looks like none of coco .*; say its 'format'"),
        ("train: {annotations: odd.json}\nformat: coco", "odd.json: expected COCO instances"),
        ("train: {annotations: bad.json}", "bad.json: not valid JSON"),
        ("task: draw\nformat: coco", "task: got 'draw'"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, yaml: str, message: str) -> None:
    write_coco(tmp_path, "train", [IMAGE], [])
    put(tmp_path, "odd.json", b'{"a": 1}')
    put(tmp_path, "bad.json", b"{")
    put(tmp_path, "dataset.yaml", yaml.encode())
    with pytest.raises(DatasetError, match=message):
        read_dataset(str(tmp_path))


def test_labels_of_two_formats_need_a_word(tmp_path: Path) -> None:
    write_coco(tmp_path, "train", [IMAGE], [])
    put(tmp_path, "annotations.xml", b"<annotations/>")
    with pytest.raises(DatasetError, match=r"labels of coco and of cvat are there; say which .*'format: coco'"):
        read_dataset(str(tmp_path))
    put(tmp_path, "dataset.yaml", b"format: coco")
    assert len(read_dataset(str(tmp_path)).splits["train"]) == 1
