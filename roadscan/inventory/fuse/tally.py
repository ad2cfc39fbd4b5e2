"""Detections that show assets to what they come to, asset by asset: sums that later drives are added to.

Legend: D drives, N assets, M detections that show one. ENU metres; angles are radians clockwise from north.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.drive.estimates import view_weight
from roadscan.inventory.drive.passes import DAY_US, DrivePass
from roadscan.inventory.fuse.visibility import PointObservations
from roadscan.schemas import OBSERVATIONS

VIEW = pa.schema([OBSERVATIONS.field(name).with_nullable(True) for name in ("image_uri", "box_px", "model_sha256")])
NO_DAY = int(np.iinfo(np.int64).min)  # of an asset that was never seen; so is its last time …
_NO_TIME_YET = int(np.iinfo(np.int64).max)  # … and its first is this


@dataclass(frozen=True)
class ShownDetections:
    """The detections of drives that show assets, (M,) each, by drive.

    Attributes:
        drive, asset: numbers.
        row: of the drive's observations.
        frame: index into the drive's frames.
        score: 0..1.
        weight: how well it shows the asset, see `view_weight`.
        time_us: microseconds since 1970.
        day: on which the drive began, days since 1970 in UTC.
        bearing: of the asset from the camera.
    """

    drive: Ints
    asset: Ints
    row: Ints
    frame: Ints
    score: Floats
    weight: Floats
    time_us: Ints
    day: Ints
    bearing: Floats

    @staticmethod
    def of(observations: Sequence[PointObservations]) -> ShownDetections:
        """Those of all drives."""
        parts = [_shown(number, seen) for number, seen in enumerate(observations)]
        none = {name: np.zeros(0, float if kind == "Floats" else np.int64) for name, kind in _KINDS.items()}
        return ShownDetections(**{name: np.concatenate([none[name], *(part[name] for part in parts)]) for name in none})

    def take(self, chosen: Bools | Ints) -> ShownDetections:
        """Some of them."""
        return ShownDetections(**{name: value[chosen] for name, value in vars(self).items()})

    def mean_score(self, drives: int, n: int) -> Floats:
        """Mean score of each asset's detections in each drive, (D, N); NaN for none."""
        at = self.drive * n + self.asset
        count = np.bincount(at, minlength=n * drives)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.bincount(at, self.score, n * drives) / count).reshape(drives, n)


_KINDS = {field.name: field.type for field in fields(ShownDetections)}


