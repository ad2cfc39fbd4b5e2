"""Trees, bushes and palms as pictures with holes, grown once per process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from roadscan.arrays import Image
from roadscan.simulate.world.faces import Texture, make_texture


@dataclass(frozen=True)
class Plant:
    """A plant's picture and its natural size in metres; the picture spans the whole width and height."""

    texture: Texture
    width_m: float
    height_m: float


def _canvas(width: int, height: int) -> Image:
    picture = np.zeros((height, width, 4), np.uint8)
    picture[..., :3] = (40, 84, 52)
    return picture


def _foliage(
    picture: Image, rng: np.random.Generator, centre: tuple[float, float], radii: tuple[float, float], leaves: int
) -> None:
    """A crown of leaf clusters, dark below and inside, light on top."""
    hue = rng.integers(-14, 15, 3)
    cx, cy = centre
    rx, ry = radii
    angle, radius = rng.uniform(0, 2 * np.pi, leaves), np.sqrt(rng.uniform(0, 1, leaves))
    core = (*np.clip((np.array((30, 72, 48)) + hue) * 0.8, 8, 235).tolist(), 255)
    cv2.ellipse(picture, (int(cx), int(cy)), (int(rx * 0.80), int(ry * 0.80)), 0, 0, 360, core, -1)
    lobes = 1 + 0.16 * np.sin(angle * rng.integers(3, 6) + rng.uniform(0, 6))
    x, y = cx + rx * radius * lobes * np.cos(angle), cy + ry * radius * lobes * np.sin(angle)
    for index in np.argsort(-y + rng.normal(0, ry * 0.35, leaves)):
        height = (cy + ry - y[index]) / (2 * ry)
        light = 0.42 + 0.68 * height + 0.16 * (x[index] - cx) / rx + rng.normal(0, 0.10)
        colour = np.clip((np.array((44, 104, 70)) + hue) * light * 1.15, 8, 235)
        size = rng.uniform(0.045, 0.10) * (rx + ry) / 2
        axes = (max(2, int(size * rng.uniform(0.8, 1.5))), max(2, int(size * 0.75)))
        place = (int(x[index]), int(y[index]))
        cv2.ellipse(picture, place, axes, float(rng.uniform(0, 180)), 0, 360, (*colour.tolist(), 255), -1)


def _trunk(picture: Image, x: float, top: float, bottom: float, width: float, bgr: tuple[int, int, int]) -> None:
    for side, shade in ((-1, 0.75), (1, 1.1)):
        polygon = np.array(
            [(x, top), (x + side * width * 0.3, top), (x + side * width * 0.5, bottom), (x, bottom)], np.int32
        )
        cv2.fillConvexPoly(picture, polygon, (*(np.array(bgr) * shade).tolist(), 255))


def _round_tree(seed: int) -> Plant:
    rng = np.random.default_rng((61, seed))
    picture = _canvas(320, 360)
    _trunk(picture, 160, 190, 359, 26, (58, 78, 96))
    for _ in range(3):
        middle = (160 + rng.uniform(-62, 62), rng.uniform(110, 200))
        _foliage(picture, rng, middle, (rng.uniform(64, 92), rng.uniform(52, 84)), 260)
    _foliage(picture, rng, (160, 120), (92, 84), 380)
    return Plant(make_texture(picture), 7.2, 8.1)


def _palm(seed: int) -> Plant:
    rng = np.random.default_rng((62, seed))
    picture = _canvas(220, 420)
    _trunk(picture, 110, 90, 419, 15, (92, 112, 124))
    for angle in np.linspace(-0.45, np.pi + 0.45, 17):
        length, droop = rng.uniform(72, 100), rng.uniform(0.25, 0.6)
        t = np.linspace(0, 1, 14)[:, None]
        spine = np.hstack(
            [110 + np.cos(angle) * length * t, 88 - np.sin(angle) * length * 0.72 * t + droop * 88 * t**2]
        )
        light = rng.uniform(0.7, 1.25)
        colour = (*(np.array((52, 118, 82)) * light).tolist(), 255)
        for point, step in zip(spine[1:], np.diff(spine, axis=0), strict=True):
            across = np.array([-step[1], step[0]]) / (np.linalg.norm(step) + 1e-6) * 13
            for sign in (-1, 1):
                tip = point + sign * across + step * 0.8 + np.array([0, 6])
                cv2.line(picture, point.astype(int).tolist(), tip.astype(int).tolist(), colour, 3)
        cv2.polylines(picture, [spine.astype(np.int32)], False, colour, 4)
    return Plant(make_texture(picture), 4.4, 8.6)


def _tall_tree(seed: int) -> Plant:
    rng = np.random.default_rng((63, seed))
    picture = _canvas(180, 420)
    _trunk(picture, 90, 120, 419, 13, (110, 128, 140))
    for y in (70, 120, 180, 240):
        _foliage(picture, rng, (90 + rng.uniform(-14, 14), y), (54 * rng.uniform(0.7, 1.1), 50), 130)
    return Plant(make_texture(picture), 4.6, 10.8)


def _bush(seed: int) -> Plant:
    rng = np.random.default_rng((64, seed))
    picture = _canvas(200, 120)
    for x in (50, 100, 150):
        _foliage(picture, rng, (x, 76), (46, 40), 130)
    return Plant(make_texture(picture), 2.6, 1.55)


def _banana(seed: int) -> Plant:
    rng = np.random.default_rng((65, seed))
    picture = _canvas(240, 260)
    for angle in rng.uniform(0.15, np.pi - 0.15, 13):
        t = np.linspace(0, 1, 12)[:, None]
        length = rng.uniform(110, 170)
        spine = np.hstack(
            [120 + np.cos(angle) * length * 0.8 * t, 200 - np.sin(angle) * length * 1.1 * t + 60 * t**2.2]
        )
        colour = (*(np.array((58, 150, 104)) * rng.uniform(0.6, 1.15)).tolist(), 255)
        width = 17 * np.sin(np.pi * np.clip(t[:, 0] * 0.9 + 0.08, 0, 1))
        for point, w in zip(spine, width, strict=True):
            cv2.circle(picture, point.astype(int).tolist(), max(1, int(w)), colour, -1)
        cv2.polylines(picture, [spine.astype(np.int32)], False, (70, 180, 150, 255), 2)
    _trunk(picture, 120, 180, 259, 20, (70, 130, 130))
    return Plant(make_texture(picture), 3.2, 3.4)


@lru_cache(maxsize=1)
def plants() -> tuple[Plant, ...]:
    """All plants; `TREES` and `BUSHES` are their indices by use."""
    grown = [_round_tree(i) for i in range(5)] + [_palm(i) for i in range(2)] + [_tall_tree(i) for i in range(3)]
    return tuple(grown + [_banana(i) for i in range(2)] + [_bush(i) for i in range(3)])


TREES = tuple(range(12))
BUSHES = (12, 13, 14)
