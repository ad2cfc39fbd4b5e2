from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from support.drives import jpeg

from roadscan.errors import ConfigError, DatasetError
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.evaluate.detection.scores import score
from roadscan.report.drawing import PALETTE, class_colors
from roadscan.report.predictions import choose_images, samples
from roadscan.report.training import confusion, curves, precision_recall

NAMES = ("Pavilion", "Warning Sign", "kiosk")


def objects(*boxes: tuple[int, float], scores: float | None = None, masks: bool = False) -> Objects:
    """Squares of 40 pixels as (class, x)."""
    xyxy = np.array([[x, 100, x + 40, 140] for _, x in boxes], np.float32).reshape(-1, 4)
    return Objects(
        xyxy,
        np.array([c for c, _ in boxes], np.int64),
        None if scores is None else np.full(len(boxes), scores, np.float32),
        tuple(_mask(box) for box in xyxy) if masks else None,
    )


def _mask(box: np.ndarray) -> dict[str, object]:
    plane = np.zeros((360, 640), np.uint8, order="F")
    x1, y1, x2, y2 = box.astype(int)
    plane[y1:y2, x1:x2] = 1
    return coco.encode(plane)


def result(key: str, truth: Objects, found: Objects | None = None, drive: str | None = None) -> ImageResult:
    return ImageResult(key, truth, found or objects(scores=0.5), drive, "day")


def size(png: bytes) -> tuple[int, int]:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return image.size


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def shows(png: bytes, color: str, tolerance: int = 12) -> bool:
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return bool((np.abs(pixels(png) - wanted).max(axis=2) <= tolerance).any())


def history(epochs: int) -> list[dict[str, float]]:
    rows = []
    for epoch in range(1, epochs + 1):
        row = {"epoch": epoch, "lr": 1e-3 / epoch, "box_loss": 3 / epoch, "cls_loss": 1 / epoch, "dfl_loss": 1.0}
        if epoch % 2 == 0:
            row |= {"map50": 0.6, "map50_95": 0.4, "precision": 0.7, "recall": 0.5, "f1": 0.58}
        rows.append(row)
    return rows


def test_a_class_has_the_taxonomys_colour_or_one_of_its_own() -> None:
    colors = class_colors(["cat", "Warning Sign", "dog"])
    assert colors == {"cat": PALETTE[0], "Warning Sign": "#e8be14", "dog": PALETTE[1]}
    assert len({*class_colors([f"c{i}" for i in range(len(PALETTE))]).values()}) == len(PALETTE)


@pytest.mark.parametrize("epochs", [0, 1, 2, 60])
def test_curves_of_any_length(epochs: int) -> None:
    assert size(curves(history(epochs))) == (1320, 836)


def test_curves_skip_what_is_not_there() -> None:
    rows = [*history(4), {"epoch": 5, "lr": 1e-4, "box_loss": math.nan, "cls_loss": 1.0}]
    png = curves(rows)
    assert shows(png, "#59a14f")  # the distribution loss, green
    assert not shows(png, "#b07aa1")  # the mask loss, purple
    assert shows(curves([row | {"seg_loss": 2.0} for row in rows]), "#b07aa1")


@pytest.fixture(scope="module")
def some() -> list[ImageResult]:
    return [
        result("a.jpg", objects((0, 50), (1, 200)), objects((0, 52), (1, 400), scores=0.8), "d1"),
        result("b.jpg", objects((2, 50)), objects((1, 51), scores=0.6), "d2"),
    ]


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_precision_recall_has_a_line_a_class(some: list[ImageResult], kind: str) -> None:
    if kind == "mask":
        some = [result("a.jpg", objects((0, 50), masks=True), objects((0, 52), scores=0.8, masks=True))]
    png = precision_recall(score(some, NAMES, kind=kind))  # type: ignore[arg-type]
    assert size(png) == (1155, 682)
    assert shows(png, class_colors(NAMES)["Pavilion"])
    assert shows(png, class_colors(NAMES)["kiosk"]) is (kind == "box")  # in masks there is none


def test_pictures_of_nothing_are_drawn() -> None:
    nothing = score([], NAMES)
    assert size(precision_recall(nothing))
    assert size(confusion(nothing))


