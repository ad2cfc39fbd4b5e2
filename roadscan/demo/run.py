"""The demonstration, from an empty folder to a report: simulate, scan, inventory, score, query."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from pydantic import Field, field_validator

from roadscan.config import Config
from roadscan.demo.server import s3_server
from roadscan.errors import ConfigError
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.query import query
from roadscan.inventory.query.rendering import render
from roadscan.printing import Terminal
from roadscan.progress import OnProgress
from roadscan.report.build import Report, ReportConfig, make_report
from roadscan.scan.config import ScanConfig
from roadscan.scan.run import run_scan
from roadscan.simulate import SimulationConfig, simulate
from roadscan.storage import Store, open_store
from roadscan.survey.drive import find_drives
from roadscan.view import export_site, open_site
from roadscan.view.details import read_details

SURVEY, WAREHOUSE = "s3://raw/survey", "s3://warehouse/highways"
QUERIES = {
    "How many assets of each class, and how sure are we?": "SELECT * FROM assets_per_class",
    "What changed since the first night?": (
        "SELECT changed_at, change, class, round(lat, 5) AS lat, round(lon, 5) AS lon FROM changes"
    ),
    "Which confirmed assets are placed least well?": (
        "SELECT class, side, round(pos_sigma_m, 2) AS pos_sigma_m, n_observations, n_nights, "
        "round(lat, 5) AS lat, round(lon, 5) AS lon "
        "FROM assets WHERE state = 'confirmed' AND length_m IS NULL ORDER BY assets.pos_sigma_m DESC LIMIT 5"
    ),
}

READERS = 8  # of images, which mostly wait

ProgressBar = Callable[[str], AbstractContextManager[OnProgress]]

#: The road of the demonstration, which is none of those that the demo model was trained on.
ROADS = {"seed": 5, "length_km": 3.0, "nights": 3, "conditions": ("day", "dusk", "rain")}


class DemoConfig(Config):
    """What the demonstration surveys, and with which model."""

    roads: SimulationConfig = Field(ROADS, validate_default=True, description="the simulated road and its drives")
    model: str = Field("demo", description="model file; 'demo' is the one shipped with roadscan")
    shard_frames: int = Field(64, ge=1, description="frames a shard; small, so that progress moves")

    @field_validator("roads", mode="before")
    @classmethod
    def _on_top_of_ours(cls, given: object) -> object:
        """A field that is set leaves the others as they are here."""
        return {**ROADS, **given} if isinstance(given, dict) else given


def run_demo(out: Path, config: DemoConfig, console: Terminal, progress: ProgressBar) -> Report:
    """Run the demonstration and leave everything it made in a folder.

    Args:
        out: new or empty; gets ``report.html``, pictures, ``warehouse/`` (the released tables), ``images/`` (those that
            its map shows), ``view/`` (the map as files) and ``s3/`` (the store).
        config: what to survey.
        console: where tables and figures are printed.
        progress: makes a progress bar of a unit.

    Raises:
        ConfigError: the folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"out: {out} exists and is no empty folder; give a new one, or remove it")
    started = time.monotonic()
    with s3_server(out / "s3", ("raw", "warehouse")) as server:
        console.rule("a real S3 server")
        console.print(f"SeaweedFS at {server.endpoint}, signed requests")
        console.rule(f"{config.roads.nights} survey nights over {config.roads.length_km:g} km of highway")
        with progress("frames rendered") as bar:
            made = simulate(SURVEY, config.roads, _renamed("frames rendered", bar))
        console.print(
            f"{made.frames} frames, {made.assets} assets, {made.changes} changes; {_listed(made.frames_by_condition)}"
        )
        frames_out = sum(_night(drive, config, console, progress) for drive in find_drives(f"{SURVEY}/drives"))
        console.rule("the register, scored against the truth")
        report = make_report(ReportConfig(warehouse=WAREHOUSE, out=str(out), truth=f"{SURVEY}/truth"))
        console.print(report.inventory.table())
        _print_scores(report, made.frames, frames_out, console)
        for question, sql in QUERIES.items():
            console.rule(question)
            render(query(WAREHOUSE, sql), "table", console)
        _copy_released(open_store(WAREHOUSE), open_store(out / "warehouse"))
        with progress("assets shown") as bar:
            _keep_views(out, _renamed("assets shown", bar))
    console.rule("done")
    console.print(f"report: {report.page}")
    console.print(f"files:  {out / 'view'}, for any web server")
    console.print(f"query:  roadscan query {out / 'warehouse'} 'FROM assets_current'", soft_wrap=True)
    console.print(f"{time.monotonic() - started:.0f} s")
    console.print(f"map:    roadscan view {out / 'warehouse'} --images {SURVEY}={out / 'images'}", soft_wrap=True)
    return report