def _shown(number: int, seen: PointObservations) -> dict[str, Ints | Floats]:
    drive = seen.view.drive
    rows = np.flatnonzero(seen.asset >= 0)
    detections = drive.detections.take(rows)
    return {
        "drive": np.full(len(rows), number),
        "asset": seen.asset[rows],
        "row": detections.row,
        "frame": detections.frame_index,
        "score": detections.score,
        "weight": view_weight(detections.score, detections.box_height_px),
        "time_us": drive.poses.time_us[detections.frame_index],
        "day": np.full(len(rows), drive.started_us // DAY_US),
        "bearing": detections.bearing + seen.view.yaw,
    }


@dataclass(frozen=True)
class Tally:
    """What detections said of assets, summed, (N,) each.

    Attributes:
        observations: frames that detected it.
        drives: that did.
        nights: UTC days on which such a drive began; a day before the last that is known counts as one of them.
        last_day: the last of them, days since 1970.
        detections, score: how many, and the sum of their scores.
        first_us, last_us: times of the first and the last, microseconds since 1970.
        east, north: sums of the sines and the cosines of their bearings.
        last_drive: the id of the drive that saw it last, or None.
        weight: of the best view of it.
        view: that view, a table of `VIEW`.
    """

    observations: Ints
    drives: Ints
    nights: Ints
    last_day: Ints
    detections: Ints
    score: Floats
    first_us: Ints
    last_us: Ints
    east: Floats
    north: Floats
    last_drive: npt.NDArray[np.object_]
    weight: Floats
    view: pa.Table

    @staticmethod
    def none(n: int) -> Tally:
        """Of assets that nothing was said of."""
        zeros, zero = np.zeros(n, np.int64), np.zeros(n)
        never = np.full(n, NO_DAY)
        view = pa.Table.from_arrays([pa.nulls(n, field.type) for field in VIEW], schema=VIEW)
        first_us, drive = np.full(n, _NO_TIME_YET), np.full(n, None, object)
        return Tally(zeros, zeros, zeros, never, zeros, zero, first_us, never, zero, zero, drive, zero - 1, view)

    def of_assets(self, asset: Ints, n: int) -> Tally:
        """The same of the n assets that these have become, of which one may be several of these."""
        first, last_day, last = (np.full(n, edge) for edge in (_NO_TIME_YET, NO_DAY, NO_DAY))
        drives, nights = np.zeros((2, n), np.int64)  # those of two parts may be the same
        np.maximum.at(drives, asset, self.drives)
        np.maximum.at(nights, asset, self.nights)
        np.minimum.at(first, asset, self.first_us)
        np.maximum.at(last_day, asset, self.last_day)
        np.maximum.at(last, asset, self.last_us)
        whole = ("observations", "detections")
        sums: dict[str, Any] = {
            name: np.bincount(asset, getattr(self, name), n).astype(np.int64 if name in whole else np.float64)
            for name in (*whole, "score", "east", "north")
        }
        latest, order = np.full(n, None, object), np.argsort(self.last_us, kind="stable")
        latest[asset[order]] = self.last_drive[order]
        times = {"first_us": first, "last_day": last_day, "last_us": last}
        summed = replace(Tally.none(n), **sums, **times, drives=drives, nights=nights, last_drive=latest)
        return summed.with_better_views(asset, self.weight, self.view)

    def plus(self, shown: ShownDetections, drives: Sequence[DrivePass]) -> Tally:
        """The same and what later drives say.

        Args:
            shown: their detections.
            drives: (D,) all drives.
        """
        n, asset = len(self.drives), shown.asset
        newest, ids = self.last_drive.copy(), np.full(len(asset), None, object)
        for number in np.unique(shown.drive).tolist():
            mine = shown.drive == number
            ids[mine] = drives[number].ids_of(shown.row[mine])
        in_time = np.argsort(shown.time_us, kind="stable")
        newest[asset[in_time]] = ids[in_time]  # of several the last stays
        first, last, last_day = self.first_us.copy(), self.last_us.copy(), self.last_day.copy()
        np.minimum.at(first, asset, shown.time_us)
        np.maximum.at(last, asset, shown.time_us)
        np.maximum.at(last_day, asset, shown.day)
        frames, by, days = (_different(asset, *labels) for labels in (
            (shown.drive, shown.frame), (shown.drive,), (shown.day,),
        ))  # fmt: skip
        new = asset[days][shown.day[days] > self.last_day[asset[days]]]
        added = replace(
            self,
            observations=self.observations + np.bincount(asset[frames], minlength=n),
            drives=self.drives + np.bincount(asset[by], minlength=n),
            nights=self.nights + np.bincount(new, minlength=n),
            last_day=last_day,
            detections=self.detections + np.bincount(asset, minlength=n),
            score=self.score + np.bincount(asset, shown.score, n),
            first_us=first,
            last_us=last,
            east=self.east + np.bincount(asset, np.sin(shown.bearing), n),
            north=self.north + np.bincount(asset, np.cos(shown.bearing), n),
            last_drive=np.where(last > self.last_us, newest, self.last_drive),
        )
        best = _best(asset, shown.weight)
        return added.with_better_views(asset[best], shown.weight[best], _views(shown.take(best), drives))

    def with_better_views(self, asset: Ints, weight: Floats, view: pa.Table) -> Tally:
        """The same with views (k,) of assets where they are better; the first of those that are as good stays."""
        every = np.append(self.weight, weight)
        best = _best(np.append(np.arange(len(self.weight)), asset), every)
        return replace(self, weight=every[best], view=pa.concat_tables([self.view, view]).take(pa.array(best)))

    def take(self, rows: Ints | Bools) -> Tally:
        """Of some of the assets."""
        arrays = {name: value[rows] for name, value in vars(self).items() if name != "view"}
        chosen = np.arange(len(self.weight))[rows]
        return Tally(**arrays, view=self.view.take(pa.array(chosen)))


def _different(*labels: Ints) -> Ints:
    """The place of the first of each combination of labels (M,) that there is."""
    return np.asarray(np.unique(np.stack(labels, axis=1), axis=0, return_index=True)[1])


def _best(asset: Ints, weight: Floats) -> Ints:
    """The place of each asset's greatest weight, the first of equal ones, by asset."""
    order = np.lexsort((-weight, asset))
    new = np.ones(len(order), bool)
    new[1:] = np.diff(asset[order]) != 0
    return order[new]


def _views(shown: ShownDetections, drives: Sequence[DrivePass]) -> pa.Table:
    """Where detections (M,) are to be seen, `VIEW`."""
    parts, places = [VIEW.empty_table()], [np.zeros(0, np.int64)]
    for number in np.unique(shown.drive).tolist():
        mine = np.flatnonzero(shown.drive == number)
        parts.append(drives[number].observations.select(VIEW.names).take(pa.array(shown.row[mine])).cast(VIEW))
        places.append(mine)
    return pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(places))))
