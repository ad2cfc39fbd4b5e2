"""A build and some of its drives to the prior of the next build, which leaves these out.

What they said is summed as the build has it: positions by their information, each drive's bias taken away; existence by
the filter, up to the last of them; detections by their tally. Nothing of it is computed again later.

Legend: D drives, N assets of the build, P of the prior. ENU metres.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.config import ExistenceConfig
from roadscan.inventory.drive.estimates import LineSegment
from roadscan.inventory.drive.passes import DrivePass
from roadscan.inventory.fuse.existence import REFUTED, Belief, Standing, State, filter_existence
from roadscan.inventory.fuse.lines import LineAssets, Nights
from roadscan.inventory.fuse.points import PointAssets, bias_information, sectors_of
from roadscan.inventory.fuse.pool import ALIGNED_SIGMA_M, weighted_means
from roadscan.inventory.fuse.prior import LinePrior, PointPrior, changes_of, renumbered
from roadscan.inventory.fuse.visibility import Visibility, sector_of

UNTOLD_SIGMA_M = 100.0  # of an asset that the prior has only looked for


def fold_points(assets: PointAssets, out: Bools, config: ExistenceConfig) -> PointPrior:
    """What the drives that are left out, and those before them, say of point and overhead assets.

    Args:
        assets: of all drives.
        out: (D,) which drives are left out.
        config: probabilities.
    """
    pool, before, n = assets.pool, assets.before, len(assets.xy)
    drives = [seen.view.drive for seen in assets.observations]
    standing = _standing(assets.visibility, assets.ratio, assets.located, before.belief, out, config)
    gone = np.append(out, [False, True])[pool.drive]  # the last are those of control points and of the prior
    asset = assets.association.asset
    keep = _kept(standing.belief, assets.standing, asset[~gone & (asset >= 0) & (pool.drive >= 0)])
    keep = keep[np.argsort(assets.first[keep], kind="stable")]
    said = np.flatnonzero(gone & (asset >= 0))
    met, number = np.unique(asset[said], return_inverse=True)
    xy, cov, placed = assets.xy.copy(), assets.cov.copy(), pool.placed_cov
    xy[met], cov[met] = weighted_means(number, pool.xy[said] + assets.association.shift[said], placed[said], len(met))
    raw_xy, clock = assets.xy.copy(), assets.association.clock
    biased = placed[said] + np.eye(2) * pool.sigma_m[said, None, None] ** 2
    raw_xy[met], _ = weighted_means(number, pool.raw_xy[said] + clock[said], biased, len(met))
    information = bias_information(pool, asset, said, n)
    reach_m = before.reach_m.copy()
    np.maximum.at(reach_m, asset[said], np.abs(pool.offset_m[said]))
    witnesses = [seen for seen, left in zip(assets.observations, out, strict=True) if left]
    shown = assets.shown.take(out[assets.shown.drive])
    return PointPrior(
        class_name=np.asarray(assets.class_names, dtype=np.str_)[assets.class_index[keep]],
        xy=xy[keep],
        raw_xy=raw_xy[keep],
        cov=cov[keep] - np.eye(2) * ALIGNED_SIGMA_M**2,
        sigma_m=1 / np.sqrt(np.maximum(information[keep], UNTOLD_SIGMA_M**-2.0)),
        offset_m=pool.offset_m[assets.first[keep]],
        course=pool.course[assets.first[keep]],
        reach_m=reach_m[keep],
        sectors=(before.sectors | sectors_of(witnesses, n))[keep],
        tally=before.tally.plus(shown, drives).take(keep),
        belief=standing.belief.take(keep),
        changes=_renumbered(pa.concat_tables([before.changes, changes_of(drives, standing)]), keep, n),
    )


def fold_lines(assets: LineAssets, drives: list[DrivePass], out: Bools, config: ExistenceConfig) -> LinePrior:
    """What the drives that are left out, and those before them, say of line assets.

    Args:
        assets: of all drives.
        drives: (D,) these.
        out: (D,) which are left out.
        config: probabilities.
    """
    n = len(assets.lines)
    standing = _standing(assets.visibility, assets.ratio, assets.located, assets.before, out, config)
    gone = np.append(out, True)  # the last is the prior's
    seen = [number for number, line in enumerate(assets.lines) if any(not gone[by] for by, _ in line.segments)]
    keep = _kept(standing.belief, None, np.array(seen, np.int64))
    lines = [assets.lines[number] for number in keep.tolist()]
    said = [[(by, segment) for by, segment in line.segments if gone[by]] for line in lines]
    nights = [Nights.of(line.known, segments, drives, assets.prior) for line, segments in zip(lines, said, strict=True)]
    changes = pa.concat_tables([renumbered(assets.prior.changes, assets.of_prior), changes_of(drives, standing)])
    return LinePrior(
        class_names=[line.asset_class.name for line in lines],
        outlines=[line.outline for line in lines],
        segments=[_summed([segment for _, segment in segments]) for segments in said],
        nights=np.array([one.nights for one in nights], np.int64),
        last_day=np.array([one.last_day for one in nights], np.int64),
        last_drive=[one.last_drive for one in nights],
        belief=standing.belief.take(keep),
        changes=_renumbered(changes, keep, n),
    )


def _standing(
    visibility: Visibility,
    ratio: Floats,
    located: Bools,
    before: Belief,
    out: Bools,
    config: ExistenceConfig,
) -> Standing:
    """How assets stand after the drives that are left out, and what these changed."""
    rows = out[visibility.drive]
    said = Visibility(**{name: value[rows] for name, value in vars(visibility).items()})
    return filter_existence(said, ratio[rows], located, config, before)


def _kept(belief: Belief, standing: Standing | None, seen_later: Ints) -> Ints:
    """Which assets of a build the prior has: seen, and not refuted, or looked for in vain where later drives saw one.

    Args:
        belief: after the drives that are left out.
        standing: after all; None where nothing is refuted.
        seen_later: assets that the other drives saw.
    """
    later = np.zeros(len(belief.odds), bool)
    later[seen_later] = True
    refuted = np.zeros(len(later), bool)
    if standing is not None:
        refuted = (standing.state == State.CANDIDATE) & (standing.existence < REFUTED)
    return np.flatnonzero(np.where(belief.begun, ~refuted, belief.missed_before & later))


def _renumbered(changes: pa.Table, keep: Ints, n: int) -> pa.Table:
    """Changes of the assets kept, of n, by their new numbers."""
    number = np.full(n, -1)
    number[keep] = np.arange(len(keep))
    return renumbered(changes, number)


def _summed(segments: list[LineSegment]) -> list[LineSegment]:
    """Segments of one line as one for each sector that it was seen from, the first that was seen coming first."""
    by_sector: dict[int, list[LineSegment]] = {}
    for segment in segments:
        by_sector.setdefault(int(sector_of(np.array(segment.course))), []).append(segment)
    return [_one(part) for part in by_sector.values()]


def _one(segments: list[LineSegment]) -> LineSegment:
    """The first of segments, with the sums and extremes of all."""
    hits = sum(segment.hits for segment in segments)
    farthest = max(abs(segment.offset_m) for segment in segments)
    return replace(
        segments[0],
        rows=np.zeros(0, np.int64),
        cov=np.max([segment.cov for segment in segments], axis=0),
        sigma_m=min(segment.sigma_m for segment in segments),
        offset_m=float(np.copysign(farthest, segments[0].offset_m)),
        hits=hits,
        mean_score=sum(segment.mean_score * segment.hits for segment in segments) / max(hits, 1),
        first_seen=min(segment.first_seen for segment in segments),
        last_seen=max(segment.last_seen for segment in segments),
        best_view=max((segment.best_view for segment in segments), key=lambda view: view.weight),
    )
