"""Which estimates of many drives are one asset, and by how much each drive's GNSS is off along its way.

Both questions need the other's answer, so they are asked in turn. Drives are taken in the order in which they were
driven; each one's estimates are assigned one to one to the assets so far, the rest start assets of their own. Then each
drive's bias is the smoothed difference between what it says and what all say, and with every drive moved by its bias
the question is asked again. The biases of all drives over one asset add up to about zero: the register stands where the
drives stand on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solveh_banded
from scipy.spatial import cKDTree

from roadscan.inventory.associate import GATE_CHI2, nearby_pairs, one_to_one
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import Ints
from roadscan.inventory.sightings import Landmarks
from roadscan.survey.geodesy import Floats
from roadscan.taxonomy import Geometry, Taxonomy

Bools = npt.NDArray[np.bool_]

ROUNDS = 3
SIDE_MARGIN_M = 2.0  # nearer to the path than this, left and right may be confused
SAME_WAY_COS = 0.7
ALIGNED_SIGMA_M = 0.7  # an axis, of a drive's position after its bias is taken away
SMOOTHINGS = 4
SHIFT_SAMPLES = 3  # fewer differences nearby make no bias
LATE_M = 60.0  # that a late clock may displace a drive along its way, at most
LATE_ACROSS_M = 6.0
LATE_STEP_M = 4.0
LATE_VOTES = 5  # landmarks that must agree on it, beyond half as many again as agree without
TWIN_REACH = 1.5  # of `merge_m`, for two assets that may be one as far as their covariances tell
TWIN_SHARE = 0.2  # of the drives that saw the rarer one: seen side by side more often than this, they are two


@dataclass(frozen=True)
class Pool:
    """The landmarks of all drives, (n,) each, by drive; positions in metres that all drives share.

    Attributes:
        drive: whose they are, 0…
        kind: index into the names of the classes.
        xy, cov: (n, 2) position and (n, 2, 2) covariance, as the drive alone has them.
        s, offset_m, course: see `roadscan.inventory.sightings.Landmarks`.
        starts: seen often enough to be an asset that no other drive has seen.
        gate_m: how far from it its asset may be, the drive's bias being unknown.
        merge_m: no two assets of its class are closer.
        overhead: it spans the road.
        frames: the frames that detected it, a frozenset each.
    """

    drive: Ints
    kind: Ints
    xy: Floats
    cov: Floats
    s: Floats
    offset_m: Floats
    course: Floats
    starts: Bools
    gate_m: Floats
    merge_m: Floats
    overhead: Bools
    frames: npt.NDArray[np.object_]

    def where(self, chosen: Ints | Bools) -> Pool:
        """Some of the landmarks."""
        return Pool(**{name: value[chosen] for name, value in vars(self).items()})


@dataclass(frozen=True)
class Association:
    """What the landmarks of a pool show.

    Attributes:
        asset: (n,) which asset, 0… in the order in which they were first seen; -1 for none.
        shift: (n, 2) metres from where its drive puts it to where all drives do.
    """

    asset: Ints
    shift: Floats


def pool_of(landmarks: list[Landmarks], names: list[str], taxonomy: Taxonomy, config: InventoryConfig) -> Pool:
    """The landmarks of drives, in the order of the drives."""

    def joined(attribute: str, *shape: int) -> Floats:
        parts = [np.asarray(getattr(one, attribute), float) for one in landmarks]
        return np.concatenate([np.zeros((0, *shape)), *parts])

    classes = [taxonomy.get(name) for name in names]
    code = {name: n for n, name in enumerate(names)}
    kind = np.array([code[str(name)] for one in landmarks for name in one.class_name], np.int64)
    overhead = np.array([c.geometry is Geometry.OVERHEAD for c in classes], bool)
    return Pool(
        drive=np.repeat(np.arange(len(landmarks)), [len(one.hits) for one in landmarks]),
        kind=kind,
        xy=joined("xy", 2),
        cov=joined("cov", 2, 2),
        s=joined("s"),
        offset_m=joined("offset_m"),
        course=joined("course"),
        starts=joined("hits") >= config.candidate_hits,
        gate_m=np.where(overhead, config.overhead_gate_m, config.match_gate_m)[kind],
        merge_m=np.array([c.merge_m for c in classes], float)[kind],
        overhead=overhead[kind],
        frames=np.fromiter((f for one in landmarks for f in one.frames), object, len(kind)),
    )


def associate(pool: Pool, config: InventoryConfig) -> Association:
    """The asset of every landmark, and every landmark's shift."""
    asset, start = _assign(pool, None, config)
    shift = start
    for _ in range(ROUNDS):
        asset = _joined(pool, asset, shift)
        shift = start + _shifts(pool, asset, shift, start, config)
        asset, _ = _assign(pool, shift, config)
    return Association(_joined(pool, asset, shift), shift)


