"""Highways with known assets, and what survey drives along them would observe: arrays only, thousands of kilometres.

Boxes are projected by the camera that measures them, so every range is `roadscan.scan.measure`'s. What is drawn: a GNSS
bias that wanders (first-order Gauss-Markov), one yaw error a drive, the vehicle's nodding, heights that differ from
their class's, missed and false boxes, nights on which something is hidden, and assets that come and go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from scipy.signal import lfilter

from roadscan.arrays import Floats
from roadscan.inventory.build import DriveTables
from roadscan.scan.measure import measure
from roadscan.schemas import FRAMES, OBSERVATIONS
from roadscan.survey.camera import Camera
from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import HIGHWAY, Geometry

CAMERA = Camera("front", 1920, 1080, focal_px=1500.0, mount_height_m=2.2)
START_US = int(datetime(2026, 3, 1, 20, tzinfo=UTC).timestamp() * 1e6)
DAY_US = 86_400_000_000
LINE = next(c.name for c in HIGHWAY.classes if c.geometry is Geometry.LINE)


@dataclass(frozen=True)
class Kind:
    """How often a class stands beside a road, and how large it is."""

    name: str
    per_km: float
    width_m: float
    base_m: float  # of the visible part above the ground
    offset_m: tuple[float, float]


KINDS = (
    Kind("Single-Arm Pole", 26, 1.2, 0.0, (5.5, 7.5)),
    Kind("Warning Sign", 12, 0.85, 1.6, (4.8, 7.0)),
    Kind("Information Sign", 9, 2.6, 2.2, (5.0, 9.0)),
    Kind("Bus Stop", 3, 0.6, 0.0, (5.0, 7.0)),
    Kind("Pavilion", 3, 4.0, 0.0, (7.0, 11.0)),
    Kind("Pedestrian Bridge", 0.5, 30.0, 0.0, (0.0, 0.0)),
)
LINE_PER_KM = 2.0


@dataclass(frozen=True)
class Noise:
    """What a drive gets wrong."""

    gnss_sigma_m: float = 2.0  # an axis, correlated over …
    gnss_memory_s: float = 120.0
    jitter_m: float = 0.3  # of one frame's position
    yaw_sigma_deg: float = 1.5  # one a drive
    heading_jitter_deg: float = 0.25
    pitch_sigma_deg: float = 0.35
    edge_px: float = 3.0
    recall: float = 0.85
    false_per_frame: float = 0.1
    hidden: float = 0.03  # share of the assets that a drive cannot see
    told: bool = False  # whether the drive says how sure its positions and headings are
    ranged: bool = True  # whether it has ranges


@dataclass
class Highway:
    """A road and its assets, by chainage s and offset d to the right, in metres."""

    seed: int
    length_m: float
    lon: float = 100.5
    lat: float = 14.0
    nights: int = 10
    changing: float = 0.05  # share of the point assets removed on a night, and the same share added
    kind: np.ndarray = field(init=False)
    s: Floats = field(init=False)
    d: Floats = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.home = LocalFrame(self.lon, self.lat)
        self._s = np.arange(-200.0, self.length_m + 400.0, 2.0)
        turns = lfilter([1.0], [1.0, -0.997], rng.normal(0, 1.2e-5, len(self._s)))  # curvature, 1/m
        course = np.radians(rng.uniform(0, 360)) + np.cumsum(turns) * 2.0
        self._course = course
        self._x, self._y = np.cumsum(np.sin(course)) * 2.0, np.cumsum(np.cos(course)) * 2.0
        parts = [_row_of(kind, n, self.length_m, rng) for n, kind in enumerate(KINDS)]
        self.kind, self.s, self.d = (np.concatenate(column) for column in zip(*parts, strict=True))
        n = len(self.s)
        classes = [HIGHWAY.get(kind.name) for kind in KINDS]
        spread = np.array([c.height_rel_sigma for c in classes])[self.kind]
        self.height = np.array([c.height_m for c in classes])[self.kind] * np.exp(rng.normal(0, 1, n) * spread)
        self.first, self.last = np.ones(n, int), np.full(n, 10**6)
        fate = rng.random(n)
        late = max(2, self.nights - 1)
        removed, added = fate < self.changing, (fate >= self.changing) & (fate < 2 * self.changing)
        self.last[removed] = rng.integers(2, late, removed.sum()) if late > 2 else 1
        self.first[added] = rng.integers(3, late + 1, added.sum()) if late > 2 else 1
        starts = np.sort(rng.uniform(50, self.length_m - 400, int(self.length_m / 1000 * LINE_PER_KM)))
        ends = starts + rng.uniform(40, 300, len(starts))
        kept = np.r_[True, starts[1:] > ends[:-1] + 30] & (ends < self.length_m - 20)
        self.lines = np.stack([starts, ends, rng.choice([-1, 1], len(starts)) * rng.uniform(4.0, 5.5, len(starts))], 1)
        self.lines = self.lines[kept]

    def course(self, s: Floats) -> Floats:
        """Direction of the road in radians, clockwise from north."""
        return np.interp(s, self._s, self._course)

    def xy(self, s: Floats, d: Floats) -> Floats:
        course = self.course(s)
        x, y = np.interp(s, self._s, self._x), np.interp(s, self._s, self._y)
        return np.stack([x + d * np.cos(course), y - d * np.sin(course)], axis=-1)

    def stands(self, night: int) -> np.ndarray:
        """Of the point and overhead assets, nights counted from 1."""
        return (self.first <= night) & (night <= self.last)

    def truth(self) -> pa.Table:
        """As the simulator's truth/assets.parquet."""
        lon, lat = self.home.to_lonlat(*self.xy(self.s, self.d).T)
        rows = [
            {
                "asset_id": f"{self.seed}/p{n}",
                "class": KINDS[self.kind[n]].name,
                "geometry": HIGHWAY.get(KINDS[self.kind[n]].name).geometry.value,
                "lon": lon[n],
                "lat": lat[n],
                "lons": [lon[n]],
                "lats": [lat[n]],
                "first_night": int(self.first[n]),
                "last_night": int(self.last[n]),
            }
            for n in range(len(lon))
        ]
        for n, (start, end, offset) in enumerate(self.lines):
            s = np.linspace(start, end, 60)
            lons, lats = self.home.to_lonlat(*self.xy(s, np.full(60, offset)).T)
            line = {
                "asset_id": f"{self.seed}/l{n}",
                "class": LINE,
                "geometry": "line",
                "lon": lons[30],
                "lat": lats[30],
            }
            rows.append(line | {"lons": lons.tolist(), "lats": lats.tolist(), "first_night": 1, "last_night": 10**6})
        return pa.Table.from_pylist(rows)


