"""What the inventory keeps in the warehouse from night to night, beside the register: by drive, and by tile.

    inventory_drives   which drives the register is made of, and where they lie
    drive_estimates    what each drive says alone in a tile, a file a tile
    tile_registers     what a tile's build came to, a file a tile
    tile_priors        what drives said that a tile's next build leaves out, a file a tile

Everything kept has a key, the digest of all that decides it, and is used only where the key is that of now. So nothing
stale is used, whatever changed: a drive, a setting, the program.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from roadscan.inventory.build import Built
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive import record
from roadscan.inventory.tiles.execute import BuiltTile
from roadscan.inventory.tiles.partition import MARGIN_DEG, TILE_DEG, Tile, read_tile, tile_name
from roadscan.packing import packed, unpacked
from roadscan.schemas import ASSET_ALIAS, ASSET_HISTORY, INVENTORY_DRIVES, TILE_PRIORS, TILE_REGISTERS
from roadscan.storage import sha256_hex
from roadscan.taxonomy import HIGHWAY, Taxonomy
from roadscan.warehouse import DataFile, Release, Warehouse

OF_TILES = ("drive_estimates", "tile_registers", "tile_priors")
KEPT = ("inventory_drives", *OF_TILES)
SAID = ("asset_history", "asset_observations")  # of the register, what drives said
#: Goes up with every change of `fuse/` or `register/` that changes what a tile's build comes to.
VERSION = 7
ALONE = ("noise", "tracking", "lines", "visibility")  # groups of the config that what a drive says alone depends on …
TOGETHER = ("matching", "existence")  # … and what drives say together depends on besides


@dataclass(frozen=True)
class SourceDrive:
    """A drive that the register is made of.

    Attributes:
        digest: of its run, see `drive_digests`.
        tiles: which it has a part in; None where that is not known yet.
        reference: digest of the linear reference that its coverage is on, or None.
    """

    digest: str
    tiles: tuple[Tile, ...] | None
    reference: str | None = None


@dataclass(frozen=True)
class Settings:
    """Digests of what else decides what is kept: the settings, the classes, the program.

    Attributes:
        alone: of what one drive says.
        together: of what a tile's build comes to.
    """

    alone: str
    together: str

    @staticmethod
    def of(config: InventoryConfig, taxonomy: Taxonomy = HIGHWAY) -> Settings:
        """The digests of a config and of what is known of the classes, with this program."""
        alone = [version("roadscan"), record.VERSION, repr(taxonomy), TILE_DEG, MARGIN_DEG, _groups(config, ALONE)]
        return Settings(_digest(alone), _digest([alone, VERSION, _groups(config, TOGETHER)]))

    def estimates_key(self, drive_digest: str) -> str:
        """The key of what a drive says alone."""
        return _digest([self.alone, drive_digest])

    def tile_key(self, drives: Sequence[tuple[str, str]], control: pa.Table | None = None) -> str:
        """The key of a tile's build or prior.

        Args:
            drives: names and digests of its drives, in their order.
            control: the control points there.
        """
        pinned = [] if control is None else [str(row) for row in control.to_pylist()]
        return _digest([self.together, drives, *pinned])


def _groups(config: InventoryConfig, names: Collection[str]) -> object:
    return config.model_dump(mode="json", include=set(names))


def _digest(tree: object) -> str:
    return sha256_hex(json.dumps(tree, sort_keys=True).encode())


def drive_digests(warehouse: Warehouse, release: Release) -> dict[str, str]:
    """The drives of a release in the order in which they were driven, and a digest of what `runs` tells of each.

    A drive's rows are others where its run is another one, or finished at another time. One without any time is last.
    What `runs` does not tell of it is not in the digest, so that a column that is added makes no drive another one.
    """
    runs = warehouse.read(release, "runs").sort_by([("started_at", "ascending"), ("drive_id", "ascending")])
    grid = [TILE_DEG, MARGIN_DEG]  # which tiles a drive lies in
    return {
        row["drive_id"]: _digest([grid, {name: str(value) for name, value in row.items() if value is not None}])
        for row in runs.to_pylist()
    }


def read_drives(warehouse: Warehouse, release: Release) -> dict[str, SourceDrive]:
    """The drives that a release's register is made of."""
    return {
        row["drive_id"]: SourceDrive(row["digest"], tuple(map(read_tile, row["tiles"])), row["reference"])
        for row in warehouse.read(release, "inventory_drives").to_pylist()
    }