class _Assets:
    """Assets while drives are added: the information-weighted mean of what was said of each."""

    def __init__(self, capacity: int) -> None:
        self.size = 0
        self.information = np.zeros((capacity, 2, 2))
        self.weighted = np.zeros((capacity, 2))
        self.xy = np.zeros((capacity, 2))
        self.cov = np.zeros((capacity, 2, 2))
        self.first = np.zeros(capacity, np.int64)  # the landmark that started it

    def add(self, asset: Ints, xy: Floats, cov: Floats) -> None:
        """Put one more estimate into each of the assets."""
        information = np.linalg.inv(cov)
        self.information[asset] += information
        self.weighted[asset] += (information @ xy[..., None])[..., 0]
        self.cov[asset] = np.linalg.inv(self.information[asset])
        self.xy[asset] = (self.cov[asset] @ self.weighted[asset][..., None])[..., 0]


def _assign(pool: Pool, shift: Floats | None, config: InventoryConfig) -> tuple[Ints, Floats]:
    """The asset of each landmark (n,), and how far drives whose clock is off were moved along their way, (n, 2) metres.

    Args:
        pool: all landmarks.
        shift: (n, 2) of each; None where the drives' biases are not known yet.
        config: gates and sigmas.
    """
    sigma = config.gnss_sigma_m if shift is None else ALIGNED_SIGMA_M
    cov = pool.cov + np.eye(2) * sigma**2
    xy = pool.xy.copy() if shift is None else pool.xy + shift
    asset = np.full(len(xy), -1)
    late = np.zeros(int(pool.drive.max(initial=-1)) + 1)
    assets = _Assets(len(xy))
    for rows in np.split(np.arange(len(xy)), np.flatnonzero(np.diff(pool.drive)) + 1) if len(xy) else []:
        if shift is None:
            late[pool.drive[rows[0]]] = _lateness(pool, rows, assets)
            xy[rows] += late[pool.drive[rows[0]]] * _ahead(pool.course[rows])
        at = xy[rows]
        if shift is None:
            at = at + _first_shift(pool, rows, at, assets, config)
        n, k = _allowed(pool, rows, assets, at, pool.gate_m[rows] * (1 if shift is None else 2))
        off = assets.xy[n] - at[k]
        spread = assets.cov[n] + cov[rows[k]]
        chi2 = (off * np.linalg.solve(spread, off[..., None])[..., 0]).sum(axis=1)
        near = np.flatnonzero(chi2 <= GATE_CHI2)
        n, k, cost = n[near], k[near], chi2[near] + np.log(np.linalg.det(spread[near]))  # the likelihood: vague is dear
        chosen = one_to_one(n, k, cost, miss_cost=float(cost.max(initial=0.0)) + 1)
        asset[rows[k[chosen]]] = n[chosen]
        _attach(pool, rows, asset, n, k, cost)
        known = rows[asset[rows] >= 0]
        for part in _once(asset[known]):
            assets.add(asset[known[part]], xy[known[part]], cov[known[part]])
        fresh = rows[(asset[rows] < 0) & pool.starts[rows]]
        asset[fresh] = assets.size + np.arange(len(fresh))
        assets.first[asset[fresh]] = fresh
        assets.size += len(fresh)
        assets.add(asset[fresh], xy[fresh], cov[fresh])
    return asset, (late - np.median(late) if len(late) else late)[pool.drive, None] * _ahead(pool.course)


