"""Training images with ultralytics' augmentations, each reproducible on its own.

What an image becomes depends on (seed, epoch, place in the epoch) alone: not on the rank or the loader worker that
makes it, nor on what was loaded before. So a run that is resumed, or goes on with fewer workers, sees the same pixels.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from pydantic import Field
from torch.utils.data import Dataset
from ultralytics.data.augment import (
    Compose,
    CopyPaste,
    Format,
    MixUp,
    Mosaic,
    RandomFlip,
    RandomHSV,
    RandomPerspective,
    SemanticFormat,
)
from ultralytics.data.converter import merge_multi_segment
from ultralytics.data.dataset import YOLODataset
from ultralytics.utils.instance import Instances
from ultralytics.utils.ops import resample_segments

from roadscan.config import Config
from roadscan.dataset.census import rare_classes
from roadscan.dataset.label_maps import label_map
from roadscan.dataset.records import LabelledImage, Outline, Task
from roadscan.dataset.shrunk import Pixels, Shrunk
from roadscan.errors import DatasetError
from roadscan.model.yolo.paste import PasteRare

OUTLINE_POINTS = 1000  # to which ultralytics resamples every outline
MASK_RATIO = 4  # input pixels a mask pixel: the grid of YOLOv8's prototypes


class AugmentConfig(Config):
    """Augmentations, with ultralytics' names, meanings and defaults."""

    mosaic: float = Field(1.0, ge=0, le=1, description="share of images made of four")
    close_mosaic: int = Field(10, ge=0, description="last epochs without mosaic, mixup, copy_paste and paste_rare")
    mixup: float = Field(0.0, ge=0, le=1, description="share of images blended with another")
    copy_paste: float = Field(0.0, ge=0, le=1, description="share of outlined objects pasted mirrored; segment only")
    paste_rare: float = Field(0.0, ge=0, le=1, description="share of images that get the rare objects of another image")
    rare_below: float = Field(
        0.1, gt=0, le=1, description="for paste_rare: classes that fewer than this share of images show are rare"
    )
    degrees: float = Field(0.0, ge=0, le=180, description="largest rotation")
    translate: float = Field(0.1, ge=0, le=1, description="largest shift, as a share of the image")
    scale: float = Field(0.5, ge=0, lt=1, description="largest change of size: 0.5 is 0.5 to 1.5 times")
    shear: float = Field(0.0, ge=0, lt=90, description="largest shear, in degrees")
    perspective: float = Field(0.0, ge=0, le=0.001, description="largest perspective term, per pixel")
    flipud: float = Field(0.0, ge=0, le=1, description="share mirrored upside down")
    fliplr: float = Field(
        0.5, ge=0, le=1, description="share mirrored left to right; 0 where the side of traffic matters"
    )
    hsv_h: float = Field(0.015, ge=0, le=1, description="largest change of hue")
    hsv_s: float = Field(0.7, ge=0, le=1, description="of saturation")
    hsv_v: float = Field(0.4, ge=0, le=1, description="of brightness")


class Item(NamedTuple):
    """One image to make: which epoch, its place in that epoch, and the image's number in the split."""

    epoch: int
    place: int
    image: int


def scaled_hw(image_hw: tuple[int, int], image_size_px: int) -> tuple[int, int]:
    """Height and width of an image once its longer side is `image_size_px`, rounded up as ultralytics does."""
    ratio = image_size_px / max(image_hw)
    height, width = (min(math.ceil(length * ratio), image_size_px) for length in image_hw)
    return height, width


