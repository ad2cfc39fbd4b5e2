"""An image file -> what the network is given of it: the whole, and its slices; of a panorama its faces."""

from __future__ import annotations

from dataclasses import dataclass

from roadscan.errors import ConfigError
from roadscan.model.decode import DecodeMode, Letterbox, Pixels, decode, decode_image, place
from roadscan.model.faces import FaceLayout
from roadscan.model.slices import STRIDE_PX, SliceConfig, SliceLayout, plan_slices


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image as the network sees it.

    Attributes:
        letterbox: how the whole lies in the input.
        pixels: (h, w, 3) uint8 BGR, the whole; of a panorama the face ahead, which fills the input.
        layout: its slices, or its faces; None where there are none.
        slices: (n, h, w, 3) uint8 BGR, theirs; the faces but the first.
    """

    letterbox: Letterbox
    pixels: Pixels
    layout: SliceLayout | FaceLayout | None = None
    slices: Pixels | None = None

    @property
    def passes(self) -> int:
        """How many inputs the network is given."""
        return 1 + (0 if self.slices is None else len(self.slices))


def check_image_size(side_px: int) -> int:
    """The longer side of an input itself, if the network takes it.

    Raises:
        ConfigError: it is no multiple of the network's stride.
    """
    if side_px < STRIDE_PX or side_px % STRIDE_PX:
        raise ConfigError(f"image size: got {side_px} px; expected a multiple of {STRIDE_PX}, such as 640 or 1280")
    return side_px


def prepare(data: bytes, letterbox: Letterbox, slices: SliceConfig | None, mode: DecodeMode = "full") -> ImageInput:
    """An image file -> the network's inputs.

    Args:
        data: the file.
        letterbox: from `plan_letterbox` on its own size.
        slices: how it is cut; None for the whole alone.
        mode: how it is decoded, as for `decode`; slices need every pixel.

    Raises:
        Undecodable: ``corrupt``.
    """
    if slices is None:
        return ImageInput(letterbox, decode(data, letterbox, mode))
    return prepare_pixels(decode_image(data, letterbox.image_hw), letterbox, slices)


def prepare_pixels(image: Pixels, letterbox: Letterbox, slices: SliceConfig | None) -> ImageInput:
    """A decoded image (h, w, 3) -> the network's inputs."""
    if slices is None:
        return ImageInput(letterbox, place(image, letterbox))
    layout = plan_slices(letterbox.image_hw, slices)
    return ImageInput(letterbox, place(image, letterbox), layout, layout.cut(image))


def prepare_faces(data: bytes, layout: FaceLayout, mode: DecodeMode = "full") -> ImageInput:
    """A panorama's file -> the network's inputs.

    Args:
        data: the file.
        layout: from `plan_faces` on its own size.
        mode: how it is decoded, as for `decode`.

    Raises:
        Undecodable: ``corrupt``.
    """
    spare = layout.image_hw[1] / layout.source_hw[1] if mode == "scaled" else 1.0
    by = next((by for by in (8, 4, 2) if by <= spare), 1)
    return faces_of(decode_image(data, layout.image_hw, by), layout)


def faces_of(image: Pixels, layout: FaceLayout) -> ImageInput:
    """A decoded panorama (h, w, 3) -> the network's inputs."""
    faces = layout.cut(image)
    return ImageInput(Letterbox(layout.image_hw, layout.input_hw, layout.input_hw, 0, 0), faces[0], layout, faces[1:])