def read_estimates(warehouse: Warehouse, release: Release, tile: Tile) -> pa.Table:
    """What drives say alone in a tile, `schemas.DRIVE_ESTIMATES`."""
    return warehouse.read_files(warehouse.files(release, "drive_estimates", folder=folder_of(tile)), "drive_estimates")


def read_tiles(warehouse: Warehouse, release: Release) -> dict[Tile, dict[str, Any]]:
    """The rows of `schemas.TILE_REGISTERS`, by tile."""
    return {read_tile(row["tile"]): row for row in warehouse.read(release, "tile_registers").to_pylist()}


def built_of(row: Mapping[str, Any]) -> Built:
    """A tile's build, without aliases, from its row of `schemas.TILE_REGISTERS`."""
    assets, changes = (unpacked(row[name]) for name in ("assets", "changes"))
    return Built(assets, changes, ASSET_HISTORY.empty_table(), ASSET_ALIAS.empty_table())


def read_prior(warehouse: Warehouse, release: Release, tile: Tile) -> pa.Table:
    """The prior of a tile's next build, a row of `schemas.TILE_PRIORS`, or none."""
    return warehouse.read_files(warehouse.files(release, "tile_priors", folder=folder_of(tile)), "tile_priors")


def write_tile(warehouse: Warehouse, made: BuiltTile, key: str, prior_key: str) -> list[DataFile]:
    """Write what a tile's build came to and what the next one is made of; the files, which no release names yet.

    Args:
        warehouse: where to.
        made: the tile.
        key: of its build.
        prior_key: of its prior.
    """
    row: dict[str, Any] = {"tile": tile_name(made.tile), "key": key}
    row |= {name: packed(getattr(made.built, name)) for name in ("assets", "changes")}
    prior = {"tile": tile_name(made.tile), "key": prior_key} | made.prior
    tables = {
        "drive_estimates": made.estimates,
        "tile_registers": pa.Table.from_pylist([row], schema=TILE_REGISTERS),
        "tile_priors": pa.Table.from_pylist([prior], schema=TILE_PRIORS),
    }
    folder = folder_of(made.tile)
    return [warehouse.write(name, rows, folder=folder) for name, rows in tables.items()]


def write_drives(warehouse: Warehouse, drives: Mapping[str, SourceDrive]) -> DataFile:
    """Write which drives the register is made of; the file, which no release names yet."""
    rows = [
        {"drive_id": drive_id, "tiles": [tile_name(tile) for tile in sorted(drive.tiles or ())]}
        | {name: getattr(drive, name) for name in ("digest", "reference")}
        for drive_id, drive in sorted(drives.items())
    ]
    table = pa.Table.from_pylist(rows, schema=INVENTORY_DRIVES)
    return warehouse.write("inventory_drives", table)


def carried_files(warehouse: Warehouse, release: Release, tiles: Collection[Tile]) -> list[DataFile]:
    """The files of `OF_TILES` that a release has of these tiles."""
    return [file for name in OF_TILES for file in warehouse.files(release, name) if tile_of(file) in tiles]


def tile_of(file: DataFile) -> Tile:
    """The tile that a file of `OF_TILES` is of."""
    folder = file.path.split("/")[1]
    return read_tile(folder.removeprefix("tile=").replace("_", ","))


def folder_of(tile: Tile) -> str:
    """The folder of a tile's files in their tables."""
    return f"tile={tile[0]}_{tile[1]}"