class TrainingImages(Dataset[dict[str, Any]]):
    """A split's images, augmented, as the network's loss takes them.

    Args:
        root: folder that the images' keys are below.
        images: the split.
        task: segment adds masks; semantic has the class of every pixel instead of objects, and of two images that are
            blended (mixup) those of the one that is seen more.
        n_classes: of the dataset, for semantic alone.
        config: the augmentations.
        image_size_px: longer side to which images are scaled.
        input_hw: of the network's input; multiples of 32.
        seed: of the run.
        mosaic_epochs: epochs, from the first, that mix images.
        shrunk: small copies, which are used where there are some; the pixels are the same.
    """

    # What ultralytics' mixing transforms ask of a dataset: "ram" makes them draw from all images, not from those that
    # this process happened to load last.
    cache = "ram"

    def __init__(
        self,
        root: Path,
        images: Sequence[LabelledImage],
        *,
        task: Task,
        n_classes: int = 0,
        config: AugmentConfig,
        image_size_px: int,
        input_hw: tuple[int, int],
        seed: int,
        mosaic_epochs: int,
        shrunk: Shrunk | None = None,
    ) -> None:
        self._root, self._images, self._seed, self._shrunk = root, images, seed, shrunk or Shrunk()
        self._task, self._n_classes, self._size = task, n_classes, image_size_px
        self._mosaic_epochs = mosaic_epochs
        closed = config.model_copy(update={"mosaic": 0.0, "mixup": 0.0, "copy_paste": 0.0, "paste_rare": 0.0})
        self._mixing, self._closed = (self._transforms(c, input_hw) for c in (config, closed))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, item: Item) -> dict[str, Any]:
        """An image and what is learnt of it.

        Returns:
            img (3, h, w) uint8 RGB; cls (n, 1), bboxes (n, 4) xywh in 0..1, batch_idx (n,), and of segment masks; of
            semantic nothing but semantic_mask (h, w) uint8, whose pixels are void where the image does not reach.
        """
        state = random.getstate(), np.random.get_state()
        key = np.random.SeedSequence((self._seed, item.epoch, item.place)).generate_state(2)
        random.seed(int(key[0])), np.random.seed(int(key[1]))
        try:
            transforms = self._mixing if item.epoch < self._mosaic_epochs else self._closed
            made = transforms(self.get_image_and_label(item.image))
        finally:
            random.setstate(state[0]), np.random.set_state(state[1])
        if self._task == "semantic":
            return {"img": made["img"], "semantic_mask": made["semantic_mask"].to(torch.uint8)}
        return {name: made[name] for name in ("img", "cls", "bboxes", "batch_idx", "masks") if name in made}

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """One image, scaled, with its objects, as ultralytics' transforms take it; the name is theirs."""
        image = self._images[index]
        image_hw = image.height_px, image.width_px
        pixels = self._shrunk.read(image.key, scaled_hw(image_hw, self._size))
        if pixels is None:
            pixels = self._decode(image.key)
        size = np.array([image.width_px, image.height_px], np.float32)
        labels = {
            "im_file": image.key,
            "img": pixels,
            "ori_shape": image_hw,
            "resized_shape": pixels.shape[:2],
            "cls": image.classes.astype(np.float32)[:, None],
            "instances": Instances(
                image.boxes_xyxy / np.tile(size, 2), self._segments(image, size), bbox_format="xyxy", normalized=True
            ),
        }
        if self._task == "semantic":
            labels["semantic_mask"] = label_map(image, self._root, self._n_classes, pixels.shape[:2])
        return labels

    def _decode(self, key: str) -> Pixels:
        """The original, scaled."""
        pixels = cv2.imread(str(self._root / key))  # BGR, upright
        if pixels is None:
            raise DatasetError(f"{self._root / key}: the image cannot be decoded; see 'roadscan dataset check'")
        height, width = scaled_hw(pixels.shape[:2], self._size)
        if (height, width) != pixels.shape[:2]:
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        return pixels.astype(np.uint8, copy=False)

    def _segments(self, image: LabelledImage, size: Outline) -> Outline:
        """(n, OUTLINE_POINTS, 2) in 0..1; an object's polygons are joined by a seam."""
        if self._task != "segment" or not image.outlines:
            return np.zeros((0, OUTLINE_POINTS, 2), np.float32)
        joined = [
            np.concatenate(merge_multi_segment(list(parts))) if len(parts) > 1 else parts[0] for parts in image.outlines
        ]
        points = max(OUTLINE_POINTS, max(map(len, joined)) + 1)
        return np.stack(resample_segments([outline / size for outline in joined], n=points)).astype(np.float32)

    def _transforms(self, config: AugmentConfig, input_hw: tuple[int, int]) -> Compose:
        """Ultralytics' `v8_transforms`, for inputs that need not be square, and `PasteRare`."""
        moved = RandomPerspective(
            degrees=config.degrees,
            translate=config.translate,
            scale=config.scale,
            shear=config.shear,
            perspective=config.perspective,
            size=(input_hw[1], input_hw[0]),
        )
        placed = Compose(
            [
                Mosaic(self, imgsz=self._size, p=config.mosaic),
                CopyPaste(self, p=config.copy_paste, mode="flip"),
                moved,
            ]
        )
        rare = rare_classes(self._images, config.rare_below)
        return Compose(
            [
                placed,
                PasteRare(self.get_image_and_label, self._images, rare, moved, config.paste_rare),
                MixUp(self, pre_transform=placed, p=config.mixup),
                RandomHSV(hgain=config.hsv_h, sgain=config.hsv_s, vgain=config.hsv_v),
                RandomFlip(direction="vertical", p=config.flipud),
                RandomFlip(direction="horizontal", p=config.fliplr),
                SemanticFormat()
                if self._task == "semantic"
                else Format(return_mask=self._task == "segment", mask_ratio=MASK_RATIO),
            ]
        )


def collate(items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """One batch: img (b, 3, h, w) uint8, and the objects of all images with the image's number in `batch_idx`.

    Of semantic: img, and semantic_mask (b, h, w) uint8.
    """
    batch: dict[str, torch.Tensor] = YOLODataset.collate_fn(list(items))
    return batch
