from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from roadscan.model.decode import Letterbox, plan_letterbox
from roadscan.model.image_detections import in_image
from roadscan.model.image_input import ImageInput, prepare_pixels
from roadscan.model.inference import Detections
from roadscan.model.nms import MAX_DETECTIONS
from roadscan.model.slices import SliceConfig

HEIGHT, WIDTH, CELL = 330, 540, 160
SLICES = SliceConfig(size_px=256, overlap_px=64)
LETTERBOX = plan_letterbox((HEIGHT, WIDTH), 192, 32)  # about a third of the image's size
IMAGE = prepare_pixels(np.zeros((HEIGHT, WIDTH, 3), np.uint8), LETTERBOX, SLICES)
LEAST_PX = 7.9  # in a view: what is smaller is not seen there

cells = st.dictionaries(
    st.tuples(st.integers(0, WIDTH // CELL - 1), st.integers(0, HEIGHT // CELL - 1)),
    st.tuples(st.integers(8, 150), st.integers(8, 150), st.floats(0, 1), st.floats(0, 1)),
    max_size=8,
)


def boxes_of(chosen: dict[tuple[int, int], tuple[int, int, float, float]]) -> npt.NDArray[np.float64]:
    """Objects that do not touch, one in each of some cells."""
    boxes = []
    for (column, row), (w, h, right, down) in chosen.items():
        x, y = column * CELL + 5 + right * (150 - w), row * CELL + 5 + down * (150 - h)
        boxes.append([x, y, x + w, y + h])
    return np.array(boxes, np.float64).reshape(-1, 4)


def seen(
    boxes: npt.NDArray[np.float64],
    letterbox: Letterbox,
    origin: tuple[int, int],
    rng: np.random.Generator,
    jitter: float,
    share: float = 0.4,
) -> Detections:
    """What a perfect detector finds in a view: whatever shows 8 px and so much of itself, up to the view's border."""
    (height, width), offset = letterbox.image_hw, np.tile(origin, 2)
    shown = np.clip(boxes - offset, 0, np.array([width, height, width, height]))
    sides, all_sides = shown[:, 2:] - shown[:, :2], boxes[:, 2:] - boxes[:, :2]
    scale = np.array(letterbox.scale * 2)
    found = (sides * scale[:2] >= LEAST_PX).all(1) & (sides.prod(1) > all_sides.prod(1) * share)
    rows = (shown[found] * scale + np.array([letterbox.left, letterbox.top] * 2)).astype(np.float32)
    rows += rng.uniform(-jitter, jitter, (len(rows), 1)).astype(np.float32)
    scores = np.sort(rng.uniform(0.3, 1, len(rows)).astype(np.float32))[::-1]
    return Detections(rows, scores, ("sign",) * len(rows))


@pytest.mark.parametrize("jitter", [0.0, 0.5])
@settings(max_examples=60)
@given(chosen=cells, seed=st.integers(0, 9))
def test_every_object_is_found_once_whatever_views_it_lies_in(
    jitter: float, chosen: dict[tuple[int, int], tuple[int, int, float, float]], seed: int
) -> None:
    boxes, rng = boxes_of(chosen), np.random.default_rng(seed)
    assert IMAGE.layout is not None
    whole = seen(boxes, LETTERBOX, (0, 0), rng, jitter)
    parts = [seen(boxes, IMAGE.layout.letterbox, origin, rng, jitter) for origin in IMAGE.layout.origins_xy]
    found = in_image(IMAGE, whole, parts)
    assert len(found.boxes_xyxy) == len(boxes)
    if len(boxes):
        errors = np.abs(found.boxes_xyxy[:, None] - boxes[None]).max(2)
        assert sorted(errors.argmin(1)) == list(range(len(boxes)))
        assert errors.min(1).max() <= 3 * jitter + 1e-3
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("height", [10, 100])
def test_what_is_longer_than_a_slice_gets_one_box_though_the_whole_does_not_show_it(height: int) -> None:
    rail = np.array([[20.0, 100.0, 520.0, 100.0 + height]])
    rng = np.random.default_rng(0)
    assert IMAGE.layout is not None
    parts = [seen(rail, IMAGE.layout.letterbox, origin, rng, 0.0, 0.1) for origin in IMAGE.layout.origins_xy]
    found = in_image(IMAGE, detections(), parts)
    assert found.boxes_xyxy == pytest.approx(rail)


def detections(*rows: tuple[float, float, float, float, float], name: str = "sign") -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4], (name,) * len(table))


