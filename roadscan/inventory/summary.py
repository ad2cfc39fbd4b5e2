"""What building a register came to: an update, an audit, one tile alone."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class InventorySummary:
    """What an inventory run did.

    Attributes:
        release: the release that is current now.
        published: False when the register was already what these drives make it, or was not accepted.
        drives: how many it was built from.
        assets: by class, then by state, how many.
        changes: by kind, how many in the register's history.
        drives_read: how many of them were new, had changed, or were read for another reason.
        tiles_built: how many were not carried over as they were.
        without_bearing: drives that were read, with their detections, of which none has a bearing.
        reference_dropped: whether the release before had kilometres, and this one, by its config, has none.
        reviews_taken: how many decisions that reviewers took in a viewer it took in.
        reviews_refused: of those that it could not, the id of the asset and why.
        control_dropped: the same of assets that are pinned to control points.
        control: how many control points there are, and how many assets are pinned to one.
    """

    release: int
    published: bool
    drives: int
    assets: dict[str, dict[str, int]]
    changes: dict[str, int]
    drives_read: int = 0
    tiles_built: int = 0
    without_bearing: dict[str, int] = field(default_factory=dict)
    reference_dropped: bool = False
    reviews_taken: int = 0
    reviews_refused: dict[str, str] = field(default_factory=dict)
    control_dropped: bool = False
    control: dict[str, int] = field(default_factory=dict)

    @property
    def shortfall(self) -> str | None:
        """That drives tell nothing of where their detections are, that no asset came out, or that kilometres went."""
        if self.without_bearing:
            drive_id, count = next(iter(self.without_bearing.items()))
            more = f" and {len(self.without_bearing) - 1} more drives" if len(self.without_bearing) > 1 else ""
            return (
                f"none of the {count} detections of {drive_id}{more} has a bearing, so no asset came of them: their "
                "frames have no heading; ingest the drive with one, or with the times from which it follows"
            )
        if self.reference_dropped:
            return (
                "the register has no kilometres any more, as no reference is given; the release before had them: run "
                "again with --set reference.uri=…"
            )
        if self.reviews_refused:
            asset_id, why = next(iter(self.reviews_refused.items()))
            return (
                f"the decisions about {len(self.reviews_refused)} assets could not be applied, and wait in roadscan "
                f"view, where they are taken back or decided again; {asset_id}: {why}"
            )
        if self.control_dropped:
            return (
                "the register is not pinned any more, as no control points are given; the release before was: run "
                "again with --set control.uri=…"
            )
        if self.control and not self.control["pinned"]:
            return (
                f"none of the {self.control['points']} control points is an asset that a drive saw: they are of "
                "another place or of other classes, or more than matching.gate_m from what drives saw"
            )
        if not self.assets:
            return f"the register of {self.drives} drives has no asset: none of them detected one twice"
        return None


@dataclass(frozen=True)
class InventoryAudit:
    """How a full build differs from the register that nights have brought up to date.

    Attributes:
        release: the release that is current now.
        published: whether the full build was.
        drives: how many it was built from.
        assets: how many the full build has.
        differing: how many assets differ in any way.
        differences: by kind, how many, see `roadscan.inventory.register.differences`.
        named: by kind, the ids of the first of them.
    """

    release: int
    published: bool
    drives: int
    assets: int
    differing: int
    differences: dict[str, int]
    named: dict[str, list[str]]


@dataclass(frozen=True)
class TileSummary:
    """What one tile built alone came to; nothing of it was published.

    Attributes:
        tile: column and row.
        drives: how many have frames in it or in its halo.
        assets: by class, then by state, how many.
        changes: by kind, how many.
    """

    tile: str
    drives: int
    assets: dict[str, dict[str, int]]
    changes: dict[str, int]
