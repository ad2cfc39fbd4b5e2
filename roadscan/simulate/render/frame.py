"""One frame: from a scene, a camera and the light to a picture and exact labels.

Painter's algorithm: sky, ground, then every face from far to near. Beside the picture an id buffer is painted with the
same polygons, for labelled objects and for whatever may hide them; boxes and masks are read from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roadscan.arrays import Floats, Image, Ints
from roadscan.simulate.labels.policy import Label, accept, in_window
from roadscan.simulate.render import brush
from roadscan.simulate.render.ground import GroundProfile, ground_profile, paint_ground
from roadscan.simulate.render.lighting import COARSE, GroundLight, shade
from roadscan.simulate.render.mist import Mist
from roadscan.simulate.render.projection import NEAR_M, View, clip_near
from roadscan.simulate.render.sensor import STILL, Shake, expose
from roadscan.simulate.render.sky import paint_sky
from roadscan.simulate.world.conditions import Atmosphere
from roadscan.simulate.world.mesh import FILL, SPRITE, Mesh, join
from roadscan.simulate.world.scene import Scene, take
from roadscan.simulate.world.spray import Puff

#: Chainage window of what is drawn, relative to the camera, in metres.
BEHIND_M, AHEAD_M = 14.0, 430.0
#: Faces smaller than this in both directions are not drawn.
MIN_FACE_PX = 0.7
SHADOW_RANGE_M = 130.0
#: Beyond this a wet road mirrors only the sky.
MIRROR_RANGE_M = 110.0
#: A side of the pixel bounds this close to the exact projection is replaced by it, so boxes have sub-pixel sides.
SNAP_PX = 1.6
#: What a face belongs to that is of no asset.
NOTHING, VEHICLE = -1, -2
#: The number of vehicles in the id buffer; candidates have lower ones.
VEHICLE_ID = 255


@dataclass(frozen=True)
class Frame:
    """A rendered frame.

    Attributes:
        image: uint8 BGR, shape (height, width, 3).
        labels: what is to be seen.
        masks: for each label its visible pixels, bool, with the column and row of its corner.
        drawn: how much there is of what may be a condition: ``blur`` is the length of the camera's motion, in pixels of
            a 1920 px wide image; ``spray`` the share of light that mist takes away; ``traffic`` the share of pixels
            that vehicles were painted on.
    """

    image: Image
    labels: list[Label]
    masks: list[tuple[NDArray[np.bool_], int, int]]
    drawn: dict[str, float]


@dataclass
class _Batch:
    """The faces of one frame in camera space, culled, in painting order."""

    mesh: Mesh
    camera: Floats  #: corners in camera axes, (n, 4, 3)
    pixels: Floats  #: corners in pixels, (n, 4, 2)
    target: Ints  #: index into scene.placed that the face is labelled as, NOTHING or VEHICLE, (n,)
    factor: Floats  #: light, (n, 3)
    offset: Floats  #: fog, (n, 3)
    part_depth: Floats  #: (n,)


def _gather(scene: Scene, camera_s: float, vehicles: Mesh | None) -> tuple[Mesh, Ints]:
    """Faces near the view, and the placed asset that each belongs to, or NOTHING or VEHICLE."""
    first, last = np.searchsorted(scene.part_s, [camera_s - BEHIND_M, camera_s + AHEAD_M])
    static = take(scene.mesh, slice(int(scene.part_first[first]), int(scene.part_first[last])))
    target = scene.part_asset[static.part]
    if vehicles is None:
        return static, target
    mesh = join([static, vehicles]) if len(static) else vehicles
    return mesh, np.concatenate([target, np.full(len(vehicles), VEHICLE)])


def _prepare(
    scene: Scene, view: View, camera_s: float, vehicles: Mesh | None, atmosphere: Atmosphere
) -> tuple[_Batch, Mesh]:
    """Project, cull, light and sort. Also returns all faces, for shadows."""
    everything, target = _gather(scene, camera_s, vehicles)
    camera = view.camera_xyz(everything.quads)
    depth = camera[..., 2]
    pixels = view.to_pixels(camera)
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    size = np.array([view.width_px, view.height_px])
    seen = (depth.max(axis=1) > NEAR_M) & (high > 0).all(axis=1) & (low < size).all(axis=1)
    seen &= ((high - low) > MIN_FACE_PX).any(axis=1) | (everything.glow >= 1)
    corners = everything.quads
    normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    facing = np.einsum("ij,ij->i", normal, view.position - corners.mean(axis=1))
    seen &= ~everything.one_sided | (facing > 0)
    # Depth of a part is that of all its faces, also the culled ones, so that the order does not flicker.
    count = int(everything.part.max()) + 1 if len(everything) else 0
    total = np.bincount(everything.part, depth.mean(axis=1), count)
    part_depth = (total / np.maximum(np.bincount(everything.part, minlength=count), 1))[everything.part]
    index = np.flatnonzero(seen)
    index = index[
        np.lexsort((index, -(depth.mean(axis=1) - everything.bias)[index], everything.part[index], -part_depth[index]))
    ]
    mesh = take(everything, index)
    lamps = _lamps_near(scene, camera_s, 120.0)
    factor, offset = shade(mesh, camera[index].mean(axis=1), view, atmosphere, lamps)
    return _Batch(mesh, camera[index], pixels[index], target[index], factor, offset, part_depth[index]), everything


def _lamps_near(scene: Scene, camera_s: float, ahead_m: float) -> Floats:
    first, last = np.searchsorted(scene.lamp_s, [camera_s - 30.0, camera_s + ahead_m])
    return scene.lamps[first:last]


def _shadows(mesh: Mesh, view: View, atmosphere: Atmosphere) -> list[NDArray[np.int32]]:
    """Shadows of faces on the ground, as polygons in fixed-point pixels. The ground is taken as level at each foot."""
    if atmosphere.condition.shadow <= 0 or not len(mesh):
        return []
    foot = np.full(int(mesh.part.max()) + 1, np.inf)
    np.minimum.at(foot, mesh.part, mesh.quads[..., 2].min(axis=1))
    near = view.camera_xyz(mesh.quads.mean(axis=1))[:, 2]
    index = np.flatnonzero((near < SHADOW_RANGE_M) & (near > -8.0))
    quads = mesh.quads[index]
    plants = mesh.kind[index] == SPRITE
    # A plant's picture is a rectangle; the diamond inside it is nearer to the shape of a crown.
    quads = np.where(plants[:, None, None], (quads + np.roll(quads, -1, axis=1)) / 2, quads)
    drop = (quads[..., 2] - foot[mesh.part[index]][:, None]) / atmosphere.to_sun[2]
    landed = quads - drop[..., None] * atmosphere.to_sun
    camera = view.camera_xyz(landed)
    keep = (camera[..., 2] > 1.0).all(axis=1)
    return list(brush.fixed_point(view.to_pixels(camera[keep])))


def _mirror(batch: _Batch, view: View, profile: GroundProfile, light: GroundLight, image: Image) -> NDArray[np.float32]:
    """What the wet road mirrors, on the coarse grid: the sky upside down, and every face below its foot."""
    top = profile.top
    small = (light.columns, light.rows)
    above = image[max(0, top - (view.height_px - top)) : top]
    layer = np.asarray(cv2.resize(cv2.flip(above, 0), small, interpolation=cv2.INTER_AREA), np.uint8)
    corners = batch.mesh.quads
    foot = np.full(int(batch.mesh.part.max()) + 1, np.inf)
    np.minimum.at(foot, batch.mesh.part, corners[..., 2].min(axis=1))
    flipped = corners.copy()
    flipped[..., 2] = 2 * foot[batch.mesh.part][:, None] - corners[..., 2]
    camera = view.camera_xyz(flipped)
    depth = camera[..., 2].min(axis=1)
    keep = np.flatnonzero((depth > 2.0) & (depth < MIRROR_RANGE_M) & (batch.mesh.kind != SPRITE))
    polygons = (brush.fixed_point(view.to_pixels(camera[keep])) - np.array([0, top * 16], np.int32)) // COARSE
    boost = 1 + 2.5 * batch.mesh.glow[keep, None] * (batch.mesh.glow[keep, None] > 0)
    colours = np.clip((batch.mesh.bgr[keep] * batch.factor[keep] + batch.offset[keep]) * boost, 0, 255)
    for polygon, colour in zip(polygons, colours.tolist(), strict=True):
        cv2.fillConvexPoly(layer, polygon, colour, cv2.LINE_8, 4)
    return np.asarray(cv2.blur(layer, (3, max(3, light.rows // 5))), np.float32)


def _candidates(batch: _Batch, scene: Scene) -> Ints:
    """For each face the candidate label it belongs to, 1-based; 0 for none. Applies the depth windows."""
    number = np.zeros(len(batch.mesh), np.int64)
    for count, asset in enumerate(np.unique(batch.target[batch.target >= 0]), start=1):
        faces = np.flatnonzero(batch.target == asset)
        placed = scene.placed[int(asset)]
        line = placed.asset.end_s is not None
        depth = batch.part_depth[faces] if line else np.full(len(faces), batch.part_depth[faces].mean())
        number[faces[in_window(placed.asset.name, depth)]] = count
    return number


class _Canvas:
    """The picture and the id buffer, painted side by side."""

    def __init__(self, image: Image, batch: _Batch, scene: Scene, lights: float) -> None:
        self.image, self.batch, self.scene, self.lights = image, batch, scene, lights
        self.ids = np.zeros(image.shape[:2], np.uint8)
        self.points = brush.fixed_point(batch.pixels)
        colours = np.clip(batch.mesh.bgr * batch.factor + batch.offset, 0, 255)
        self.colours = colours.tolist()
        self.clipped: NDArray[np.bool_] = np.asarray((batch.camera[..., 2] < NEAR_M).any(axis=1))

    def outline(self, face: int, view: View) -> NDArray[np.int32] | None:
        """Fixed-point polygon of a face, clipped at the near plane; None when nothing is left."""
        if not self.clipped[face]:
            return np.asarray(self.points[face])
        rest = clip_near(self.batch.camera[face])
        return brush.fixed_point(view.to_pixels(rest)) if len(rest) >= 3 else None

    def paint(self, face: int, view: View, bottom: int, number: int, with_id: bool) -> None:
        """Paint one face above row `bottom` into the picture, and its number into the id buffer."""
        mesh, image, ids = self.batch.mesh, self.image[:bottom], self.ids[:bottom]
        if mesh.kind[face] == FILL or self.clipped[face]:
            polygon = self.outline(face, view)
            if polygon is None:
                return
            cv2.fillConvexPoly(image, polygon, self.colours[face], cv2.LINE_AA, brush.SHIFT)
            if with_id:
                cv2.fillConvexPoly(ids, polygon, number, cv2.LINE_8, brush.SHIFT)
        else:
            put = brush.paint_sprite if mesh.kind[face] == SPRITE else brush.paint_panel
            texture = self.scene.textures[int(mesh.texture[face])]
            cover = put(image, self.batch.pixels[face], texture, self.batch.factor[face], self.batch.offset[face])
            if with_id and cover is not None:
                mask, x, y = cover
                ids[y : y + mask.shape[0], x : x + mask.shape[1]][mask > 0] = number
        if mesh.glow[face] > 0 and self.lights > 0.3:
            centre = self.batch.pixels[face].mean(axis=0)
            depth = max(float(self.batch.camera[face, :, 2].mean()), 1.0)
            reach = view.focal_px * (0.5 + 1.1 * float(mesh.glow[face])) / depth + view.width_px * 0.003
            brush.paint_glow(
                self.image, centre, reach, mesh.bgr[face] * (self.lights * min(1.0, 0.35 + float(mesh.glow[face])))
            )


def _whole(canvas: _Canvas, view: View, faces: Ints, rect: tuple[int, int, int, int]) -> int:
    """Pixels that some faces would cover inside the image if nothing hid them."""
    x0, y0, x1, y1 = rect
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    batch = canvas.batch
    for face in faces.tolist():
        if batch.mesh.kind[face] == FILL or canvas.clipped[face]:
            polygon = canvas.outline(face, view)
            if polygon is not None:
                cv2.fillConvexPoly(mask, polygon - np.array([x0 * 16, y0 * 16], np.int32), 255, cv2.LINE_8, brush.SHIFT)
        else:
            scratch = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
            texture = canvas.scene.textures[int(batch.mesh.texture[face])]
            cover = brush.paint_panel(
                scratch, batch.pixels[face] - np.array([x0, y0]), texture, np.zeros(3), np.zeros(3)
            )
            if cover is not None:
                part, x, y = cover
                region = mask[y : y + part.shape[0], x : x + part.shape[1]]
                np.maximum(region, part, out=region)
    return int(np.count_nonzero(mask))


def _label(
    canvas: _Canvas, view: View, number: int, faces: Ints
) -> tuple[Label, tuple[NDArray[np.bool_], int, int]] | None:
    """The label of one candidate, from the finished id buffer; None when it is not worth one."""
    batch, width, height = canvas.batch, view.width_px, view.height_px
    asset = canvas.scene.placed[int(batch.target[faces[0]])].asset
    exact_low, exact_high = batch.pixels[faces].min(axis=(0, 1)), batch.pixels[faces].max(axis=(0, 1))
    x0, y0 = (int(max(v - 2, 0)) for v in exact_low)
    x1, y1 = (int(min(v + 3, side)) for v, side in zip(exact_high, (width, height), strict=True))
    if x1 <= x0 or y1 <= y0:
        return None
    visible = canvas.ids[y0:y1, x0:x1] == number
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if not len(rows):
        return None
    box = np.array([x0 + columns[0], y0 + rows[0], x0 + columns[-1] + 1, y0 + rows[-1] + 1], np.float64)
    limit = np.array([width, height, width, height])
    exact = np.clip(np.concatenate([exact_low, exact_high]), 0, limit)
    if not canvas.clipped[faces].any():
        box = np.where(np.abs(exact - box) <= SNAP_PX, exact, box)
    whole = _whole(canvas, view, faces, (x0, y0, x1, y1))
    fraction = min(1.0, float(np.count_nonzero(visible)) / max(whole, 1))
    area = np.prod(np.maximum(exact_high - exact_low, 1e-6))
    inside = float(np.prod(exact[2:] - exact[:2]) / area)
    label = Label(asset.asset_id, asset.name, (float(box[0]), float(box[1]), float(box[2]), float(box[3])), fraction)
    return (label, (visible, x0, y0)) if accept(label, width, inside) else None


def _needs_id(batch: _Batch, number: Ints) -> NDArray[np.bool_]:
    """Faces to paint into the id buffer: the candidates', and all that overlap the bounds of any candidate."""
    needed = number > 0
    low, high = batch.pixels.min(axis=1), batch.pixels.max(axis=1)
    for candidate in np.unique(number[number > 0]):
        faces = number == candidate
        a, b = low[faces].min(axis=0), high[faces].max(axis=0)
        needed |= ((low <= b) & (high >= a)).all(axis=1)
    return needed


