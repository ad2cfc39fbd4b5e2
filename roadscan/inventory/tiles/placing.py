"""The register on the linear reference, with no more of the drives read than it takes.

What is as it was keeps its kilometre, and a drive its coverage, while the reference is the same file with the same
settings; what has hardly moved keeps its centreline. For the others the frames of the drives that saw them last are
read.

Legend: N assets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.arrays import Ints
from roadscan.inventory.build import Built, DriveTables, asset_ids
from roadscan.inventory.reference import ReferenceConfig, read_reference, reference_digest
from roadscan.inventory.register.referencing import REFERENCED, Surveyed
from roadscan.inventory.tiles.partition import Tile
from roadscan.inventory.tiles.sources import Sources
from roadscan.schemas import ASSETS
from roadscan.survey.geodesy import WGS84

ABOUT_M = 2.0  # that an asset moves as another drive of its road is weighed, and is on the same centreline
UNCHANGED = ("class", "geometry", "last_seen")  # of an asset that keeps its kilometre


class Placing:
    """One run's assets and coverage on a linear reference.

    Args:
        config: of the reference.
        sources: the drives.
        coverage: `schemas.COVERAGE` published before.
    """

    def __init__(self, config: ReferenceConfig, sources: Sources, coverage: pa.Table) -> None:
        self._surveyed, self._digest = Surveyed(read_reference(config)), reference_digest(config)
        self._sources, self._coverage = sources, coverage
        self._added: set[str] = set()

    def add(self, tables: DriveTables) -> None:
        """Note what a drive that is read surveyed."""
        self._added.add(tables.drive_id)
        self._surveyed.add(tables.drive_id, tables.frames)

    def placed(self, built: Built, previous: pa.Table, carried: Mapping[Tile, Built]) -> Built:
        """The register with kilometres and coverage.

        Args:
            built: of all tiles.
            previous: the assets published before.
            carried: the tiles that are as they were.
        """
        coverage = self._covered()
        row = self._unchanged(built, previous, carried)
        others = np.flatnonzero(row < 0)
        table = built.assets.take(pa.array(others))
        on = self._centrelines_before(table, previous)
        for drive_id in self._surveyed.unknown_drives(table.filter(pa.array(on < 0))):
            self._surveyed.follow(drive_id, self._sources.frames(drive_id))
        both = pa.concat_tables([previous.select(REFERENCED), self._surveyed.place(table, on).select(REFERENCED)])
        row[others] = previous.num_rows + np.arange(len(others))
        assets = built.assets
        for name in REFERENCED:
            column = both[name].combine_chunks().take(pa.array(row))
            assets = assets.set_column(ASSETS.get_field_index(name), ASSETS.field(name), column)
        return replace(built, assets=assets, coverage=coverage)

    def _covered(self) -> pa.Table:
        """The coverage of all drives, of which those that are new or on another reference are read."""
        drives = self._sources.drives
        same = [one for one, drive in drives.items() if drive.reference == self._digest and one not in self._added]
        for drive_id in drives.keys() - set(same) - self._added:
            self._surveyed.add(drive_id, self._sources.frames(drive_id))
        self._same = frozenset(same)
        for drive_id, drive in drives.items():
            drives[drive_id] = replace(drive, reference=self._digest)
        return self._surveyed.coverage(
            self._coverage.filter(pc.is_in(self._coverage["drive_id"], pa.array(same, pa.string())))
        )

    def _unchanged(self, built: Built, previous: pa.Table, carried: Mapping[Tile, Built]) -> Ints:
        """The row of before of each asset whose place on the reference is the same, (N,), -1 for the others."""
        kept = pc.is_in(built.assets["asset_id"], asset_ids(carried.values())).to_numpy()
        row = np.where(kept, _rows_of(built.assets, previous), -1)
        there = np.flatnonzero(row >= 0)
        last = pc.fill_null(built.assets["last_drive_id"], "").take(pa.array(there))
        good = pc.is_in(last, pa.array(sorted(self._same), pa.string())).to_numpy()
        for name in UNCHANGED:
            now, before = built.assets[name].take(pa.array(there)), previous[name].take(pa.array(row[there]))
            good &= pc.fill_null(pc.equal(now, before), False).to_numpy()
        row[there[~good]] = -1
        return row

    def _centrelines_before(self, assets: pa.Table, previous: pa.Table) -> Ints:
        """The centreline of each asset that stands about where it stood, and was last seen by the same drive, (N,).

        -1 for the others. A drive that left one centreline for another within `ABOUT_M` of the asset may be on either.
        """
        row = _rows_of(assets, previous)
        there = np.flatnonzero(row >= 0)
        now, before = assets.take(pa.array(there)), previous.take(pa.array(row[there]))
        off_m = WGS84.inv(*(table[name].to_numpy() for table in (now, before) for name in ("lon", "lat")))[2]
        good = np.asarray(off_m) < ABOUT_M
        good &= pc.fill_null(pc.equal(now["last_drive_id"], before["last_drive_id"]), False).to_numpy()
        good &= pc.is_in(now["last_drive_id"], pa.array(sorted(self._same), pa.string())).to_numpy()
        index = np.full(len(row), -1)
        index[there[good]] = self._surveyed.centrelines_of(before.filter(pa.array(good)))
        return index


def _rows_of(assets: pa.Table, previous: pa.Table) -> Ints:
    """The row of before of each asset, (N,), -1 for none."""
    row = pc.index_in(assets["asset_id"], previous["asset_id"].combine_chunks())
    return np.asarray(pc.fill_null(row, -1).to_numpy(), np.int64)
