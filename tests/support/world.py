"""A small world of known assets beside a curving road, and what noisy drives along it would observe."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from roadscan.inventory.build import DriveTables
from roadscan.schemas import FRAMES, OBSERVATIONS
from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import HIGHWAY, Geometry
from roadscan.warehouse import Warehouse
from roadscan.warehouse.drives import StagedDrive, publish_drives

HOME = LocalFrame(100.5, 13.75)
AWAY_M = 3000.0  # east of it, which lies on a border of tiles: a road is in one, unless a test moves it
STEP_M = 10.0
FOV_DEG = 64.0
REACH_M = 60.0
START = datetime(2026, 3, 1, 20, tzinfo=UTC)
POINTS = [c.name for c in HIGHWAY.classes if c.geometry is Geometry.POINT]
OVERHEAD, LINE = "Pedestrian Bridge", "Concrete Guardrail"
RANGE_REL_SIGMA = 0.15


@dataclass
class Known:
    """One asset: where it stands (or from where to where), on which nights (0-based, inclusive)."""

    asset_id: str
    class_name: str
    s: float
    offset_m: float
    end_s: float | None = None
    first_night: int = 0
    last_night: int = 99

    def stands(self, night: int) -> bool:
        return self.first_night <= night <= self.last_night


@dataclass
class World:
    """A road and its assets. Chainage s runs along a road whose course turns slowly."""

    seed: int
    length_m: float = 2000.0
    assets: list[Known] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.s = np.arange(-100.0, self.length_m + 200.0)
        self.take(np.radians(30) + 0.6 * np.sin(self.s / 400))

    def take(self, course):
        """Let the road run in these directions, in radians, at each metre of `s`."""
        self._x, self._y, self._course = np.cumsum(np.sin(course)), np.cumsum(np.cos(course)), course

    def move(self, east_m: float):
        """Let the road begin so far further east."""
        self._x = self._x + east_m

    def xy(self, s, offset_m):
        course = np.interp(s, self.s, self._course)
        x, y = np.interp(s, self.s, self._x), np.interp(s, self.s, self._y)
        return x + offset_m * np.cos(course), y - offset_m * np.sin(course)

    def course(self, s):
        return np.interp(s, self.s, self._course)

    def truth(self, night: int) -> pa.Table:
        """As the simulator's truth/assets.parquet, of one night."""
        rows = []
        for a in (a for a in self.assets if a.stands(night)):
            s = np.linspace(a.s, a.end_s if a.end_s is not None else a.s, 20)
            lon, lat = HOME.to_lonlat(*self.xy(s, a.offset_m))
            kind = HIGHWAY.get(a.class_name).geometry.value
            row = {"asset_id": a.asset_id, "class": a.class_name, "geometry": kind}
            rows.append(row | {"lon": lon[10], "lat": lat[10], "lons": lon.tolist(), "lats": lat.tolist()})
        return pa.Table.from_pylist(rows)


def make_world(seed: int, length_m: float = 2000.0) -> World:
    """Point assets about 25 m apart on both sides, one bridge, three guardrails."""
    rng = np.random.default_rng(seed)
    world = World(seed, length_m)
    s = 30.0
    while s < length_m - 20:
        side = rng.choice([-1, 1])
        offset = side * rng.uniform(5, 9)
        world.assets.append(Known(f"p{len(world.assets)}", str(rng.choice(POINTS)), s, offset))
        s += rng.uniform(14, 36)
    world.assets.append(Known("bridge", OVERHEAD, length_m * 0.6, 0.0))
    for k, (start, end, offset) in enumerate(
        [(100, 260, -4.0), (500, 560, 5.0), (0.7 * length_m, length_m - 100, 5.5)]
    ):
        world.assets.append(Known(f"rail{k}", LINE, start, offset, end))
    world.move(AWAY_M)
    return world


def drive(
    world: World,
    night: int,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    recall: float = 0.85,
    bias_m: float = 1.0,
    yaw_deg: float = 0.8,
    false_per_frame: float = 0.05,
    way_back_m: float | None = None,
    drive_id: str | None = None,
) -> DriveTables:
    """One drive along the road: a GPS bias that wanders over a kilometre, one yaw error, missed and false boxes.

    With `way_back_m` it goes back along another carriageway, that far to the right of the road.
    """
    rng = np.random.default_rng((world.seed, night, 7))
    drive_id = drive_id or f"night-{night + 1:02d}"
    yaw = np.radians(rng.normal(0, yaw_deg))
    s_frames = np.arange(start_s, world.length_m if end_s is None else end_s, STEP_M)
    if way_back_m is not None:
        s_frames = s_frames[::-1]
    bias = _wander(len(s_frames), rng) * bias_m
    height_error = {a.asset_id: rng.normal(0, RANGE_REL_SIGMA) for a in world.assets}
    standing = [a for a in world.assets if a.stands(night)]
    places = world.xy(np.array([a.s for a in standing]), np.array([a.offset_m for a in standing]))
    cameras = np.stack(world.xy(s_frames, way_back_m or 0.0), axis=-1)
    headings = world.course(s_frames) + (np.pi if way_back_m is not None else 0.0)
    frames, observations = [], []
    for k, (s, camera, heading) in enumerate(zip(s_frames, cameras, headings.tolist(), strict=True)):
        measured = camera + bias[k] + rng.normal(0, 0.15, 2)
        lon, lat = HOME.to_lonlat(*measured)
        frame = {
            "drive_id": drive_id,
            "frame_id": f"{drive_id}-{k:05d}",
            "image_uri": f"images/{k:05d}.jpg",
            "captured_at": START + timedelta(days=night, seconds=k / 2),
            "camera_lon": float(lon),
            "camera_lat": float(lat),
            "heading_deg": float(np.degrees(heading)) % 360,
            "run_key": "run",
        }
        seen = []
        where = zip(*(values.tolist() for values in _relative(camera, places, heading + yaw)), strict=True)
        for a, (range_m, relative) in zip(standing, where, strict=True):
            if rng.random() < recall:
                score = float(rng.uniform(0.5, 0.95))
                if a.end_s is not None:
                    seen += _look_along(world, a, camera, heading, yaw, s, score, rng)
                else:
                    seen += _look_at(a, range_m, relative, heading, score, height_error[a.asset_id], rng)
        seen += [_false(heading, rng) for _ in range(rng.poisson(false_per_frame))]
        frames.append(
            frame
            | {
                "camera_id": "front",
                "fov_deg": FOV_DEG,
                "status": "ok",
                "reason": None,
                "width_px": 1280,
                "height_px": 720,
                "n_detections": len(seen),
            }
        )
        for n, row in enumerate(seen):
            extra = {"observation_id": f"{frame['frame_id']}-{n}", "model_sha256": "m" * 64, "code_version": "0"}
            observations.append(dict.fromkeys(OBSERVATIONS.names) | frame | extra | row)
    return DriveTables(drive_id, _table(frames, FRAMES), _table(observations, OBSERVATIONS))


