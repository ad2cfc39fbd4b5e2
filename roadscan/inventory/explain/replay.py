"""An asset's history to how likely it stood after each drive, and to what more drives would make of it.

It is the register's own model (`roadscan.inventory.fuse.existence`) that is run here, on what a release keeps. Not kept
are glances, which say less than `existence.ABSENT` against an asset, and drives that pointed to it unclearly.

Legend: E drives that told something of the asset, P of other assets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadscan.arrays import Floats, Ints
from roadscan.inventory.config import ExistenceConfig
from roadscan.inventory.fuse.existence import REFUTED, State, filter_existence, log_likelihood_ratio
from roadscan.inventory.fuse.lines import LINE_OPPORTUNITIES
from roadscan.inventory.fuse.visibility import Visibility

DRIVES_AHEAD = 3  # so many of a kind are tried
GONE = "no longer in the register"


@dataclass(frozen=True)
class Looks:
    """What drives told of assets, (E,) each, in the order in which they were driven.

    Attributes:
        hits: opportunities in which it was detected.
        opportunities: that there were.
    """

    hits: Ints
    opportunities: Ints

    @staticmethod
    def of(hits: Ints, opportunities: Ints, *, line: bool) -> Looks:
        """The columns `hits` and `covering` of `schemas.ASSET_HISTORY` as the model has them."""
        if not line:
            return Looks(hits, opportunities)
        every = np.full(len(hits), LINE_OPPORTUNITIES)
        return Looks(np.minimum(hits, every), every)

    def followed_by(self, hits: int, opportunities: int) -> Looks:
        """The same and one drive more."""
        return Looks(np.append(self.hits, hits), np.append(self.opportunities, opportunities))


@dataclass(frozen=True)
class Existence:
    """The asset after a drive.

    Attributes:
        log_likelihood_ratio: how much this drive speaks for it, or, negative, against it.
        probability: that it stands.
        state: of the register, by drives alone.
    """

    log_likelihood_ratio: float
    probability: float
    state: State


@dataclass(frozen=True)
class Outlook:
    """What more drives would make of the asset, by drives alone.

    Attributes:
        drives: how many more.
        seen: whether they detect it.
        hits, opportunities: of each, as usual for this asset.
        state: of the register then.
        probability: that it stands then.
    """

    drives: int
    seen: bool
    hits: int
    opportunities: int
    state: str
    probability: float


@dataclass(frozen=True)
class Model:
    """The existence model, as it is set for one asset.

    Attributes:
        others: (P,) what drives that saw them told of other assets of its class: what is usual.
        located: whether its position is sure enough to be confirmed.
        line: whether it runs along the road.
        config: probabilities.
    """

    others: Looks
    located: bool
    line: bool
    config: ExistenceConfig

    def replay(self, looks: Looks) -> list[Existence]:
        """The asset after each of its drives, (E,)."""
        ratio = self._ratio(looks)
        return [self._after(looks, ratio, drives) for drives in range(1, len(ratio) + 1)]

    def outlooks(self, looks: Looks, now: State) -> list[Outlook]:
        """Where more drives lead from the state of now: that see it, then that miss it.

        Returns:
            Each that gives another state, or the last of all.
        """
        return [*self._ahead(looks, now, seen=True), *self._ahead(looks, now, seen=False)]

    def _ratio(self, looks: Looks) -> Floats:
        count, others = len(looks.hits), len(self.others.hits)
        both = Visibility(
            asset=np.repeat([0, 1], [count, others]),
            drive=np.concatenate([np.arange(count), np.arange(others)]),
            hits=np.concatenate([looks.hits, self.others.hits]).astype(np.int64),
            opportunities=np.concatenate([looks.opportunities, self.others.opportunities]).astype(np.int64),
            unclear=np.zeros(count + others, bool),
        )
        return log_likelihood_ratio(both, np.zeros(2, np.int64), self.config)[:count]

    def _after(self, looks: Looks, ratio: Floats, drives: int) -> Existence:
        entries = Visibility(
            np.zeros(drives, np.int64),
            np.arange(drives),
            looks.hits[:drives],
            looks.opportunities[:drives],
            np.zeros(drives, bool),
        )
        standing = filter_existence(entries, ratio[:drives], np.array([self.located]), self.config)
        return Existence(float(ratio[drives - 1]), float(standing.existence[0]), State(standing.state[0]))

    def _ahead(self, looks: Looks, now: State, *, seen: bool) -> list[Outlook]:
        saw = looks.hits > 0
        opportunities = max(1, round(float(looks.opportunities.mean())))
        hits = min(opportunities, max(1, round(float(looks.hits[saw].mean())))) if seen and saw.any() else int(seen)
        state, found, turns = now.label, [], []
        for drives in range(1, DRIVES_AHEAD + 1):
            looks = looks.followed_by(hits, opportunities)
            then = self._after(looks, self._ratio(looks), len(looks.hits))
            refuted = not self.line and then.state is State.CANDIDATE and then.probability < REFUTED
            before, state = state, GONE if refuted else then.state.label
            found.append(Outlook(drives, seen, hits, opportunities, state, then.probability))
            if state != before:
                turns.append(found[-1])
        return turns or found[-1:]
