"""Images as the network sees them, whole and in slices, or in faces -> what is in each, in its own pixels.

Shape suffixes: n detections of all views of an image: the whole and its slices, or the faces of a panorama.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.model.decode import Letterbox, Pixels
from roadscan.model.faces import FaceLayout
from roadscan.model.image_input import ImageInput
from roadscan.model.inference import Detections, Inference
from roadscan.model.masks import empty_mask, encode_face_mask, encode_mask, joined_masks
from roadscan.model.nms import MAX_DETECTIONS
from roadscan.model.slices import SliceLayout

SAME_IOU = 0.5  # boxes of two views that overlap by this much, of what both show, are of one object


@dataclass(frozen=True)
class InFaces:
    """Where detections of a panorama are in its faces, to be measured there.

    Attributes:
        layout: the faces.
        face: (n,) which of them shows each best.
        boxes_xyxy: (n, 4) pixels of that face.
        bearing_deg: (n,) of the middle of all that is shown, clockwise from the panorama's middle column.
    """

    layout: FaceLayout
    face: npt.NDArray[np.intp]
    boxes_xyxy: npt.NDArray[np.float32]
    bearing_deg: Floats


@dataclass(frozen=True)
class ImageDetections:
    """What was found in one image, highest score first.

    Attributes:
        boxes_xyxy: (n, 4) float32, pixels of the image; x2 beyond a panorama's width where the box goes on across it.
        scores: (n,) float32.
        classes: n class names.
        masks_rle: n masks as COCO's compressed RLE of the image's size; None of a detection model.
        in_faces: of a panorama, where they are in its faces.
    """

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    masks_rle: tuple[str, ...] | None = None
    in_faces: InFaces | None = None


NOTHING = ImageDetections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())


def detect_images(
    detector: Inference, images: Sequence[ImageInput], *, batch: int, most_masks: int = MAX_DETECTIONS
) -> Iterator[ImageDetections]:
    """Images -> what is in each, in their order.

    Args:
        detector: the model.
        images: whose wholes are of one size in the network.
        batch: inputs a forward pass.
        most_masks: of an image are drawn; the others, whose scores are lower, are empty.
    """
    wholes = _infer(detector, [image.pixels for image in images], batch)
    slices = _infer(detector, [part for image in images if image.slices is not None for part in image.slices], batch)
    for image, whole in zip(images, list(wholes), strict=True):
        yield in_image(image, whole, list(islice(slices, image.passes - 1)), most_masks)


def _infer(detector: Inference, inputs: Sequence[Pixels], batch: int) -> Iterator[Detections]:
    for _, alike in groupby(inputs, key=np.shape):
        while part := list(islice(alike, batch)):
            yield from detector.infer(np.stack(part))


def in_image(
    image: ImageInput, whole: Detections, slices: Sequence[Detections] = (), most_masks: int = MAX_DETECTIONS
) -> ImageDetections:
    """What was found in an image's views -> what is in the image, each object once.

    Two views' boxes are of one object where they agree on what both views show. It gets the surest box that no slice's
    border cuts; where all are cut, what they cover together. What one view told apart stays apart.

    Args:
        image: the views.
        whole: found in the whole image; boxes in pixels of the input.
        slices: likewise, in each slice.
        most_masks: are drawn.
    """
    views = _views(image, whole, slices)
    size = image.letterbox.image_hw
    place_n = [(view, row) for view in views for row in range(len(view.found.scores))]
    boxes_n4 = np.concatenate([view.boxes_xyxy for view in views])
    scores_n = np.concatenate([view.found.scores for view in views])
    classes = [view.found.classes[row] for view, row in place_n]
    groups = [[n] for n in range(len(place_n))]
    if image.layout is not None:
        view_n = np.repeat(np.arange(len(views)), [len(view.found.scores) for view in views])
        windows_n4 = np.stack([view.window_xyxy for view in views]).astype(np.float64)[view_n]
        is_cut = np.concatenate([view.is_cut for view in views])
        around_px = size[1] if isinstance(image.layout, FaceLayout) else None
        seen = _Seen(boxes_n4.astype(np.float64), scores_n, np.array(classes, np.str_), view_n, windows_n4, is_cut,
                     around_px)  # fmt: skip
        groups = _by_object(seen)
        boxes_n4 = seen.boxes_n4
    first = [group[0] for group in groups]
    boxes = np.array([[*boxes_n4[group, :2].min(0), *boxes_n4[group, 2:].max(0)] for group in groups]).reshape(-1, 4)
    in_faces = None
    if isinstance(image.layout, FaceLayout):
        in_faces = _in_faces(image.layout, boxes, [[place_n[n] for n in group] for group in groups])
        boxes = image.layout.to_panorama(boxes)
    masks = None
    if whole.masks is not None:
        drawn = [joined_masks([view.mask(row) for view, row in map(place_n.__getitem__, group)], size)
                 for group in groups[:most_masks]]  # fmt: skip
        masks = (*drawn, *[empty_mask(size)] * (len(groups) - len(drawn)))
    return ImageDetections(boxes.astype(np.float32), scores_n[first], tuple(classes[n] for n in first), masks, in_faces)


def _views(image: ImageInput, whole: Detections, slices: Sequence[Detections]) -> list[_View] | list[_Face]:
    if isinstance(image.layout, FaceLayout):
        return [_Face(found, image.layout, number) for number, found in enumerate([whole, *slices])]
    views = [_View(whole, image.letterbox, image.layout)]
    if image.layout is not None:
        letterbox, origins = image.layout.letterbox, image.layout.origins_xy
        views += [_View(found, letterbox, image.layout, xy) for found, xy in zip(slices, origins, strict=True)]
    return views


def _in_faces(layout: FaceLayout, level_xyxy: Floats, groups: Sequence[Sequence[tuple[_View | _Face, int]]]) -> InFaces:
    """Where objects are in faces: each in the one that it is kept for; one that all cut, in that nearest to ahead."""
    faces = [[(face, row) for face, row in group if isinstance(face, _Face)] for group in groups]
    shown = [min(group, key=lambda one: one[0].from_ahead) for group in faces]
    boxes = [face.found.boxes_xyxy[row] for face, row in shown]
    return InFaces(
        layout,
        np.array([face.number for face, _ in shown], np.intp),
        np.array(boxes, np.float32).reshape(-1, 4),
        layout.bearings_deg(level_xyxy),
    )


class _Face:
    """What was found in one face of a panorama, which is laid out on the level sphere.

    Args:
        found: boxes (k, 4) in pixels of the face.
        layout: the faces.
        number: of the face.
    """

    def __init__(self, found: Detections, layout: FaceLayout, number: int) -> None:
        self.found, self.number, self._layout = found, number, layout
        height, width = layout.input_hw
        clipped = found.boxes_xyxy.clip(0, np.array([width, height] * 2, np.float32))
        self.boxes_xyxy = layout.on_sphere(clipped, number)
        self.window_xyxy = layout.window_on_sphere(number)
        self.is_cut = layout.is_cut(found.boxes_xyxy)
        self.from_ahead = min(number, len(layout.yaws_deg) - number)

    def mask(self, row: int) -> str:
        """A detection's mask in the panorama."""
        assert self.found.masks is not None
        box = self._layout.to_panorama(self.boxes_xyxy[row : row + 1])[0]
        return encode_face_mask(self.found.masks[row], self.found.boxes_xyxy[row], box, self._layout, self.number)


