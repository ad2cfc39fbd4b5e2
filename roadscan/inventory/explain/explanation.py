"""What a release holds of an asset to why it is what it is: observation → estimate → asset → state, and what then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import shapely

from roadscan.classes import taxonomy_of
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.explain.pointing import (
    FrameInView,
    PointingObservation,
    Target,
    frames_in_view,
    pointing_observations,
)
from roadscan.inventory.explain.read import Records, Row, read_records
from roadscan.inventory.explain.reasons import notes_of, reasons_of
from roadscan.inventory.explain.replay import Existence, Looks, Model, Outlook
from roadscan.inventory.query.rendering import plain
from roadscan.storage import open_store
from roadscan.survey.geodesy import WGS84
from roadscan.taxonomy import Taxonomy

ASSET_FACTS = (
    "asset_id", "class", "state", "existence", "lon", "lat", "pos_sigma_m", "length_m", "side", "score",
    "n_observations", "n_nights", "first_seen", "last_seen", "evidence_uri", "route_code", "section_code", "km_m",
)  # fmt: skip


@dataclass(frozen=True)
class DriveEvidence:
    """What one drive told of the asset.

    Attributes:
        drive_id, looked_at: the drive, and its end.
        seen, hits, opportunities: of its opportunities to see the asset, in how many it was detected.
        score: mean of the detections.
        lon, lat, pos_sigma_m: where this drive alone puts it, without the bias of its GNSS; None where it did not.
        from_asset_m: how far that is from where the asset stands.
        log_likelihood_ratio, probability, state: the existence model after this drive; see `replay.Existence`.
        changes: what the register says that this drive changed.
        pointing: how many observations of its class point to the asset.
        observations: the few that do so best, best first; none where it was not seen.
        frames: where it was not seen, the few nearest frames that should show it.
    """

    drive_id: str
    looked_at: datetime
    seen: bool
    hits: int
    opportunities: int
    score: float | None
    lon: float | None
    lat: float | None
    pos_sigma_m: float | None
    from_asset_m: float | None
    log_likelihood_ratio: float
    probability: float
    state: str
    changes: list[str]
    pointing: int
    observations: list[PointingObservation]
    frames: list[FrameInView]


@dataclass(frozen=True)
class Explanation:
    """Why an asset is what it is.

    Attributes:
        release: the number of the release that says so.
        asked: the id that was asked for; the asset's own is in `asset`.
        alias: where `asked` is an id that went: why (`reason`) and since when.
        asset: the columns of `schemas.ASSETS` that tell of it.
        reasons: for its state, in words.
        drives: what each told, in the order in which they ended.
        reviews: action, time, reviewer and note of each decision about it, in their order.
        outlooks: what more drives would make of it, none where drives alone do not lead to its state.
        notes: what to know of these figures, in words.
        parameters: of the model that made them, by dotted name of the config.
    """

    release: int
    asked: str
    alias: dict[str, Any] | None
    asset: dict[str, Any]
    reasons: list[str]
    drives: list[DriveEvidence]
    reviews: list[dict[str, Any]]
    outlooks: list[Outlook]
    notes: list[str]
    parameters: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON: times are ISO 8601."""
        told: dict[str, Any] = plain(asdict(self))
        return told


def explain_asset(
    uri: str, asset_id: str, *, config: InventoryConfig | None = None, as_of: datetime | None = None
) -> Explanation:
    """An asset of a warehouse to why it is what it is.

    Args:
        uri: the warehouse's root.
        asset_id: of the asset, or an id of before that is an alias of it now.
        config: the thresholds that the register was made with; None for the defaults.
        as_of: the release that was current then, a time with a zone; None for the current one.

    Raises:
        WarehouseError: the register has no such asset, or nothing was published by then.
    """
    config = config or InventoryConfig(warehouse=uri)
    taxonomy = taxonomy_of(open_store(uri), config.taxonomy)
    return _explained(read_records(uri, asset_id, as_of), config, taxonomy)


def _explained(records: Records, config: InventoryConfig, taxonomy: Taxonomy) -> Explanation:
    """What a release holds of an asset to why it is what it is."""
    asset, line = records.asset, records.asset["length_m"] is not None
    located = asset["pos_sigma_m"] <= config.existence.confirm_sigma_m
    model = Model(records.others, located, line, config.existence)
    hits, opportunities = (np.array([row[name] for row in records.history], np.int64) for name in ("hits", "covering"))
    looks = Looks.of(hits, opportunities, line=line)
    replayed = model.replay(looks)
    agrees = bool(replayed) and replayed[-1].state.label == asset["state"]
    drives = [
        _evidence(records, row, now, config, taxonomy) for row, now in zip(records.history, replayed, strict=True)
    ]
    return Explanation(
        release=records.release,
        asked=records.asked,
        alias=records.alias and {name: records.alias[name] for name in ("reason", "since")},
        asset={name: asset[name] for name in ASSET_FACTS},
        reasons=reasons_of(records, config),
        drives=drives,
        reviews=[_review(row) for row in records.reviews],
        outlooks=model.outlooks(looks, replayed[-1].state) if agrees else [],
        notes=notes_of(records, replayed),
        parameters=_parameters(config),
    )


def _evidence(records: Records, row: Row, now: Existence, config: InventoryConfig, taxonomy: Taxonomy) -> DriveEvidence:
    drive_id, target = row["drive_id"], _target(records.asset, row, taxonomy)
    pointing, observations = pointing_observations(records.observations[drive_id], target, config)
    from_asset_m = None
    if row["lon"] is not None:
        asset = records.asset
        from_asset_m = float(WGS84.inv(asset["lon"], asset["lat"], row["lon"], row["lat"])[2])
    return DriveEvidence(
        **{name: row[name] for name in ("drive_id", "looked_at", "seen", "hits", "score", "lon", "lat", "pos_sigma_m")},
        opportunities=row["covering"],
        from_asset_m=from_asset_m,
        log_likelihood_ratio=now.log_likelihood_ratio,
        probability=now.probability,
        state=now.state.label,
        changes=[change["change"] for change in records.changes if change["drive_id"] == drive_id],
        pointing=pointing,
        observations=observations if row["seen"] else [],
        frames=[] if row["seen"] else frames_in_view(records.frames[drive_id], target, config),
    )


def _target(asset: Row, row: Row, taxonomy: Taxonomy) -> Target:
    """The asset, as the drive of a row of the history has it; where it was not seen, as the register has it."""
    shape = shapely.from_wkb(asset["geometry"])
    placed = row["lon"] is not None and asset["length_m"] is None
    return Target(
        class_name=asset["class"],
        geometry=taxonomy.get(asset["class"]).geometry,
        shape=shapely.Point(row["lon"], row["lat"]) if placed else shape,
        sigma_m=row["pos_sigma_m"] if placed else asset["pos_sigma_m"],
        azimuth_deg=asset["azimuth_deg"],
    )


def _review(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("action", "asset_id", "target_id", "reviewed_at", "reviewer", "note")}


def _parameters(config: InventoryConfig) -> dict[str, float]:
    """What of a config the explanation goes by."""
    names: dict[str, Sequence[str]] = {
        "existence": ("occlusion_probability", "change_probability", "confirm_sigma_m"),
        "noise": ("bearing_sigma_deg", "yaw_sigma_deg"),
        "tracking": ("min_score",),
        "visibility": ("near_m", "far_m"),
    }
    return {f"{group}.{name}": getattr(getattr(config, group), name) for group in names for name in names[group]}
