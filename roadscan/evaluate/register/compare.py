"""Two registers against the same known assets: by how much the second is better or worse, and how sure that is.

Known assets cover stretches of the road, and a register the country, and one may have drives that the other has not. So
both are scored where known assets are: what a register has elsewhere, or of classes that nobody listed, is not looked
at. On these stretches every asset of the listed classes has to be known, or what is found besides counts as wrong.
Points and overhead assets are scored; lines are not, as a line has no one place to be near.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.arrays import Bools
from roadscan.evaluate.bootstrap import RESAMPLES
from roadscan.evaluate.register.intervals import Estimate, block_numbers, differences
from roadscan.evaluate.register.scores import score_assets
from roadscan.evaluate.register.states import STANDING, in_state
from roadscan.evaluate.register.truth.known import Known, nearest_m

PLACE = pa.schema([("lon", pa.float64()), ("lat", pa.float64())])
NEAR_M = 50.0  # of a known asset: on its stretch


def compare_registers(
    current: pa.Table, candidate: pa.Table, known: Known, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """Rows of `ASSETS` of two registers -> ``precision`` and ``recall``, candidate minus current, with intervals.

    Args:
        current: the one that readers have.
        candidate: the other.
        known: every asset of its classes, wherever it is any.
        resamples: of blocks of a kilometre, for the intervals.
        seed: of the draw.
    """
    truth = known.standing.filter(pc.not_equal(known.standing["geometry"], "line"))
    registers = [_comparable(assets, truth) for assets in (current, candidate)]
    scores = [score_assets(assets, truth, seen=known.seen) for assets in registers]
    places = pa.concat_tables([table.select(PLACE.names).cast(PLACE) for table in (*registers, truth)])
    split = registers[0].num_rows, registers[0].num_rows + registers[1].num_rows
    blocks = block_numbers(places.slice(0, split[1]), places.slice(split[1]))
    old = replace(blocks, found=blocks.found[: split[0]])
    new = replace(blocks, found=blocks.found[split[0] :])
    tallies = [list(one.tallies.values()) for one in scores]
    return differences(tallies[0], tallies[1], (old, new), resamples, seed)


def _comparable(assets: pa.Table, truth: pa.Table) -> pa.Table:
    """What a register says to stand, of the classes and on the stretches of the truth."""
    standing = in_state(assets, STANDING)
    listed = pc.is_in(standing["class"], pc.unique(truth["class"]))
    points = standing.filter(pc.and_(listed, pc.is_null(standing["length_m"])))
    return points.filter(pa.array(_near(points, truth)))


def _near(assets: pa.Table, truth: pa.Table) -> Bools:
    places, others = (
        np.stack([table[name].to_numpy() for name in ("lon", "lat")], axis=1) for table in (assets, truth)
    )
    return np.asarray(nearest_m(places, others) <= NEAR_M)