class _View:
    """What was found in one view of an image.

    Args:
        found: boxes (k, 4) in pixels of the input.
        letterbox: how the view lies in the input.
        layout: the slices; None where there are none.
        origin_xy: its left and top in the image.
    """

    def __init__(
        self, found: Detections, letterbox: Letterbox, layout: SliceLayout | None, origin_xy: tuple[int, int] = (0, 0)
    ) -> None:
        self._layout = layout
        self.found, self._letterbox, self._origin_xy = found, letterbox, origin_xy
        self._boxes_xyxy = letterbox.to_image(found.boxes_xyxy)
        self._offset = np.array(origin_xy * 2, np.float32)

    @property
    def boxes_xyxy(self) -> npt.NDArray[np.float32]:
        """(k, 4), pixels of the image."""
        return self._boxes_xyxy + self._offset

    @property
    def window_xyxy(self) -> npt.NDArray[np.float32]:
        """What the view shows, in pixels of the image."""
        return self._offset + np.array([0, 0, *self._letterbox.image_hw[::-1]], np.float32)

    @property
    def is_cut(self) -> npt.NDArray[np.bool_]:
        """(k,), whether an object may go on beyond the view."""
        assert self._layout is not None
        return self._layout.is_cut(self.boxes_xyxy, self.window_xyxy)

    def mask(self, row: int) -> str:
        """A detection's mask in the image."""
        assert self.found.masks is not None
        plane, box = self.found.masks[row], self._boxes_xyxy[row]
        whole = (self._layout or self._letterbox).image_hw
        return encode_mask(plane, box, self._letterbox, origin_xy=self._origin_xy, image_hw=whole)


