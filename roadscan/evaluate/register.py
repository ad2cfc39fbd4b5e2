"""Score a warehouse's register against the truth: assets, positions, removals, identities over the releases.

evaluate_register   any truth: every class at several radii, with intervals, as `roadscan score` prints it
score_register      a simulation's truth: the current register and the changes between its drives, for the report
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.errors import ConfigError, WarehouseError
from roadscan.evaluate.assets import (
    OVERHEAD_RADIUS_M,
    AssetScores,
    Score,
    Tally,
    score_assets,
    score_changes,
    score_radii,
)
from roadscan.evaluate.estimates import (
    LEVEL,
    Blocks,
    ClassEstimate,
    IdentityStability,
    MissingScores,
    RadiusScores,
    RegisterEvaluation,
    block_numbers,
    estimates,
)
from roadscan.evaluate.truth import (
    SURVEYED_M,
    FileTruth,
    Known,
    SimulatedTruth,
    Truth,
    open_truth,
    read_simulated,
)
from roadscan.warehouse import Release, Warehouse

#: The truth's word for each kind of change that the register reports.
KNOWN_AS = {"missing": "removed", "new": "added"}
SCORED_CHANGES = (*KNOWN_AS, "reappeared")
STANDING = ("confirmed", "suspect")  # states of what the register holds to stand; a suspect was missed by one drive
REGISTERED = (*STANDING, "missing")
RADII_M = (2.0, 5.0)
FEW_BLOCKS = 10
RELEASES_BACK = 30  # whose registers are compared; each step reads the manifests from the current one on


@dataclass(frozen=True)
class RegisterScores:
    """How good a register is.

    Attributes:
        assets: standing assets (`STANDING`) against what stood on the last night scanned, one to one within 5 m.
        changes: every ``missing``, ``new`` and ``reappeared`` of point and overhead assets against what was removed and
            added, on its own night or later: the register waits for a second drive. The truth has no reappearance, so
            one is always wrong. A change of a line is not scored.
        truth: the known assets that stood on the last night scanned.
    """

    assets: AssetScores
    changes: Score
    truth: pa.Table


def score_register(warehouse_uri: str, truth_uri: str) -> RegisterScores:
    """Score the current release of a warehouse whose drives are those of one simulation.

    Args:
        warehouse_uri: the warehouse.
        truth_uri: the simulation's ``truth`` folder.

    Raises:
        WarehouseError: there is no truth there.
    """
    warehouse = Warehouse(warehouse_uri)
    release = warehouse.current()
    truth = read_simulated(truth_uri)
    drives = _drives(warehouse, release)
    known = truth.after(drives)
    assets = warehouse.read(release, "assets")
    ids = score_assets(assets, truth.assets).matches  # also of what is missing, with all that ever stood
    lines = set(assets.filter(pc.is_valid(assets["length_m"]))["asset_id"].to_pylist())
    first, last = truth.span(drives)
    points = set(truth.assets.filter(pc.field("geometry") != "line")["asset_id"].to_pylist())
    happened = {
        (row["asset_id"], row["change"]): row["night"]
        for row in truth.changes.to_pylist()
        if row["asset_id"] in points and row["change"] in KNOWN_AS.values() and first < row["night"] <= last
    }
    reported = []
    for row in warehouse.read(release, "asset_changes").to_pylist():
        if row["asset_id"] not in lines and row["change"] in SCORED_CHANGES:
            what = (ids.get(row["asset_id"], row["asset_id"]), KNOWN_AS.get(row["change"], row["change"]))
            night = truth.nights[row["drive_id"]]
            reported.append((*what, min(night, happened.get(what, night))))
    found = score_assets(_in_state(assets, STANDING), known.standing, seen=known.seen)
    return RegisterScores(
        found, score_changes(reported, [(*what, night) for what, night in happened.items()]), known.standing
    )


def evaluate_register(
    warehouse_uri: str,
    truth_uri: str,
    *,
    class_field: str = "class",
    radii_m: Sequence[float] = RADII_M,
    resamples: int = 2000,
    seed: int = 0,
) -> RegisterEvaluation:
    """Score the current register of a warehouse against any truth, with intervals.

    Args:
        warehouse_uri: the warehouse.
        truth_uri: a simulation's ``truth`` folder or a file (`roadscan.evaluate.truth`). Of a file, known assets count
            for recall where a camera passed.
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
    release = warehouse.current()
    if not release.of("assets"):
        raise WarehouseError(f"{warehouse_uri}: no register there; run 'roadscan inventory' first")
    truth = open_truth(truth_uri, class_field)
    assets = warehouse.read(release, "assets")
    if isinstance(truth, FileTruth):
        truth.check(assets)
    known = _known(warehouse, release, truth)
    found = _with_drives(warehouse, release, _in_state(assets, STANDING), known.standing)
    at_radii = score_radii(found, known.standing, sorted(set(radii_m)), seen=known.seen)
    blocks = block_numbers(found, known.standing)
    widest = max(radii_m)
    return RegisterEvaluation(
        warehouse_uri,
        release.number,
        truth_uri,
        *_estimated(at_radii, blocks, resamples, seed),
        score_missing(assets, known.standing, known.removed, seen=known.seen, radius_m=widest),
        _identity(warehouse, release, truth, widest),
        blocks.count,
        blocks.of,
        LEVEL,
        resamples,
        tuple(_notes(known, blocks, resamples, truth)),
    )


