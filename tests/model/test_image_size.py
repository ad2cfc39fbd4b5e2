"""The fast reader of ordinary JPEGs against Pillow, which is asked about all others: they must never differ."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.drives import jpeg

from roadscan.model.decode import Undecodable, any_image_size, ordinary_jpeg_size


def pillow(*, width: int = 96, height: int = 64, mode: str = "RGB", orientation: int | None = None, **options) -> bytes:
    """A JPEG as Pillow writes it, with EXIF where an orientation is given."""
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112], exif[0x010F] = orientation, "a camera's maker"
    data = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(data, "JPEG", exif=exif.tobytes() if orientation else b"", **options)
    return data.getvalue()


ORDINARY = [
    jpeg(),
    pillow(),
    pillow(mode="L"),
    pillow(progressive=True),
    pillow(optimize=True, subsampling=0),
    pillow(comment=b"a comment"),
    pillow(icc_profile=bytes(3000)),
    *(pillow(orientation=number) for number in range(1, 9)),
    cv2.imencode(".jpg", np.zeros((40, 70), np.uint8))[1].tobytes(),
]


@pytest.mark.parametrize("data", ORDINARY)
def test_ordinary_jpegs_need_no_pillow(data: bytes) -> None:
    found = ordinary_jpeg_size(data)
    assert found is not None
    assert found == any_image_size(data)
    assert not found[2]


def test_a_cut_off_end_is_seen() -> None:
    data = jpeg()[:-2]
    assert ordinary_jpeg_size(data) == (360, 640, True) == any_image_size(data)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"<html>", b"\x89PNG\r\n\x1a\n" + bytes(40), pillow(mode="CMYK")]
)
def test_what_is_unusual_is_left_to_pillow(data: bytes) -> None:
    assert ordinary_jpeg_size(data) is None


@settings(max_examples=400)
@given(
    data=st.sampled_from(ORDINARY),
    edits=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.one_of(st.none(), st.integers(0, 2000)),
)
def test_of_damaged_files_the_fast_reader_says_nothing_else(
    data: bytes, edits: list[tuple[int, int]], cut: int | None
) -> None:
    damaged = bytearray(data[:cut])
    for at, value in edits:
        if at < len(damaged):
            damaged[at] = value
    fast = ordinary_jpeg_size(bytes(damaged))
    if fast is not None:
        try:
            slow = any_image_size(bytes(damaged))
        except Undecodable as error:
            pytest.fail(f"the fast reader says {fast}, Pillow: {error}")
        assert fast == slow
