"""YOLO datasets as people have them, right and wrong, on a disk and in a bucket."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import piexif
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from PIL import Image
from support.written import HEIGHT, NAMES, WIDTH, Written, good, picture, put, write_coco

from roadscan.dataset.formats.yolo import label_key
from roadscan.dataset.read import inspect, read_dataset
from roadscan.demo.server import S3Server
from roadscan.errors import DatasetError, NotFound


def test_boxes_are_in_pixels_of_the_image(tmp_path: Path) -> None:
    made = Written()
    key = made.add("train", "a", "2 0.5 0.25 0.5 0.25\n0 0.25 0.5 0.125 1.0\n", drive_id="night-7")
    dataset = read_dataset(made.write(tmp_path))
    (image,) = dataset.splits["train"]
    assert (dataset.task, dataset.names, dataset.root) == ("detect", NAMES, str(tmp_path.resolve()))
    assert (image.key, image.width_px, image.height_px) == (key, WIDTH, HEIGHT)
    assert (image.drive_id, image.conditions, image.outlines) == ("night-7", ("day",), None)
    assert image.classes.tolist() == [2, 0]
    assert image.classes.dtype == np.int64
    assert image.boxes_xyxy.dtype == np.float32
    # 96 x 64 px: x 0.5 ± 0.25 is 24 to 72, y 0.25 ± 0.125 is 8 to 24; x 0.25 ± 0.0625 is 18 to 30, y is all
    assert image.boxes_xyxy.tolist() == [[24, 8, 72, 24], [18, 0, 30, 64]]


def test_an_image_without_labels_is_background(tmp_path: Path) -> None:
    made = good(1)
    empty, none = made.add("train", "empty", "\n"), made.add("train", "none", None)
    reading = inspect(made.write(tmp_path))
    counts = {image.key: len(image.classes) for image in reading.dataset.splits["train"]}
    assert counts[empty] == counts[none] == 0
    assert next(i for i in reading.dataset.splits["train"] if i.key == none).boxes_xyxy.shape == (0, 4)
    assert reading.without_label_file == {none}
    assert reading.errors == ()


def test_a_dataset_of_outlines_is_for_segmentation(tmp_path: Path) -> None:
    made = Written()
    made.add("val", "a", "1 0.25 0.25 0.75 0.25 0.5 0.5\n")
    dataset = read_dataset(made.write(tmp_path))
    (image,) = dataset.splits["val"]
    assert dataset.task == "segment"
    assert image.outlines is not None
    assert [[part.tolist() for part in parts] for parts in image.outlines] == [[[[24, 16], [72, 16], [48, 32]]]]
    assert image.boxes_xyxy.tolist() == [[24, 16, 72, 32]]


boxes = of_numpy.arrays(np.float64, (5, 4), elements=st.floats(0.01, 0.5))


@settings(max_examples=25, deadline=None)
@given(boxes, st.lists(st.integers(0, 2), min_size=5, max_size=5))
def test_any_box_comes_back(tmp_path_factory: pytest.TempPathFactory, halves: np.ndarray, classes: list[int]) -> None:
    centres, sides = 0.25 + halves[:, :2], np.minimum(halves[:, 2:], 0.5)
    lines = [
        f"{c} {x!r} {y!r} {w!r} {h!r}" for c, (x, y, w, h) in zip(classes, np.c_[centres, sides].tolist(), strict=True)
    ]
    made = Written()
    made.add("train", "a", "\n".join(lines))
    (image,) = read_dataset(made.write(tmp_path_factory.mktemp("any"))).splits["train"]
    expected = np.c_[centres - sides / 2, centres + sides / 2] * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    np.testing.assert_allclose(image.boxes_xyxy, expected.clip(0, [WIDTH, HEIGHT] * 2), atol=1e-4)
    assert image.classes.tolist() == classes


def test_a_box_that_rounding_put_over_the_edge_is_clipped(tmp_path: Path) -> None:
    made = Written()
    made.add("train", "a", "0 0.0995 0.5 0.2 1.0\n")
    (image,) = read_dataset(made.write(tmp_path)).splits["train"]
    assert image.boxes_xyxy[0, 0] == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", "got 4 numbers"),
        ("0 0.5 0.5 0.2 0.2 0.3", "got 6 numbers"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "got 8 numbers"),
        ("3 0.5 0.5 0.2 0.2", "class is 3; expected 0 to 2"),
        ("-1 0.5 0.5 0.2 0.2", "class is -1"),
        ("0.5 0.5 0.5 0.2 0.2", "class is 0.5"),
        ("nan 0.5 0.5 0.2 0.2", "class is nan"),
        ("sign 0.5 0.5 0.2 0.2", "expected numbers"),
        ("0 nan 0.5 0.2 0.2", "not a finite number"),
        ("0 0.5 inf 0.2 0.2", "not a finite number"),
        ("0 0.95 0.5 0.2 0.2", "reaches outside of the image: x 0.85 to 1.05"),
        ("0 48 32 10 10", "reaches outside of the image"),
        ("0 0.5 0.5 0 0.2", "no area"),
        ("0 0.5 0.5 0.2 -0.2", "no area"),
        ("0 0.1 0.1 0.2 0.1 0.3 0.1", "outline has no area"),
        ("0 0.1 0.1 0.2 0.2 0.3 1.1", "outline reaches outside"),
    ],
)
def test_a_bad_line_is_told_with_its_place(tmp_path: Path, line: str, message: str) -> None:
    made = good()
    made.labels["labels/train/train1.txt"] = f"1 0.5 0.5 0.25 0.25\n\n{line}\n"
    reading = inspect(made.write(tmp_path))
    assert [error.kind for error in reading.errors if error.where == "labels/train/train1.txt:3"] == ["bad label"]
    with pytest.raises(DatasetError) as caught:
        read_dataset(str(tmp_path))
    assert "labels/train/train1.txt:3: " in str(caught.value)
    assert message in str(caught.value)


def test_a_box_among_outlines_is_told(tmp_path: Path) -> None:
    made = Written()
    made.add("train", "a", "0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    made.add("train", "b", "0 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    with pytest.raises(DatasetError, match=r"labels/train/b.txt:1: got a box and no outline, .* 1 have a box and 2 an"):
        read_dataset(made.write(tmp_path))


def test_an_outline_among_boxes_is_told(tmp_path: Path) -> None:
    made = Written()
    made.add("train", "a", "0 0.1 0.1 0.5 0.1 0.5 0.5\n0 0.5 0.5 0.2 0.2\n")
    made.add("train", "b", "0 0.5 0.5 0.2 0.2\n")
    (error,) = inspect(made.write(tmp_path)).errors
    assert error.where == "labels/train/a.txt:1"
    assert "got an outline of 3 points, and of the 3 objects of this dataset 2 have a box" in error.text
    assert "'task: detect'" in error.text


def test_boxes_are_trained_from_outlines_where_that_is_set(tmp_path: Path) -> None:
    made = Written(extra={"task": "detect"})
    made.add("train", "a", "0 0.25 0.25 0.75 0.25 0.5 0.5\n1 0.5 0.5 0.25 0.25\n")
    dataset = read_dataset(made.write(tmp_path))
    (image,) = dataset.splits["train"]
    assert (dataset.task, image.outlines) == ("detect", None)
    # 96 x 64 px: the triangle is 24 to 72 by 16 to 32
    assert image.boxes_xyxy.tolist() == [[24, 16, 72, 32], [36, 24, 60, 40]]


def test_of_many_errors_the_first_are_listed(tmp_path: Path) -> None:
    made = good()
    made.labels["labels/train/train0.txt"] = "9 0.5 0.5 0.1 0.1\n" * 25
    with pytest.raises(DatasetError, match=r"25 errors:(?s:.*)train0.txt:20: (?s:.*)and 5 more"):
        read_dataset(made.write(tmp_path))


@pytest.mark.parametrize("data", [b"", b"<html>no such page</html>", picture(1)[:100]])
def test_a_broken_image_is_told(tmp_path: Path, data: bytes) -> None:
    made = good()
    made.images["images/val/val1.jpg"] = data
    with pytest.raises(DatasetError, match=r"images/val/val1.jpg: "):
        read_dataset(made.write(tmp_path))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_sizes_are_of_the_upright_image(tmp_path: Path, format_: str) -> None:
    made, sink = Written(), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn a quarter right
    Image.new("RGB", (40, 20)).save(sink, format_, exif=exif)
    key = f"images/train/a.{format_.lower()}"
    made.images[key] = sink.getvalue()
    (image,) = read_dataset(made.write(tmp_path)).splits["train"]
    assert (image.width_px, image.height_px) == (20, 40)


def test_an_unturned_exif_image_keeps_its_size(tmp_path: Path) -> None:
    made = Written()
    made.add("train", "a", "")
    sink = io.BytesIO()
    piexif.insert(piexif.dump({"0th": {piexif.ImageIFD.Orientation: 3}}), picture(1), sink)
    made.images["images/train/a.jpg"] = sink.getvalue()
    (image,) = read_dataset(made.write(tmp_path)).splits["train"]
    assert (image.width_px, image.height_px) == (WIDTH, HEIGHT)


def _with_yaml(root: Path, **fields: object) -> str:
    good(1).write(root)
    (root / "data.yaml").write_text(yaml.safe_dump({"names": list(NAMES), **fields}))
    return str(root)


@pytest.mark.parametrize(
    "fields",
    [
        {"train": "images/train", "val": "images/val/"},
        {"train": "./images/train", "val": ["images/val"]},
        {"path": "/somewhere/else", "train": "images/train", "val": "images/val"},
        {"path": "s3://old/home", "train": "images/train", "val": "images/val"},
        {"path": "images", "train": "train", "val": "val"},
        {"path": ".", "train": "../images/train", "validation": "../images/val"},
        {"train": "train.txt", "val": "images/lists/val.txt"},
        {"train": "images/train", "val": "images/val", "test": None, "nc": 3},
        {"train": "images/train", "val": "images/val", "names": {2: "rail", 0: "sign", 1: "pole"}},
    ],
)
def test_the_ways_to_name_splits(tmp_path: Path, fields: dict[str, object]) -> None:
    uri = _with_yaml(tmp_path, **fields)
    (tmp_path / "train.txt").write_text("images/train/train0.jpg\n\n")
    (tmp_path / "images" / "lists").mkdir()
    (tmp_path / "images" / "lists" / "val.txt").write_text(f"{tmp_path}/images/val/val0.jpg\n")
    dataset = read_dataset(uri)
    keys = {split: [image.key for image in images] for split, images in dataset.splits.items()}
    assert keys == {"train": ["images/train/train0.jpg"], "val": ["images/val/val0.jpg"]}
    assert all(len(image.classes) == 2 for images in dataset.splits.values() for image in images)
    assert dataset.names == NAMES


def test_paths_of_a_list_may_start_at_the_list(tmp_path: Path) -> None:
    uri = _with_yaml(tmp_path, train="images/train.txt")
    (tmp_path / "images" / "train.txt").write_text("./train/train0.jpg\n./train/gone.jpg\n../../other.jpg\n")
    reading = inspect(uri)
    assert [image.key for image in reading.dataset.splits["train"]] == ["images/train/train0.jpg"]
    assert [(error.kind, error.where) for error in reading.errors] == [
        ("missing image", "images/train.txt:3"),
        ("missing image", "images/train/gone.jpg"),
    ]


def test_the_yaml_file_is_an_address_too(tmp_path: Path) -> None:
    good(1).write(tmp_path)
    (tmp_path / "data.yaml").rename(tmp_path / "signs.yaml")
    assert len(read_dataset(str(tmp_path / "signs.yaml")).splits["train"]) == 1
    with pytest.raises(DatasetError, match=r"expected data.yaml, .* found signs.yaml: give the address of that file"):
        read_dataset(str(tmp_path))
    with pytest.raises(NotFound):
        read_dataset(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "none of train, val and test is given"),
        ({"train": {"a": "b"}}, "train: got {'a': 'b'}; expected a folder"),
        ({"train": "images/nothing"}, "there are no images in 'images/nothing'"),
        ({"train": "../../elsewhere"}, "leads out of"),
        ({"train": "/elsewhere"}, "leads out of"),
        ({"train": "images/train", "names": None}, "names: got None"),
        ({"train": "images/train", "names": []}, "expected at least one"),
        ({"train": "images/train", "names": ["a", "a"]}, "each once"),
        ({"train": "images/train", "names": {1: "a", 2: "b"}}, "indices are 1, 2; expected 0 to 1"),
        ({"train": "images/train", "nc": 4}, "nc is 4, and names has 3"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_dataset(_with_yaml(tmp_path, **fields))


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "", "x: 2026-13-45"])
def test_a_description_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DatasetError, match=r"data.yaml: "):
        read_dataset(str(tmp_path))


def test_labels_without_image_are_warnings(tmp_path: Path) -> None:
    made = good(1)
    made.labels |= {"labels/train/gone.txt": "0 0.5 0.5 0.1 0.1", "labels/train/classes.txt": "sign"}
    reading = inspect(made.write(tmp_path))
    assert [(w.kind, w.where) for w in reading.warnings] == [("label without image", "labels/train/gone.txt")]
    assert reading.errors == ()


def test_label_keys() -> None:
    assert label_key("images/train/a.png") == "labels/train/a.txt"
    assert label_key("train/images/a.b.jpg") == "train/labels/a.b.txt"
    assert label_key("images/images/a.jpg") == "images/labels/a.txt"
    assert label_key("photos/a.jpg") == "photos/a.txt"
    assert label_key("a.jpg") == "a.txt"


def test_labels_may_lie_beside_the_images(tmp_path: Path) -> None:
    made = Written(extra={"train": "photos"})
    made.images["photos/a.jpg"] = picture(1)
    made.labels |= {"photos/a.txt": "0 0.5 0.5 0.2 0.2\n", "photos/readme.txt": "hello"}
    reading = inspect(made.write(tmp_path))
    assert len(reading.dataset.splits["train"][0].classes) == 1
    assert (reading.errors, reading.warnings) == ((), ())


def test_a_frames_table_must_be_one(tmp_path: Path) -> None:
    good(1).write(tmp_path)
    (tmp_path / "frames.parquet").write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match=r"frames.parquet: not valid Parquet"):
        read_dataset(str(tmp_path))


@pytest.mark.s3
def test_a_bucket_reads_as_a_disk_does(s3: S3Server, tmp_path: Path) -> None:
    made = good()
    made.add("train", "none", None)
    made.add("train", "bad", "7 0.5 0.5 0.1 0.1\n")
    on_disk, in_bucket = inspect(made.write(tmp_path)), inspect(made.write(f"s3://raw/{tmp_path.name}"))
    assert in_bucket.errors == on_disk.errors
    assert in_bucket.without_label_file == on_disk.without_label_file
    assert in_bucket.dataset.root == f"s3://raw/{tmp_path.name}"
    for split, images in on_disk.dataset.splits.items():
        for one, other in zip(images, in_bucket.dataset.splits[split], strict=True):
            assert (one.key, one.width_px, one.drive_id) == (other.key, other.width_px, other.drive_id)
            assert one.boxes_xyxy.tolist() == other.boxes_xyxy.tolist()


def _keys(uri: str | Path) -> dict[str, list[str]]:
    return {split: [i.key for i in images] for split, images in read_dataset(str(uri)).splits.items()}


BOTH = {"train": ["images/train/train0.jpg"], "val": ["images/val/val0.jpg"]}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[no, yes, 007]", ("no", "yes", "007")),
        ("{0: on, 1: off, 2: 12:30}", ("on", "off", "12:30")),
        ("{'0': sign, '1': pole, '2': rail}", ("sign", "pole", "rail")),
        ("[sign, pole, ~x]\nnc: '3'", ("sign", "pole", "~x")),
    ],
)
def test_class_names_are_taken_as_typed(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    good(1).write(tmp_path)
    (tmp_path / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {text}\n")
    assert read_dataset(str(tmp_path)).names == names


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "../datasets/roads"},
        {"path": "roads"},
        {"path": "C:\\data\\roads", "train": "images\\train", "val": "images\\val"},
        {"train": "/home/someone/roads/images/train", "val": "D:\\roads\\images\\val"},
        {"train": "lists/train.txt", "val": "lists/val.txt"},
        {"train": "lists/windows.txt"},
        {"test": "../test/images"},
    ],
)
def test_a_dataset_that_was_moved_is_found_beside_its_yaml_file(tmp_path: Path, fields: dict[str, object]) -> None:
    uri = _with_yaml(tmp_path, **({"train": "images/train", "val": "images/val"} | fields))
    lists = {"train": "/content/roads/images/train/train0.jpg", "val": "s3://old/roads/images/val/val0.jpg"}
    (tmp_path / "lists").mkdir()
    for name, line in (lists | {"windows": "images\\train\\train0.jpg"}).items():
        (tmp_path / "lists" / f"{name}.txt").write_text(line)
    assert _keys(uri) == BOTH


def test_what_is_taken_from_elsewhere_is_told(tmp_path: Path) -> None:
    uri = _with_yaml(tmp_path, train="/home/someone/roads/images/train", val="images/val", test="test")
    assert [(one.kind, one.text[:60]) for one in inspect(uri).warnings] == [
        ("path elsewhere", f"'/home/someone/roads/images/train' is not below {tmp_path}"[:60]),
        ("missing split", "test: there are no images in 'test', so there is no test split"[:60]),
    ]


def test_a_prefix_of_listed_names_is_cut(tmp_path: Path) -> None:
    fields = {"train": "train.txt", "val": "images/val", "path_prefix": "gs://bucket/photos"}
    uri = _with_yaml(tmp_path, **fields)
    (tmp_path / "train.txt").write_text("gs://bucket/photos/images/train/train0.jpg\n")
    assert _keys(uri) == BOTH


def test_a_split_that_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    uri = _with_yaml(tmp_path, path="roads", train="images/train", val="images/valid")
    with pytest.raises(
        DatasetError, match=r"no images in 'images/valid' below .*; images are in images/train, images/val"
    ):
        read_dataset(uri)


def test_labels_with_a_suffix_in_capitals_are_labels(tmp_path: Path) -> None:
    made = good(1)
    made.labels = {key.replace(".txt", ".TXT"): text for key, text in made.labels.items()}
    (image,) = read_dataset(made.write(tmp_path)).splits["train"]
    assert len(image.classes) == 2


def test_names_that_a_mac_decomposed_are_told(tmp_path: Path) -> None:
    made = good(1)
    made.images["images/train/e\u0301.jpg"] = picture(9)
    made.labels["labels/train/e\u0301.txt"] = "0 0.5 0.5 0.1 0.1"
    for key, data in [*made.images.items(), *((key, text.encode()) for key, text in made.labels.items())]:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [sign, pole, rail]\n")
    reading = inspect(str(tmp_path))
    assert [(error.kind, error.where) for error in reading.errors] == [
        ("name not in NFC", "images/train/e\u0301.jpg"),
        ("name not in NFC", "labels/train/e\u0301.txt"),
    ]
    assert "rename it to '\u00e9.jpg'" in reading.errors[0].text


def test_poses_are_trained_as_boxes(tmp_path: Path) -> None:
    made = Written(extra={"kpt_shape": [2, 2]})
    made.add("train", "a", "0 0.5 0.25 0.5 0.25 0.4 0.2 0.6 0.3\n")
    reading = inspect(made.write(tmp_path))
    assert reading.dataset.task == "detect"
    assert reading.dataset.splits["train"][0].boxes_xyxy.tolist() == [[24, 8, 72, 24]]
    assert [str(one) for one in reading.warnings] == [
        "data.yaml: the keypoints of 1 objects are left off (kpt_shape, 4 numbers of each)"
    ]
    made.labels["labels/train/a.txt"] = "0 0.5 0.25 0.5 0.25 0.4 0.2\n"
    (error,) = inspect(made.write(tmp_path)).errors
    assert error.text == "got 7 numbers; expected class cx cy w h and 4 of keypoints, as kpt_shape says"
    with pytest.raises(DatasetError, match=r"kpt_shape: got '17'; expected \[keypoints, 2 or 3\]"):
        read_dataset(_with_yaml(tmp_path / "odd", train="images/train", kpt_shape=17))


def test_labels_of_another_format_beside_none_are_named(tmp_path: Path) -> None:
    made = good(1)
    made.labels = {}
    write_coco(tmp_path, "train", [{"id": 1, "file_name": "train0.jpg", "width": WIDTH, "height": HEIGHT}], [])
    warnings = inspect(made.write(tmp_path)).warnings
    assert [(one.kind, one.where) for one in warnings] == [("file not read", "annotations/instances_train.json")]


@pytest.mark.s3
def test_what_a_desktop_leaves_in_a_bucket_is_no_image(s3: S3Server, tmp_path: Path) -> None:
    uri = good(1).write(f"s3://raw/left-{tmp_path.name}")
    for key in ("images/train/._train0.jpg", "labels/train/._train0.txt", "__MACOSX/images/train/a.jpg"):
        put(uri, key, b"resource fork")
    assert _keys(uri) == BOTH
    assert inspect(uri).warnings == ()
