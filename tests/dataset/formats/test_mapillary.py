"""Mapillary's traffic signs: hundreds of classes become few."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.written import HEIGHT, WIDTH, picture, put

from roadscan.dataset.draft import Reading
from roadscan.dataset.read import inspect, read_dataset
from roadscan.errors import DatasetError

BOX = {"xmin": 10, "ymin": 20, "xmax": 40, "ymax": 35}


def mapillary(root: Path, *signs: dict[str, Any], yaml: str = "") -> Reading:
    """A dataset of one image, read; its test split is kept back."""
    put(root, "images/KEY_1.jpg", picture(1))
    tree = {"width": WIDTH, "height": HEIGHT, "ispano": False, "objects": signs}
    put(root, "mtsd_v2_fully_annotated/annotations/KEY_1.json", json.dumps(tree).encode())
    put(root, "mtsd_v2_fully_annotated/splits/train.txt", b"KEY_1\n")
    put(root, "mtsd_v2_fully_annotated/splits/test.txt", b"KEY_9\n")
    if yaml:
        put(root, "dataset.yaml", yaml.encode())
    return inspect(str(root))


def test_many_classes_become_few(tmp_path: Path) -> None:
    labels = ("regulatory--stop--g1", "regulatory--yield--g1", "warning--curve-left--g2", "other-sign")
    yaml = 'classes:\n  map: {"regulatory--*": regulatory, "warning--*": warning}\n  ignore: [other-sign]\n'
    reading = mapillary(tmp_path, *({"label": label, "bbox": BOX} for label in labels), yaml=yaml)
    assert reading.dataset.names == ("regulatory", "warning")
    (image,) = reading.dataset.splits["train"]
    assert image.classes.tolist() == [0, 0, 1]
    assert reading.errors == ()


def test_a_test_split_that_is_kept_back_is_told(tmp_path: Path) -> None:
    reading = mapillary(tmp_path, {"label": "a", "bbox": BOX})
    assert [one.kind for one in reading.warnings] == ["missing split"]
    assert reading.dataset.splits["test"] == ()


def test_a_sign_across_the_edge_is_counted(tmp_path: Path) -> None:
    across = {"label": "a", "bbox": BOX | {"cross_boundary": {"left": BOX, "right": BOX}}}
    reading = mapillary(tmp_path, {"label": "a", "bbox": BOX}, across)
    assert "left out: 1 signs across the edge of a panorama" in [one.text for one in reading.warnings]
    assert reading.errors == ()


@pytest.mark.parametrize(
    ("sign", "message"),
    [
        ({"bbox": BOX, "key": "k"}, "KEY_1.json: object k: label is None"),
        ({"label": "a"}, "KEY_1.json: object 0: label is 'a', bbox None"),
        ({"label": "a", "bbox": BOX | {"xmax": 4}}, r"KEY_1.json: object 0: bbox is \[10, 20, 4, 35\]"),
    ],
)
def test_what_is_wrong_is_told_with_its_sign(tmp_path: Path, sign: dict[str, Any], message: str) -> None:
    mapillary(tmp_path, sign)
    with pytest.raises(DatasetError, match=message):
        read_dataset(str(tmp_path))
