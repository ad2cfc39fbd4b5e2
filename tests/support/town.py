"""A town with known signs, and what panoramas taken along its streets would tell of them: arrays only.

Streets are a grid, driven one after the other; each panorama looks all around and sees the signs of its own street and
of the crossing. What is drawn: where signs stand, of which a third is at crossings; which are missed, and what is found
that is not there; each bearing and each range on its own, and one error that all ranges share, as of a network that
tells depths; and how far each camera is off. Every row tells its sigmas, as the one who trained the network knows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import cKDTree

from roadscan.arrays import Floats, Ints
from roadscan.survey.geodesy import LocalFrame

CLASS = "Traffic Light"
START_US = int(datetime(2026, 3, 1, 9, tzinfo=UTC).timestamp() * 1e6)
STEP_S = 2  # between panoramas
APART_M = 5.0  # no two signs are nearer to each other


@dataclass
class Town:
    """A town, its signs and its camera places, ENU metres."""

    seed: int
    signs: int = 190
    places: int = 1300
    streets: int = 6  # each way
    step_m: float = 10.0
    reach_m: float = 35.0  # to which a sign is seen
    bearing_sigma_deg: float = 6.7
    range_rel_sigma: float = 0.27  # of which …
    range_rel_bias: float = 0.15  # … is common to all
    camera_sigma_m: float = 0.5  # an axis
    recall: float = 0.7
    false_per_place: float = 0.3
    xy: Floats = field(init=False)
    camera: Floats = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.home = LocalFrame(-0.14, 51.51)
        length = self.places * self.step_m / (2 * self.streets)
        self._block = length / (self.streets - 1)
        along = (np.arange(self.places) % (self.places // (2 * self.streets))) * self.step_m
        street = np.minimum(np.arange(self.places) // (self.places // (2 * self.streets)), 2 * self.streets - 1)
        along = np.where(street % 2, length - along, along)  # up one street and down the next
        self.street = street
        self._heading = np.where(street < self.streets, 90.0, 0.0) + np.where(street % 2, 180.0, 0.0)
        self.camera = _on_street(street, along, np.zeros(self.places), self.streets, self._block)
        self.xy, self.on = self._signs(rng, length)

    def _signs(self, rng: np.random.Generator, length: float) -> tuple[Floats, Ints]:
        """Where signs stand, and on which street."""
        placed: list[Floats] = []
        streets: list[int] = []
        while len(placed) < self.signs:
            street = int(rng.integers(2 * self.streets))
            along = rng.uniform(0, length)
            if rng.random() < 2 / 3:  # at a crossing
                along = self._block * rng.integers(self.streets) + rng.choice([-1, 1]) * rng.uniform(6, 9)
            offset = rng.choice([-1, 1]) * rng.uniform(5, 9)
            (xy,) = _on_street(np.array([street]), np.array([along]), np.array([offset]), self.streets, self._block)
            if all(np.hypot(*(xy - other)) >= APART_M for other in placed):
                placed.append(xy)
                streets.append(street)
        return np.array(placed), np.array(streets)

    def truth(self) -> pa.Table:
        """As the simulator's truth/assets.parquet."""
        lon, lat = self.home.to_lonlat(*self.xy.T)
        rows = [
            {"asset_id": f"s{n}", "class": CLASS, "geometry": "point", "lon": lon[n], "lat": lat[n]}
            | {"lons": [lon[n]], "lats": [lat[n]], "first_night": 1, "last_night": 10**6}
            for n in range(self.signs)
        ]
        return pa.Table.from_pylist(rows)

    def observations(self) -> pa.Table:
        """A table as another detector's program writes it: one drive, its panoramas in the order they were taken."""
        rng = np.random.default_rng((self.seed, 11))
        place, sign = self._pairs()
        seen = rng.random(len(place)) < self.recall
        place, sign = place[seen], sign[seen]
        off = self.xy[sign] - self.camera[place]
        invented = np.repeat(np.arange(self.places), rng.poisson(self.false_per_place, self.places))
        n, wrong = len(place) + len(invented), len(invented)
        own = np.sqrt(self.range_rel_sigma**2 - self.range_rel_bias**2)
        stretch = np.exp(self.range_rel_bias + rng.normal(0, own, len(place)))
        bearing = np.degrees(np.arctan2(*off.T)) + rng.normal(0, self.bearing_sigma_deg, len(place))
        place = np.append(place, invented)
        range_m = np.append(np.hypot(*off.T) * stretch, rng.uniform(5, self.reach_m, wrong))
        lon, lat = self.home.to_lonlat(*(self.camera + rng.normal(0, self.camera_sigma_m, self.camera.shape)).T)
        table = pa.table({
            "drive_id": pa.array(["town"] * n),
            "frame_id": [f"p{one:05d}" for one in place],
            "captured_at": pa.array(START_US + place * STEP_S * 1_000_000, pa.timestamp("us", tz="UTC")),
            "camera_lon": lon[place],
            "camera_lat": lat[place],
            "class": [CLASS] * n,
            "score": np.append(rng.uniform(0.5, 0.95, n - wrong), rng.uniform(0.3, 0.8, wrong)),
            "bearing_deg": np.append(bearing, rng.uniform(0, 360, wrong)) % 360,
            "range_m": range_m,
            "bearing_sigma_deg": np.full(n, self.bearing_sigma_deg),
            "range_sigma_m": range_m * self.range_rel_sigma,
            "heading_deg": self._heading[place],
            "fov_deg": np.full(n, 360.0),
            "pos_sigma_m": np.full(n, self.camera_sigma_m * np.sqrt(2)),
        })  # fmt: skip
        return table.take(pa.array(np.argsort(place, kind="stable")))

    def _pairs(self) -> tuple[Ints, Ints]:
        """Camera places and the signs that stand in their view."""
        near = cKDTree(self.camera).query_ball_point(self.xy, self.reach_m)
        sign = np.repeat(np.arange(self.signs), [len(one) for one in near])
        place = np.concatenate([*near, []]).astype(np.int64)
        at_crossing = self._to_crossing(self.xy)[sign] < 15
        shown = (self.street[place] == self.on[sign]) | (at_crossing & (self._to_crossing(self.camera)[place] < 25))
        return place[shown], sign[shown]

    def _to_crossing(self, xy: Floats) -> Floats:
        """How far places are from the nearest crossing, metres."""
        return np.hypot(*(np.remainder(xy + self._block / 2, self._block) - self._block / 2).T)