def _row_of(kind: Kind, number: int, length_m: float, rng) -> tuple[np.ndarray, Floats, Floats]:
    """Where the assets of one class stand: never closer together on one side than their class allows."""
    n = max(1, rng.poisson(kind.per_km * length_m / 1000))
    s = np.sort(rng.uniform(20, length_m - 20, n))
    side = np.zeros(n) if kind.offset_m[1] == 0 else rng.choice([-1.0, 1.0], n)
    apart = HIGHWAY.get(kind.name).merge_m * 1.3
    kept, last = [], {-1.0: -1e9, 0.0: -1e9, 1.0: -1e9}
    for k in range(n):
        if s[k] - last[side[k]] >= apart:
            kept.append(k)
            last[side[k]] = s[k]
    s, side = s[kept], side[kept]
    return np.full(len(s), number), s, side * rng.uniform(*kind.offset_m, len(s))


def drive(highway: Highway, night: int, noise: Noise = Noise(), speed_mps: float = 22.0) -> DriveTables:
    """One night's drive along the whole road, two frames a second; nights counted from 1."""
    rng = np.random.default_rng((highway.seed, night, 11))
    drive_id = f"r{highway.seed:04d}-n{night:02d}"
    step = speed_mps / 2
    s = np.arange(0.0, highway.length_m, step) + rng.uniform(0, step)
    n = len(s)
    camera = highway.xy(s, np.zeros(n))
    heading = np.degrees(highway.course(s))
    keep = np.exp(-0.5 / noise.gnss_memory_s)
    white = rng.normal(0, np.sqrt(1 - keep**2), (n, 2))
    white[0] = rng.normal(0, 1, 2)
    bias = noise.gnss_sigma_m * lfilter([1.0], [1.0, -keep], white, axis=0)
    lon, lat = highway.home.to_lonlat(*(camera + bias + rng.normal(0, noise.jitter_m, (n, 2))).T)
    said = (heading + rng.normal(0, noise.yaw_sigma_deg) + rng.normal(0, noise.heading_jitter_deg, n)) % 360
    frame, name, box = _seen(highway, night, s, camera, heading, noise, rng)
    places = measure(CAMERA, box, name, HIGHWAY, 0.0)
    rows = {key: np.asarray(value) for key, value in places.items() if key != "range_source"}
    if not noise.ranged:
        rows["range_m"] = rows["range_sigma_m"] = np.full(len(frame), np.nan)
    for key in ("bearing_deg", "near_bearing_deg", "far_bearing_deg"):
        rows[key] = (rows[key] + said[frame]) % 360
    ids = np.char.add(f"{drive_id}-", np.char.zfill(np.arange(n).astype(str), 6))
    times = START_US + night * DAY_US + (np.arange(n) * 5e5).astype(np.int64)
    shared = {
        "drive_id": [drive_id] * n,
        "frame_id": ids,
        "image_uri": np.char.add(ids, ".jpg"),
        "captured_at": pa.array(times, pa.timestamp("us", tz="UTC")),
        "camera_lon": lon,
        "camera_lat": lat,
        "heading_deg": said,
        "run_key": ["simulated"] * n,
    }
    if noise.told:
        shared["pos_sigma_m"] = np.full(n, np.sqrt(2) * np.hypot(noise.gnss_sigma_m, noise.jitter_m))
        shared["heading_sigma_deg"] = np.full(n, np.hypot(noise.yaw_sigma_deg, noise.heading_jitter_deg))
    frames = shared | {
        "camera_id": ["front"] * n,
        "fov_deg": np.full(n, CAMERA.fov_deg),
        "status": ["ok"] * n,
        "width_px": np.full(n, CAMERA.width_px),
        "height_px": np.full(n, CAMERA.height_px),
        "n_detections": np.bincount(frame, minlength=n),
    }
    m = len(frame)
    score = np.where(rng.random(m) < 0.5, rng.uniform(0.4, 0.95, m), rng.uniform(0.6, 0.95, m))
    observations = {key: pa.array(value).take(pa.array(frame)) for key, value in shared.items()}
    observations |= {
        "observation_id": np.char.add(f"{drive_id}/", np.arange(m).astype(str)),
        "class": name,
        "score": score,
        "box_px": pa.FixedSizeListArray.from_arrays(pa.array(box.ravel(), pa.float32()), 4),
        "model_sha256": ["0" * 64] * m,
        "code_version": ["0"] * m,
        **{key: pa.array(value, from_pandas=True) for key, value in rows.items()},
        "range_source": pa.array(places["range_source"], pa.string()),
    }
    return DriveTables(drive_id, _table(frames, FRAMES), _table(observations, OBSERVATIONS))