def _wander(n: int, rng) -> np.ndarray:
    """Unit-variance noise in two dimensions that forgets itself over 800 m."""
    keep = np.exp(-STEP_M / 800)
    value, values = rng.normal(0, 1, 2), []
    for _ in range(n):
        values.append(value)
        value = keep * value + np.sqrt(1 - keep**2) * rng.normal(0, 1, 2)
    return np.array(values)


def _table(rows: list[dict], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def _relative(camera, xy, axis):
    dx, dy = xy[0] - camera[0], xy[1] - camera[1]
    return np.hypot(dx, dy), (np.arctan2(dx, dy) - axis + np.pi) % (2 * np.pi) - np.pi


def _row(class_name: str, score: float, heading: float, relative: float, box_height_px: float = 60.0) -> dict:
    u = 640 + 1024 * np.tan(relative)
    return {
        "class": class_name,
        "score": score,
        "box_px": [max(u - 20, 2.0), 300.0, min(u + 20, 1270.0), 300.0 + box_height_px],
        "bearing_deg": float(np.degrees(heading + relative)) % 360,
    }


def _look_along(world, line, camera, heading, yaw, s, score, rng) -> list[dict]:
    """The observation of a line from one frame, or none when too little of it is in view."""
    ahead = np.arange(max(line.s, s + 2), min(line.end_s, s + REACH_M), 1.0)
    ranges, bearings = _relative(camera, world.xy(ahead, line.offset_m), heading + yaw)  # from the true optical axis
    (inside,) = np.nonzero(np.abs(bearings) < np.radians(FOV_DEG / 2))
    if len(inside) < 3:
        return []
    near, far = inside[[0, -1]]
    noise = rng.normal(0, np.radians(0.5), 2)
    return [
        _row(line.class_name, score, heading, bearings[near]) | {
            "near_bearing_deg": float(np.degrees(heading + bearings[near] + noise[0])) % 360,
            "near_range_m": ranges[near] * np.exp(rng.normal(0, 0.06)),
            "far_bearing_deg": float(np.degrees(heading + bearings[far] + noise[1])) % 360,
            "far_range_m": ranges[far] * np.exp(rng.normal(0, 0.1)),
        }
    ]  # fmt: skip


def _look_at(asset, r, relative, heading, score, height_error, rng) -> list[dict]:
    """The observation of a point from one frame, or none when it is out of view."""
    if abs(relative) > np.radians(FOV_DEG / 2) or not 5 < r < REACH_M:
        return []
    relative += rng.normal(0, np.radians(0.5))
    range_m = r * np.exp(height_error + rng.normal(0, 0.05))
    row = _row(asset.class_name, score, heading, relative, box_height_px=3000 / r)
    return [row | {"range_m": range_m, "range_sigma_m": RANGE_REL_SIGMA * range_m, "range_source": "size"}]


def _false(heading: float, rng) -> dict:
    relative, range_m = rng.uniform(-0.5, 0.5), rng.uniform(10, 50)
    row = _row(str(rng.choice(POINTS)), float(rng.uniform(0.3, 0.7)), heading, relative)
    return row | {"range_m": range_m, "range_sigma_m": RANGE_REL_SIGMA * range_m, "range_source": "size"}


def commit(warehouse: Warehouse, *drives: DriveTables) -> None:
    """What a scan leaves in the warehouse."""
    staged = []
    for d in drives:
        tables = {"frames": d.frames, "observations": d.observations}
        files = [warehouse.stage(table, rows, f"{d.drive_id}/{table}") for table, rows in tables.items()]
        counts = {"frames": len(d.frames), "frames_ok": len(d.frames), "observations": len(d.observations)}
        run = counts | {"frames_quarantined": 0, "frames_failed": 0, "finished_at": START, "drive_id": d.drive_id}
        run |= dict.fromkeys(("drive_uri", "drive_sha256", "run_key", "model_sha256", "code_version"), "simulated")
        staged.append(StagedDrive(run, tuple(files)))
    publish_drives(warehouse, staged, lambda release: [d.drive_id for d in drives], "scan")
