"""Whether an asset stands, drive after drive: a hidden Markov model with two states, filtered forwards.

What a drive says of an asset is how many of its looks at the place detected it. A look is five metres of travel during
which some frame should have shown it. The evidence of one drive is the logarithm of how much likelier that is if the
asset stands than if it does not:

    seen in k of n looks       x = k log(p/q) + (n - k) log((1 - p)/(1 - q)), damped to m (1 - exp(-x/m)), at least 0.5
    looked at n times, unseen  log(h + (1 - h)(1 - p)^n), as a drive may have been hidden from it, with probability h
    not looked at              0: what was not surveyed is never missing

p is how often looks at this asset detect it, q how often one detects what is not there. Between two drives that looked,
an asset that stood may have gone and one that had gone may be back (`change_probability`).
Source: L. R. Rabiner, "A tutorial on hidden Markov models" (1989), the forward procedure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import Ints
from roadscan.survey.geodesy import Floats

FALSE_LOOK = 0.05  # q
HIT_PRIOR = 4.0  # looks at a usual asset of the class that the rate of each asset starts with
USUAL = (8.0, 10.0)  # hits and looks that the rate of each class starts with
SEEN_MAX = 5.0  # m: false detections of one drive are not independent, so however many, they say no more than this
BIRTH = -1.5  # log-odds that what one drive saw is there, before its detections are weighed …
BIRTH_UNSEEN = -3.0  # … and where an earlier drive looked and saw nothing: a second drive must see it too
ABSENT = -1.5  # evidence below this: a drive looked and saw nothing
CONFIRMED, MISSING = 0.8, 0.1  # probabilities
FLOOR = -2.5  # log-odds of what was confirmed once, at least: so one drive that sees it well brings it back
STATES = ("candidate", "confirmed", "suspect", "missing")
CANDIDATE, SURE, SUSPECT, GONE = range(4)


@dataclass(frozen=True)
class Looks:
    """What drives say of assets, (m,) each: one entry for each asset and drive that saw it or looked at its place.

    Attributes:
        asset: which asset, 0…n-1.
        drive: which drive, 0… in the order in which they were driven.
        hits: looks that detected it.
        looks: looks that should have, and those that did.
        unclear: not detected, but a detection that shows no other asset points to it.
    """

    asset: Ints
    drive: Ints
    hits: Ints
    looks: Ints
    unclear: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Standing:
    """The result: (n,) each, and the changes (c,) in the order of the drives.

    Attributes:
        existence: probability that each asset stands after the last drive.
        state: index into `STATES`.
        changed, change, by: which asset changed, how, and the drive that showed it.
    """

    existence: Floats
    state: Ints
    changed: Ints
    change: list[str]
    by: Ints


def evidence(looks: Looks, kind: Ints, config: InventoryConfig) -> Floats:
    """The evidence of each entry, (m,).

    Args:
        looks: what was seen.
        kind: (n,) the class of each asset.
        config: `occlusion_probability`.
    """
    n = len(kind)
    seen = looks.hits > 0
    by_class = np.zeros((2, int(kind.max(initial=-1)) + 1))
    for row, values in enumerate((looks.hits, looks.looks)):
        np.add.at(by_class[row], kind[looks.asset[seen]], values[seen])
    usual = (by_class[0] + USUAL[0]) / (by_class[1] + USUAL[1])
    hits = np.bincount(looks.asset[seen], looks.hits[seen], n)
    total = np.bincount(looks.asset[seen], looks.looks[seen], n)
    rate = np.clip((hits + HIT_PRIOR * usual[kind]) / (total + HIT_PRIOR), 0.1, 0.95)[looks.asset]
    missed = looks.looks - looks.hits
    for_it = looks.hits * np.log(rate / FALSE_LOOK) + missed * np.log((1 - rate) / (1 - FALSE_LOOK))
    hidden = config.occlusion_probability
    against = np.log(hidden + (1 - hidden) * (1 - rate) ** looks.looks)
    damped = np.maximum(SEEN_MAX * -np.expm1(-np.maximum(for_it, 0) / SEEN_MAX), 0.5)
    return np.where(seen, damped, np.where(looks.unclear, 0.0, against))


def follow(looks: Looks, evidence: Floats, place_known: npt.NDArray[np.bool_], config: InventoryConfig) -> Standing:
    """Filter all assets through all drives.

    Args:
        looks: what was seen.
        evidence: (m,) of each entry.
        place_known: (n,) whether the asset's position is sure enough to be confirmed.
        config: `change_probability`.
    """
    n = len(place_known)
    odds = np.full(n, -np.inf)
    state = np.full(n, CANDIDATE)
    begun, unannounced = np.zeros(n, bool), np.zeros(n, bool)
    changed: list[Ints] = []
    kinds: list[str] = []
    by: list[int] = []
    order = np.argsort(looks.drive, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(looks.drive[order])) + 1) if len(order) else []:
        drive = int(looks.drive[rows[0]])
        asset, said, seen = looks.asset[rows], evidence[rows], looks.hits[rows] > 0
        unannounced[asset[~begun[asset] & ~seen & (said <= ABSENT)]] = True
        born = asset[~begun[asset] & seen]
        odds[born] = np.where(unannounced[born], BIRTH_UNSEEN, BIRTH)
        old = asset[begun[asset]]
        odds[old] = _after_a_while(odds[old], config.change_probability)
        begun[born] = True
        odds[asset] += np.where(begun[asset], said, 0.0)
        odds = np.where(state == CANDIDATE, odds, np.maximum(odds, FLOOR))
        chance = 1 / (1 + np.exp(-odds))
        before = state.copy()
        sure = begun & place_known & (chance >= CONFIRMED)
        state[sure] = SURE
        doubted = (before == SURE) | (before == SUSPECT)
        state[doubted & (chance < CONFIRMED)] = SUSPECT
        state[doubted & (chance <= MISSING)] = GONE
        for kind, who in (
            ("new", (before == CANDIDATE) & (state == SURE) & unannounced),
            ("reappeared", (before == GONE) & (state == SURE)),
            ("suspect", (before == SURE) & (state == SUSPECT)),
            ("missing", (before != GONE) & (state == GONE)),
        ):
            found = np.flatnonzero(who)
            changed.append(found)
            kinds += [kind] * len(found)
            by += [drive] * len(found)
    return Standing(
        1 / (1 + np.exp(-odds)), state, np.concatenate([np.zeros(0, int), *changed]), kinds, np.array(by, int)
    )


def _after_a_while(odds: Floats, change: float) -> Floats:
    """Log-odds after a time in which either state may have turned into the other."""
    chance = 1 / (1 + np.exp(-odds))
    chance = chance * (1 - change) + (1 - chance) * change
    return np.log(chance) - np.log1p(-chance)