def score_missing(
    assets: pa.Table,
    standing: pa.Table,
    removed: pa.Table | None,
    *,
    seen: set[str] | None = None,
    radius_m: float = 5.0,
) -> MissingScores:
    """Score what a register calls missing; points and overhead assets.

    Args:
        assets: rows of `schemas.ASSETS`, in any state; candidates and rejected ones are ignored.
        standing: known assets that stand, as in `score_assets`.
        removed: known assets that stood during the drives and do not any more; None where nobody says.
        seen: ids of the known assets that count for recall; None for all.
        radius_m: as in `score_assets`.
    """
    ours = _in_state(assets, REGISTERED)
    ours = ours.filter(pc.is_null(ours["length_m"]))
    columns = ["asset_id", "class", "geometry", "lon", "lat"]
    known = pa.concat_tables([table.select(columns) for table in (standing, removed) if table is not None])
    matches = score_assets(ours, known.filter(pc.not_equal(known["geometry"], "line")), radius_m=radius_m).matches
    missing = set(_in_state(ours, ("missing",))["asset_id"].to_pylist())
    gone = set() if removed is None else _points(removed)
    called = {matches[one] for one in missing if one in matches}
    counted = gone if seen is None else gone & seen
    hits = len(called & gone)
    return MissingScores(
        None if removed is None else Score(hits, len(missing), len(called & counted), len(counted)),
        missing=len(missing),
        false_alarms=len(called - gone),
        never_known=len(missing - matches.keys()),
        standing_found=len(set(matches.values()) - gone),
    )


def identity_stability(
    registers: Sequence[pa.Table],
    truth: pa.Table | Sequence[pa.Table],
    aliases: pa.Table | None = None,
    *,
    radius_m: float = 5.0,
) -> IdentityStability:
    """Whether known assets keep their ids over a sequence of registers.

    Args:
        registers: rows of `schemas.ASSETS`, one table a night; candidates are left out by the caller.
        truth: known assets as in `score_assets`, one table for all registers or one for each.
        aliases: rows of `schemas.ASSET_ALIAS`; an id that became part of another counts as that one.
        radius_m: as in `score_assets`. Lines are matched where they run beside each other.
    """
    known = [truth] * len(registers) if isinstance(truth, pa.Table) else truth
    now = {} if aliases is None else current_ids(aliases)
    had: dict[str, set[str]] = {}
    times: dict[str, int] = {}
    stood_for: dict[str, set[str]] = {}
    for register, standing in zip(registers, known, strict=True):
        scores = score_assets(register, standing, radius_m=radius_m)
        for ours, theirs in (*scores.matches.items(), *scores.line_matches.items()):
            asset_id = now.get(ours, ours)
            had.setdefault(theirs, set()).add(asset_id)
            stood_for.setdefault(asset_id, set()).add(theirs)
            times[theirs] = times.get(theirs, 0) + 1
    compared = [asset_id for asset_id, number in times.items() if number > 1]
    return IdentityStability(
        registers=len(registers),
        matched=len(had),
        compared=len(compared),
        stable=sum(len(had[asset_id]) == 1 for asset_id in compared),
        ids={asset_id: len(ids) for asset_id, ids in had.items()},
        shared_ids=sum(len(assets) > 1 for assets in stood_for.values()),
    )


