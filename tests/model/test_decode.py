from __future__ import annotations

import io

import cv2
import numpy as np
import piexif
import pytest
from PIL import Image
from support.drives import jpeg

from roadscan.model.decode import Undecodable, decode, image_size, plan_letterbox

LIMIT = 64.0


def encoded(kind: str, width: int = 64, height: int = 32, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(buffer, kind, **options)
    return buffer.getvalue()


def twelve_bits() -> bytes:
    """A JPEG as some cameras of 12 bits make it, which decoders of 8 bits refuse."""
    data = bytearray(encoded("JPEG"))
    at = data.index(b"\xff\xc0")  # SOF0, which is of 8 bits; SOF1 may have 12
    data[at + 1], data[at + 4] = 0xC1, 12
    return bytes(data)


@pytest.mark.parametrize("data", [encoded("JPEG"), encoded("JPEG", progressive=True), encoded("PNG"), encoded("WEBP")])
def test_the_size_comes_from_the_header(data: bytes) -> None:
    assert image_size(data, LIMIT) == (32, 64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "not_an_image: starts with HTML"),
        (b"  <Error><Code>AccessDenied</Code></Error>", "not_an_image"),
        (b"\x00" * 100, "not_an_image"),
        (jpeg()[:2000], "truncated: 2000 bytes"),
        (jpeg()[:-2], "truncated"),
        *((jpeg()[:length], f"truncated: {length} bytes") for length in (3, 20, 100, 400)),  # within its header
        *((encoded(kind)[:length], "truncated: ") for kind in ("PNG", "WEBP") for length in (20, 60)),
        (twelve_bits(), "corrupt: cannot handle 12-bit layers"),
    ],
)
def test_a_bad_file_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=f"^{reason}"):
        image_size(data, LIMIT)


def test_a_huge_image_is_refused_by_its_header() -> None:
    data = bytearray(encoded("JPEG"))
    at = data.index(b"\xff\xc0")  # SOF0: length, precision, height, width
    data[at + 5 : at + 9] = (20000).to_bytes(2, "big") * 2
    with pytest.raises(Undecodable, match="too_large"):
        image_size(bytes(data), LIMIT)
    with pytest.raises(Undecodable, match=r"too_large: 64x32 px, limit 0.001 megapixels"):
        image_size(encoded("JPEG"), 0.001)


def test_the_end_marker_of_a_thumbnail_does_not_count() -> None:
    exif = piexif.dump({"0th": {}, "1st": {piexif.ImageIFD.Compression: 6}, "thumbnail": encoded("JPEG", 16, 8)})
    whole = io.BytesIO()
    piexif.insert(exif, jpeg(), whole)
    assert image_size(whole.getvalue(), LIMIT) == (360, 640)
    with pytest.raises(Undecodable, match="truncated"):
        image_size(whole.getvalue()[:-2000], LIMIT)


def test_bytes_between_segments_are_allowed() -> None:
    data = jpeg()
    at = data.index(b"\xff\xdb")
    assert image_size(data[:at] + b"\0\0" + data[at:], LIMIT) == (360, 640)


def test_pixels_that_are_not_the_headers_are_corrupt() -> None:
    with pytest.raises(Undecodable, match=r"corrupt: the header says \(180, 320\) px, the image data \(360, 640\)"):
        decode(jpeg(), plan_letterbox((180, 320), 640, 32))


def test_bytes_after_the_end_are_allowed() -> None:
    assert image_size(jpeg() + b"camera maker's own data", LIMIT) == (360, 640)


def test_exif_rotation_is_applied_to_size_and_pixels_alike() -> None:
    rotated = io.BytesIO()
    piexif.insert(piexif.dump({"0th": {piexif.ImageIFD.Orientation: 6}}), jpeg(), rotated)
    size = image_size(rotated.getvalue(), LIMIT)
    assert size == (640, 360)
    upright = decode(rotated.getvalue(), plan_letterbox(size, 640, 32))
    expected = cv2.rotate(cv2.imdecode(np.frombuffer(jpeg(), np.uint8), cv2.IMREAD_COLOR), cv2.ROTATE_90_CLOCKWISE)
    assert upright.shape == (640, 384, 3)
    assert np.array_equal(upright[:, 12:372], expected)


@pytest.mark.parametrize(
    ("image_hw", "side", "input_hw"),
    [
        ((1080, 1920), 640, (384, 640)),  # 360 rows of image, 384 = 12·32
        ((1920, 1080), 640, (640, 384)),
        ((420, 420), 640, (640, 640)),
        ((800, 1360), 640, (384, 640)),  # 800·640/1360 = 376.5 -> 376
        ((10, 4000), 640, (32, 640)),
        ((1, 4000), 640, (32, 640)),  # 0.16 rows are one
    ],
)
def test_the_input_is_the_smallest_of_the_images_aspect(
    image_hw: tuple[int, int], side: int, input_hw: tuple[int, int]
) -> None:
    assert plan_letterbox(image_hw, side, 32).input_hw == input_hw


@pytest.mark.parametrize("image_hw", [(1080, 1920), (801, 1363), (420, 420), (1999, 1111), (50, 70)])
def test_letterbox_and_pixels_are_ultralytics_own(image_hw: tuple[int, int]) -> None:
    from ultralytics.data.augment import LetterBox

    image = np.random.default_rng(0).integers(0, 255, (*image_hw, 3), np.uint8)
    theirs = LetterBox((640, 640), auto=True, stride=32)(image=image)
    ours = decode(cv2.imencode(".png", image)[1].tobytes(), plan_letterbox(image_hw, 640, 32))
    assert np.array_equal(ours, theirs)


def test_boxes_come_back_to_original_pixels() -> None:
    letterbox = plan_letterbox((1080, 1920), 640, 32)
    assert (letterbox.left, letterbox.top) == (0, 12)
    boxes = letterbox.to_image(np.array([[100, 112, 200, 212], [-5, 0, 700, 400]], np.float32))
    assert boxes.tolist() == [[300, 300, 600, 600], [0, 0, 1920, 1080]]  # times 3, less 12 rows


def test_scaled_decoding_is_close_to_full() -> None:
    data = jpeg(width=1920, height=1080)
    letterbox = plan_letterbox((1080, 1920), 640, 32)
    full, scaled = (decode(data, letterbox, mode).astype(float) for mode in ("full", "scaled"))
    assert full.shape == scaled.shape
    assert 0 < np.sqrt(np.mean((full - scaled) ** 2)) < 8  # of 255: about 30 dB
