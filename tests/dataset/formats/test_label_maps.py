"""Datasets whose pixels have classes of their own, as public ones are laid out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from support.written import picture, put

from roadscan.dataset.check import check_dataset
from roadscan.dataset.label_maps import VOID_VALUE, label_map
from roadscan.dataset.read import read_dataset
from roadscan.dataset.staging import dataset_digest, stage
from roadscan.demo.server import S3Server
from roadscan.errors import DatasetError
from roadscan.train.check import check_data

W, H = 24, 16
ROAD, SIGN, SKY, OTHER = (128, 64, 128), (220, 220, 0), (70, 130, 180), (0, 0, 0)


def columns(*values: Any) -> np.ndarray:
    """A map of H rows, each value as many columns as the others."""
    return np.repeat(np.array(values, np.uint8)[None], H, 0).repeat(W // len(values), 1)


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    if mode:
        image = Image.frombytes(mode, (W, H), pixels.tobytes())
        image.putpalette([value for number in range(256) for value in (number, 255 - number, 7)])
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write(
    root: str | Path, maps: dict[str, bytes], images: dict[str, str], label_maps: dict[str, Any], **entries: Any
) -> str:
    """A dataset: label maps by key, images by the key of their map, and its YAML file."""
    for seed, (map_key, image_key) in enumerate(images.items()):
        put(root, image_key, picture(seed, width=W, height=H))
        put(root, map_key, maps[map_key])
    tree = {"label_maps": label_maps, **entries}
    put(root, "data.yaml", yaml.safe_dump(tree, sort_keys=False).encode())
    return str(root)


def cityscapes(root: str | Path, **entries: Any) -> str:
    """As Cityscapes lays its files out, with its numbers."""
    images = {
        f"gtFine/{split}/bonn/bonn_{n}_gtFine_labelIds.png": f"leftImg8bit/{split}/bonn/bonn_{n}_leftImg8bit.jpg"
        for n, split in enumerate(("train", "train", "val"))
    }
    maps = {key: png(columns(7, 20, 23, 4)) for key in images}
    return write(
        root, maps, images,
        {
            "path": {"_leftImg8bit": "_gtFine_labelIds", "leftImg8bit": "gtFine"},
            "numbers": {"road": 7, "traffic sign": 20, "background": [11, 21, 23], "void": [0, 1, 2, 3, 4]},
        },
        train="leftImg8bit/train", val="leftImg8bit/val", **entries,
    )  # fmt: skip


def drawn(uri: str, split: str = "val") -> tuple[tuple[str, ...], list[int]]:
    """The classes, and the map of a split's first image at the middle of each of its columns."""
    dataset = read_dataset(uri)
    found = label_map(dataset.splits[split][0], dataset.root, len(dataset.names))
    assert found.shape == (H, W)
    return dataset.names, found[H // 2, W // 8 :: W // 4].tolist()


def test_cityscapes_numbers(tmp_path: Path) -> None:
    uri = cityscapes(tmp_path)
    assert drawn(uri) == (("road", "traffic sign"), [0, 1, 2, VOID_VALUE])
    dataset = read_dataset(uri)
    assert (dataset.task, {split: len(images) for split, images in dataset.splits.items()}) == (
        "semantic", {"train": 2, "val": 1},
    )  # fmt: skip
    assert check_data(uri).task == "semantic"


def test_classes_are_mapped_and_left_out(tmp_path: Path) -> None:
    classes = {"map": {"road": "void", "traffic *": "sign"}}
    assert drawn(cityscapes(tmp_path / "a", classes=classes)) == (("sign",), [VOID_VALUE, 0, 1, VOID_VALUE])
    ignored = cityscapes(tmp_path / "b", classes={"ignore": ["road"]})
    assert drawn(ignored) == (("traffic sign",), [1, 0, 1, VOID_VALUE])


def test_camvid_colours(tmp_path: Path) -> None:
    images = {f"labels/{split}/{split}_L.png": f"images/{split}/{split}.jpg" for split in ("train", "val")}
    maps = {key: png(columns(ROAD, SIGN, SKY, OTHER)) for key in images}
    colours = {"road": list(ROAD), "sign": [list(SIGN), [192, 128, 128]], "background": list(SKY), "void": list(OTHER)}
    uri = write(
        tmp_path, maps, images, {"path": {"images/": "labels/"}, "suffix": "_L.png", "colours": colours},
        train="images/train", val="images/val",
    )  # fmt: skip
    assert drawn(uri) == (("road", "sign"), [0, 1, 2, VOID_VALUE])


def test_vistas_own_description(tmp_path: Path) -> None:
    labels = [
        {"name": "construction--flat--road", "evaluate": True, "color": list(ROAD)},
        {"name": "object--traffic-sign--front", "evaluate": True, "color": list(SIGN)},
        {"name": "nature--sky", "evaluate": True, "color": list(SKY)},
        {"name": "void--unlabeled", "evaluate": False, "color": list(OTHER)},
    ]
    put(tmp_path, "config_v2.0.json", json.dumps({"version": "2.0", "labels": labels}).encode())
    images = {f"{name}/v2.0/labels/a.png": f"{name}/images/a.jpg" for name in ("training", "validation")}
    maps = {key: png(columns(0, 1, 2, 3), mode="P") for key in images}  # numbers, shown in colours of its own
    uri = write(
        tmp_path, maps, images, {"path": {"images": "v2.0/labels"}, "config": "config_v2.0.json"},
        train="training/images", val="validation/images",
        classes={"map": {"*--sky": "background", "object--traffic-sign--*": "sign"}},
    )  # fmt: skip
    assert drawn(uri) == (("construction--flat--road", "sign"), [0, 1, 2, VOID_VALUE])


def test_the_yaml_of_ultralytics_semantic_datasets(tmp_path: Path) -> None:
    images = {f"masks/{split}/a.png": f"images/{split}/a.jpg" for split in ("train", "val")}
    maps = {key: png(columns(7, 20, 255, 4)) for key in images}
    described = {
        "train": "images/train", "val": "images/val", "masks_dir": "masks", "names": {0: "road", 1: "sign"},
        "label_mapping": {-1: "ignore_label", 4: "ignore_label", 7: 0, 20: 1},
    }  # fmt: skip
    uri = write(tmp_path, maps, images, {}, **described)
    tree = yaml.safe_load((tmp_path / "data.yaml").read_text())
    del tree["label_maps"]
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(tree))
    assert drawn(uri) == (("road", "sign"), [0, 1, VOID_VALUE, VOID_VALUE])
    tree["label_mapping"][20] = 2
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(DatasetError, match="label_mapping: 20 is '2'; expected a class's index or ignore_label"):
        read_dataset(uri)
    del tree["label_mapping"]
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(DatasetError, match="pixels are 7, which"):  # numbers are indices of classes, then
        drawn(uri)


