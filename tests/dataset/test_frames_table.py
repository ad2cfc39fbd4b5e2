"""What a table beside the labels tells of a dataset's images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.written import Written, put

from roadscan.dataset.read import inspect, read_dataset
from roadscan.dataset.records import LabelledImage
from roadscan.dataset.staging import dataset_digest
from roadscan.errors import DatasetError

KEY = "images/train/a.jpg"


def written(root: Path) -> None:
    """One image with two signs and, last, a pole."""
    made = Written()
    made.add("train", "a", "0 0.2 0.5 0.1 0.3\n0 0.5 0.5 0.1 0.3\n1 0.8 0.5 0.1 0.3\n")
    made.write(root)


def image_with(root: Path, **columns: Any) -> LabelledImage:
    written(root)
    sink = io.BytesIO()
    pq.write_table(pa.table({"image": [KEY], **{name: [value] for name, value in columns.items()}}), sink)
    put(root, "frames.parquet", sink.getvalue())
    return read_dataset(str(root)).splits["train"][0]


def test_an_image_has_a_drive_any_number_of_conditions_and_the_visibility_of_each_object(tmp_path: Path) -> None:
    image = image_with(tmp_path, drive_id="d-1", conditions=["rain", "night"], visibility=[1.0, None, 0.5])
    assert (image.drive_id, image.conditions) == ("d-1", ("night", "rain"))
    assert image.occlusions == ("not occluded", None, "heavily occluded")


def test_a_csv_file_tells_the_same(tmp_path: Path) -> None:
    table = image_with(tmp_path / "a", drive_id="07", conditions=["rain", "night"], visibility=[1.0, None, 0.5])
    written(tmp_path / "b")
    text = f"image,drive_id,conditions,visibility\n{KEY},07,rain;night,1;;0.5\n"
    put(tmp_path / "b", "frames.csv", text.encode())
    (csv,) = read_dataset(str(tmp_path / "b")).splits["train"]
    assert (csv.drive_id, csv.conditions, csv.occlusions) == (table.drive_id, table.conditions, table.occlusions)


def test_empty_cells_tell_nothing(tmp_path: Path) -> None:
    written(tmp_path)
    put(tmp_path, "frames.csv", f"image,drive_id,conditions,visibility\n{KEY},,,\n".encode())
    (image,) = read_dataset(str(tmp_path)).splits["train"]
    assert (image.drive_id, image.conditions, image.occlusions) == (None, (), ())


@pytest.mark.parametrize("names", [None, "night"])
def test_a_dataset_of_one_condition_an_image_keeps_its_digest(tmp_path: Path, names: str | None) -> None:
    # From before an image could have several, of the same files.
    digests = {
        None: "971e336b331a830fca3fe1b6124a2d53cab6fc6c54b0c330638b7782e6e3b345",
        "night": "b62da720902d673d5ac2905fcd3f4fe34e7815252c224957b5b273383e4af0e4",
    }
    one = image_with(tmp_path / "one", condition=names)
    assert one.conditions == (() if names is None else (names,))
    assert dataset_digest(read_dataset(str(tmp_path / "one"))) == digests[names]
    image_with(tmp_path / "two", conditions=[*one.conditions, "rain"])
    assert dataset_digest(read_dataset(str(tmp_path / "two"))) != digests[names]


def test_visibility_is_of_all_objects_of_the_labels_also_of_those_left_out(tmp_path: Path) -> None:
    image_with(tmp_path, visibility=[1.0, 0.8, 0.5])
    text = (tmp_path / "data.yaml").read_text()
    put(tmp_path, "data.yaml", f"{text}classes: {{ignore: [sign]}}\n".encode())
    assert read_dataset(str(tmp_path)).splits["train"][0].occlusions == ("heavily occluded",)


@pytest.mark.parametrize(
    ("visibility", "message"),
    [
        ([1.0, 0.5], "visibility has 2 values, and the image 3 objects; expected one each"),
        ([1.0, 0.5, 1.5], "visibility is 1.5; expected a share from 0 to 1"),
    ],
)
def test_a_row_that_does_not_suit_its_image_is_an_error(tmp_path: Path, visibility: list[float], message: str) -> None:
    with pytest.raises(DatasetError, match=f"frames.parquet: {KEY}: {message}"):
        image_with(tmp_path, visibility=visibility)


def test_a_table_of_other_images_is_told(tmp_path: Path) -> None:
    written(tmp_path)
    put(tmp_path, "frames.csv", b"image,conditions\na.jpg,night\n")
    (warning,) = inspect(str(tmp_path)).warnings
    assert str(warning) == "frames.csv: none of its 1 images is one of the dataset, as 'a.jpg'; write keys"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"frames.csv": b"name\na\n"}, "frames.csv: columns are name; expected image, and of drive_id, conditions"),
        ({"frames.csv": b"image,conditions\na\n"}, "frames.csv: not valid CSV"),
        ({"frames.parquet": b"image"}, "frames.parquet: not valid Parquet"),
        ({"frames.csv": b"image\n", "frames.parquet": b""}, "there are frames.parquet and frames.csv; remove one"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    written(tmp_path)
    for name, data in files.items():
        put(tmp_path, name, data)
    with pytest.raises(DatasetError, match=message):
        read_dataset(str(tmp_path))
