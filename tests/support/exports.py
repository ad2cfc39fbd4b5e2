"""Datasets as labelling tools and public datasets write them, field by field, from their public documentation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from roadscan.dataset.records import Dataset, LabelledImage
from support.labelled import NAMES, draw_dataset

COUNTS = {"train": 4, "val": 2}


def drawn(root: Path, size_hw: tuple[int, int] = (96, 160)) -> Dataset:
    """Images below ``images/<split>``, and the truth about them, which no file there tells."""
    dataset = draw_dataset(root, COUNTS, size_hw=size_hw)
    shutil.rmtree(root / "labels")
    (root / "data.yaml").unlink()
    return dataset


def _objects(image: LabelledImage) -> list[tuple[str, list[float]]]:
    pairs = zip(image.classes.tolist(), image.boxes_xyxy.tolist(), strict=True)
    return [(NAMES[index], [round(side, 2) for side in box]) for index, box in pairs]


def _name(image: LabelledImage) -> str:
    return Path(image.key).name


def write_voc(root: Path) -> Dataset:
    """As VOCdevkit's VOC2012 folder: pixels counted from 1, both included; the drawn edges are whole numbers."""
    dataset = drawn(root)
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    for split, images in dataset.splits.items():
        (root / f"ImageSets/Main/{split}.txt").write_text("".join(f"{Path(i.key).stem}\n" for i in images))
        (root / f"ImageSets/Main/{NAMES[0]}_{split}.txt").write_text(
            "".join(f"{Path(i.key).stem}  1\n" for i in images)
        )
        for image in images:
            shutil.move(root / image.key, root / "JPEGImages")
            objects = "".join(
                f"\n  <object>\n    <name>{name}</name>\n    <pose>Unspecified</pose>\n    <truncated>0</truncated>\n"
                f"    <difficult>{number}</difficult>\n    <bndbox>\n"
                f"      <xmin>{x1 + 1:g}</xmin>\n      <ymin>{y1 + 1:g}</ymin>\n"
                f"      <xmax>{x2:g}</xmax>\n      <ymax>{y2:g}</ymax>\n    </bndbox>\n  </object>"
                for number, (name, (x1, y1, x2, y2)) in enumerate(_objects(image))
            )
            (root / f"Annotations/{Path(image.key).stem}.xml").write_text(
                f"<annotation>\n  <folder>VOC2012</folder>\n  <filename>{_name(image)}</filename>\n"
                "  <source>\n    <database>Unknown</database>\n    <annotation>Unknown</annotation>\n  </source>\n"
                f"  <size>\n    <width>{image.width_px}</width>\n    <height>{image.height_px}</height>\n"
                f"    <depth>3</depth>\n  </size>\n  <segmented>0</segmented>{objects}\n</annotation>\n"
            )
    shutil.rmtree(root / "images")
    return dataset


def write_cvat(root: Path) -> Dataset:
    """As CVAT exports a project with two subsets, "CVAT for images 1.1"."""
    dataset = drawn(root)
    labels = "".join(
        f"<label><name>{name}</name><color>#fa3253</color><type>any</type><attributes></attributes></label>"
        for name in NAMES
    )
    rows = []
    for split, images in dataset.splits.items():
        for image in images:
            boxes = "".join(
                f'\n    <box label={quoteattr(name)} source="manual" occluded="0" xtl="{x1:.2f}" ytl="{y1:.2f}" '
                f'xbr="{x2:.2f}" ybr="{y2:.2f}" z_order="0"><attribute name="lit">no</attribute></box>'
                for name, (x1, y1, x2, y2) in _objects(image)
            )
            subset = {"train": "Train", "val": "Validation"}[split]
            rows.append(
                f'\n  <image id="{len(rows)}" name="{_name(image)}" subset="{subset}" task_id="7" '
                f'width="{image.width_px}" height="{image.height_px}">{boxes}\n  </image>'
            )
    (root / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta><project><id>3</id>'
        f"<name>roads</name><labels>{labels}</labels><subsets>Train\nValidation</subsets></project>"
        f"<dumped>2026-11-01 10:00:00.000000+00:00</dumped></meta>{''.join(rows)}\n</annotations>\n"
    )
    return dataset


def write_bdd100k(root: Path) -> Dataset:
    """As BDD100K's detection labels of 2020, with lanes as those of 2018 had."""
    dataset = drawn(root, size_hw=(720, 1280))
    (root / "images").rename(root / "100k")
    (root / "images").mkdir()
    (root / "100k").rename(root / "images" / "100k")
    (root / "labels" / "det_20").mkdir(parents=True)
    lane = {
        "id": "99",
        "category": "lane",
        "poly2d": [{"vertices": [[0, 700], [600, 400]], "types": "LL", "closed": False}],
    }
    for split, images in dataset.splits.items():
        frames = [
            {
                "name": _name(image),
                "videoName": f"video-{split}",
                "attributes": {"weather": "clear", "timeofday": "daytime", "scene": "highway"},
                "timestamp": 10000,
                "labels": [
                    {
                        "id": str(number),
                        "category": name,
                        "attributes": {"occluded": False, "truncated": False, "trafficLightColor": "NA"},
                        "box2d": dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
                    }
                    for number, (name, box) in enumerate(_objects(image))
                ]
                + [lane],
            }
            for image in images
        ]
        frames[0].pop("labels") if not frames[0]["labels"][:-1] else None
        (root / f"labels/det_20/det_{split}.json").write_text(json.dumps(frames))
    return dataset