def _lateness(pool: Pool, rows: Ints, assets: _Assets) -> float:
    """How far along its way a drive must be moved to agree with the assets, metres; 0 unless far more then agree.

    A camera whose clock is a second late puts everything 22 m back. Each landmark votes for the displacements to all
    assets of its class along the way.
    """
    n, k, _ = nearby_pairs(assets.xy[: assets.size], pool.xy[rows], LATE_M)
    first, row = assets.first[n], rows[k]
    same_way = np.cos(pool.course[first] - pool.course[row]) >= SAME_WAY_COS
    good = (pool.kind[first] == pool.kind[row]) & same_way & ~pool.overhead[row] & pool.starts[row]
    ahead = _ahead(pool.course[row])
    off = assets.xy[n] - pool.xy[row]
    along, across = (off * ahead).sum(axis=1), off[:, 0] * ahead[:, 1] - off[:, 1] * ahead[:, 0]
    good &= np.abs(across) <= LATE_ACROSS_M
    along, row = along[good], row[good]

    def agreeing(metres: float) -> int:
        return len(np.unique(row[np.abs(along - metres) <= LATE_STEP_M]))

    steps = np.arange(-LATE_M, LATE_M + 1, LATE_STEP_M / 2)
    best = float(max(steps, key=lambda metres: (agreeing(metres), -abs(metres))))
    if agreeing(best) < LATE_VOTES + 1.5 * max(agreeing(metres) for metres in steps[np.abs(steps) <= 2 * LATE_STEP_M]):
        return 0.0
    return float(np.median(along[np.abs(along - best) <= LATE_STEP_M]))


def _ahead(course: Floats) -> Floats:
    """Unit vectors (n, 2) of directions of travel."""
    return np.stack([np.sin(course), np.cos(course)], axis=1)


def _attach(pool: Pool, rows: Ints, asset: Ints, n: Ints, k: Ints, cost: Floats) -> None:
    """Give what is left of a drive's landmarks to assets that the drive saw, unless it saw both side by side.

    A track that broke off and began anew is two landmarks of one asset.
    """
    best: dict[int, int] = {int(asset[row]): int(row) for row in rows[asset[rows] >= 0]}
    for pair in np.argsort(cost, kind="stable").tolist():
        row, one = int(rows[k[pair]]), int(n[pair])
        if asset[row] < 0 and (one not in best or not side_by_side(pool.frames[row], pool.frames[best[one]])):
            asset[row] = one
            best.setdefault(one, row)


def side_by_side(a: frozenset[int], b: frozenset[int]) -> bool:
    """Whether two landmarks of one drive were seen together, in at least half of the frames of the rarer one.

    >>> side_by_side(frozenset({1, 2, 3}), frozenset({3, 4})), side_by_side(frozenset({1, 2, 3}), frozenset({4, 5}))
    (True, False)
    """
    return 2 * len(a & b) >= min(len(a), len(b))


def _once(values: Ints) -> list[Ints]:
    """Indices in parts, no value twice in one part."""
    order = np.argsort(values, kind="stable")
    new = np.r_[True, np.diff(values[order]) > 0] if len(order) else np.zeros(0, bool)
    rank = np.arange(len(order)) - np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    return [order[rank == place] for place in range(int(rank.max(initial=-1)) + 1)]


def _first_shift(pool: Pool, rows: Ints, at: Floats, assets: _Assets, config: InventoryConfig) -> Floats:
    """A drive's bias near each of its landmarks, (k, 2) at `at`, from those with one possible asset and no rival."""
    n, k = _allowed(pool, rows, assets, at, pool.gate_m[rows])
    lonely = (np.bincount(n, minlength=assets.size)[n] == 1) & (np.bincount(k, minlength=len(rows))[k] == 1)
    sure = lonely & ~pool.overhead[rows[k]]
    residual = assets.xy[n[sure]] - at[k[sure]]
    return local_shift(at[k[sure]], residual, at, config.shift_window_m)