def render(
    scene: Scene,
    view: View,
    camera_s: float,
    atmosphere: Atmosphere,
    rng: np.random.Generator,
    vehicles: Mesh | None = None,
    puffs: Sequence[Puff] = (),
    shake: Shake = STILL,
) -> Frame:
    """Render one frame.

    Args:
        scene: the standing world.
        view: the camera.
        camera_s: its chainage in metres.
        atmosphere: light and weather.
        rng: for sensor noise; the geometry does not depend on it.
        vehicles: the other traffic in the world, or None.
        puffs: the mist that it throws up.
        shake: of the camera.
    """
    profile = ground_profile(view, scene.road, camera_s)
    image = np.empty((view.height_px, view.width_px, 3), np.uint8)
    image[: profile.top] = paint_sky(view, atmosphere, profile.top)
    paint_ground(image, view, profile, scene.style)
    batch, everything = _prepare(scene, view, camera_s, vehicles, atmosphere)
    light = GroundLight(view, profile, atmosphere, _lamps_near(scene, camera_s, 180.0))
    light.cast_shadows(_shadows(everything, view, atmosphere))
    light.apply(image, _mirror(batch, view, profile, light, image) if atmosphere.condition.wet > 0 else None)

    number = _candidates(batch, scene)
    vehicle = batch.target == VEHICLE
    ids, needs_id = np.where(vehicle, VEHICLE_ID, number), _needs_id(batch, number) | vehicle
    mist = Mist(view, puffs, atmosphere.condition.fog)
    canvas = _Canvas(image, batch, scene, atmosphere.condition.lights)
    bottoms = np.minimum(profile.clip_row(batch.part_depth), view.height_px).astype(int)
    for face in range(len(batch.mesh)):
        mist.paint_beyond(image, float(batch.part_depth[face]))
        canvas.paint(face, view, int(bottoms[face]), int(ids[face]), bool(needs_id[face]))
    mist.paint_beyond(image, 0.0)

    found = [_label(canvas, view, int(n), np.flatnonzero(number == n)) for n in np.unique(number[number > 0])]
    kept = [item for item in found if item is not None]
    traffic = float((canvas.ids == VEHICLE_ID).mean())
    drawn = {"blur": shake.length_px, "spray": mist.hidden, "traffic": traffic}
    exposed = expose(image, view, atmosphere, rng, shake)
    return Frame(exposed, [label for label, _ in kept], [mask for _, mask in kept], drawn)
