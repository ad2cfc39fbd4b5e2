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
class Standing:
    """How assets stand after the last drive, (N,), and what changed, (C,) in the order of the drives.

    Attributes:
        existence: probability that each stands.
        state: the `State` of each.
        changed, change, by: which asset changed, how, and the drive that showed it.
    """

    existence: Floats
    state: Ints
    changed: Ints
    change: list[str]
    by: Ints


def log_likelihood_ratio(visibility: Visibility, class_index: Ints, config: ExistenceConfig) -> Floats:
    """How much each entry speaks for its asset, (E,): positive where it was seen, negative where it should have been.

    Args:
        visibility: what was seen.
        class_index: (N,) the class of each asset.
        config: `occlusion_probability`.
    """
    n = len(class_index)
    asset, seen = visibility.asset, visibility.hits > 0
    by_class = np.zeros((2, int(class_index.max(initial=-1)) + 1))
    for row, values in enumerate((visibility.hits, visibility.opportunities)):
        np.add.at(by_class[row], class_index[asset[seen]], values[seen])
    usual = (by_class[0] + USUAL[0]) / (by_class[1] + USUAL[1])
    hits = np.bincount(asset[seen], visibility.hits[seen], n)
    total = np.bincount(asset[seen], visibility.opportunities[seen], n)
    rate = np.clip((hits + HIT_PRIOR * usual[class_index]) / (total + HIT_PRIOR), 0.1, 0.95)[asset]
    missed = visibility.opportunities - visibility.hits
    for_it = visibility.hits * np.log(rate / FALSE_HIT) + missed * np.log((1 - rate) / (1 - FALSE_HIT))
    hidden = config.occlusion_probability
    against = np.log(hidden + (1 - hidden) * (1 - rate) ** visibility.opportunities)
    damped = np.maximum(SEEN_MAX * -np.expm1(-np.maximum(for_it, 0) / SEEN_MAX), 0.5)
    return np.where(seen, damped, np.where(visibility.unclear, 0.0, against))


def filter_existence(visibility: Visibility, ratio: Floats, located: Bools, config: ExistenceConfig) -> Standing:
    """Follow all assets through all drives.

    Args:
        visibility: what was seen.
        ratio: (E,) log-likelihood ratio of each entry.
        located: (N,) whether the asset's position is sure enough to be confirmed.
        config: `change_probability`.
    """
    n = len(located)
    odds = np.full(n, -np.inf)  # logarithm
    state = np.full(n, State.CANDIDATE, np.int64)
    begun, missed_before = np.zeros(n, bool), np.zeros(n, bool)
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
        before, state = state, _next_state(state, 1 / (1 + np.exp(-odds)), begun & located)
        for change, who in _changes(before, state, missed_before):
            found = np.flatnonzero(who)
            changed.append(found)
            changes += [change] * len(found)
            by += [drive] * len(found)
    return Standing(
        1 / (1 + np.exp(-odds)), state, np.concatenate([np.zeros(0, int), *changed]), changes, np.array(by, int)
    )


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
