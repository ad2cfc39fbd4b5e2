"""Score a warehouse's register against any truth: assets, positions, removals, identities, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.errors import ConfigError, WarehouseError
from roadscan.evaluate.bootstrap import LEVEL, RESAMPLES
from roadscan.evaluate.jsonable import jsonable
from roadscan.evaluate.register.identity import IdentityStability, identity_over_releases
from roadscan.evaluate.register.intervals import Blocks, ClassEstimate, block_numbers, estimates
from roadscan.evaluate.register.missing import MissingScores, score_missing
from roadscan.evaluate.register.scores import OVERHEAD_RADIUS_M, AssetScores, Tally, score_radii
from roadscan.evaluate.register.states import STANDING, drive_ids, in_state
from roadscan.evaluate.register.truth import FileTruth, Known, SimulatedTruth, Truth, open_truth
from roadscan.evaluate.register.truth.file import SURVEYED_M
from roadscan.warehouse import Release, Warehouse

RADII_M = (2.0, 5.0)
UNSEEN_NAMED = 10  # of the known assets that do not count
FEW_BLOCKS = 10


@dataclass(frozen=True)
class RadiusScores:
    """Points and overhead assets, matched within one radius.

    Attributes:
        radius_m: of points; overhead assets have their own.
        overhead: the classes that have their own.
        overhead_radius_m: theirs.
        classes: by class name.
        overall: all of them.
    """

    radius_m: float
    overhead: tuple[str, ...]
    overhead_radius_m: float
    classes: dict[str, ClassEstimate]
    overall: ClassEstimate


@dataclass(frozen=True)
class Resampling:
    """How the intervals of an evaluation were drawn.

    Attributes:
        blocks, block_of: how many blocks of road were drawn again, and of what: ``drive`` or ``km``.
        level: share of the resamples inside an interval.
        resamples: how many there were.
    """

    blocks: int
    block_of: str
    level: float
    resamples: int


@dataclass(frozen=True, kw_only=True)
class RegisterEvaluation:
    """A register against the truth, with intervals.

    Attributes:
        warehouse, release, truth: what was scored against what.
        radii: points and overhead assets, for each radius.
        lines: by class name, in metres.
        missing: removals.
        identity: over the releases; None where there is one register only.
        resampling: what the intervals are over.
        notes: what a reader should know.
    """

    warehouse: str
    release: int
    truth: str
    radii: tuple[RadiusScores, ...]
    lines: dict[str, ClassEstimate]
    missing: MissingScores
    identity: IdentityStability | None
    resampling: Resampling
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: NaN becomes None, and the ids of single assets are left out."""
        tree = asdict(self)
        tree |= tree.pop("resampling")
        score = self.missing.score
        rates = {"precision": score and score.precision, "recall": score and score.recall}
        tree["missing"] |= {**rates, "false_alarm_rate": self.missing.false_alarm_rate}
        if self.identity:
            del tree["identity"]["ids"]
            tree["identity"] |= {"share": self.identity.share, "ids_per_asset": self.identity.ids_per_asset}
        tree["notes"] = tree.pop("notes")
        plain: dict[str, Any] = jsonable(tree)
        return plain