def _on_street(street: Ints, along: Floats, offset: Floats, streets: int, block: float) -> Floats:
    """Places along streets, the first half of which run east and the others north."""
    east = street < streets
    across = (street % streets) * block + offset
    return np.stack([np.where(east, along, across), np.where(east, across, along)], axis=1)


def shuffled(table: pa.Table, seed: int = 0) -> pa.Table:
    """The same, its frames taken in a random order."""
    frames = table["frame_id"].combine_chunks().dictionary_encode()
    first = np.unique(frames.indices.to_numpy(), return_index=True)[1]
    times = table["captured_at"].take(pa.array(first)).combine_chunks()
    times = times.take(pa.array(np.random.default_rng(seed).permutation(len(first))))
    return table.set_column(table.column_names.index("captured_at"), "captured_at", times.take(frames.indices))


def one_drive_a_frame(table: pa.Table) -> pa.Table:
    """The same, each frame a drive of its own."""
    return table.set_column(table.column_names.index("drive_id"), "drive_id", table["frame_id"])


def partly_one_drive_a_frame(table: pa.Table) -> pa.Table:
    """The same, a third of the frames each a drive of its own."""
    alone = pa.array(np.unique(table["frame_id"].to_pylist(), return_inverse=True)[1] % 3 == 0)
    drive_id = pc.if_else(alone, table["frame_id"], table["drive_id"])
    return table.set_column(table.column_names.index("drive_id"), "drive_id", drive_id)
