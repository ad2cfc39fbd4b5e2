"""Each thing that can be wrong with a dataset is planted, and told with its file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from rich.console import Console
from support.commands import ROOT, Command
from support.written import HEIGHT, WIDTH, Written, good, picture, put, write_coco

from roadscan.dataset.check import check_dataset
from roadscan.dataset.draft import Kind
from roadscan.dataset.read import read_dataset
from roadscan.dataset.staging import dataset_digest
from roadscan.demo.server import S3Server
from roadscan.errors import Unreachable

GTSDB = ROOT.parent / "shared" / "data" / "gtsdb"


def zoomed(jpeg: bytes) -> bytes:
    """What the next frame of a slow vehicle shows."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    closer = cv2.resize(pixels[1:-1, 1:-1], (pixels.shape[1], pixels.shape[0]))
    return cv2.imencode(".jpg", closer)[1].tobytes()


def test_a_good_dataset_is_fit(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    made = good()
    made.add("val", "empty", "", drive_id="val-0")
    made.add("val", "none", None)
    report = check_dataset(made.write(tmp_path), on_progress=lambda now: seen.append((now.done, now.total)))
    assert (report.errors, report.warnings, report.refused) == ((), (), False)
    assert seen == [(number, 8) for number in range(1, 9)]
    assert report.digest == dataset_digest(read_dataset(str(tmp_path)))
    val = report.census["val"]
    assert (val.images, val.background, val.without_label_file, val.drives, val.without_drive) == (5, 2, 1, 2, 1)
    assert val.objects == 6
    assert {name: (c.objects, c.images) for name, c in val.classes.items()} == {
        "sign": (1, 1),
        "pole": (4, 3),  # one in each of three images, and the second of val1's two
        "rail": (1, 1),
    }


def test_sizes_are_those_of_coco(tmp_path: Path) -> None:
    made = Written()
    key = made.add("train", "a", "0 0.2 0.2 0.1 0.1\n0 0.5 0.5 0.4 0.4\n1 0.5 0.5 0.9 0.9\n")
    made.images[key] = picture(0, width=200, height=100)
    # 20 x 10 = 200 < 1024; 80 x 40 = 3200; 180 x 90 = 16200 > 9216 px²
    assert check_dataset(made.write(tmp_path / "boxes")).census["train"].sizes == {"S": 1, "M": 1, "L": 1}
    made.labels["labels/train/a.txt"] = "0 0 0 1 0 0 1\n0 0 0 0.25 0 0 0.25\n"
    # triangles: 200 x 100 / 2 = 10000 px² and 50 x 25 / 2 = 625 px²
    assert check_dataset(made.write(tmp_path / "outlines")).census["train"].sizes == {"S": 1, "M": 0, "L": 1}


def _plant(kind: Kind, made: Written) -> str:
    """Plant one problem in a dataset that is good; where it should be told."""
    key = "images/val/val1.jpg"
    if kind == "bad label":
        made.labels["labels/val/val1.txt"] = "0 0.5 0.5 0.1 0.1\n0 0.9 0.5 0.4 0.1\n"
        return "labels/val/val1.txt:2"
    if kind == "corrupt image":
        made.images[key] = made.images[key][:-200]
    if kind == "missing image":
        made.extra["val"] = "val.txt"
        return "images/val/gone.jpg"
    if kind == "image in two splits":
        made.images[key] = made.images["images/train/train0.jpg"]
    if kind == "similar images in two splits":
        made.images[key] = zoomed(made.images["images/train/train0.jpg"])
    if kind == "drive in two splits":
        made.origins[key] = ("train-0", "day")
        return "train-0"
    if kind == "image twice":
        made.images[key] = made.images["images/val/val0.jpg"]
    if kind == "label twice":
        made.labels["labels/val/val1.txt"] += "0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1\n"
    if kind == "label without image":
        made.labels["labels/val/gone.txt"] = ""
        return "labels/val/gone.txt"
    return key


@pytest.mark.parametrize(
    ("kind", "refused", "text"),
    [
        ("bad label", True, "reaches outside of the image: x 0.7 to 1.1"),
        ("corrupt image", True, "truncated"),
        ("missing image", True, "there is no such image"),
        ("image in two splits", True, "in val the same file as images/train/train0.jpg in train"),
        ("similar images in two splits", True, "in val looks like images/train/train0.jpg in train"),
        ("drive in two splits", True, "1 of its images are in val (images/val/val1.jpg)"),
        ("image twice", False, "the same file as images/val/val0.jpg"),
        ("label twice", False, "1 of its 4 objects"),
        ("label without image", False, "no image of this name"),
    ],
)
def test_a_planted_problem_is_told(tmp_path: Path, kind: Kind, refused: bool, text: str) -> None:
    made = good()
    where = _plant(kind, made)
    (tmp_path / "val.txt").write_text("".join(f"images/val/{name}.jpg\n" for name in ("val0", "gone", "val2")))
    report = check_dataset(made.write(tmp_path))
    (problem,) = report.errors if refused else report.warnings
    assert (problem.kind, problem.where) == (kind, where)
    assert text in problem.text
    assert report.refused == refused
    assert len(report.errors) + len(report.warnings) == 1


@pytest.mark.parametrize("labelled", [False, True])
def test_a_folder_in_place_of_an_image_is_told_once(tmp_path: Path, labelled: bool) -> None:
    made = good()
    where = _plant("missing image", made)
    if labelled:
        made.labels["labels/val/gone.txt"] = made.labels["labels/val/val1.txt"]
    (tmp_path / "val.txt").write_text("".join(f"images/val/{name}.jpg\n" for name in ("val0", "gone", "val2")))
    (tmp_path / where).mkdir(parents=True)
    report = check_dataset(made.write(tmp_path))
    assert [(error.kind, error.where) for error in report.errors] == [("missing image", where)]
    assert report.warnings == ()


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>gone</html>", picture(3)[:300], picture(3)[:-2], cv2.imencode(".png", np.eye(64))[1].tobytes()[:-40]],
)
def test_ways_to_be_corrupt(tmp_path: Path, data: bytes) -> None:
    made = good()
    made.images["images/train/train2.jpg"] = data
    report = check_dataset(made.write(tmp_path))
    assert [(error.kind, error.where) for error in report.errors] == [("corrupt image", "images/train/train2.jpg")]
    assert report.census["train"].images == 2