@dataclass(frozen=True)
class _Seen:
    """The detections of all views of an image; columns of n.

    Where the image is a panorama, `around_px` wide, boxes and windows of different views may be whole turns apart;
    `shows` brings those that are one object to the same turn.
    """

    boxes_n4: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.str_]
    views: npt.NDArray[np.intp]
    windows_n4: npt.NDArray[np.float64]
    is_cut: npt.NDArray[np.bool_]
    around_px: int | None = None

    def shows(self, n: int, others: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Which of the others are detection n's object in another view."""
        if self.around_px is not None:
            turns = np.round((self.boxes_n4[n, ::2].mean() - self.boxes_n4[others, ::2].mean(1)) / self.around_px)
            for columns in (self.boxes_n4, self.windows_n4):
                columns[others, ::2] += (turns * self.around_px)[:, None]
        windows = self.windows_n4[others]
        shared = np.concatenate(
            [np.maximum(windows[:, :2], self.windows_n4[n, :2]), np.minimum(windows[:, 2:], self.windows_n4[n, 2:])], 1
        )
        mine, theirs = _clip(self.boxes_n4[n][None], shared), _clip(self.boxes_n4[others], shared)
        both = _area(_clip(mine, theirs))
        agree = both > SAME_IOU * (_area(mine) + _area(theirs) - both)
        same_class, another_view = self.classes[others] == self.classes[n], self.views[others] != self.views[n]
        shown: npt.NDArray[np.bool_] = agree & same_class & another_view
        return shown


def _by_object(seen: _Seen) -> list[list[int]]:
    """Detections by the object that they are kept for, surest first; what another one stands for is left out."""
    order = np.lexsort((np.arange(len(seen.scores)), -seen.scores, seen.is_cut))
    left = np.ones(len(order), np.bool_)
    groups = []
    for n in order:
        if not left[n]:
            continue
        group, left[n] = [int(n)], False
        for one in group:  # which grows: a long object goes through one slice after another
            others = np.flatnonzero(left)
            same = others[seen.shows(one, others)]
            left[same] = False
            if seen.is_cut[n]:
                group += [int(other) for other in same]
        groups.append(group)
    groups.sort(key=lambda group: -seen.scores[group[0]])
    return groups[:MAX_DETECTIONS]


def _clip(boxes_n4: npt.NDArray[np.float64], to_n4: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What of each box lies in another one; of no size where nothing does."""
    low = np.maximum(boxes_n4[:, :2], to_n4[:, :2])
    return np.concatenate([low, np.maximum(np.minimum(boxes_n4[:, 2:], to_n4[:, 2:]), low)], 1)


def _area(boxes_n4: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    area: npt.NDArray[np.float64] = (boxes_n4[:, 2:] - boxes_n4[:, :2]).prod(1)
    return area