def _seen(highway: Highway, night: int, s: Floats, camera: Floats, heading: Floats, noise: Noise, rng):
    """Frame, class and box of every detection, by frame."""
    pitch = np.radians(noise.pitch_sigma_deg) * lfilter([0.8], [1.0, -0.6], rng.normal(0, 1, len(s)))
    standing = np.flatnonzero(highway.stands(night) & (rng.random(len(highway.s)) >= noise.hidden))
    order = np.argsort(highway.s[standing])
    standing = standing[order]
    first = np.searchsorted(highway.s[standing], s + 3)
    last = np.searchsorted(highway.s[standing], s + 90)
    frame = np.repeat(np.arange(len(s)), last - first)
    asset = standing[
        np.arange(len(frame))
        - np.repeat(np.cumsum(last - first) - (last - first), last - first)
        + np.repeat(first, last - first)
    ]
    off = highway.xy(highway.s[asset], highway.d[asset]) - camera[frame]
    width = np.array([k.width_m for k in KINDS])[highway.kind[asset]]
    base = np.array([k.base_m for k in KINDS])[highway.kind[asset]]
    box, depth = _boxes(off, np.radians(heading[frame]), width, base, highway.height[asset], pitch[frame])
    chance = noise.recall * np.clip((95 - depth) / 45, 0, 1) * np.clip(((box[:, 3] - box[:, 1]) - 8) / 12, 0, 1)
    inside = np.clip(box, 0, [CAMERA.width_px, CAMERA.height_px] * 2)
    share = (
        (inside[:, 2] - inside[:, 0])
        / (box[:, 2] - box[:, 0])
        * (inside[:, 3] - inside[:, 1])
        / (box[:, 3] - box[:, 1])
    )
    need = np.where(width > 20, 0.2, 0.5)  # a bridge is wider than the image
    good = (depth > 3) & (share > need) & (rng.random(len(depth)) < chance)
    frames, boxes = [frame[good]], [inside[good]]
    names = [np.array([k.name for k in KINDS])[highway.kind[asset[good]]]]
    for start, end, offset in highway.lines:
        rows = np.flatnonzero((s > start - 70) & (s < end) & (rng.random(len(s)) < noise.recall))
        for row in rows.tolist():
            at = np.arange(max(start, s[row] + 2), min(end, s[row] + 70), 1.0)
            if len(at) < 2:
                continue
            off = highway.xy(at, np.full(len(at), offset)) - camera[row]
            box, _ = _boxes(off, np.radians(heading[row]), 0.3, 0.0, 0.85, pitch[row])
            middle = (box[:, 0] + box[:, 2]) / 2
            shown = (middle > 0) & (middle < CAMERA.width_px)
            if shown.sum() < 3:
                continue
            edge = np.r_[box[shown, :2].min(axis=0), box[shown, 2:].max(axis=0)]
            frames.append(np.array([row]))
            boxes.append(np.clip(edge, 0, [CAMERA.width_px, CAMERA.height_px] * 2)[None])
            names.append(np.array([LINE]))
    wrong = np.repeat(np.arange(len(s)), rng.poisson(noise.false_per_frame, len(s)))
    size = rng.uniform(20, 120, len(wrong))
    u, v = rng.uniform(100, 1800, len(wrong)), rng.uniform(400, 620, len(wrong))
    frames.append(wrong)
    boxes.append(np.stack([u, v, u + size, v + size * 1.3], 1))
    names.append(rng.choice([k.name for k in KINDS] + [LINE], len(wrong)))
    frame, box, name = np.concatenate(frames), np.concatenate(boxes), np.concatenate(names)
    box = np.clip(box + rng.normal(0, noise.edge_px, box.shape), 0, [CAMERA.width_px, CAMERA.height_px] * 2)
    box[:, 2:] = np.maximum(box[:, 2:], box[:, :2] + 2)
    order = np.argsort(frame, kind="stable")
    return frame[order], name[order], box[order]


def _boxes(off: Floats, axis: Floats, width, base, height, pitch) -> tuple[Floats, Floats]:
    """Boxes (n, 4) of upright things at offsets (n, 2) from the camera, and their depths."""
    depth = off[:, 0] * np.sin(axis) + off[:, 1] * np.cos(axis)
    across = off[:, 0] * np.cos(axis) - off[:, 1] * np.sin(axis)
    z = np.maximum(depth, 1.0)
    f, cx, cy = CAMERA.focal_px, CAMERA.width_px / 2, CAMERA.height_px / 2
    low = cy + f * np.tan(np.arctan2(CAMERA.mount_height_m - base, z) + pitch)
    high = cy + f * np.tan(np.arctan2(CAMERA.mount_height_m - base - height, z) + pitch)
    left, right = cx + f * (across - width / 2) / z, cx + f * (across + width / 2) / z
    return np.stack([left, high, right, low], axis=1), depth


def _table(columns: dict, schema: pa.Schema) -> pa.Table:
    n = len(columns["drive_id"])
    arrays = [pa.nulls(n, f.type) if f.name not in columns else _array(columns[f.name]).cast(f.type) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(value) -> pa.Array:
    return value if isinstance(value, pa.Array) else pa.array(value)
