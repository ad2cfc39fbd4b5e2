"""All point and overhead assets of a region from all drives through it: where each stands, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadscan.inventory.align import Association, Pool, associate, means, pool_of
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.coverage import SECTORS, covering, look_steps, passed_by, pointed, sector_of
from roadscan.inventory.drive_pass import DrivePass, Ints
from roadscan.inventory.existence import Looks, Standing, evidence, follow
from roadscan.inventory.sightings import Landmarks
from roadscan.survey.geodesy import Floats
from roadscan.taxonomy import Taxonomy

SHARED_SIGMA_M = 0.3  # an axis, that all detections of an asset may be off together


@dataclass(frozen=True)
class Found:
    """The assets of a region, (n,) each.

    Attributes:
        kind: index into the names of the classes.
        xy, cov: (n, 2) metres and (n, 2, 2) square metres.
        first: its first landmark, a row of the pool.
        detection: (m,) for each of the drives' detections, drive after drive, its asset; -1 for none.
        looks, evidence: what each drive says of each, and how much that counts.
        standing: see `roadscan.inventory.existence`.
        pool, association: the landmarks behind it.
        cameras: where each drive's frames were taken, (f, 2) metres, its bias taken away.
    """

    kind: Ints
    xy: Floats
    cov: Floats
    first: Ints
    detection: Ints
    looks: Looks
    evidence: Floats
    standing: Standing
    pool: Pool
    association: Association
    cameras: list[Floats]


def find_assets(
    drives: list[DrivePass], landmarks: list[Landmarks], names: list[str], taxonomy: Taxonomy, config: InventoryConfig
) -> Found:
    """The assets that drives saw.

    Args:
        drives: in the order in which they were driven, all in one metric frame.
        landmarks: of each drive.
        names: of the classes, which `kind` counts.
        taxonomy: what is known of them.
        config: gates, sigmas and probabilities.
    """
    pool = pool_of(landmarks, names, taxonomy, config)
    association = associate(pool, config)
    n = int(association.asset.max(initial=-1)) + 1
    starts = np.cumsum([0, *(len(one.hits) for one in landmarks)])
    labels = [
        np.where(one.label >= 0, association.asset[starts[k] + np.maximum(one.label, 0)], -1)
        if len(one.hits)
        else one.label
        for k, one in enumerate(landmarks)
    ]
    first = np.full(n, len(pool.drive))
    known = np.flatnonzero(association.asset >= 0)
    np.minimum.at(first, association.asset[known], known)
    cameras = [_moved(drive, pool, association, k) for k, drive in enumerate(drives)]
    moved = pool.xy[known] + association.shift[known]
    xy, cov = means(association.asset[known], moved, pool.cov[known], n)
    reach = np.zeros(n)
    np.maximum.at(reach, association.asset[known], np.abs(pool.offset_m[known]))
    looks = _looks(drives, landmarks, cameras, labels, xy, reach, pool.kind[first], names, config)
    said = evidence(looks, pool.kind[first], config)
    nights = np.bincount(looks.asset[looks.hits > 0], minlength=n)
    cov = cov + np.eye(2) * ((config.gnss_sigma_m**2 / np.maximum(nights, 1)) + SHARED_SIGMA_M**2)[:, None, None]
    sure = np.trace(cov, axis1=1, axis2=2) <= config.confirm_sigma_m**2
    standing = follow(looks, said, sure, config)
    detection = np.concatenate([np.zeros(0, int), *labels])
    return Found(pool.kind[first], xy, cov, first, detection, looks, said, standing, pool, association, cameras)


def _moved(drive: DrivePass, pool: Pool, association: Association, number: int) -> Floats:
    """The drive's cameras (n, 2), its bias taken away."""
    rows = np.flatnonzero(pool.drive == number)
    if len(rows) == 0:
        return drive.camera
    rows = rows[np.argsort(pool.s[rows], kind="stable")]
    shift = [np.interp(drive.poses.s, pool.s[rows], association.shift[rows, axis]) for axis in (0, 1)]
    return np.asarray(drive.camera + np.stack(shift, axis=1))


def _looks(
    drives: list[DrivePass],
    landmarks: list[Landmarks],
    cameras: list[Floats],
    labels: list[Ints],
    xy: Floats,
    reach_m: Floats,
    kind: Ints,
    names: list[str],
    config: InventoryConfig,
) -> Looks:
    n = len(xy)
    sectors = np.zeros((n, SECTORS), bool)
    headings = [drive.poses.heading + one.yaw for drive, one in zip(drives, landmarks, strict=True)]
    for drive, label, heading in zip(drives, labels, headings, strict=True):
        chosen = np.flatnonzero(label >= 0)
        sectors[label[chosen], sector_of(heading[drive.detections.frame[chosen]])] = True
    parts = []
    code = {name: number for number, name in enumerate(names)}
    for number, (drive, camera, label, heading) in enumerate(zip(drives, cameras, labels, headings, strict=True)):
        asset, frame = covering(drive, camera, heading, xy, sectors, config)
        near = passed_by(drive, xy, reach_m)[asset]
        asset, frame = asset[near], frame[near]
        step = look_steps(drive)
        width = int(step.max()) + 1
        shown = np.flatnonzero(label >= 0)
        hit = np.unique(label[shown] * width + step[drive.detections.frame[shown]])
        looked = np.union1d(hit, asset * width + step[frame])
        hits, looks = np.bincount(hit // width, minlength=n), np.bincount(looked // width, minlength=n)
        about = np.flatnonzero(looks)
        unclear = np.zeros(n, bool)
        unseen = hits[asset] == 0
        free = np.flatnonzero(label < 0)
        unclear[pointed(drive, camera, free, asset[unseen], frame[unseen], xy, kind, code)] = True
        parts.append((about, np.full(len(about), number), hits[about], looks[about], unclear[about]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0, int)] * 5
    return Looks(columns[0], columns[1], columns[2], columns[3], np.asarray(columns[4], bool))
