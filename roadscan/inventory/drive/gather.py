"""Drives that stayed at one place, gathered to surveys: photographs and panoramas that each came as a drive of its own.

One place tells no direction of travel and, without a second one, hardly where an asset stands, so such a drive says
nothing alone. Those of one day are a survey of that day, as if one drive had taken them all: a surveyor who walks from
one panorama to the next does not mean that each is another night. What is told of the survey is told under the id of
its last drive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from roadscan.arrays import group_by
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.estimates import estimate
from roadscan.inventory.drive.passes import DAY_US, Detections, DrivePass, Poses, along_its_way
from roadscan.inventory.drive.record import SHOWN, DriveAlone
from roadscan.taxonomy import Taxonomy


def gathered(drives: Sequence[DriveAlone], taxonomy: Taxonomy, config: InventoryConfig) -> list[DriveAlone]:
    """The drives, those that stayed at one place as one a day (UTC), where the last of them was.

    Args:
        drives: in the order in which they were driven, all in the same ENU metres.
        taxonomy: what is known of the classes.
        config: of what one drive says alone.
    """
    found: dict[int, DriveAlone] = dict(enumerate(drives))
    still = np.array([number for number, one in found.items() if one.drive.still], np.int64)
    day = np.array([drives[number].drive.started_us // DAY_US for number in still], np.int64)
    for members in group_by(still, day):
        survey = along_its_way(_joined([found.pop(number).drive for number in members.tolist()]))
        found[int(members[-1])] = DriveAlone(survey, estimate(survey, taxonomy, config))
    return [found[number] for number in sorted(found)]


def _joined(drives: Sequence[DrivePass]) -> DrivePass:
    """Several passes as one, its frames in the order of time."""
    frames, rows = (
        np.cumsum([0, *sizes])
        for sizes in ([len(one.poses.s) for one in drives], [one.observations.num_rows for one in drives])
    )
    poses = Poses(
        **{name: np.concatenate([getattr(one.poses, name) for one in drives]) for name in vars(drives[0].poses)}
    )
    seen = [
        replace(one.detections, frame_index=one.detections.frame_index + frame, row=one.detections.row + row)
        for one, frame, row in zip(drives, frames, rows, strict=False)
    ]
    detections = Detections(**{name: np.concatenate([getattr(one, name) for one in seen]) for name in vars(seen[0])})
    order = np.argsort(poses.time_us, kind="stable")
    detections = replace(detections, frame_index=np.argsort(order)[detections.frame_index])
    return replace(
        drives[-1],
        poses=poses.take(order),
        detections=detections.take(np.argsort(detections.frame_index, kind="stable")),
        observations=pa.concat_tables([one.observations.select(["class", *SHOWN]) for one in drives]),
        others=tuple(one.drive_id for one in drives[:-1]),
    )
