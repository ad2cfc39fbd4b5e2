"""Water that tyres throw up from a wet road: puffs of mist behind every vehicle that goes the camera's way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from roadscan.arrays import Floats
from roadscan.simulate.world.road import Road
from roadscan.simulate.world.traffic import Spot
from roadscan.simulate.world.vehicles import fleet

#: A trail reaches this many puffs behind the rear bumper, so many metres apart.
PUFFS, SPACING_M = 7, 2.4
#: Behind a car of this length mist is half as dense as behind a long lorry.
CAR_M = 4.5


@dataclass(frozen=True)
class Puff:
    """A cloud of mist: its middle in world metres, its radius, and how much of what is behind its middle it hides."""

    middle: Floats
    radius_m: float
    opacity: float


def puffs(spots: Sequence[Spot], road: Road, strength: float) -> list[Puff]:
    """The mist behind vehicles.

    Args:
        spots: of the vehicles; those that come towards the camera throw theirs away from it.
        road: they are on.
        strength: how wet the road is, times how much is asked for; 0 for none.
    """
    found = []
    for spot in spots if strength > 0 else ():
        size = min(fleet()[spot.kind].length_m / CAR_M, 2.0)
        for number in range(0 if spot.oncoming else PUFFS):
            middle = road.point(spot.s - 0.8 - SPACING_M * number, spot.d, 0.6 + 0.16 * number)
            opacity = min(0.45 * strength * size * float(np.exp(-number / 4.0)), 0.9)
            found.append(Puff(middle, 0.8 + 0.22 * number + 0.25 * size, opacity))
    return found