def nothing(image: ImageInput) -> list[Detections]:
    assert image.layout is not None
    return [detections() for _ in image.layout.origins_xy]


def test_what_one_view_told_apart_stays_apart() -> None:
    whole = detections((10, 30, 30, 50, 0.9), (12, 30, 32, 50, 0.8))  # overlap 0.82
    assert len(in_image(IMAGE, whole, nothing(IMAGE)).scores) == 2


def test_two_classes_in_one_place_are_two_detections() -> None:
    parts = nothing(IMAGE)
    parts[0] = detections((30, 30, 90, 90, 0.9), name="pole")
    assert in_image(IMAGE, detections((10, 10 + LETTERBOX.top, 30, 30 + LETTERBOX.top, 0.8)), parts).classes == (
        "pole",
        "sign",
    )


def test_an_image_that_fits_a_slice_shows_its_objects_once_too() -> None:
    letterbox = plan_letterbox((200, 256), 256, 32)
    image = prepare_pixels(np.zeros((200, 256, 3), np.uint8), letterbox, SLICES)
    assert image.layout is not None
    assert image.layout.origins_xy == ((0, 0),)
    whole = detections((40, 40 + letterbox.top, 90, 90 + letterbox.top, 0.8))
    assert in_image(image, whole, [detections((41, 40, 90, 91, 0.9))]).boxes_xyxy.tolist() == [[41, 40, 90, 91]]


def test_of_two_views_the_surer_one_counts() -> None:
    parts = nothing(IMAGE)
    parts[0] = detections((33, 33, 93, 93, 0.9))
    found = in_image(IMAGE, detections((10, 10 + LETTERBOX.top, 30, 30 + LETTERBOX.top, 0.8)), parts)
    assert found.boxes_xyxy.tolist() == [[33, 33, 93, 93]]


def test_no_image_gives_more_than_the_whole_alone_may() -> None:
    assert IMAGE.layout is not None
    rng = np.random.default_rng(0)
    parts = []
    for _ in IMAGE.layout.origins_xy:
        corner = rng.uniform(10, 230, (200, 2))
        parts.append(detections(*[(x, y, x + 5, y + 5, 0.5) for x, y in corner]))
    assert len(in_image(IMAGE, detections(), parts).scores) == MAX_DETECTIONS


def drawn(rle: str) -> npt.NDArray[np.uint8]:
    mask: npt.NDArray[np.uint8] = coco.decode({"size": [HEIGHT, WIDTH], "counts": rle.encode()})
    return mask


def with_mask(box: tuple[int, int, int, int] | None, size_hw: tuple[int, int]) -> Detections:
    """One detection whose mask is its box; the network's masks have cells of 4 px."""
    planes = np.full((1 if box else 0, size_hw[0] // 4, size_hw[1] // 4), 1, np.float32)
    found = detections((*box, 0.9)) if box else detections()
    return Detections(found.boxes_xyxy, found.scores, found.classes, planes)


@pytest.mark.parametrize("number", [0, 4])
def test_a_slice_s_mask_lies_where_its_object_is(number: int) -> None:
    assert IMAGE.layout is not None
    parts = [with_mask((40, 60, 140, 100) if n == number else None, (256, 256)) for n in range(len(nothing(IMAGE)))]
    (rle,) = in_image(IMAGE, with_mask(None, LETTERBOX.input_hw), parts).masks_rle or ()
    x, y = IMAGE.layout.origins_xy[number]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[y + 60 : y + 100, x + 40 : x + 140] = 1
    assert np.array_equal(drawn(rle), expected)


def test_the_masks_of_a_cut_object_s_parts_are_one() -> None:
    assert IMAGE.layout is not None
    (left, top), (right, _) = IMAGE.layout.origins_xy[:2]
    parts = [with_mask(None, (256, 256))] * len(IMAGE.layout.origins_xy)
    parts[:2] = [with_mask((100, 60, 256, 70), (256, 256)), with_mask((0, 60, 200, 70), (256, 256))]
    (rle,) = in_image(IMAGE, with_mask(None, LETTERBOX.input_hw), parts).masks_rle or ()
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[top + 60 : top + 70, left + 100 : right + 200] = 1
    assert np.array_equal(drawn(rle), expected)
