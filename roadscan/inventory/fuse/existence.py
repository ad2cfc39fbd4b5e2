"""What drives say of assets to whether each stands: a hidden Markov model with two states, filtered forwards.

What a drive says of an asset is how many of its opportunities to see it (`roadscan.inventory.fuse.visibility`) it was
detected in. The log-likelihood ratio of one drive is the logarithm of how much likelier that is if the asset stands
than if it does not:

    seen in k of n    x = k log(p/q) + (n - k) log((1 - p)/(1 - q)), damped to m (1 - exp(-x/m)), at least 0.5
    seen in 0 of n    log(h + (1 - h)(1 - p)^n), as a drive may have been hidden from it, with probability h
    n = 0             0: what was not surveyed is never missing

p is how often an opportunity to see this asset detects it, q how often one detects what is not there. Between two
drives that had one, an asset that stood may have gone and one that had gone may be back (`change_probability`).
Source: L. R. Rabiner, "A tutorial on hidden Markov models" (1989), the forward procedure.

Legend: N assets, E entries of an asset and a drive, C changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from roadscan.arrays import Bools, Floats, Ints, group_by
from roadscan.inventory.config import ExistenceConfig
from roadscan.inventory.fuse.visibility import Visibility

FALSE_HIT = 0.05  # q
HIT_PRIOR = 4.0  # opportunities of a usual asset of the class that the rate of each asset starts with
USUAL = (8.0, 10.0)  # hits and opportunities that the rate of each class starts with
SEEN_MAX = 5.0  # m: false detections of one drive are not independent, so however many, they say no more than this
BIRTH = -1.5  # log-odds that what one drive saw is there, before its detections are weighed …
BIRTH_UNSEEN = -3.0  # … and where an earlier drive looked and saw nothing: a second drive must see it too
ABSENT = -1.5  # log-likelihood ratio below this: a drive looked and saw nothing
CONFIRM_AT, MISSING_AT = 0.8, 0.1  # probabilities
REFUTED = 0.02  # a candidate that is less likely than this to stand leaves the register
FLOOR = -2.5  # log-odds of what was confirmed once, at least: so one drive that sees it well brings it back


class State(IntEnum):
    """What the register says of an asset; `label` is how its tables spell it."""

    CANDIDATE = 0
    CONFIRMED = 1
    SUSPECT = 2  # confirmed, and missed once
    MISSING = 3
    REJECTED = 4  # by a reviewer; no drive says so

    @property
    def label(self) -> str:
        """The state in the column `state`.

        >>> State.CONFIRMED.label
        'confirmed'
        """
        return self.name.lower()


@dataclass(frozen=True)
class Belief:
    """What is known of whether assets stand once some drives are taken in, (N,): the filter goes on from here.

    Attributes:
        odds: logarithm of the odds that each stands; of one that was never seen -inf.
        state: the `State` of each.
        missed_before: a drive looked and saw nothing before any saw it.
        hits, opportunities: sums over the drives that saw it.
    """

    odds: Floats
    state: Ints
    missed_before: Bools
    hits: Ints
    opportunities: Ints

    @staticmethod
    def none(n: int) -> Belief:
        """Of assets that no drive was asked about."""
        hits, opportunities = np.zeros((2, n), np.int64)
        return Belief(
            np.full(n, -np.inf), np.full(n, State.CANDIDATE, np.int64), np.zeros(n, bool), hits, opportunities
        )

    @property
    def begun(self) -> Bools:
        """Which a drive has seen."""
        return np.isfinite(self.odds)

    @property
    def existence(self) -> Floats:
        """Probability that each stands."""
        return np.asarray(1 / (1 + np.exp(-self.odds)))

    def take(self, rows: Ints | Bools) -> Belief:
        """Of some of the assets."""
        return Belief(**{name: value[rows] for name, value in vars(self).items()})


@dataclass(frozen=True)
class Standing:
    """How assets stand after the last drive, and what changed, (C,) in the order of the drives.

    Attributes:
        belief: of each.
        changed, change, by: which asset changed, how, and the drive that showed it.
    """

    belief: Belief
    changed: Ints
    change: list[str]
    by: Ints

    @property
    def existence(self) -> Floats:
        """Probability that each stands, (N,)."""
        return self.belief.existence

    @property
    def state(self) -> Ints:
        """The `State` of each, (N,)."""
        return self.belief.state


def log_likelihood_ratio(
    visibility: Visibility, class_index: Ints, config: ExistenceConfig, before: Belief | None = None
) -> Floats:
    """How much each entry speaks for its asset, (E,): positive where it was seen, negative where it should have been.

    Args:
        visibility: what was seen.
        class_index: (N,) the class of each asset.
        config: `occlusion_probability`.
        before: what earlier drives said, if there were any.
    """
    seen = visibility.hits > 0
    hits, total = _sums(visibility, before or Belief.none(len(class_index)))
    by_class = [np.bincount(class_index, values) for values in (hits, total)]
    usual = (by_class[0] + USUAL[0]) / (by_class[1] + USUAL[1])
    rate = np.clip((hits + HIT_PRIOR * usual[class_index]) / (total + HIT_PRIOR), 0.1, 0.95)[visibility.asset]
    missed = visibility.opportunities - visibility.hits
    for_it = visibility.hits * np.log(rate / FALSE_HIT) + missed * np.log((1 - rate) / (1 - FALSE_HIT))
    hidden = config.occlusion_probability
    against = np.log(hidden + (1 - hidden) * (1 - rate) ** visibility.opportunities)
    damped = np.maximum(SEEN_MAX * -np.expm1(-np.maximum(for_it, 0) / SEEN_MAX), 0.5)
    return np.where(seen, damped, np.where(visibility.unclear, 0.0, against))


def _sums(visibility: Visibility, before: Belief) -> tuple[Ints, Ints]:
    """Hits and opportunities (N,) of each asset, of all drives that saw it."""
    n, seen = len(before.odds), visibility.hits > 0
    values = (visibility.hits, visibility.opportunities)
    hits, total = (np.bincount(visibility.asset[seen], value[seen], n).astype(np.int64) for value in values)
    return before.hits + hits, before.opportunities + total


def filter_existence(
    visibility: Visibility, ratio: Floats, located: Bools, config: ExistenceConfig, before: Belief | None = None
) -> Standing:
    """Follow all assets through all drives.

    Args:
        visibility: what was seen.
        ratio: (E,) log-likelihood ratio of each entry.
        located: (N,) whether the asset's position is sure enough to be confirmed.
        config: `change_probability`.
        before: what earlier drives said, if there were any.
    """
    start = before or Belief.none(len(located))
    odds, state, begun, missed_before = start.odds.copy(), start.state, start.begun, start.missed_before.copy()
    changed: list[Ints] = []
    changes: list[str] = []
    by: list[int] = []
    for rows in group_by(np.arange(len(visibility.drive)), visibility.drive):
        drive = int(visibility.drive[rows[0]])
        asset, said, seen = visibility.asset[rows], ratio[rows], visibility.hits[rows] > 0
        missed_before[asset[~begun[asset] & ~seen & (said <= ABSENT)]] = True
        born = asset[~begun[asset] & seen]
        odds[born] = np.where(missed_before[born], BIRTH_UNSEEN, BIRTH)
        old = asset[begun[asset]]
        odds[old] = _after_a_while(odds[old], config.change_probability)
        begun[born] = True
        odds[asset] += np.where(begun[asset], said, 0.0)
        odds = np.where(state == State.CANDIDATE, odds, np.maximum(odds, FLOOR))
        old_state, state = state, _next_state(state, 1 / (1 + np.exp(-odds)), begun & located)
        for change, who in _changes(old_state, state, missed_before):
            found = np.flatnonzero(who)
            changed.append(found)
            changes += [change] * len(found)
            by += [drive] * len(found)
    belief = Belief(odds, state, missed_before, *_sums(visibility, start))
    return Standing(belief, np.concatenate([np.zeros(0, int), *changed]), changes, np.array(by, int))


def _next_state(before: Ints, chance: Floats, confirmable: Bools) -> Ints:
    """The states (N,) after a drive, given how likely each asset stands."""
    state = before.copy()
    state[confirmable & (chance >= CONFIRM_AT)] = State.CONFIRMED
    doubted = (before == State.CONFIRMED) | (before == State.SUSPECT)
    state[doubted & (chance < CONFIRM_AT)] = State.SUSPECT
    state[doubted & (chance <= MISSING_AT)] = State.MISSING
    return state


def _changes(before: Ints, state: Ints, missed_before: Bools) -> list[tuple[str, Bools]]:
    """What a drive changed, and of which assets (N,)."""
    confirmed, missing = state == State.CONFIRMED, state == State.MISSING
    return [
        ("new", (before == State.CANDIDATE) & confirmed & missed_before),
        ("reappeared", (before == State.MISSING) & confirmed),
        ("suspect", (before == State.CONFIRMED) & (state == State.SUSPECT)),
        ("missing", (before != State.MISSING) & missing),
    ]


def _after_a_while(odds: Floats, change: float) -> Floats:
    """Log-odds after a time in which either state may have turned into the other."""
    chance = 1 / (1 + np.exp(-odds))
    chance = chance * (1 - change) + (1 - chance) * change
    return np.log(chance) - np.log1p(-chance)
