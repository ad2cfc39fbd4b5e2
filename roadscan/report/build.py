"""Make a report of a warehouse: pictures, a page, and the figures for a terminal."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from roadscan.config import Config
from roadscan.errors import WarehouseError
from roadscan.evaluate.register.changes import RegisterScores, score_register
from roadscan.evaluate.register.scores import Score
from roadscan.report.page import Grid, Picture, Section, page
from roadscan.report.samples import Images, annotate, choose_frames, crop
from roadscan.report.strip import Path, draw_strip
from roadscan.storage import open_store
from roadscan.taxonomy import HIGHWAY
from roadscan.warehouse import Release, Warehouse

STATES = ("confirmed", "candidate", "suspect", "missing")


class ReportConfig(Config):
    """What a report shows."""

    warehouse: str = Field(description="the warehouse; a folder or s3://")
    out: str = Field("report", description="folder for report.html and its pictures")
    truth: str | None = Field(None, description="truth folder of a simulation, to score against; empty for none")
    frames: int = Field(6, ge=0, le=100, description="annotated frames")
    crops: int = Field(8, ge=0, le=100, description="pictures of changed assets")


@dataclass(frozen=True)
class Report:
    """What was made.

    Attributes:
        page: the HTML file.
        pictures: the image files.
        inventory: a row a class, for a terminal.
        scores: against the truth, where there is one.
        shortfall: that images could not be read; None where all were, or are gone.
    """

    page: FilePath
    pictures: tuple[FilePath, ...]
    inventory: Grid
    scores: RegisterScores | None
    shortfall: str | None = None


def make_report(config: ReportConfig) -> Report:
    """Write the report of a warehouse's current release.

    Raises:
        WarehouseError: the warehouse holds no register yet, or there is no truth where it was said to be.
    """
    warehouse = Warehouse(config.warehouse)
    release = warehouse.published()
    if not release.has("assets"):
        raise WarehouseError(f"{config.warehouse}: no register there; run 'roadscan inventory' first")
    assets = warehouse.read(release, "assets")
    scores = score_register(config.warehouse, config.truth) if config.truth else None
    inventory = _inventory(assets, scores)
    strip = Picture(draw_strip(_axis(warehouse, release), assets, HIGHWAY, scores and scores.truth))
    images = Images()
    frames = _frames(warehouse, release, config.frames, images)
    changes = _changes(warehouse, release, assets, config.crops, images)
    pictures = {"inventory.png": strip, **{f"frame-{i + 1}.jpg": picture for i, picture in enumerate(frames)}}
    store = open_store(config.out)
    for name, picture in pictures.items():
        store.write(name, picture.data)
    sections = [
        Section("Inventory", [inventory]),
        Section("Along the road", [strip]),
        Section("Changes", changes, "crops"),
        Section("Frames", frames, "frames"),
    ]
    facts = f"release {release.number}, {release.created_at[:16].replace('T', ' ')} UTC · {config.warehouse}"
    store.write("report.html", page("Road assets", facts, sections).encode())
    folder = FilePath(config.out)
    return Report(folder / "report.html", tuple(folder / name for name in pictures), inventory, scores, _unread(images))


def _unread(images: Images) -> str | None:
    if not images.unread:
        return None
    why = next(iter(images.unread.values()))
    return f"{len(images.unread)} of the {images.asked} images could not be read, and are grey: {why}"


def _inventory(assets: pa.Table, scores: RegisterScores | None) -> Grid:
    """A row a class: assets by state and, with scores, precision, recall and how many there are in truth."""
    rows = assets.select(["class", "state", "length_m"]).to_pylist()
    names = [name for name in HIGHWAY.names if any(row["class"] == name for row in rows)]
    header = ["class", *STATES, "metres"]
    if scores:
        header += ["known", "precision", "recall"]
    body = []
    for name in [*names, *sorted({row["class"] for row in rows} - set(names))]:
        mine = [row for row in rows if row["class"] == name]
        length = sum(row["length_m"] or 0 for row in mine if row["state"] == "confirmed")
        cells = [name, *(str(sum(row["state"] == state for row in mine)) for state in STATES)]
        cells.append(f"{length:.0f}" if length else "")
        if scores:
            cells += _score_cells(scores.assets.per_class.get(name) or scores.assets.lines.get(name))
        body.append(cells)
    return Grid(header, body)


def _score_cells(score: Score | None) -> list[str]:
    if score is None:
        return ["", "", ""]
    return [f"{score.known:.0f}", f"{score.precision:.3f}", f"{score.recall:.3f}"]


def _axis(warehouse: Warehouse, release: Release) -> Path:
    """The path of the longest drive, of the frames that were scanned."""
    columns = ["drive_id", "captured_at", "camera_lon", "camera_lat", "status"]
    frames = warehouse.read(release, "frames", columns=columns)
    placed = frames.filter((pc.field("status") == "ok") & pc.field("camera_lon").is_valid())
    placed = placed.sort_by([("drive_id", "ascending"), ("captured_at", "ascending")])
    by_drive = defaultdict(list)
    for row in placed.to_pylist():
        by_drive[row["drive_id"]].append((row["camera_lon"], row["camera_lat"]))
    if not by_drive:
        raise WarehouseError(f"{warehouse.store.uri}: no frame has a position, so there is no road to draw")
    return max((Path(*np.array(lonlat).T) for lonlat in by_drive.values()), key=lambda path: path.length_m)


def _frames(warehouse: Warehouse, release: Release, count: int, images: Images) -> list[Picture]:
    columns = ["image_uri", "drive_id", "frame_id", "class", "score", "box_px"]
    observations = warehouse.read(release, "observations", columns=columns)
    observations = observations.filter(pc.field("image_uri").is_valid() & pc.field("box_px").is_valid())
    pictures = []
    for uri in choose_frames(observations, count):
        rows = observations.filter(pc.equal(observations["image_uri"], uri)).to_pylist()
        pictures.append(
            Picture(annotate(images.read(uri), rows, HIGHWAY), f"{rows[0]['drive_id']} {rows[0]['frame_id']}")
        )
    return pictures


def _changes(
    warehouse: Warehouse, release: Release, assets: pa.Table, count: int, images: Images
) -> list[Picture | Grid]:
    evidence: dict[str, dict[str, Any]] = {row["asset_id"]: row for row in assets.to_pylist()}
    pictures: list[Picture | Grid] = []
    rows = warehouse.read(release, "asset_changes").sort_by("changed_at").to_pylist()
    for row in rows[-count:] if count else []:
        asset = evidence[row["asset_id"]]
        caption = f"{row['change']}: {row['class']}, {row['lat']:.5f} {row['lon']:.5f}"
        if asset["evidence_uri"] and asset["evidence_box_px"]:  # another detector's need not have them
            picture = crop(images.read(asset["evidence_uri"]), asset["evidence_box_px"])
            pictures.append(Picture(picture, caption))
    return pictures
