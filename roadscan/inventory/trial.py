"""New reviews to whether a register can be built upon them: the tiles that they touch, as the next night would."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa
import shapely

from roadscan.errors import ConfigError
from roadscan.inventory.build import Built
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.register.geoparquet import CORNERS
from roadscan.inventory.reviews import apply_reviews, named_in, rows_of, with_removed
from roadscan.inventory.tiles.execute import BuildTiles, BuiltTile, Previous, new_id
from roadscan.inventory.tiles.partition import Tile, tiles_of
from roadscan.inventory.tiles.sources import Sources
from roadscan.inventory.tiles.stitch import merge_tiles

SHOWN = 10  # assets named at once


class ReviewsRefused(ConfigError):
    """No register could be built with the new reviews."""


def tiles_touched(reviews: pa.Table, assets: pa.Table) -> set[Tile]:
    """The tiles of what reviews (`schemas.REVIEWS`) decide about, and of the assets that they name."""
    shapes = shapely.from_wkb(reviews["geometry"].to_pylist())
    boxes = [dict(zip(CORNERS, shape.bounds, strict=True)) for shape in shapes]
    return tiles_of([*boxes, *(row["bbox"] for row in rows_of(assets, named_in(reviews)).values())])


def try_reviews(
    new: pa.Table,
    reviews: pa.Table,
    built: Built,
    made: Mapping[Tile, BuiltTile],
    tiles: Collection[Tile],
    sources: Sources,
    build_tiles: BuildTiles,
    config: InventoryConfig,
) -> None:
    """Build some tiles again upon a register that is about to be published, and let the reviews apply again.

    Args:
        new: the reviews taken in tonight, to be named.
        reviews: all of them.
        built: the register with them.
        made: what was built tonight of these tiles.
        tiles: which ones.
        sources: of tonight.
        build_tiles: where the work is done.
        config: the thresholds.

    Raises:
        ReviewsRefused: they cannot be built, and why.
    """
    known = Previous(with_removed(built.assets, reviews), built.aliases, config, sources.control, sources.taxonomy)
    parts = (part for tile in sorted(tiles) for part in sources.parts_of_next(tile, made.get(tile)))
    try:
        again = [one.built.without_drives() for one in build_tiles(parts, known, lambda *_: None)]
        apply_reviews(merge_tiles(again, new_id, built.aliases), built.assets, reviews)
    except Exception as error:
        named = [f"{row['action']} of {row['asset_id']}" for row in new.to_pylist()]
        more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        raise ReviewsRefused(
            "reviews: nothing was taken in: the next night could not build the register with them "
            f"({', '.join(named[:SHOWN])}{more}); leave out the one that it fails with: {error}"
        ) from error
