"""Assets to their place on the department's own map: route, section, kilometre, by the centreline of who saw them.

Legend: F frames of a drive, N assets. Degrees.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from scipy.spatial import cKDTree

from roadscan.arrays import Floats, Ints
from roadscan.inventory.reference import LinearReference, coverage, uncovered
from roadscan.schemas import ASSETS, COVERAGE

TEXTS = ("route_code", "section_code", "district", "carriageway")
REFERENCED = (*TEXTS, "km_m", "km_end_m", "offset_m", "side", "lrs_version")  # columns of `schemas.ASSETS`


class Surveyed:
    """The drives on a linear reference: which centreline each frame was on, and what was covered."""

    def __init__(self, reference: LinearReference) -> None:
        self.reference = reference
        self._tracks: dict[str, tuple[Floats, Ints]] = {}
        self._rows: list[pa.Table] = []

    def add(self, drive_id: str, frames: pa.Table) -> None:
        """Place a drive's frames (`schemas.FRAMES`) and note what it covered; those that are not ok covered nothing."""
        self._place(drive_id, frames, covers=True)

    def follow(self, drive_id: str, frames: pa.Table) -> None:
        """Place a drive's frames, whose coverage is known already."""
        self._place(drive_id, frames, covers=False)

    def _place(self, drive_id: str, frames: pa.Table, *, covers: bool) -> None:
        placed = pc.and_(pc.is_valid(frames["camera_lon"]), pc.is_valid(frames["camera_lat"]))
        usable = pc.and_(pc.and_(pc.equal(frames["status"], "ok"), pc.is_valid(frames["captured_at"])), placed)
        frames = frames.filter(usable).sort_by([("captured_at", "ascending"), ("frame_id", "ascending")])
        lon, lat = (frames[name].to_numpy().astype(float) for name in ("camera_lon", "camera_lat"))
        if not len(lon):
            return
        index = self.reference.assign_track(lon, lat)
        times = frames["captured_at"].cast(pa.int64()).to_numpy()
        if covers:
            self._rows.append(coverage(self.reference, drive_id, lon, lat, times, index))
        self._tracks[drive_id] = (np.stack([lon, lat], axis=1), index)

    def coverage(self, known: pa.Table | None = None) -> pa.Table:
        """`schemas.COVERAGE`: every kilometre of every section with each drive that surveyed it, or without.

        Args:
            known: the rows of drives that were not added, if any.
        """
        covered = pa.concat_tables([COVERAGE.empty_table() if known is None else known, *self._rows])
        table = pa.concat_tables([covered, uncovered(self.reference, covered)])
        return table.sort_by([(name, "ascending") for name in ("route_code", "section_code", "km", "drive_id")])

    def centrelines_of(self, placed: pa.Table) -> Ints:
        """The number of the centreline on which each of assets was placed before, (N,), -1 where it cannot be told.

        Args:
            placed: `schemas.ASSETS` with the columns of the linear reference, of the same reference.
        """
        named: dict[tuple[str | None, ...], list[int]] = {}
        for number, line in enumerate(self.reference.centrelines):
            named.setdefault(tuple(getattr(line, name) for name in TEXTS), []).append(number)
        numbers = {name: of_name[0] for name, of_name in named.items() if len(of_name) == 1}
        names = zip(*(placed[name].to_pylist() for name in TEXTS), strict=True)
        return np.array([numbers.get(name, -1) for name in names], np.int64)

    def unknown_drives(self, assets: pa.Table) -> list[str]:
        """Drives that `place` asks for and that were neither added nor followed."""
        return sorted(set(last_drives(assets).tolist()) - self._tracks.keys() - {""})

    def place(self, assets: pa.Table, known: Ints | None = None) -> pa.Table:
        """The assets (`schemas.ASSETS`) with the columns of the linear reference.

        An asset belongs to the centreline that the last drive that saw it was on there: not to the nearest one, which
        beside a frontage road or below a bridge is another road's.

        Args:
            assets: which.
            known: (N,) the number of each one's centreline, -1 where the last drive is to tell it.
        """
        index = self._centrelines(assets) if known is None else np.where(known < 0, self._centrelines(assets), known)
        lon, lat = assets["lon"].to_numpy(), assets["lat"].to_numpy()
        found = self.reference.locate_on(index, lon, lat)
        none = np.asarray(found["index"]) < 0  # also where its own centreline is too far away
        km, end = np.asarray(found["km_m"]).astype(np.int64), np.full(len(index), -1, np.int64)
        for row in np.flatnonzero(assets["length_m"].is_valid().to_numpy() & ~none).tolist():
            vertices = shapely.get_coordinates(shapely.from_wkb(assets["geometry"][row].as_py()))
            at = self.reference.locate_on(int(index[row]), *vertices.T)
            along = np.asarray(at["km_m"])[np.asarray(at["index"]) >= 0]
            if len(along):
                km[row], end[row] = along.min(), along.max()
        columns = {name: pa.array(found[name], pa.string(), mask=none) for name in TEXTS}
        columns |= {
            "km_m": pa.array(km, pa.int32(), mask=none),
            "km_end_m": pa.array(end, pa.int32(), mask=end < 0),
            "offset_m": pa.array(found["offset_m"], pa.float64(), mask=none),
            "side": _sides(assets["side"], np.asarray(found["offset_m"])),
            "lrs_version": pa.array([self.reference.version] * len(index), pa.string(), mask=none),
        }
        for name, column in columns.items():
            assets = assets.set_column(ASSETS.get_field_index(name), ASSETS.field(name), column)
        return assets

    def _centrelines(self, assets: pa.Table) -> Ints:
        """The number of each asset's centreline, (N,), -1 for none."""
        drive = last_drives(assets)
        lonlat = np.stack([assets["lon"].to_numpy(), assets["lat"].to_numpy()], axis=1)
        index = np.full(len(drive), -1)
        for drive_id, (track, on) in self._tracks.items():
            mine = np.flatnonzero(drive == drive_id)
            if len(mine):
                scale = np.array([np.cos(np.radians(track[0, 1])), 1.0])
                index[mine] = on[cKDTree(track * scale).query(lonlat[mine] * scale)[1]]
        return index


def _sides(driven: pa.ChunkedArray, offset_m: Floats) -> pa.Array:
    """The side of the centreline that each asset is on; of what spans the road, or is on none, as drives have it."""
    there = pc.and_(pa.array(np.isfinite(offset_m)), pc.not_equal(driven.combine_chunks(), "overhead"))
    return pc.if_else(
        pc.fill_null(there, False), np.where(offset_m < 0, "left", "right").astype(object), driven.combine_chunks()
    )


def last_drives(assets: pa.Table) -> npt.NDArray[np.object_]:
    """The drive that saw each asset last, (N,); empty where none did."""
    return np.array(pc.fill_null(assets["last_drive_id"], "").to_pylist(), dtype=object)
