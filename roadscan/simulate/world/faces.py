"""Pictures that are put on things: sign faces, billboards and trees, with a pyramid of sizes each.

A texture is BGRA uint8. Lettering is OpenCV's stroke font for Latin text, and strokes that look like Thai from a car.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from roadscan.arrays import Image
from roadscan.simulate.world.conditions import Bgr

GREEN, BLUE, WHITE, BLACK, YELLOW = (72, 104, 12), (150, 72, 16), (240, 240, 240), (24, 24, 24), (20, 190, 250)
RED, BROWN = (36, 30, 200), (30, 58, 104)
PLACES = (
    "Khon Kaen", "Udon Thani", "Chum Phae", "Maha Sarakham", "Ban Phai", "Nam Phong", "Kalasin", "Nong Khai", "Phon",
    "Loei", "Bangkok", "Roi Et", "Chaiyaphum", "Phu Wiang",
)  # fmt: skip


@dataclass(frozen=True)
class Texture:
    """A picture at full size and successive halves; alpha 255 is opaque.

    Attributes:
        levels: BGR images, each half the size of the one before.
        masks: their opaque pixels, uint8 0 or 255.
    """

    levels: tuple[Image, ...]
    masks: tuple[Image, ...]

    def nearest(self, width_px: float) -> int:
        """The level to draw at a width in pixels: the smallest that is at least as wide."""
        for level in range(len(self.levels) - 1, 0, -1):
            if self.levels[level].shape[1] >= width_px:
                return level
        return 0


def make_texture(bgra: Image) -> Texture:
    """Build the pyramid of a BGRA picture."""
    levels, masks = [], []
    current = bgra
    while True:
        levels.append(np.ascontiguousarray(current[..., :3]))
        masks.append(np.where(current[..., 3] > 110, 255, 0).astype(np.uint8))
        if min(current.shape[:2]) < 12:
            return Texture(tuple(levels), tuple(masks))
        current = np.asarray(
            cv2.resize(current, (current.shape[1] // 2, current.shape[0] // 2), interpolation=cv2.INTER_AREA), np.uint8
        )


def _opaque(picture: Image) -> Image:
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


def _blank(width: int, height: int, bgr: Bgr) -> Image:
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = bgr
    return picture


def _thai_line(picture: Image, rng: np.random.Generator, x: int, y: int, size: int, glyphs: int, bgr: Bgr) -> None:
    """Strokes that read as Thai script: bowls with loops, and marks above some of them."""
    stroke, step = max(1, size // 9), int(size * 0.62)
    for index in range(glyphs):
        left, kind = x + index * step, int(rng.integers(4))
        width = int(step * 0.66)
        cv2.circle(picture, (left + stroke, y - size + 2 * stroke), stroke, bgr, 1, cv2.LINE_AA)
        cv2.line(picture, (left + stroke, y - size + 3 * stroke), (left + stroke, y), bgr, stroke, cv2.LINE_AA)
        cv2.line(picture, (left + width, y - size + stroke), (left + width, y), bgr, stroke, cv2.LINE_AA)
        if kind % 2:
            cv2.line(picture, (left + stroke, y), (left + width, y), bgr, stroke, cv2.LINE_AA)
        else:
            centre = (left + (width + stroke) // 2, y - size + 2 * stroke)
            cv2.ellipse(picture, centre, (max(width // 2, 1), max(stroke, 1)), 0, 180, 360, bgr, stroke, cv2.LINE_AA)
        if kind > 1:
            mark = (left + width // 2, y - size - 2 * stroke)
            cv2.ellipse(picture, mark, (width // 2, stroke), 0, 180, 380, bgr, max(1, stroke - 1), cv2.LINE_AA)


def _scale(texts: list[str], height: int, room: int) -> float:
    """Font scale at which letters are `height` pixels high and every text fits into `room` pixels."""
    widest = max(cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1.0, 2)[0][0] for text in texts)
    return float(min(height / 22.0, room / max(widest, 1)))


def _text(picture: Image, text: str, x: int, y: int, scale: float, bgr: Bgr) -> None:
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_DUPLEX, scale, bgr, max(1, int(scale * 2.2)), cv2.LINE_AA)


def _arrow(picture: Image, centre: tuple[int, int], size: int, angle_deg: float, bgr: Bgr) -> None:
    shape = np.array([(-0.14, 0.5), (-0.14, -0.05), (-0.4, -0.05), (0, -0.5), (0.4, -0.05), (0.14, -0.05), (0.14, 0.5)])
    turn = np.radians(angle_deg)
    rotated = shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * size + centre
    cv2.fillPoly(picture, [np.round(rotated * 8).astype(np.int32)], bgr, cv2.LINE_AA, 3)


def _rim(picture: Image, bgr: Bgr, gap: int, thickness: int) -> None:
    height, width = picture.shape[:2]
    cv2.rectangle(picture, (gap, gap), (width - 1 - gap, height - 1 - gap), bgr, thickness, cv2.LINE_AA)


@lru_cache(maxsize=4096)
def information_face(seed: int, aspect: float) -> Texture:
    """A guide sign: green destinations, blue services, white place name or brown attraction."""
    rng = np.random.default_rng((51, seed))
    kind = rng.choice(["green", "blue", "white", "brown"], p=[0.5, 0.25, 0.17, 0.08])
    ground, ink = {"green": (GREEN, WHITE), "blue": (BLUE, WHITE), "white": (WHITE, BLACK), "brown": (BROWN, WHITE)}[
        kind
    ]
    height = 200
    width = int(height * aspect)
    picture = _blank(width, height, ground)
    _rim(picture, ink, 7, 4)
    arrow = int(height * 0.55) if rng.random() < 0.75 else 0
    if arrow:
        centre = (width - arrow // 2 - 14, height // 2) if kind != "blue" else (arrow // 2 + 14, height // 2)
        _arrow(picture, centre, arrow, float(rng.choice([-45, 0, 0, 45, 90, -90])), ink)
    left = 22 + (arrow + 6 if kind == "blue" else 0)
    room = width - 46 - arrow
    if kind == "white":
        name = str(rng.choice(PLACES)).upper()
        _thai_line(picture, rng, left, 92, 50, max(3, int(room / 36)), ink)
        _text(picture, name, left, 162, _scale([name], 38, room), ink)
    else:
        _destinations(picture, rng, (left, room), ink, with_distance=not arrow)
    return make_texture(_opaque(picture))


def _destinations(
    picture: Image, rng: np.random.Generator, columns: tuple[int, int], ink: Bgr, with_distance: bool
) -> None:
    """Two or three lines, one of them Thai where there is room, in one letter size; `columns` is (left, width)."""
    left, room = columns
    height, width = picture.shape[:2]
    lines = 2 if width < 1.9 * height else 3
    step = (height - 30) // lines
    names = [str(name) for name in rng.choice(PLACES, lines, replace=False)]
    numeral = int(step * 1.1) if with_distance else 0
    scale = _scale(names, int(step * 0.55), room - numeral - 10)
    for line, name in enumerate(names):
        y = 20 + int(step * (line + 0.80))
        if line == 0 and lines == 3:
            _thai_line(picture, rng, left, y, int(step * 0.62), max(3, int(room / (step * 0.42))), ink)
            continue
        _text(picture, name, left, y, scale, ink)
        if numeral:
            distance = str(int(rng.integers(3, 420)))
            _text(picture, distance, left + room - numeral, y, min(scale, _scale([distance], step, numeral)), ink)


@lru_cache(maxsize=64)
def warning_face(kind: int) -> Texture:
    """A yellow diamond with black border and one of eight symbols; corners outside the diamond are transparent."""
    size, half = 192, 96
    bgra = np.zeros((size, size, 4), np.uint8)
    diamond = np.array([(half, 0), (size - 1, half), (half, size - 1), (0, half)], np.int32)
    cv2.fillConvexPoly(bgra, diamond, (*YELLOW, 255))
    inset = np.array([(half, 9), (size - 10, half), (half, size - 10), (9, half)], np.int32)
    cv2.polylines(bgra, [inset], True, (*BLACK, 255), 7)
    ink = (*BLACK, 255)
    curve = np.array([(82, 146), (82, 112), (114, 84), (114, 56)], np.int32)
    if kind in (0, 1):
        flip = curve if kind == 0 else np.array([(size - x, y) for x, y in curve], np.int32)
        cv2.polylines(bgra, [flip], False, ink, 15)
        x = int(flip[-1][0])
        cv2.fillConvexPoly(bgra, np.array([(x - 20, 60), (x + 20, 60), (x, 30)], np.int32), ink)
    elif kind == 2:  # crossroads
        cv2.line(bgra, (half, 44), (half, 148), ink, 16)
        cv2.line(bgra, (46, half), (146, half), ink, 16)
    elif kind == 3:  # side road from the left
        cv2.line(bgra, (104, 40), (104, 152), ink, 16)
        cv2.line(bgra, (54, 96), (104, 96), ink, 13)
    elif kind == 4:  # pedestrians
        cv2.circle(bgra, (half, 50), 11, ink, -1)
        cv2.line(bgra, (half, 62), (half, 104), ink, 15)
        for a, b in (
            ((half, 100), (76, 142)),
            ((half, 100), (118, 140)),
            ((half, 72), (70, 92)),
            ((half, 72), (122, 90)),
        ):
            cv2.line(bgra, a, b, ink, 9)
    elif kind == 5:  # traffic lights
        cv2.rectangle(bgra, (78, 42), (114, 150), ink, -1)
        for y, bgr in ((60, RED), (96, (40, 200, 250)), (132, (70, 170, 40))):
            cv2.circle(bgra, (half, y), 13, (*bgr, 255), -1)
    elif kind == 6:  # U-turn ahead
        cv2.ellipse(bgra, (half, 84), (26, 28), 0, 180, 360, ink, 14)
        cv2.line(bgra, (70, 84), (70, 146), ink, 14)
        cv2.line(bgra, (122, 84), (122, 104), ink, 14)
        cv2.fillConvexPoly(bgra, np.array([(100, 104), (144, 104), (122, 134)], np.int32), ink)
    else:  # slippery road or bend series
        points = np.array([(half + 22 * np.sin(t / 16), 40 + t) for t in range(0, 112, 8)], np.int32)
        cv2.polylines(bgra, [points], False, ink, 14)
    return make_texture(bgra)


@lru_cache(maxsize=8)
def bus_face(kind: int) -> Texture:
    """A blue square with a white bus, and a band of lettering below on some."""
    picture = _blank(128, 150 if kind else 128, BLUE)
    _rim(picture, WHITE, 4, 3)
    cv2.rectangle(picture, (26, 34), (102, 88), WHITE, -1)
    for x in (33, 56, 79):
        cv2.rectangle(picture, (x, 42), (x + 16, 62), BLUE, -1)
    for x in (44, 84):
        cv2.circle(picture, (x, 91), 10, WHITE, -1)
        cv2.circle(picture, (x, 91), 4, BLUE, -1)
    if kind:
        cv2.putText(picture, "BUS STOP", (14, 132), cv2.FONT_HERSHEY_DUPLEX, 0.66, WHITE, 1, cv2.LINE_AA)
    return make_texture(_opaque(picture))


@lru_cache(maxsize=16)
def round_face(text: str) -> Texture:
    """A round white sign with a red rim: a speed limit, which roadscan does not register."""
    bgra = np.zeros((128, 128, 4), np.uint8)
    cv2.circle(bgra, (64, 64), 63, (*RED, 255), -1)
    cv2.circle(bgra, (64, 64), 49, (*WHITE, 255), -1)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1.5, 4)
    cv2.putText(
        bgra, text, (64 - width // 2, 64 + height // 2), cv2.FONT_HERSHEY_DUPLEX, 1.5, (*BLACK, 255), 4, cv2.LINE_AA
    )
    return make_texture(bgra)


@lru_cache(maxsize=32)
def billboard_face(kind: int) -> Texture:
    """Advertising: bold colours, a blob of a product, a line of letters."""
    rng = np.random.default_rng((52, kind))
    hue = np.array([[[rng.integers(180), rng.integers(90, 210), rng.integers(150, 245)]]], np.uint8)
    blue, green, red = (int(v) for v in cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0])
    ground = (blue, green, red)
    picture = _blank(384, 192, ground)
    cv2.ellipse(picture, (90, 110), (70, 62), float(rng.integers(-30, 30)), 0, 360, (245, 245, 245), -1, cv2.LINE_AA)
    cv2.ellipse(
        picture, (90, 104), (44, 36), 0, 0, 360, tuple(int(v) for v in rng.integers(20, 235, 3)), -1, cv2.LINE_AA
    )
    ink = WHITE if float(np.mean(ground)) < 140 else BLACK
    _thai_line(picture, rng, 176, 84, 44, 7, ink)
    slogan = str(rng.choice(["SALE 50%", "CHANG RICE", "RIVER PARK", "GAS 2 km", "MOTOR CITY"]))
    _text(picture, slogan, 176, 142, _scale([slogan], 30, 190), ink)
    return make_texture(_opaque(picture))


@lru_cache(maxsize=4)
def stone_face(kind: int) -> Texture:
    """The face of a kilometre stone."""
    picture = _blank(64, 96, WHITE)
    cv2.putText(picture, str(120 + 7 * kind), (8, 56), cv2.FONT_HERSHEY_DUPLEX, 0.8, BLACK, 2, cv2.LINE_AA)
    cv2.rectangle(picture, (0, 72), (63, 95), (60, 60, 60), -1)
    return make_texture(_opaque(picture))
