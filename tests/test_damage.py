from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from roadscan.damage import is_damaged
from roadscan.dataset.images import Unreadable, examine
from roadscan.model.decode import Undecodable, decode_image

SIZE = (160, 96)  # width, height


def picture(grey_rows: int = 0, **how: object) -> bytes:
    """An encoded photograph-like picture, the last rows of which are mid-grey in earnest."""
    pixels = np.random.default_rng(3).integers(0, 255, (12, 20, 3)).astype(np.uint8)
    image = Image.fromarray(cv2.resize(pixels, SIZE, interpolation=cv2.INTER_CUBIC))
    if grey_rows:
        image.paste((128, 128, 128), (0, SIZE[1] - grey_rows, *SIZE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85, **how)
    return buffer.getvalue()


def damaged(how: str) -> bytes:
    data = picture()
    half = len(data) // 2
    return {
        "cut and closed": data[:half] + b"\xff\xd9",
        "zeros in the middle": data[:half] + bytes(400) + data[half + 400 :],
        "zeros to the end": data[:half] + bytes(len(data) - half - 2) + b"\xff\xd9",
    }[how]


@pytest.mark.parametrize("how", ["cut and closed", "zeros in the middle", "zeros to the end"])
@pytest.mark.parametrize("by", [1, 2, 8])
def test_a_picture_of_which_a_part_is_made_up_is_corrupt(how: str, by: int) -> None:
    data = damaged(how)
    with pytest.raises(Undecodable, match="corrupt: a part of the image data is lost"):
        decode_image(data, SIZE[::-1], by)
    with pytest.raises(Unreadable, match="a part of its data is lost"):
        examine(data)


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
def test_so_is_one_that_is_turned(turned: int) -> None:
    exif = Image.Exif()
    exif[0x112] = turned
    data = picture(exif=exif)
    with pytest.raises(Undecodable, match="a part of the image data is lost"):
        decode_image(data[: len(data) // 2] + b"\xff\xd9", SIZE if turned in (6, 8) else SIZE[::-1])


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"optimize": True}, {"subsampling": 0}])
@pytest.mark.parametrize("grey_rows", [0, 40, 96])
def test_a_whole_picture_is_no_damage_however_grey(how: dict[str, object], grey_rows: int) -> None:
    data = picture(grey_rows, **how)
    assert not is_damaged(data, decode_image(data, SIZE[::-1]))
    assert not is_damaged(data + b"after the end", decode_image(data + b"after the end", SIZE[::-1]))
    assert examine(data).size.width_px == SIZE[0]


def test_a_black_picture_whose_code_is_zeros_is_no_damage() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1600, 960)).save(buffer, "JPEG", optimize=True)
    assert bytes(64) in buffer.getvalue()
    assert not is_damaged(buffer.getvalue(), decode_image(buffer.getvalue(), (960, 1600)))