def test_a_check_looks_at_every_label_map(tmp_path: Path) -> None:
    uri = cityscapes(tmp_path)
    report = check_dataset(uri)
    assert not report.refused, report.errors
    quarter = W * H // 4
    assert report.pixels["train"] == {"road": 2 * quarter, "traffic sign": 2 * quarter, "background": 2 * quarter}
    assert report.digest == dataset_digest(read_dataset(uri))
    put(tmp_path, "gtFine/val/bonn/bonn_2_gtFine_labelIds.png", png(columns(7, 20, 33, 4)))
    (error,) = check_dataset(uri).errors
    assert error.where == "gtFine/val/bonn/bonn_2_gtFine_labelIds.png"
    assert f"{quarter} pixels are 33, which the dataset's label_maps does not name" in error.text


def test_an_image_without_its_label_map_is_an_error(tmp_path: Path) -> None:
    uri = cityscapes(tmp_path)
    (tmp_path / "gtFine/train/bonn/bonn_0_gtFine_labelIds.png").unlink()
    with pytest.raises(
        DatasetError, match=r"bonn_0_leftImg8bit\.jpg: there is no label map gtFine/train/bonn/bonn_0_g"
    ):
        read_dataset(uri)


@pytest.mark.parametrize(
    ("label_maps", "entries", "message"),
    [
        ({}, {}, "got none of numbers, colours, config; expected one"),
        ({"numbers": {"a": 1}, "config": "x.json"}, {}, "got numbers, config of numbers, colours, config"),
        ({"numbers": {"a": 1, "b": [2, 1]}}, {}, "label_maps: a and b have the same value"),
        ({"numbers": {"a": "one"}}, {}, r"label_maps\D+numbers"),
        ({"colours": {"a": [1, 2]}}, {}, r"label_maps\.colours: a has \(1, 2\); expected \[red, green, blue\]"),
        ({"numbers": {"background": 0}}, {}, "classes: class names are"),
        ({"numbers": {"a": 1}}, {"task": "segment"}, "task: got segment, and label maps have no objects"),
        ({"config": "data.yaml"}, {}, "expected Mapillary Vistas' JSON"),
    ],
)
def test_a_description_that_cannot_be_meant_is_refused(
    label_maps: dict[str, Any], entries: dict[str, Any], message: str, tmp_path: Path
) -> None:
    maps, images = {"labels/a.png": png(columns(1))}, {"labels/a.png": "images/a.jpg"}
    uri = write(tmp_path, maps, images, label_maps, train="images", **entries)
    with pytest.raises(DatasetError, match=message):
        read_dataset(uri)


@pytest.mark.s3
def test_label_maps_are_staged_with_their_images(s3: S3Server, tmp_path: Path) -> None:
    uri = cityscapes(f"s3://raw/{tmp_path.name}")
    staged = stage(uri, tmp_path / "cache")
    assert (Path(staged.root) / "gtFine/val/bonn/bonn_2_gtFine_labelIds.png").is_file()
    assert drawn(staged.root) == (("road", "traffic sign"), [0, 1, 2, VOID_VALUE])
    assert stage(uri, tmp_path / "cache").root == staged.root
    assert (
        dataset_digest(staged) == check_dataset(uri).digest == dataset_digest(read_dataset(cityscapes(tmp_path / "d")))
    )
