"""How bright things are: sun and sky by day, headlights and street lamps by night, air between.

One model serves the faces of objects and the ground: ambient + sun + headlights + lamps, then fog by distance.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from roadscan.arrays import Floats, Floats32, Image
from roadscan.simulate.render.ground import GroundProfile
from roadscan.simulate.render.noise import value_noise
from roadscan.simulate.render.projection import View
from roadscan.simulate.world.conditions import Atmosphere
from roadscan.simulate.world.mesh import Mesh
from roadscan.simulate.world.road import MEDIAN_EDGE_M, PAVEMENT_EDGE_M

#: The ground's light is computed on every fourth pixel.
COARSE = 4
HEADLIGHT_BGR = np.array([0.86, 0.97, 1.0])
LAMP_BGR = np.array([0.52, 0.80, 1.0])


def clarity(atmosphere: Atmosphere, depth_m: Floats) -> Floats:
    """Share of a surface's own light that arrives through the air, 0..1."""
    return np.exp(-np.maximum(depth_m, 0.0) / atmosphere.condition.visibility_m)


def headlights(right_m: Floats, up_m: Floats, ahead_m: Floats) -> Floats:
    """Light of the survey vehicle's low beam at points relative to the camera, about 1 at 12 m ahead."""
    ahead = np.maximum(ahead_m, 1.0)
    spread = np.exp(-((right_m / (0.42 * ahead + 1.6)) ** 2))
    cutoff = np.exp(-((np.maximum(up_m + 0.9, 0.0) / (0.055 * ahead + 0.7)) ** 2))
    return np.asarray(1.15 * spread * cutoff * np.minimum(14.0 / ahead, 1.0) ** 1.35 * np.minimum(ahead / 4.0, 1.0))


def lamp_light(distance_sq_m2: Floats) -> Floats:
    """Light of one street lamp at a squared distance; about 0.55 on the ground below a 9 m lamp."""
    return 47.0 / (distance_sq_m2 + 4.0)


def shade(mesh: Mesh, camera_xyz: Floats, view: View, atmosphere: Atmosphere, lamps: Floats) -> Floats:
    """Colour of every face as the camera sees it.

    Args:
        mesh: faces in the world, n of them.
        camera_xyz: their centres in camera axes, shape (n, 3).
        view: the camera.
        atmosphere: light and air.
        lamps: positions of the street lamps near the view, shape (m, 3).

    Returns:
        BGR as a factor on the face's colour (first row) and an offset (second row), shape (2, n, 3).
    """
    condition = atmosphere.condition
    corners = mesh.quads
    normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    centre = corners.mean(axis=1)
    facing = np.einsum("ij,ij->i", normal, view.position - centre)
    normal *= np.where(facing < 0, -1.0, 1.0)[:, None]
    lambert = np.maximum(normal @ atmosphere.to_sun, 0.0)
    lambert = np.where(mesh.texture >= 0, 0.35 + 0.65 * lambert, lambert)
    sky = 0.80 + 0.20 * normal[:, 2]
    light = sky[:, None] * np.array(condition.ambient) + lambert[:, None] * np.array(condition.sun) * 1.15
    depth = camera_xyz[:, 2]
    if condition.lights > 0:
        beam = headlights(camera_xyz[:, 0], -camera_xyz[:, 1], depth)
        retro = mesh.retro * 1.5 * np.exp(-((camera_xyz[:, 0] / (0.5 * depth + 2.0)) ** 2)) * np.exp(-depth / 110.0)
        strength = condition.lights * (1.0 - float(np.mean(condition.ambient)))
        light += strength * (beam + retro)[:, None] * HEADLIGHT_BGR
        if len(lamps):
            gap = ((centre[:, None, :] - lamps[None]) ** 2).sum(axis=2)
            light += strength * np.minimum(lamp_light(gap).sum(axis=1), 1.2)[:, None] * LAMP_BGR
        own = mesh.glow * condition.lights
        light = light * (1 - own[:, None]) + own[:, None] * 1.25
    clear = clarity(atmosphere, depth)[:, None]
    return np.stack([light * clear, np.array(condition.fog) * (1 - clear)])