def _keep_views(out: Path, on_progress: OnProgress) -> None:
    """Write the map as files, and beside the copied tables the images that it shows: the store ends with the demo."""
    site = open_site(WAREHOUSE)
    export_site(site, str(out / "view"), on_progress)
    ids = site.register(site.releases.current()).asset_id.to_pylist()
    shown = read_details(site.warehouse, site.releases.current(), ids)
    keys = {one.uri.removeprefix(f"{SURVEY}/") for details in shown for one in details.photographs}
    source, target = open_store(SURVEY), open_store(out / "images")
    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(lambda key: target.write(key, source.read(key)), sorted(keys)))


def _night(drive: str, config: DemoConfig, console: Terminal, progress: ProgressBar) -> int:
    """Scan one drive and update the register; returns the frames that came out."""
    console.rule(f"scan {drive}")
    settings = ScanConfig(drives=(drive,), warehouse=WAREHOUSE, model=config.model, shard_frames=config.shard_frames)
    with progress("frames scanned") as bar:
        scanned = run_scan(settings, _renamed("frames scanned", bar))
    console.print(
        f"{scanned.frames_ok} frames ok, {scanned.frames_quarantined} quarantined, {scanned.frames_failed} failed; "
        f"{scanned.detections} detections; {scanned.images_per_second:g} img/s with its start"
    )
    register = update_inventory(InventoryConfig(warehouse=WAREHOUSE))
    states = sum((Counter(counts) for counts in register.assets.values()), Counter[str]())
    console.print(f"release {register.release}: {_listed(states)}; changes so far: {_listed(register.changes)}")
    return scanned.frames_ok + scanned.frames_quarantined + scanned.frames_failed


def _renamed(unit: str, on_progress: OnProgress) -> OnProgress:
    """The callback, with another unit: it tells the two bars of the demonstration apart."""
    return lambda progress: on_progress(replace(progress, unit=unit))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "none"


def _print_scores(report: Report, frames_in: int, frames_out: int, console: Terminal) -> None:
    assert report.scores is not None
    assets, changes = report.scores.assets, report.scores.changes
    console.print(f"frames in {frames_in}, frames out {frames_out}")
    console.print(
        f"point assets, one to one within 5 m (overhead 10 m): precision {assets.overall.precision:.3f}, "
        f"recall {assets.overall.recall:.3f} of {assets.overall.known:.0f} seen"
    )
    console.print(f"position error: median {assets.position_p50_m:.2f} m, 90 % {assets.position_p90_m:.2f} m")
    for name, line in assets.lines.items():
        console.print(f"{name}: length precision {line.precision:.3f}, recall {line.recall:.3f} of {line.known:.0f} m")
    console.print(
        f"changes: {changes.true_positives:.0f} right of {changes.found:.0f} reported, {changes.known:.0f} true; "
        "what only the last night missed is a suspect yet"
    )


def _copy_released(source: Store, target: Store) -> None:
    """Copy what readers need of a warehouse, the pointer last."""
    for key in source.keys():  # noqa: SIM118 - a store is no mapping
        if not key.startswith(("staging/", "models/", "logs/", "current.json")):
            target.write(key, source.read(key))
    target.write("current.json", source.read("current.json"))
