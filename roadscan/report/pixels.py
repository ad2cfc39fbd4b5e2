"""The classes of pixels, true and found, laid over their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from roadscan.arrays import Image
from roadscan.dataset.label_maps import VOID, VOID_VALUE, LabelMap
from roadscan.evaluate.semantic.compare import PixelComparison
from roadscan.evaluate.semantic.evaluation import PixelEvaluation, show
from roadscan.evaluate.semantic.predict import Compared
from roadscan.evaluate.semantic.results import PixelResult, confusion_of
from roadscan.evaluate.semantic.scores import class_scores
from roadscan.model.bundle import load
from roadscan.report.drawing import DPI, class_colors, png
from roadscan.report.predictions import choose_varied
from roadscan.report.sheet import Handle, Sheet, read_rgb, shrunk_to
from roadscan.report.training import pixel_confusion

IMAGES = 4
OPACITY = 0.6
VOID_COLOR = "#9aa4af"
VISIBLE = 1e-3  # a class with less of an image's pixels shows little on a picture of many images


def evaluation_pictures(made: PixelEvaluation) -> dict[str, bytes]:
    """Images with their classes, and which class was taken for which; by file name."""
    shown = {Path(made.model).stem: show(load(made.model), made.split, choose_images(made.results), made.inference)}
    return {
        "samples.png": samples(made.split.root, shown, made.split.names),
        "confusion.png": pixel_confusion(made.scores.confusion, made.split.names),
    }


def comparison_pictures(made: PixelComparison) -> dict[str, bytes]:
    """The same images with the classes that each model's first run found; by file name."""
    keys = choose_images(next(iter(made.runs.values())))
    shown = {one.name: show(load(one.files[0]), made.split, keys, made.inference) for one in made.candidates}
    return {"samples.png": samples(made.split.root, shown, made.split.names)}


def choose_images(results: Sequence[PixelResult], count: int = IMAGES) -> list[str]:
    """Keys of images that together show many classes, conditions and drives; by truth alone, so no model is favoured.

    Args:
        results: of any model.
        count: how many at most.
    """
    return choose_varied({result.key: _shown(result) for result in results}, count)


def samples(root: str | Path, models: Mapping[str, Sequence[Compared]], names: Sequence[str]) -> bytes:
    """A PNG of some images, one a row: the true classes at the left, then those that each model found.

    Args:
        root: folder or ``s3://`` prefix that the images' keys are below.
        models: by the model's name, of the same images in the same order.
        names: of the classes, by index.

    Raises:
        DatasetError: an image cannot be decoded.
    """
    colors = class_colors(names)
    rows = [*zip(*models.values(), strict=True)]
    first = [row[0] for row in rows]
    aspects = [one.image.height_px / one.image.width_px for one in first]
    sheet = Sheet(["truth", *models], aspects, _legend(rows, colors))
    palette = {number: colors[name] for number, name in enumerate(names)} | {VOID_VALUE: VOID_COLOR}
    for row, compared in enumerate(rows):
        image = read_rgb(root, compared[0].image.key)
        panels = [(compared[0].truth, _what(compared[0].truth, names))]
        panels += [(one.found, _how_well(one, len(names))) for one in compared]
        for column, (classes, caption) in enumerate(panels):
            axis = sheet.axis(row, column, caption)
            axis.imshow(_overlaid(shrunk_to(round(sheet.width * DPI), image), classes, palette), aspect="auto")
        sheet.label(row, ", ".join(compared[0].image.conditions))
    return png(sheet.figure)


def _shown(result: PixelResult) -> set[object]:
    """What a picture of the image shows: classes with enough pixels, its condition, its drive."""
    pixels = result.confusion.sum(1)
    classes = {int(number) for number in np.flatnonzero(pixels[:-1] >= VISIBLE * max(pixels.sum(), 1))}
    places = {("drive", result.drive_id), *(("condition", name) for name in result.conditions)}
    return {*classes, *places} if classes else set()


def _what(truth: LabelMap, names: Sequence[str]) -> str:
    count = int((np.unique(truth) < len(names)).sum())
    return f"{count} class{'es' * (count != 1)}"


def _how_well(one: Compared, n_classes: int) -> str:
    confusion = confusion_of(one.truth, one.found, n_classes)
    iou = class_scores(confusion[None], np.full((1, n_classes), np.nan), np.ones((1, 1)))[0, :n_classes]
    known = iou[~np.isnan(iou)]
    return f"mIoU {100 * known.mean():.0f} % here" if len(known) else ""


def _overlaid(image: Image, classes: LabelMap, palette: Mapping[int, str]) -> Image:
    """The image with its classes laid over it, and their borders drawn; the background is left as it is."""
    small = np.asarray(cv2.resize(classes, image.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT))
    mixed = image.astype(np.float32)
    for number, color in palette.items():
        inside = small == number
        border = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
        paint = 255 * np.array(to_rgb(color), np.float32)
        mixed[inside] = mixed[inside] * (1 - OPACITY) + paint * OPACITY
        mixed[border] = paint
    return mixed.round().astype(np.uint8)


def _legend(rows: Sequence[Sequence[Compared]], colors: Mapping[str, str]) -> list[Handle]:
    """The classes that are to be seen."""
    seen = {int(number) for row in rows for one in row for part in (one.truth, one.found) for number in np.unique(part)}
    handles: list[Handle] = [Patch(color=c, label=name) for n, (name, c) in enumerate(colors.items()) if n in seen]
    return [*handles, *([Patch(color=VOID_COLOR, label=VOID)] if VOID_VALUE in seen else [])]