def _allowed(pool: Pool, rows: Ints, assets: _Assets, at: Floats, gate_m: Floats) -> tuple[Ints, Ints]:
    """Pairs of asset and landmark (index into rows) within the gate, of one class and not on different sides."""
    n, k, distance = nearby_pairs(assets.xy[: assets.size], at, float(gate_m.max(initial=0.0)))
    first, row = assets.first[n], rows[k]
    good = (distance <= gate_m[k]) & (pool.kind[first] == pool.kind[row]) & ~_opposite(pool, first, row)
    return n[good], k[good]


def _opposite(pool: Pool, a: Ints, b: Ints) -> Bools:
    """Which pairs of landmarks stand clearly on different sides of the road.

    Driven the other way a side says nothing: on a divided road what stands in the middle is to the right both times.
    """
    same_way = np.cos(pool.course[a] - pool.course[b]) >= SAME_WAY_COS
    beside = np.minimum(np.abs(pool.offset_m[a]), np.abs(pool.offset_m[b])) >= SIDE_MARGIN_M
    other = np.sign(pool.offset_m[a]) != np.sign(pool.offset_m[b])
    return np.asarray(same_way & beside & other & ~pool.overhead[a])


def local_shift(xy: Floats, residual_xy: Floats, at_xy: Floats, window_m: float) -> Floats:
    """The median residual near each place, (n, 2): of all residuals where too few are near, zero where too few exist.

    Args:
        xy: (m, 2) where the residuals were taken.
        residual_xy: (m, 2) metres.
        at_xy: (n, 2) places.
        window_m: radius of the neighbourhood.
    """
    if len(xy) < SHIFT_SAMPLES:
        return np.zeros_like(at_xy)
    everywhere = np.median(residual_xy, axis=0)
    near = cKDTree(xy).query_ball_point(at_xy, window_m)
    rows = [np.median(residual_xy[n], axis=0) if len(n) >= SHIFT_SAMPLES else everywhere for n in near]
    return np.array(rows).reshape(-1, 2)