def write_mapillary(root: Path) -> Dataset:
    """As the Mapillary Traffic Sign Dataset: annotations by image key; the test split has none."""
    dataset = drawn(root)
    for folder in ("annotations", "splits"):
        (root / folder).mkdir()
    for split, images in dataset.splits.items():
        (root / f"splits/{split}.txt").write_text("".join(f"{Path(image.key).stem}\n" for image in images))
        for image in images:
            objects = [
                {
                    "key": f"k{number}",
                    "label": name,
                    "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
                    "properties": {"barrier": False, "occluded": False, "ambiguous": False, "dummy": False},
                }
                for number, (name, box) in enumerate(_objects(image))
            ]
            tree = {"width": image.width_px, "height": image.height_px, "ispano": False, "objects": objects}
            (root / f"annotations/{Path(image.key).stem}.json").write_text(json.dumps(tree))
    (root / "splits/test.txt").write_text("kept-back-0\nkept-back-1\n")
    return dataset


def write_label_studio(root: Path) -> Dataset:
    """As Label Studio exports a project: percent, uploaded names; the splits are lists beside it."""
    dataset = drawn(root)
    tasks: list[dict[str, Any]] = []
    for split, images in dataset.splits.items():
        (root / f"{split}.txt").write_text("".join(f"{_name(image)}\n" for image in images))
        tasks += [_task(number, image) for number, image in enumerate(images, len(tasks) + 1)]
    (root / "project-4.json").write_text(json.dumps(tasks))
    entry = "{{annotations: project-4.json, images: images/{0}, list: {0}.txt}}"
    (root / "dataset.yaml").write_text("".join(f"{split}: {entry.format(split)}\n" for split in COUNTS))
    return dataset


def _task(number: int, image: LabelledImage) -> dict[str, Any]:
    size = np.array([image.width_px, image.height_px])
    results = []
    for region, (name, box) in enumerate(_objects(image)):
        low, high = np.array(box[:2]) / size * 100, np.array(box[2:]) / size * 100
        value = dict(zip(("x", "y", "width", "height"), [*low, *(high - low)], strict=True))
        results.append(
            {
                "original_width": image.width_px,
                "original_height": image.height_px,
                "image_rotation": 0,
                "value": value | {"rotation": 0, "rectanglelabels": [name]},
                "id": f"r{region}",
                "from_name": "label",
                "to_name": "image",
                "type": "rectanglelabels",
                "origin": "manual",
            }
        )
    made = {"id": number, "completed_by": 1, "result": results, "was_cancelled": False, "ground_truth": False}
    return {
        "id": number,
        "annotations": [made, made | {"was_cancelled": True, "result": []}],
        "predictions": [],
        "data": {"image": f"/data/upload/4/{number:08x}-{_name(image)}"},
        "project": 4,
    }


def write_roboflow_voc(root: Path) -> Dataset:
    """As Roboflow exports VOC: XML files beside the images."""
    dataset = write_voc(root)
    for split, folder in (("train", "train"), ("val", "valid")):
        (root / folder).mkdir()
        for image in dataset.splits[split]:
            shutil.move(root / "JPEGImages" / _name(image), root / folder)
            shutil.move(root / "Annotations" / f"{Path(image.key).stem}.xml", root / folder)
    for folder in ("JPEGImages", "Annotations", "ImageSets"):
        shutil.rmtree(root / folder)
    return dataset


def write_roboflow_yolo(root: Path) -> Dataset:
    """As Roboflow exports YOLOv8, with its own fields, and a test split that is empty."""
    dataset = drawn(root)
    for split, folder in (("train", "train"), ("val", "valid")):
        (root / folder / "labels").mkdir(parents=True)
        (root / "images" / split).rename(root / folder / "images")
        for image in dataset.splits[split]:
            size = np.array([image.width_px, image.height_px])
            lines = []
            for name, box in _objects(image):
                low, high = np.array(box[:2]) / size, np.array(box[2:]) / size
                numbers = " ".join(f"{share:.8f}" for share in [*(low + high) / 2, *(high - low)])
                lines.append(f"{NAMES.index(name)} {numbers}")
            (root / folder / "labels" / f"{Path(image.key).stem}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\n"
        f"nc: {len(NAMES)}\nnames: {list(NAMES)}\n\nroboflow:\n  project: roads-1\n  version: 3\n  license: CC BY 4.0\n"
    )
    return dataset


WRITERS: dict[str, Callable[[Path], Dataset]] = {
    "voc": write_voc,
    "voc of Roboflow": write_roboflow_voc,
    "yolo of Roboflow": write_roboflow_yolo,
    "cvat": write_cvat,
    "bdd100k": write_bdd100k,
    "mapillary": write_mapillary,
    "label studio": write_label_studio,
}