def current_ids(aliases: pa.Table) -> dict[str, str]:
    """Alias → the id that its asset has now, through any number of aliases.

    Raises:
        WarehouseError: aliases go round in a circle.
    """
    step = dict(zip(aliases["alias_id"].to_pylist(), aliases["asset_id"].to_pylist(), strict=True))
    now: dict[str, str] = {}
    for alias in step:
        path, at = dict.fromkeys([alias]), step[alias]
        while at in step and at not in now and at not in path:
            path[at] = None
            at = step[at]
        if at in path:
            raise WarehouseError(
                f"asset_alias: {at} stands for itself; expected an id that is given: {' → '.join(path)}"
            )
        now |= dict.fromkeys(path, now.get(at, at))
    return now


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
        return truth.after(_drives(warehouse, release))
    frames = warehouse.read(release, "frames", columns=["camera_lon", "camera_lat", "status"])
    frames = frames.filter((pc.field("status") == "ok") & pc.field("camera_lon").is_valid())
    return truth.after(np.stack([frames[name].to_numpy() for name in ("camera_lon", "camera_lat")], axis=1))


def _with_drives(warehouse: Warehouse, release: Release, found: pa.Table, standing: pa.Table) -> pa.Table:
    """The found assets with the drive that saw each last, where the truth is by drive."""
    if "drive_id" not in standing.column_names or standing["drive_id"].null_count:
        return found
    history = warehouse.read(release, "asset_history", columns=["asset_id", "drive_id", "seen", "looked_at"])
    rows = history.filter(pc.field("seen")).sort_by("looked_at").select(["asset_id", "drive_id"])
    last = dict(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    drives = [last.get(asset_id) for asset_id in found["asset_id"].to_pylist()]
    return found.append_column("drive_id", pa.array(drives, pa.string()))


def _identity(warehouse: Warehouse, release: Release, truth: Truth, radius_m: float) -> IdentityStability | None:
    """Over the registers of the last releases, each against what stood then; None where there is one register."""
    releases = _releases_with_registers(warehouse, release)
    if len(releases) < 2:
        return None
    registers = [_in_state(warehouse.read(one, "assets"), STANDING) for one in releases]
    stood = [
        truth.standing(_drives(warehouse, one)) if isinstance(truth, SimulatedTruth) else truth.after().standing
        for one in releases
    ]
    return identity_stability(registers, stood, warehouse.read(release, "asset_alias"), radius_m=radius_m)


def _releases_with_registers(warehouse: Warehouse, release: Release) -> list[Release]:
    """The last releases that have a register, and each another one, oldest first."""
    found = [release]
    for _ in range(RELEASES_BACK):
        before = datetime.fromisoformat(release.created_at) - timedelta(microseconds=1)
        try:
            release = warehouse.as_of(before)
        except WarehouseError:  # nothing had been published by then
            break
        if release.of("assets") and release.of("assets") != found[-1].of("assets"):
            found.append(release)
    return found[::-1]


def _notes(known: Known, blocks: Blocks, resamples: int, truth: Truth) -> list[str]:
    notes = []
    what, many = ("drive", "drives") if blocks.of == "drive" else ("block of 1 km", "blocks of 1 km")
    if resamples and blocks.count < 2:
        notes.append(f"no intervals: everything lies in one {what}")
    elif resamples and blocks.count < FEW_BLOCKS:
        notes.append(f"{blocks.count} {many} are few: read the intervals as too narrow")
    if isinstance(truth, FileTruth) and known.seen is not None:
        out = len(set(truth.assets["asset_id"].to_pylist()) - known.seen)
        if out:
            notes.append(
                f"{out} of {truth.assets.num_rows} known assets do not count for recall: no camera came within "
                f"{SURVEYED_M:g} m of them"
            )
    return notes


def _drives(warehouse: Warehouse, release: Release) -> list[str]:
    drives: list[str] = warehouse.read(release, "runs", columns=["drive_id"])["drive_id"].to_pylist()
    return drives


def _in_state(assets: pa.Table, states: Sequence[str]) -> pa.Table:
    return assets.filter(pc.is_in(assets["state"], pa.array(states, pa.string())))


def _points(known: pa.Table) -> set[str]:
    return set(known.filter(pc.not_equal(known["geometry"], "line"))["asset_id"].to_pylist())