class GroundLight:
    """The light on the ground of one frame, on a grid of every COARSE-th pixel from the profile's top row."""

    def __init__(self, view: View, profile: GroundProfile, atmosphere: Atmosphere, lamps: Floats) -> None:
        self.view, self.profile, self.atmosphere = view, profile, atmosphere
        self.rows = max(1, -(-(view.height_px - profile.top) // COARSE))
        self.columns = -(-view.width_px // COARSE)
        pick = np.minimum(np.arange(self.rows) * COARSE + COARSE // 2, len(profile.depth_m) - 1)
        self.pick = pick
        self.depth = profile.depth_m[pick]
        offset = (np.arange(self.columns) + 0.5) * COARSE - view.width_px / 2
        self.right = self.depth[:, None] * offset[None, :] / view.focal_px
        self.d = profile.d_centre[pick][:, None] + profile.d_per_px[pick][:, None] * offset[None, :]
        condition = atmosphere.condition
        self.factor = np.empty((self.rows, self.columns, 3), np.float32)
        self.factor[:] = np.array(condition.ambient) + np.array(condition.sun) * atmosphere.to_sun[2] * 1.15
        if condition.lights > 0:
            self._add_lights(lamps)

    def _add_lights(self, lamps: Floats) -> None:
        condition = self.atmosphere.condition
        strength = condition.lights * (1.0 - float(np.mean(condition.ambient)))
        ahead = np.broadcast_to(self.depth[:, None], self.right.shape)
        beam = headlights(self.right, np.full_like(self.right, -1.7), ahead)
        self.factor += (strength * beam)[..., None] * HEADLIGHT_BGR
        relative = self.view.camera_xyz(lamps) if len(lamps) else np.zeros((0, 3))
        pools = np.zeros_like(self.right)
        for x, y, z in relative:
            pools += lamp_light((self.right - x) ** 2 + (ahead - z) ** 2 + (y - self.view.position[2] * 0 - 1.8) ** 2)
        self.factor += (strength * np.minimum(pools, 1.2))[..., None] * LAMP_BGR

    def cast_shadows(self, polygons: list[NDArray[np.int32]]) -> None:
        """Darken the ground under shadow polygons, given in image pixels times 16."""
        depth = self.atmosphere.condition.shadow
        if not polygons or depth <= 0:
            return
        mask = np.zeros((self.rows, self.columns), np.uint8)
        shift = np.array([0, self.profile.top * 16], np.int32)
        for polygon in polygons:
            cv2.fillConvexPoly(mask, (polygon - shift) // COARSE, 255, cv2.LINE_8, 4)
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.9), np.uint8)
        self.factor *= (1.0 - depth / 255.0 * mask.astype(np.float32))[..., None]

    def apply(self, image: Image, mirrored: Floats32 | None) -> None:
        """Light the ground rows of `image` in place, fade them into the air, and lay wet reflections on the road.

        Args:
            image: the frame, with the bare ground painted.
            mirrored: what a mirror in the road would show, on this grid, float32 (rows, columns, 3); None when dry.
        """
        clear = clarity(self.atmosphere, self.depth).astype(np.float32)[:, None, None]
        offset = (1 - clear) * np.array(self.atmosphere.condition.fog, np.float32)
        offset = np.ascontiguousarray(np.broadcast_to(offset, self.factor.shape), dtype=np.float32)
        factor = self.factor * clear
        if mirrored is not None:
            share = self._wetness()[..., None]
            factor = factor * (1 - 0.25 * (share > 0)) * (1 - share)
            offset = offset * (1 - share) + mirrored * share
        ground = image[self.profile.top :]
        size = (self.columns * COARSE, self.rows * COARSE)
        height, width = ground.shape[:2]
        multiplier = cv2.resize(np.clip(factor * 128, 0, 255).astype(np.uint8), size)[:height, :width]
        addend = cv2.resize(np.clip(offset, 0, 255).astype(np.uint8), size)[:height, :width]
        cv2.multiply(ground, multiplier, dst=ground, scale=1 / 128)
        cv2.add(ground, addend, dst=ground)

    def _wetness(self) -> Floats32:
        """How much each ground cell mirrors: pavement only, more at grazing angles, more in puddles."""
        paved = (np.abs(self.d) < PAVEMENT_EDGE_M) & (np.abs(self.d) > MEDIAN_EDGE_M)
        grazing = np.clip(0.16 + 0.5 * (1 - np.exp(-self.depth / 28.0)), 0, 0.7)[:, None]
        s = np.broadcast_to(self.profile.s[self.pick][:, None], self.d.shape)
        puddle = value_noise(400, (self.d / 1.2).astype(np.float32), (s / 7.5).astype(np.float32))
        share = paved * grazing * (0.45 + 0.75 * np.clip(puddle * 2 - 0.5, 0, 1)) * self.atmosphere.condition.wet
        return np.asarray(np.clip(share, 0, 0.85), np.float32)