def test_a_confusion_matrix_is_dark_where_the_class_was_found(some: list[ImageResult]) -> None:
    scores = score(some, NAMES, confidence=0.5)
    assert scores.confusion[0, 0] == 1
    assert shows(confusion(scores), "#1f3f63", 3)  # all pavilions were found
    missed = score([result("a.jpg", objects((0, 50), (0, 200)), objects((0, 50), scores=0.9))], NAMES)
    assert not shows(confusion(missed), "#1f3f63", 3)  # half of them


def test_a_confusion_matrix_of_many_classes_keeps_its_size() -> None:
    names = [f"class {i}" for i in range(80)]
    width, height = size(confusion(score([result("a", objects((79, 50)))], names)))
    assert max(width, height) < 1300


def test_images_are_chosen_for_what_they_show_whatever_the_model() -> None:
    found = [
        result("a", objects((0, 10)), drive="d1"),
        result("b", objects((0, 10), (1, 80), (1, 150)), drive="d1"),
        result("c", objects(), drive="d2"),
        result("d", objects((2, 10)), drive="d1"),
        result("e", objects((0, 10)), drive="d3"),
    ]
    # b shows two classes; then d, a new class on the same drive, and e, a new drive with the same class, gain
    # 1 + 1/2 and 1/2 + 1; equal, so d comes first by its key. Then e; a has nothing new; c shows nothing at all.
    assert choose_images(found, 3) == choose_images(found[::-1], 3) == ["b", "d", "e"]
    assert choose_images(found, 9) == ["b", "d", "e", "a", "c"]
    assert choose_images([], 3) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index, key in enumerate(("a.jpg", "b.jpg")):
        (tmp_path / key).write_bytes(jpeg(index))
    return tmp_path


def test_samples_have_a_column_a_model_and_a_row_an_image(folder: Path, some: list[ImageResult]) -> None:
    one = size(samples(folder, {"n": some}, NAMES, count=1))
    two = size(samples(folder, {"n": some}, NAMES, count=2))
    five = size(samples(folder, dict.fromkeys("nsmlx", some), NAMES, count=2))
    assert one[0] == two[0] < five[0]
    assert two[1] - one[1] > 400  # a row more of 7 inches' width


def test_samples_draw_boxes_in_the_classes_colours(folder: Path, some: list[ImageResult]) -> None:
    png = samples(folder, {"n": some}, NAMES, keys=["b.jpg"])
    # The truth is a kiosk, the detection a warning sign: both colours are there, and that of a pavilion is not.
    assert shows(png, class_colors(NAMES)["kiosk"], 3)
    assert shows(png, class_colors(NAMES)["Warning Sign"], 3)
    assert not shows(png, class_colors(NAMES)["Pavilion"], 3)


def test_masks_are_laid_over_the_image(folder: Path) -> None:
    one = result("a.jpg", objects((0, 300), masks=True), objects((0, 300), scores=0.9, masks=True))
    with_masks = pixels(samples(folder, {"n": [one]}, NAMES, keys=["a.jpg"], kind="mask"))
    without = pixels(samples(folder, {"n": [one]}, NAMES, keys=["a.jpg"]))
    changed = np.abs(with_masks - without).max(axis=2) > 4
    # Truth and prediction: two squares of 40 of 640 pixels in panels of 770, less the pixels that look alike.
    assert 0.8 < changed.sum() / (2 * (40 / 640 * 770) ** 2) < 1.1


def test_wrong_samples_are_refused(folder: Path, some: list[ImageResult]) -> None:
    with pytest.raises(ConfigError, match="got no model"):
        samples(folder, {}, NAMES)
    with pytest.raises(ConfigError, match=r"image b.jpg is not among the results of both n and s"):
        samples(folder, {"n": some, "s": some[:1]}, NAMES)
    with pytest.raises(ConfigError, match=r"got the images z.jpg; expected some that have results"):
        samples(folder, {"n": some}, NAMES, keys=["z.jpg"])
    (folder / "a.jpg").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"a.jpg: cannot be decoded"):
        samples(folder, {"n": some}, NAMES, keys=["a.jpg"])
