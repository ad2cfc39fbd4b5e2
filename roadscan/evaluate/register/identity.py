"""Whether known assets keep their ids over a sequence of registers.

identity_over_releases   the registers of a warehouse's last releases
identity_stability       any registers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from roadscan.errors import WarehouseError
from roadscan.evaluate.register.scores import score_assets
from roadscan.evaluate.register.states import STANDING, drive_ids, in_state
from roadscan.evaluate.register.truth import SimulatedTruth, Truth
from roadscan.warehouse import Release, Warehouse

RELEASES_BACK = 30  # whose registers are compared; each step reads the manifests from the current one on


@dataclass(frozen=True)
class IdentityStability:
    """Whether known assets keep their ids from one register to the next.

    Attributes:
        registers: how many there are.
        matched: known assets that were found in at least one of them.
        compared: … in at least two, so that an id could change.
        stable: of the compared, those with one and the same id in all registers that found them.
        ids: by known asset that was matched, how many ids it had.
        shared_ids: ids that stood for more than one known asset.
    """

    registers: int
    matched: int
    compared: int
    stable: int
    ids: dict[str, int]
    shared_ids: int

    @property
    def share(self) -> float:
        """Share of the compared assets that is stable; NaN where none was compared."""
        return self.stable / self.compared if self.compared else float("nan")

    @property
    def ids_per_asset(self) -> float:
        """Mean number of ids of a matched asset; NaN where none was matched."""
        return sum(self.ids.values()) / len(self.ids) if self.ids else float("nan")


def identity_over_releases(
    warehouse: Warehouse, release: Release, truth: Truth, *, radius_m: float = 5.0
) -> IdentityStability | None:
    """Whether ids are kept over the registers of a warehouse's last releases, each against what stood then.

    Args:
        warehouse: whose registers.
        release: the last of them.
        truth: a simulation's knows what stood after which drives; a file's is the same for all.
        radius_m: as in `score_assets`.

    Returns:
        None where there is one register only.
    """
    releases = _releases_with_registers(warehouse, release)
    if len(releases) < 2:
        return None
    registers = [in_state(warehouse.read(one, "assets"), STANDING) for one in releases]
    stood = [
        truth.standing(drive_ids(warehouse, one)) if isinstance(truth, SimulatedTruth) else truth.after().standing
        for one in releases
    ]
    return identity_stability(registers, stood, warehouse.read(release, "asset_alias"), radius_m=radius_m)


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


def _releases_with_registers(warehouse: Warehouse, release: Release) -> list[Release]:
    """The last releases that have a register, and each another one, oldest first."""
    found = [release]
    older = (one for one in warehouse.history() if one.number < release.number)
    for one in islice(older, RELEASES_BACK):
        if one.has("assets") and one.version("assets") != found[-1].version("assets"):
            found.append(one)
    return found[::-1]
