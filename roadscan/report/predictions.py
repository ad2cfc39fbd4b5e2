"""Truth and the predictions of several models side by side, an image a row: where they differ, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import Stroke
from pycocotools import mask as coco

from roadscan.arrays import Bools, Image
from roadscan.errors import ConfigError
from roadscan.evaluate.detection.assignment import assign
from roadscan.evaluate.detection.overlap import Kind, overlaps
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.report.drawing import DPI, SOFT, class_colors, png
from roadscan.report.sheet import Handle, Sheet, read_rgb, shrunk_to

VISIBLE_PX = 32  # an object whose longer side is shorter shows little on a picture of many images
MASK_OPACITY = 0.45
HALO = [Stroke(linewidth=3.2, foreground="#000000", alpha=0.45), Stroke()]  # so that a line is seen on any ground
Dashes: TypeAlias = Literal["-"] | tuple[float, Sequence[float]]
DASHED: Dashes = (0, (3.2, 1.8))
DOTTED: Dashes = (0, (1, 1.4))


@dataclass(frozen=True)
class Panel:
    """Objects to draw on one image: how each line looks is told by what became of the object."""

    objects: Objects
    right: Bools
    missed: Objects | None
    caption: str


BARE = Panel(Objects(np.zeros((0, 4), np.float32), np.zeros(0, np.int64)), np.zeros(0, np.bool_), None, "")


def choose_images(results: Sequence[ImageResult], count: int) -> list[str]:
    """Keys of images that together show many classes, conditions and drives; by truth alone, so no model is favoured.

    Args:
        results: of any model.
        count: how many at most.
    """
    return choose_varied({result.key: _shown(result) for result in results}, count)


def choose_varied(shows: Mapping[str, set[object]], count: int) -> list[str]:
    """Keys of images that together show much.

    Args:
        shows: what each image shows, by its key.
        count: how many at most.
    """
    shows = dict(sorted(shows.items()))
    seen: dict[object, int] = {}
    chosen: list[str] = []
    while len(chosen) < min(count, len(shows)):
        # The gain of a class halves each time that it has been shown.
        gains = {key: sum(0.5 ** seen.get(w, 0) for w in what) for key, what in shows.items() if key not in chosen}
        best = max(gains, key=lambda key: gains[key])  # the first of equals
        chosen.append(best)
        for what in shows[best]:
            seen[what] = seen.get(what, 0) + 1
    return chosen


def samples(
    root: str | Path,
    models: Mapping[str, Sequence[ImageResult]],
    names: Sequence[str],
    *,
    count: int = 4,
    keys: Sequence[str] | None = None,
    kind: Kind = "box",
    as_figure: bool = False,
) -> bytes:
    """A PNG of some images, one a row: truth at the left, then what each model found.

    Solid lines are right (same class, overlap of at least .5), dashed ones wrong, white dotted ones were not found.

    Args:
        root: folder or ``s3://`` prefix that the images' keys are below.
        models: results by the model's name, of the same images. All detections are drawn, so give the sure ones alone.
        names: of the classes, by index.
        count: how many images are chosen.
        keys: the images, instead of choosing.
        kind: whether boxes or masks are drawn, and compared.
        as_figure: as papers have it: the bare image before the truth, and columns with letters, (a), (b) ….

    Raises:
        ConfigError: there is no model, or the models' results are of different images.
        DatasetError: an image cannot be decoded.
    """
    by_key = {name: {result.key: result for result in results} for name, results in models.items()}
    keys = _checked_keys(by_key, keys, count)
    rows = [(read_rgb(root, key), [one[key] for one in by_key.values()]) for key in keys]
    colors = class_colors(names)
    headings = ["truth", *models]
    if as_figure:
        headings = [
            f"({letter}) {heading}" for letter, heading in zip(ascii_lowercase, ["input", *headings], strict=False)
        ]
    sheet = Sheet(headings, [image.shape[0] / image.shape[1] for image, _ in rows], _legend(rows, colors))
    for row, (image, results) in enumerate(rows):
        panels = [_truth_panel(results[0].truth), *(_panel(one, kind) for one in results)]
        for column, panel in enumerate([BARE, *panels] if as_figure else panels):
            axis = sheet.axis(row, column, panel.caption)
            _draw(axis, image, panel, [colors[names[c]] for c in panel.objects.classes], kind, round(sheet.width * DPI))
        sheet.label(row, ", ".join(results[0].conditions))
    return png(sheet.figure)


def _shown(result: ImageResult) -> set[object]:
    """What a picture of the image shows: classes of objects that are large enough, its condition, its drive."""
    boxes = result.truth.boxes_xyxy.reshape(-1, 4)
    visible = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) >= VISIBLE_PX
    classes = {int(index) for index in result.truth.classes[visible]}
    places = {("drive", result.drive_id), *(("condition", name) for name in result.conditions)}
    return {*classes, *places} if classes else set()


def _checked_keys(
    by_key: Mapping[str, Mapping[str, ImageResult]], keys: Sequence[str] | None, count: int
) -> Sequence[str]:
    if not by_key:
        raise ConfigError("samples: got no model; expected the results of at least one")
    first_name, first = next(iter(by_key.items()))
    for name, other in by_key.items():
        if other.keys() != first.keys():
            differing = min(other.keys() ^ first.keys())
            raise ConfigError(f"samples: image {differing} is not among the results of both {first_name} and {name}")
    chosen = choose_images([*first.values()], count) if keys is None else keys
    if not chosen or not set(chosen) <= first.keys():
        raise ConfigError(f"samples: got the images {', '.join(chosen) or 'none'}; expected some that have results")
    return chosen


def _truth_panel(truth: Objects) -> Panel:
    n = len(truth.classes)
    return Panel(truth, np.ones(n, np.bool_), None, f"{n} object{'s' * (n != 1)}")


def _panel(result: ImageResult, kind: Kind) -> Panel:
    found, truth = result.found, result.truth
    assert found.scores is not None
    order = np.argsort(-found.scores, kind="stable")
    same = found.classes[:, None] == truth.classes[None]
    pairs = np.where(same, overlaps(found, truth, kind), 0.0)[order]
    taken = assign([pairs], [np.zeros((1, len(truth.classes)), np.bool_)], np.array([0.5]))[0][:, 0, 0]
    right = np.zeros(len(order), np.bool_)
    right[order] = taken >= 0
    missed = _part(truth, np.setdiff1d(np.arange(len(truth.classes)), taken))
    wrong = int((~right).sum())
    caption = f"{int(right.sum())} of {len(truth.classes)} found" + (f", {wrong} wrong" if wrong else "")
    return Panel(found, right, missed, caption)


def _part(objects: Objects, rows: npt.NDArray[np.int64]) -> Objects:
    masks = None if objects.masks is None else tuple(objects.masks[row] for row in rows)
    return Objects(objects.boxes_xyxy[rows], objects.classes[rows], None, masks)


def _draw(axis: Axes, image: Image, panel: Panel, colors: Sequence[str], kind: Kind, width_px: int) -> None:
    """Draw the image, shrunk to the pixels that it has in the picture, and its objects, each in its colour."""
    shrunk = shrunk_to(width_px, image)
    if kind == "mask":
        shrunk = _with_masks(shrunk, panel.objects, [to_rgb(color) for color in colors])
    axis.imshow(shrunk, extent=(0, image.shape[1], image.shape[0], 0), aspect="auto", interpolation="nearest")
    if panel.missed is not None:
        for box in panel.missed.boxes_xyxy:
            _rectangle(axis, box, "#ffffff", DOTTED)
    # The most confident last, so that it lies on top.
    scores = panel.objects.scores if panel.objects.scores is not None else np.ones(len(panel.objects.classes))
    for row in np.argsort(scores, kind="stable"):
        _rectangle(axis, panel.objects.boxes_xyxy[row], colors[row], "-" if panel.right[row] else DASHED)
    axis.set_xlim(0, image.shape[1])
    axis.set_ylim(image.shape[0], 0)


def _rectangle(axis: Axes, box: npt.NDArray[np.float32], color: str, dashes: Dashes) -> None:
    x1, y1, x2, y2 = (float(v) for v in box)
    axis.add_patch(
        Rectangle(
            (x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=1.9, linestyle=dashes,
            path_effects=HALO,
        )
    )  # fmt: skip


def _with_masks(image: Image, objects: Objects, colors: Sequence[tuple[float, float, float]]) -> Image:
    """The image with its masks laid over it."""
    mixed = image.astype(np.float32)
    for mask, color in zip(objects.masks or (), colors, strict=True):
        inside = coco.decode(mask).astype(np.float32)
        cover = cv2.resize(inside, image.shape[1::-1], interpolation=cv2.INTER_AREA)[..., None] * MASK_OPACITY
        mixed = mixed * (1 - cover) + 255 * np.array(color, np.float32) * cover
    return mixed.round().astype(np.uint8)


def _legend(rows: Sequence[tuple[Image, Sequence[ImageResult]]], colors: Mapping[str, str]) -> list[Handle]:
    """The classes that are to be seen, and the lines."""
    names = [*colors]
    seen = {int(c) for _, results in rows for one in results for c in (*one.truth.classes, *one.found.classes)}
    handles: list[Handle] = [Patch(color=colors[names[c]], label=names[c]) for c in sorted(seen)]
    lines: tuple[tuple[str, str, Dashes], ...] = (
        ("right", SOFT, "-"), ("wrong", SOFT, DASHED), ("not found", "#9aa4af", DOTTED),
    )  # fmt: skip
    for label, color, dashes in lines:
        handles.append(Line2D([], [], color=color, linestyle=dashes, linewidth=2, label=label))
    return handles