def evaluate_register(
    warehouse_uri: str,
    truth_uri: str,
    *,
    class_field: str = "class",
    radii_m: Sequence[float] = RADII_M,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> RegisterEvaluation:
    """Score the current register of a warehouse against any truth, with intervals.

    Args:
        warehouse_uri: the warehouse.
        truth_uri: a simulation's ``truth`` folder or a file (`roadscan.evaluate.register.truth`). Of a file, known
            assets count for recall where a camera passed.
        class_field: where a file has the class.
        radii_m: distances within which a found asset is a known one; the greatest is also that of removals and ids.
        resamples: of the blocks; 0 for no intervals.
        seed: of the draw.

    Raises:
        ConfigError: a radius is not above 0.
        WarehouseError: there is no register there, or no truth.
        DatasetError: the file of known assets cannot be used.
    """
    if not radii_m or min(radii_m) <= 0 or not np.isfinite(radii_m).all():
        raise ConfigError(f"radius: got {list(radii_m)}; expected one or more distances above 0 m")
    warehouse = Warehouse(warehouse_uri)
    release = warehouse.published()
    if not release.has("assets"):
        raise WarehouseError(f"{warehouse_uri}: no register there; run 'roadscan inventory' first")
    truth = open_truth(truth_uri, class_field)
    assets = warehouse.read(release, "assets")
    if isinstance(truth, FileTruth):
        truth.check(assets)
    known = _known(warehouse, release, truth)
    found = _with_drives(in_state(assets, STANDING), known.standing)
    blocks = block_numbers(found, known.standing)
    at_radii = score_radii(found, known.standing, sorted(set(radii_m)), seen=known.seen)
    radii, lines = _estimated(at_radii, blocks, resamples, seed)
    widest = max(radii_m)
    return RegisterEvaluation(
        warehouse=warehouse_uri,
        release=release.number,
        truth=truth_uri,
        radii=radii,
        lines=lines,
        missing=score_missing(assets, known.standing, known.removed, seen=known.seen, radius_m=widest),
        identity=identity_over_releases(warehouse, release, truth, radius_m=widest),
        resampling=Resampling(blocks.count, blocks.of, LEVEL, resamples),
        notes=(*_notes(known, blocks, resamples, truth), *_unlisted(warehouse, release, truth)),
    )


def _estimated(
    at_radii: dict[float, AssetScores], blocks: Blocks, resamples: int, seed: int
) -> tuple[tuple[RadiusScores, ...], dict[str, ClassEstimate]]:
    """Points for each radius, and lines."""
    any_radius = next(iter(at_radii.values()))
    names, lines = list(any_radius.per_class), list(any_radius.lines)
    rows: list[list[Tally]] = []
    for scores in at_radii.values():
        points = [scores.tallies[name] for name in names]
        rows += [*([tally] for tally in points), points]
    rows += [[any_radius.tallies[name]] for name in lines]
    made = iter(estimates(rows, blocks, resamples, seed))
    overhead = tuple(name for name in names if any_radius.tallies[name].geometry == "overhead")
    radii = tuple(
        RadiusScores(radius_m, overhead, OVERHEAD_RADIUS_M, {name: next(made) for name in names}, next(made))
        for radius_m in at_radii
    )
    return radii, {name: next(made) for name in lines}


def _known(warehouse: Warehouse, release: Release, truth: Truth) -> Known:
    """What is known after the drives of a release."""
    if isinstance(truth, SimulatedTruth):
        return truth.after(drive_ids(warehouse, release))
    frames = warehouse.read(release, "frames", columns=["camera_lon", "camera_lat", "status"])
    frames = frames.filter((pc.field("status") == "ok") & pc.field("camera_lon").is_valid())
    return truth.after(np.stack([frames[name].to_numpy() for name in ("camera_lon", "camera_lat")], axis=1))


def _unlisted(warehouse: Warehouse, release: Release, truth: Truth) -> list[str]:
    """A note on drives that tell only frames with a detection: where they saw nothing nobody knows that they were."""
    if isinstance(truth, SimulatedTruth):
        return []
    frames = warehouse.read(release, "frames", columns=["drive_id", "status", "n_detections"])
    listed = frames.filter((pc.field("status") == "ok") & (pc.field("n_detections") == 0))["drive_id"].unique()
    drives = pc.count_distinct(frames["drive_id"]).as_py() - len(listed)
    if not drives:
        return []
    return [
        f"of {drives} drives only frames with a detection are known: known assets that they passed and saw nothing of "
        "do not count, so recall is less than it says; commit those drives with all their frames "
        "(roadscan inventory --observations … --frames …)"
    ]


def _with_drives(found: pa.Table, standing: pa.Table) -> pa.Table:
    """The found assets with the drive that saw each last, where the truth is by drive."""
    if "drive_id" not in standing.column_names or standing["drive_id"].null_count:
        return found
    return found.append_column("drive_id", found["last_drive_id"])


def _notes(known: Known, blocks: Blocks, resamples: int, truth: Truth) -> list[str]:
    notes = []
    what, many = ("drive", "drives") if blocks.of == "drive" else ("block of 1 km", "blocks of 1 km")
    if resamples and blocks.count < 2:
        notes.append(f"no intervals: everything lies in one {what}")
    elif resamples and blocks.count < FEW_BLOCKS:
        notes.append(f"{blocks.count} {many} are few: read the intervals as too narrow")
    if known.seen is not None:
        every = truth.assets if isinstance(truth, FileTruth) else known.standing
        why = f"no camera came within {SURVEYED_M:g} m of" if isinstance(truth, FileTruth) else "too few images show"
        if out := sorted(set(every["asset_id"].to_pylist()) - known.seen):
            named = ", ".join(map(str, out[:UNSEEN_NAMED])) + (" …" if len(out) > UNSEEN_NAMED else "")
            notes.append(f"{len(out)} of {every.num_rows} known assets do not count for recall: {why} them: {named}")
    return notes
