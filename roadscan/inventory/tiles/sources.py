"""A release and the settings to what a night has to build: which tiles, and what of which drives goes into each.

A drive's rows are read where they are new or have changed, or where what it says alone was not kept. A tile is built
where its key is not the kept one: a drive in it is new, has changed or is gone, or a setting is another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.inventory.build import Built, DriveTables
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.control import CONTROL
from roadscan.inventory.tiles.execute import BuiltTile, DrivePart, Step
from roadscan.inventory.tiles.kept import (
    Settings,
    SourceDrive,
    built_of,
    drive_digests,
    read_drives,
    read_estimates,
    read_prior,
    read_tiles,
)
from roadscan.inventory.tiles.partition import Tile, around, partition, tile_name
from roadscan.schemas import OBSERVATIONS, TILE_PRIORS
from roadscan.taxonomy import HIGHWAY, Taxonomy
from roadscan.warehouse import Release, Warehouse

OBSERVATION_COLUMNS = [name for name in OBSERVATIONS.names if name != "mask_rle"]  # the largest column, and not used


class Sources:
    """The drives of a release, and what of an earlier night's work on them still holds.

    Args:
        warehouse: where they are.
        release: which state.
        config: the thresholds.
        full: whether nothing of an earlier night is used.
        anew: tiles of which nothing of an earlier night is used.
        control: `roadscan.inventory.control.CONTROL`; a tile is built again where those there are others.
        taxonomy: what is known of the classes.

    Attributes:
        control, taxonomy: as given.
        drives: by id, in the order in which they were driven; one without any time comes last.
        keys: of each tile that a drive lies in; complete once `parts` is exhausted.
        to_build: tiles that are not as they were kept; likewise.
        read: drives whose rows were read, so far.
        without_bearing: of those, with how many detections, where no detection has a bearing.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        release: Release,
        config: InventoryConfig,
        *,
        full: bool = False,
        anew: Collection[Tile] = (),
        control: pa.Table | None = None,
        taxonomy: Taxonomy = HIGHWAY,
    ) -> None:
        self._warehouse, self._release, self._full, self._anew = warehouse, release, full, anew
        self._settings = Settings.of(config, taxonomy)
        self.taxonomy = taxonomy
        self.control = CONTROL.empty_table() if control is None else control
        self._kept = {} if full else read_tiles(warehouse, release)
        self.drives = _in_order(warehouse, release, {} if full else read_drives(warehouse, release))
        self._order = {drive_id: number for number, drive_id in enumerate(self.drives)}
        self.keys: dict[Tile, str] = {}
        self.to_build: set[Tile] = set()
        self.read: list[str] = []
        self.without_bearing: dict[str, int] = {}

    def parts(
        self, step: Step, on_read: Callable[[DriveTables], None] | None = None
    ) -> Iterator[tuple[Tile, DrivePart]]:
        """What the tiles that have to be built are built from.

        Args:
            step: called for each drive that is read.
            on_read: called with the rows of each, where given.
        """
        new = [drive_id for drive_id, drive in self.drives.items() if drive.tiles is None]
        for drive_id in new:
            tiles = []
            for tile, part in self._parts_of(drive_id, on_read):
                tiles.append(tile)
                yield tile, part
            self.drives[drive_id] = replace(self.drives[drive_id], tiles=tuple(tiles))
            step(len(self.read), len(new), "drives read")
        lost: dict[str, set[Tile]] = {}
        for tile, drive_ids in self._choose().items():
            records, prior = self._records(tile), self._prior(tile)
            before = set(prior["drive_ids"][0].as_py() if prior else ())
            yield from ((tile, part) for part in self._kept_parts(records, prior))
            for drive_id in drive_ids:
                if drive_id not in before and drive_id not in records and drive_id not in self.read:
                    lost.setdefault(drive_id, set()).add(tile)
        for drive_id, wanted in lost.items():
            yield from ((tile, part) for tile, part in self._parts_of(drive_id, on_read) if tile in wanted)
            step(len(self.read), len(new) + len(lost), "drives read")

    def parts_of_next(self, tile: Tile, made: BuiltTile | None) -> Iterator[tuple[Tile, DrivePart]]:
        """What the next night would build a tile from; to be asked once `parts` is exhausted.

        Args:
            tile: which one.
            made: what was built of it tonight; None where it is as it was kept.
        """
        if made is None:
            records, prior = self._records(tile), self._prior(tile)
        else:
            names = made.estimates["drive_id"].to_pylist()
            records = {name: made.estimates.slice(row, 1) for row, name in enumerate(names)}
            row = {"tile": tile_name(tile), "key": ""} | made.prior
            prior = pa.Table.from_pylist([row], schema=TILE_PRIORS) if made.prior["drive_ids"] else None
        yield from ((tile, part) for part in self._kept_parts(records, prior))

    def carried(self) -> dict[Tile, Built]:
        """The tiles that are as they were kept; to be asked once `parts` is exhausted."""
        return {tile: built_of(self._kept[tile]) for tile in self.keys if tile not in self.to_build}

    @property
    def on_reference(self) -> bool:
        """Whether the register was published with kilometres."""
        return any(drive.reference for drive in self.drives.values())

    def without_reference(self) -> None:
        """Forget which reference the drives' coverage is on, where none is published."""
        self.drives = {drive_id: replace(drive, reference=None) for drive_id, drive in self.drives.items()}

    def frames(self, drive_id: str) -> pa.Table:
        """A drive's rows of `schemas.FRAMES`."""
        return self._warehouse.read(self._release, "frames", drive_id=drive_id)

    def _kept_parts(self, records: Mapping[str, pa.Table], prior: pa.Table | None) -> Iterator[DrivePart]:
        """What was kept of drives and is no part of the prior, and the prior before it."""
        before = set(prior["drive_ids"][0].as_py() if prior else ())
        if prior:
            yield DrivePart.of_prior(prior)
        for drive_id in self.drives:
            if drive_id in records and drive_id not in before:
                yield DrivePart(self._order[drive_id], self._key(drive_id), record=records[drive_id])

    def _choose(self) -> dict[Tile, list[str]]:
        """The tiles to be built, with the drives in each; notes the keys of all."""
        drives_in: dict[Tile, list[str]] = {}
        for drive_id, drive in self.drives.items():
            for tile in drive.tiles or ():
                drives_in.setdefault(tile, []).append(drive_id)
        for tile, drive_ids in drives_in.items():
            self.keys[tile] = self.key_of(tile, drive_ids)
        self.to_build = {tile for tile, key in self.keys.items() if self._kept.get(tile, {}).get("key") != key}
        self.to_build |= self.keys.keys() & set(self._anew)
        self._with_seams()
        return {tile: drives_in[tile] for tile in sorted(self.to_build)}

    def _with_seams(self) -> None:
        """Build also the tiles beside those that are built, where they keep an id which stitching gave up.

        Put together with another piece than last night's, such a piece could bring its own id back.
        """
        published = set(self._warehouse.read(self._release, "assets", columns=["asset_id"])["asset_id"].to_pylist())
        looked_at, border = set(self.to_build), list(self.to_build)
        while border:
            column, row = border.pop()
            beside = {(column + i, row + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & self.keys.keys() - looked_at
            looked_at |= beside
            for tile in beside:
                if not set(built_of(self._kept[tile]).assets["asset_id"].to_pylist()) <= published:
                    self.to_build.add(tile)
                    border.append(tile)

    def _records(self, tile: Tile) -> dict[str, pa.Table]:
        """What drives say alone in a tile, as far as it was kept and still holds."""
        if self._full or tile in self._anew:
            return {}
        table = read_estimates(self._warehouse, self._release, tile)
        rows = zip(table["drive_id"].to_pylist(), table["key"].to_pylist(), strict=True)
        return {
            drive_id: table.slice(number, 1)
            for number, (drive_id, key) in enumerate(rows)
            if drive_id in self.drives and drive_id not in self.read and key == self._key(drive_id)
        }

    def _prior(self, tile: Tile) -> pa.Table | None:
        """What drives said that a tile's build leaves out, if those are as they were."""
        if self._full or tile in self._anew:
            return None
        prior = read_prior(self._warehouse, self._release, tile)
        if not prior.num_rows:
            return None
        drive_ids = prior["drive_ids"][0].as_py()
        there = all(one in self.drives and one not in self.read for one in drive_ids)
        return prior if drive_ids and there and prior["key"][0].as_py() == self.key_of(tile, drive_ids) else None

    def key_of(self, tile: Tile, drive_ids: Sequence[str]) -> str:
        """The key of what drives say together in a tile."""
        drives = [(one, self.drives[one].digest) for one in drive_ids]
        return self._settings.tile_key(drives, around(self.control, tile))

    def _parts_of(
        self, drive_id: str, on_read: Callable[[DriveTables], None] | None
    ) -> Iterator[tuple[Tile, DrivePart]]:
        observations = self._warehouse.read(
            self._release, "observations", drive_id=drive_id, columns=OBSERVATION_COLUMNS
        )
        tables = DriveTables(drive_id, self.frames(drive_id), observations)
        self.read.append(drive_id)
        if observations.num_rows and not pc.any(pc.is_finite(observations["bearing_deg"])).as_py():
            self.without_bearing[drive_id] = observations.num_rows
        if on_read:
            on_read(tables)
        for tile, part in partition(tables):
            yield tile, DrivePart(self._order[drive_id], self._key(drive_id), part)

    def _key(self, drive_id: str) -> str:
        return self._settings.estimates_key(self.drives[drive_id].digest)


def _in_order(warehouse: Warehouse, release: Release, known: dict[str, SourceDrive]) -> dict[str, SourceDrive]:
    """The drives of a release in the order in which they were driven; without tiles where those are not known."""
    digests = drive_digests(warehouse, release)
    fresh = {drive_id: SourceDrive(digest, None) for drive_id, digest in digests.items()}
    return fresh | {name: drive for name, drive in known.items() if name in fresh and drive.digest == digests[name]}
