"""An image file -> what the network is given of it: the whole, and its slices."""

from __future__ import annotations

from dataclasses import dataclass

from roadscan.errors import ConfigError
from roadscan.model.decode import DecodeMode, Letterbox, Pixels, decode, decode_image, place
from roadscan.model.slices import STRIDE_PX, SliceConfig, SliceLayout, plan_slices


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image as the network sees it.

    Attributes:
        letterbox: how the whole lies in the input.
        pixels: (h, w, 3) uint8 BGR, the whole.
        layout: its slices; None where there are none.
        slices: (n, h, w, 3) uint8 BGR, theirs.
    """

    letterbox: Letterbox
    pixels: Pixels
    layout: SliceLayout | None = None
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