def _joined(pool: Pool, asset: Ints, shift: Floats) -> Ints:
    """The assets, those too close to each other to be two made one; renumbered, the older one's number staying."""
    asset = np.unique(asset, return_inverse=True)[1] - int((asset < 0).any())
    n = int(asset.max(initial=-1)) + 1
    if n == 0:
        return asset
    known = np.flatnonzero(asset >= 0)
    xy, cov = means(asset[known], pool.xy[known] + shift[known], pool.cov[known], n)
    first = np.full(n, len(asset))
    np.minimum.at(first, asset[known], known)
    members = [part.tolist() for part in np.split(*_grouped(asset[known], known))]
    i, j, distance = nearby_pairs(xy, xy, float(pool.merge_m.max()) * TWIN_REACH)
    merge_m = pool.merge_m[first]
    good = (i < j) & (pool.kind[first[i]] == pool.kind[first[j]])
    good &= ~_opposite(pool, first[i], first[j])
    i, j, distance = i[good], j[good], distance[good]
    off = xy[i] - xy[j]
    unsure = (off * np.linalg.solve(cov[i] + cov[j], off[..., None])[..., 0]).sum(axis=1) <= GATE_CHI2
    near = distance <= merge_m[i] * np.where(unsure, TWIN_REACH, 1.0)
    new = np.arange(n)
    for pair in np.flatnonzero(near)[np.argsort(distance[near], kind="stable")].tolist():
        older, younger = sorted((_root(new, int(i[pair])), _root(new, int(j[pair]))), key=lambda a: first[a])
        # A bridge is seen at both its stairs, side by side, and is one.
        apart = not pool.overhead[first[older]] and _two(pool, members[older], members[younger])
        if older != younger and not apart:
            new[younger] = older
            members[older] += members[younger]
    roots = np.array([_root(new, a) for a in range(n)])
    rank = np.empty(n, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(n)
    asset[known] = np.unique(rank[roots[asset[known]]], return_inverse=True)[1]
    return asset


def _two(pool: Pool, a: list[int], b: list[int]) -> bool:
    """Whether drives saw two assets, given as their landmarks, side by side too often for them to be one."""
    of_drive: dict[int, list[int]] = {}
    for row in a:
        of_drive.setdefault(int(pool.drive[row]), []).append(row)
    together = {
        int(pool.drive[row])
        for row in b
        for other in of_drive.get(int(pool.drive[row]), ())
        if side_by_side(pool.frames[row], pool.frames[other])
    }
    rarer = min(len(of_drive), len({int(pool.drive[row]) for row in b}))
    return len(together) > TWIN_SHARE * rarer


def _root(parent: Ints, one: int) -> int:
    while parent[one] != one:
        one = int(parent[one])
    return one


def _grouped(label: Ints, values: Ints) -> tuple[Ints, Ints]:
    """The values by label, and where each label but the first begins: what `np.split` takes."""
    order = np.argsort(label, kind="stable")
    return values[order], np.flatnonzero(np.diff(label[order])) + 1


def means(asset: Ints, xy: Floats, cov: Floats, n: int) -> tuple[Floats, Floats]:
    """Information-weighted mean position (n, 2) of each asset's landmarks, and its covariance (n, 2, 2)."""
    information = np.linalg.inv(cov + np.eye(2) * ALIGNED_SIGMA_M**2)
    total = np.zeros((n, 2, 2))
    np.add.at(total, asset, information)
    weighted = np.zeros((n, 2))
    np.add.at(weighted, asset, (information @ xy[..., None])[..., 0])
    spread = np.linalg.inv(total)
    return (spread @ weighted[..., None])[..., 0], np.asarray(spread, float)


def _shifts(pool: Pool, asset: Ints, shift: Floats, start: Floats, config: InventoryConfig) -> Floats:
    """Each drive's bias beyond `start` at each of its landmarks, (n, 2), from all assets that another drive saw too."""
    known = np.flatnonzero(asset >= 0)
    n = int(asset.max(initial=-1)) + 1
    result = np.zeros_like(shift)
    if n == 0:
        return result
    xy, _ = means(asset[known], pool.xy[known] + shift[known], pool.cov[known], n)
    seen = np.unique(np.stack([asset[known], pool.drive[known]]), axis=1)[0]  # a track in two parts is one drive's
    often = np.bincount(seen, minlength=n) >= 2
    variance = np.trace(pool.cov, axis1=1, axis2=2) / 2 + ALIGNED_SIGMA_M**2
    for rows in np.split(np.arange(len(asset)), np.flatnonzero(np.diff(pool.drive)) + 1):
        good = rows[(asset[rows] >= 0) & ~pool.overhead[rows]]
        good = good[often[asset[good]]]
        if len(good) >= SHIFT_SAMPLES:
            good = good[np.argsort(pool.s[good], kind="stable")]
            residual = xy[asset[good]] - pool.xy[good] - start[good]
            bias = smooth_bias(pool.s[good], residual, variance[good], config)
            for axis in (0, 1):
                result[rows, axis] = np.interp(pool.s[rows], pool.s[good], bias[:, axis])
    return result


def smooth_bias(s: Floats, residual: Floats, variance: Floats, config: InventoryConfig) -> Floats:
    """The bias of a drive along its way, (m, 2): a random walk through the residuals, robustly.

    Args:
        s: (m,) chainage of the residuals, ascending.
        residual: (m, 2) metres.
        variance: (m,) of each residual, an axis.
        config: `gnss_sigma_m` by which the bias changes over `gnss_memory_m`.

    The tridiagonal normal equations of Gaussian smoothing, reweighted for the soft-L1 loss.
    Source: Rue & Held, "Gaussian Markov Random Fields" (2005), section 3.3, the random walk of first order.
    """
    step = 2 * config.gnss_sigma_m**2 * np.maximum(np.diff(s), 1.0) / config.gnss_memory_m
    bias = np.broadcast_to(np.median(residual, axis=0), residual.shape)
    for _ in range(SMOOTHINGS):
        off = ((residual - bias) ** 2).sum(axis=1) / variance
        weight = 1 / np.sqrt(1 + off) / variance
        banded = np.zeros((2, len(s)))
        banded[1] = weight
        banded[1, :-1] += 1 / step
        banded[1, 1:] += 1 / step
        banded[0, 1:] = -1 / step
        bias = solveh_banded(banded, weight[:, None] * residual)
    return np.asarray(bias)