def test_near_duplicates_may_be_accepted(tmp_path: Path) -> None:
    made = good()
    key = _plant("similar images in two splits", made)
    report = check_dataset(made.write(tmp_path), allow_near_duplicates=True)
    assert not report.refused
    assert [(w.kind, w.where) for w in report.warnings] == [("similar images in two splits", key)]


def test_coco_sizes_are_compared_with_the_images(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg", "width": WIDTH, "height": HEIGHT} for n in range(2)]
    write_coco(tmp_path, "train", images, [])
    put(tmp_path, "images/train/1.jpg", picture(9, width=HEIGHT, height=WIDTH))
    assert len(read_dataset(str(tmp_path)).splits["train"]) == 2  # sizes are believed, no image is opened
    error = check_dataset(str(tmp_path)).errors[0]
    assert (error.kind, error.where) == ("wrong size", "images/train/1.jpg")
    assert error.text == "the upright image is 64x96 px, its labels say 96x64 px"


def test_a_report_reads_well(tmp_path: Path) -> None:
    made = good()
    made.names = ("[bold]sign", "pole", "rail")
    for kind in ("bad label", "image in two splits", "label without image"):
        _plant(kind, made)  # type: ignore[arg-type]
    report = check_dataset(made.write(tmp_path))
    console = Console(width=120)
    with console.capture() as capture:
        console.print(report)
    text = capture.get()
    assert "warnings: 1 label without image" in text
    assert "errors: 1 bad label, 1 image in two splits" in text
    assert "  labels/val/val1.txt:2: the box reaches outside" in text
    assert "[bold]sign" in text
    assert text.rstrip().endswith(f"{tmp_path}: refused: it must not be trained on as it is")
    again = json.loads(json.dumps(report.to_dict()))
    assert again["refused"] is True
    assert again["splits"]["train"]["classes"]["pole"] == {"objects": 4, "images": 3}
    assert again["errors"][0]["where"] == "labels/val/val1.txt:2"


def test_the_command_line(here: Command, tmp_path: Path) -> None:
    made = good()
    _plant("similar images in two splits", made)
    refused = here("dataset", "check", made.write(tmp_path / "near"), "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["errors"][0]["kind"] == "similar images in two splits"
    accepted = here("dataset", "check", str(tmp_path / "near"), "--allow-near-duplicates")
    assert accepted.returncode == 0
    assert "images/val/val1.jpg" in accepted.stdout
    assert "fit to train on" in accepted.stdout


@pytest.mark.s3
def test_a_bucket_is_checked_too(s3: S3Server, tmp_path: Path) -> None:
    made = good()
    where = _plant("corrupt image", made)
    on_disk = check_dataset(made.write(tmp_path))
    in_bucket = check_dataset(made.write(f"s3://raw/check-{tmp_path.name}"))
    assert [error.where for error in in_bucket.errors] == [where]
    assert (in_bucket.census, in_bucket.digest) == (on_disk.census, on_disk.digest)


def test_an_unreachable_store_is_no_problem_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = good().write(tmp_path)

    def refuse(*_: object, **__: object) -> bytes:
        raise Unreachable("the endpoint does not answer")

    monkeypatch.setattr("roadscan.storage.Store.read", refuse)
    with pytest.raises(Unreachable):
        check_dataset(uri)


@pytest.mark.skipif(not GTSDB.is_dir(), reason="the GTSDB images are not beside this checkout, in ../shared/data")
def test_the_double_image_of_gtsdb_is_found(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / kind).symlink_to(GTSDB / kind)
    lists = {"train": [f"train/{n:05d}" for n in range(20)], "val": [f"test/{n:05d}" for n in (600, 613, 881)]}
    for split, names in lists.items():
        (tmp_path / f"{split}.txt").write_text("".join(f"images/{name}.jpg\n" for name in names))
    described = yaml.safe_load((GTSDB / "data.yaml").read_text())
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"names": described["names"], **{s: f"{s}.txt" for s in lists}}))
    report = check_dataset(str(tmp_path))
    assert report.errors == ()
    assert [(w.kind, w.where) for w in report.warnings if w.kind == "image twice"] == [
        ("image twice", "images/test/00881.jpg")
    ]
    whole = read_dataset(str(GTSDB))
    assert {split: len(images) for split, images in whole.splits.items()} == {"train": 600, "val": 300}
    assert sum(len(image.classes) for images in whole.splits.values() for image in images) == 1213
