"""The command line: ``roadscan <job>``. Reads arguments, shows progress and results, and turns errors into messages.

Exit codes: 0 done; 1 an error, with a message; 2 wrong arguments; 3 done, but some frames failed, a drive was left out,
a night has too many frames in quarantine, or nothing usable came in or out, as the last line says: mend it and run it
again; 4 another nightly run is under way; 5 a scan or a nightly run made no progress and was ended; 6 a night's model,
detections or register are worse than before; 130 stopped by Ctrl-C; 143 by SIGTERM.

Past 400 lines: one function a command, nearly all of it options and their help.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import typer

from roadscan import __version__
from roadscan.config import Config, load_config
from roadscan.errors import ConfigError, LeaseHeld, RoadscanError
from roadscan.live import epoch_progress, hush, progress, run_progress, trial_progress
from roadscan.logs import set_up_logging
from roadscan.manual.jobs import JobName
from roadscan.model.formats import Format
from roadscan.progress import OnProgress, Progress
from roadscan.shortfall import SHORT, Summary
from roadscan.storage import open_file, open_store
from roadscan.terminal import (
    console,
    errors,
    print_ablation_plan,
    print_backends,
    print_beside,
    print_config,
    print_facts,
    print_findings,
    print_json,
    print_left_out,
    print_night,
    print_nights,
    print_plan,
    print_read,
    print_register_scores,
    print_rows,
    print_sweep,
    print_tables,
    print_training,
)  # fmt: skip
from roadscan.termination import TERMINATED, Termination

if TYPE_CHECKING:  # what imports PyTorch is imported by the commands that need it
    from roadscan.evaluate.detection.compare import Candidate, Comparison
    from roadscan.evaluate.detection.evaluation import Inference
    from roadscan.evaluate.detection.tables import ScoreTable
    from roadscan.evaluate.semantic.compare import PixelComparison
    from roadscan.inventory.query.changes import Stretch

    ComparedModels: TypeAlias = tuple[Comparison | PixelComparison, list[ScoreTable], Callable[[], dict[str, bytes]]]

app = typer.Typer(
    help="Survey drives in, a register of road assets out.",
    epilog="Without -v and -q, ROADSCAN_LOG=debug, info, warning or error says what is logged.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
model_app = typer.Typer(help="Model files.", no_args_is_help=True)
app.add_typer(model_app, name="model")
releases_app = typer.Typer(help="A warehouse's releases.", no_args_is_help=True)
app.add_typer(releases_app, name="releases")
dataset_app = typer.Typer(help="Labelled datasets.", no_args_is_help=True)
app.add_typer(dataset_app, name="dataset")

LEASE_HELD = 4
INTERRUPTED = 130  # what typer makes of Ctrl-C
DAY = "%Y-%m-%d"
RECALL = 0.9  # that a user mostly wants
ConfigT = TypeVar("ConfigT", bound=Config)
ConfigFile = Annotated[Path | None, typer.Argument(help="YAML config.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a field: name=value or group.name=value.", show_default=False),
]
SplitOption = Annotated[str, typer.Option(help="Images to score on; val where there is no test.")]
ResamplesOption = Annotated[int, typer.Option(min=0, help="Of the drives, for the intervals.")]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu or cuda; empty: the GPU where there is one.", show_default=False)
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        help="Longer side of the network's input, as a scan's image_size_px; empty: the model's own.",
        show_default=False,
    ),
]
SlicesOption = Annotated[
    str | None,
    typer.Option(
        help="See each image in slices besides, as a scan can: '{}', or '{size_px: 640, rows: [0.3, 0.6]}'.",
        show_default=False,
    ),
]
NumberArgument = Annotated[int, typer.Argument(help="Of the release.")]
WarehouseArgument = Annotated[str, typer.Argument(help="The warehouse; a folder or s3://.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RecordOption = Annotated[bool, typer.Option("--record", help="Every column, one a line, a block a row.")]
GuardOption = Annotated[
    bool,
    typer.Option("--guard/--no-guard", help="In CSV, put ' before text that a spreadsheet would take for a formula."),
]
AsOf = Annotated[datetime | None, typer.Option(help="The release that was current then (UTC).", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the resolved config and the plan; start nothing.")]


def _utc(moment: datetime | None) -> datetime | None:
    """A time as typer reads it, without a zone, with its zone."""
    return moment.replace(tzinfo=UTC) if moment else None


def _stretch(route: str | None, km: str | None, since: str | None, until: str | None) -> Stretch:
    """Where on the network and when, as a user types it."""
    from roadscan.inventory.query.changes import Stretch, read_days, read_km

    first, last = read_km(km) if km else (None, None)
    begin, end = read_days("since", since)[0] if since else None, read_days("until", until)[1] if until else None
    return Stretch(route, first, last, begin, end)


def _ended(summary: Summary) -> int:
    """The exit code of a job that is done; what it lacks is told."""
    if summary.shortfall:
        errors.print(summary.shortfall)
    return SHORT if summary.shortfall else 0


def main() -> None:
    """Run the command line; a user's mistake gives a message, never a traceback."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:  # which was told where it happened; Python would tell it again, and end with 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    with Termination() as termination:
        code = _run(arguments, termination)
    if termination.asked or code == INTERRUPTED:
        errors.print("stopped; run the same command again to go on")
    return TERMINATED if termination.asked else code


def _run(arguments: Sequence[str], termination: Termination) -> int:
    try:
        return int(app(args=list(arguments), standalone_mode=False) or 0)
    except typer.Exit as exit_:
        return exit_.exit_code
    except RoadscanError as error:
        errors.print("error:", str(error))
        return 1
    except Exception as error:
        if hasattr(error, "format_message"):  # click's own errors: wrong arguments
            errors.print("error:", error.format_message())
            return 2
        raise
    except (KeyboardInterrupt, SystemExit):  # Ray makes the second of a SIGTERM
        if not termination.asked:
            raise
        return TERMINATED


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        int,
        typer.Option("--verbose", "-v", count=True, show_default=False, help="Log what is done; -vv logs more."),
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show results and errors only.")] = False,
) -> None:
    """Survey drives in, a register of road assets out."""
    if verbose and quiet:
        raise ConfigError("-v and -q: got both; expected one of them")
    set_up_logging(-1 if quiet else verbose)
    if quiet:
        hush()
    if version:
        console.print(__version__)
        raise typer.Exit


@app.command()
def simulate(
    out: Annotated[str, typer.Argument(help="Where drives/ and truth/ go; a folder or s3://.")],
    config: ConfigFile = None,
    km: Annotated[float | None, typer.Option(help="Length of the road.", show_default=False)] = None,
    nights: Annotated[int | None, typer.Option(help="Survey drives over it.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same bytes.", show_default=False)] = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> int:
    """Make survey drives over a synthetic highway, with known truth."""
    from roadscan.simulate import SimulationConfig
    from roadscan.simulate import simulate as run_simulation

    named = {"length_km": km, "nights": nights, "seed": seed}
    given = [f"{name}={value}" for name, value in named.items() if value is not None]
    settings = load_config(SimulationConfig, config, [*given, *(overrides or [])])
    if dry_run:
        return print_config(settings)
    with progress("frames") as bar:
        summary = run_simulation(out, settings, bar)
    print_facts(asdict(summary))
    return 0


@app.command()
def ingest(
    what: Annotated[
        str, typer.Argument(help="A YAML config; or exif, mapillary, table, track or video, with SOURCE and --out.")
    ],
    source: Annotated[str | None, typer.Argument(help="What to import.", show_default=False)] = None,
    out: Annotated[str | None, typer.Option(help="The drive's folder.", show_default=False)] = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> int:
    """Make a drive from images with EXIF, Mapillary descriptions, a table, a GPX or NMEA track, or videos."""
    from roadscan.survey.importers import IngestConfig, ingest_config
    from roadscan.survey.importers import ingest as run_ingest

    if source is None:
        given = [f"out={json.dumps(out)}"] if out else []
        settings = load_config(IngestConfig, what, [*given, *(overrides or [])])
    else:
        settings = ingest_config(what, source, out or "", overrides or [])
    if dry_run:
        return print_config(settings)
    with (
        progress("frames") as bar,
        _ended_without_progress(settings.no_progress_s, "no frame was read", bar) as seen,
    ):
        summary = run_ingest(settings, seen)
    facts = asdict(summary)
    extent = facts.pop("extent")
    print_facts(facts | extent)
    return _ended(summary)


@app.command()
def scan(
    config: ConfigFile = None,
    again: Annotated[
        list[str] | None,
        typer.Option(
            help="Scan again a drive, by id or address, or frames that are not used, by the first word of the reason.",
            metavar="REASON|DRIVE",
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> int:
    """Detect assets in survey drives; commit observations to a warehouse. Run again, it goes on where it stopped."""
    from roadscan.scan.config import ScanConfig
    from roadscan.scan.plan import plan_scan
    from roadscan.scan.run import run_scan

    named = [f"again={json.dumps(again)}"] if again else []
    settings = load_config(ScanConfig, config, [*(overrides or []), *named])
    plan = plan_scan(settings)
    frames = sum(shard.stop - shard.start for shard in plan.todo)
    console.print(
        f"{len(plan.shards)} drives to scan, {len(plan.done)} already done; "
        f"{len(plan.todo)} of {sum(map(len, plan.shards.values()))} shards to do, {frames} frames"
    )
    if plan.left_out and not plan.drives:
        raise RoadscanError("; ".join(plan.left_out.values()))
    if dry_run:
        print_left_out(plan.left_out)
        return print_config(settings)
    with (
        progress("frames") as bar,
        _ended_without_progress(settings.no_progress_s, "no shard was committed", bar) as seen,
    ):
        summary = run_scan(settings, seen, plan=plan)
    facts = asdict(summary)
    left_out = facts.pop("left_out")
    print_facts(facts)
    print_left_out(left_out)
    return _ended(summary)


@contextmanager
def _ended_without_progress(limit_s: float, lacking: str, on_progress: OnProgress) -> Iterator[OnProgress]:
    """A limit on the time between two events -> what to call with each; without one the process ends with code 5."""
    from roadscan.nightly.guard import Guard, StopReason, Watchdog, end_process
    from roadscan.nightly.summary import EXIT_CODES

    watchdog = Watchdog(limit_s)

    def seen(now: Progress) -> None:
        watchdog.progress()
        on_progress(now)

    def end(stop: StopReason) -> None:
        advice = "run the same command again to go on"
        end_process(EXIT_CODES[stop.outcome], lambda: errors.print(f"error: {stop.reason}; {advice}"))

    with watchdog.watching(lacking), Guard([watchdog.check], end):
        yield seen


@app.command()
def train(config: ConfigFile = None, overrides: Overrides = None, dry_run: DryRun = False) -> int:
    """Train YOLOv8 with the generalized focal loss on the Ray cluster. Run again, it goes on where it stopped."""
    from roadscan.train.check import check_training
    from roadscan.train.config import TrainConfig

    settings = load_config(TrainConfig, config, overrides or [])
    if dry_run:
        check_training(settings)
        return print_config(settings)
    from roadscan.train.run import run_train

    with epoch_progress() as bar:
        summary = run_train(settings, bar)
    print_training(settings.out, summary)
    return 0


@app.command()
def tune(config: ConfigFile = None, overrides: Overrides = None, dry_run: DryRun = False) -> int:
    """Search loss, variant and more with Ray Tune and Optuna. Run again, it goes on where it stopped."""
    from roadscan.tune.config import TuneConfig
    from roadscan.tune.plan import plan_sweep
    from roadscan.tune.run import run_tune

    settings = load_config(TuneConfig, config, overrides or [])
    if dry_run:
        print_plan(settings, plan_sweep(settings))
        return print_config(settings)
    with trial_progress() as bar:
        summary = run_tune(settings, bar)
    print_sweep(bar.trials, summary, settings.metric)
    return 0


@app.command()
def ablate(config: ConfigFile = None, overrides: Overrides = None, dry_run: DryRun = False) -> int:
    """Train and test each loss with each size and seed; say what it gains. Run again, it goes on where it stopped."""
    from roadscan.ablate.config import AblateConfig
    from roadscan.ablate.run import plan_ablation, run_ablation

    settings = load_config(AblateConfig, config, overrides or [])
    if dry_run:
        print_ablation_plan(settings, plan_ablation(settings))
        return print_config(settings)
    with run_progress() as bar:
        summary = run_ablation(settings, bar)
    print_tables(summary.tables, summary.notes)
    print_facts({"page": summary.page, "runs": summary.runs})
    return int(summary.runs["failed"] > 0)


@app.command()
def inventory(
    config: ConfigFile = None,
    observations: Annotated[
        str | None,
        typer.Option(
            help="Another detector's table, or a folder of them: Parquet or CSV with drive_id, frame_id, captured_at, "
            "camera_lon, camera_lat, class, score and bearing_deg (clockwise from north); if known also range_m, "
            "range_sigma_m, bearing_sigma_deg, heading_deg, heading_sigma_deg, pos_sigma_m, fov_deg, box_px, "
            "image_uri, and for lines near_ and far_ ends.",
            show_default=False,
        ),
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="With --observations: its frames, also those without any.", show_default=False)
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="The warehouse; instead of --set warehouse=.", show_default=False)
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --observations: replace drives that have other content.")
    ] = False,
    tile: Annotated[
        str | None,
        typer.Option(help="COLUMN,ROW: build this tile alone, and publish nothing.", show_default=False),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Build from all drives anew, tell what differs, and publish nothing.")
    ] = False,
    publish: Annotated[bool, typer.Option("--publish", help="With --full: publish what it built.")] = False,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> int:
    """Turn a warehouse's observations into its register of assets; first commit another detector's, where given."""
    from roadscan.classes import taxonomy_of
    from roadscan.inventory import InventoryConfig, run_audit, run_inventory, run_tile
    from roadscan.observations import add_observations

    if observations is not None and tile is not None:
        raise ConfigError("--tile and --observations: got both; commit the observations first, then build the tile")
    if full and (tile is not None or observations is not None):
        raise ConfigError("--full: got it with --tile or --observations; expected it alone")
    if publish and not full:
        raise ConfigError("--publish goes with --full, which is not given; without it a register is published anyway")
    if observations is None and (frames is not None or replace):
        raise ConfigError("--frames and --replace go with --observations, which is not given")
    given = [f"warehouse={json.dumps(out)}"] if out else []
    settings = load_config(InventoryConfig, config, [*given, *(overrides or [])])
    if observations is not None:
        with console.status("reading observations"):
            added = add_observations(
                settings.warehouse,
                observations,
                frames,
                replace=replace,
                dry_run=dry_run,
                taxonomy=taxonomy_of(open_store(settings.warehouse), settings.taxonomy),
                on_read=print_read,
            )
        console.print(f"{added.new} drives to commit, {added.known} already there")
        if added.rejected_uri:
            console.print(f"rejected rows: {added.rejected_uri}", soft_wrap=True)
    if dry_run:
        return print_config(settings)
    with (
        progress("drives read") as bar,
        _ended_without_progress(settings.execution.no_progress_s, "no drive was read, no tile built", bar) as seen,
    ):
        if full:
            audit = run_audit(settings, seen, publish=publish)
            print_facts(asdict(audit))
            return 1 if audit.differing and not publish else 0
        if tile is not None:
            print_facts(asdict(run_tile(settings, tile, seen)))
        else:
            summary = run_inventory(settings, seen)
            print_facts(asdict(summary))
            return _ended(summary)
    return 0


@app.command()
def nightly(
    config: ConfigFile = None,
    date: Annotated[
        datetime | None, typer.Option(formats=[DAY], help="The night; empty for today's.", show_default=False)
    ] = None,
    from_: Annotated[
        datetime | None,
        typer.Option("--from", formats=[DAY], help="First date of a back-fill, each in turn.", show_default=False),
    ] = None,
    to: Annotated[
        datetime | None, typer.Option(formats=[DAY], help="Its last date; empty for today.", show_default=False)
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(
            help="Why closed gates are passed, in words; stands in the release's note.",
            metavar="REASON",
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> int:
    """Scan a night's new drives and update the register: one release, one summary. Of two runs at a time one works."""
    from roadscan.nightly.config import NightlyConfig
    from roadscan.nightly.dates import nights_of
    from roadscan.nightly.plan import frames_left, plan_nights
    from roadscan.nightly.run import nightly_lease, run_nightly

    settings = load_config(NightlyConfig, config, overrides or [])
    now = datetime.now(UTC)
    days = [given.date() if given else None for given in (date, from_, to)]
    nights = nights_of(*days, today=now.astimezone(settings.zone).date())
    if dry_run:
        plan = plan_nights(settings, nights, now)
        print_nights(plan, frames_left(settings, plan), nightly_lease(settings).holder())
        return print_config(settings)
    try:
        with progress("drives") as bar:
            summary = run_nightly(settings, nights, bar, now=now, on_night=print_night, force=force)
        print_beside(summary)
        return summary.exit_code
    except LeaseHeld as error:
        errors.print("error:", str(error))
        return LEASE_HELD


@app.command()
def query(
    warehouse: Annotated[str, typer.Argument(help="The warehouse; a folder or s3://.")],
    sql: Annotated[str | None, typer.Argument(help="DuckDB SQL over its tables and views.", show_default=False)] = None,
    format_: Annotated[
        Literal["table", "record", "json", "csv"], typer.Option("--format", help="How to print.")
    ] = "table",
    record: RecordOption = False,
    describe: Annotated[
        bool, typer.Option("--describe", help="All tables and views; with a name in place of SQL, its columns.")
    ] = False,
    as_of: AsOf = None,
    guard: GuardOption = True,
) -> int:
    """Answer SQL over the committed files of a warehouse; with --describe say what its tables and columns are."""
    from roadscan.inventory.query import query as run_query
    from roadscan.inventory.query.describe import describe_all, describe_columns
    from roadscan.inventory.query.rendering import render

    if record and format_ != "table":
        raise ConfigError(f"--record and --format {format_}: got both; expected one of them")
    how: Any = "record" if record else format_
    if describe and sql:
        columns, meaning = describe_columns(warehouse, sql.strip())
        if how in ("table", "record"):
            console.print(meaning, soft_wrap=True)
        render(columns, how, console)
    elif describe:
        render(describe_all(), how, console)
    elif sql:
        render(run_query(warehouse, sql, as_of=_utc(as_of)), how, console, guard=guard)
    else:
        raise ConfigError("query: got no SQL; expected a SELECT, or --describe for what there is to ask")
    return 0


@app.command()
def changes(
    warehouse: Annotated[str, typer.Argument(help="The warehouse; a folder or s3://.")],
    route: Annotated[str | None, typer.Option(help="Its code; 2 finds 0002.", show_default=False)] = None,
    km: Annotated[
        str | None, typer.Option(help="A kilometre or a range: 10, 10-20, 10+500-12+250.", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="First day, month or year: 2026-11-03, 2026-11, 2026.", show_default=False)
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last one, itself included.", show_default=False)] = None,
    out: Annotated[
        str | None, typer.Option(help="File for all columns, .csv or .json; also s3://.", show_default=False)
    ] = None,
    record: RecordOption = False,
    as_json: JsonOption = False,
    guard: GuardOption = True,
) -> int:
    """List what changed on a stretch of road: new, suspect, missing, reappeared, moved, damaged, repaired."""
    from roadscan.inventory.query.changes import find_changes
    from roadscan.inventory.query.rendering import csv_text, render

    if out and not out.endswith((".csv", ".json")):
        raise ConfigError(f"out: got {out}; expected a name that ends with .csv or .json")
    found = find_changes(warehouse, _stretch(route, km, since, until))
    if out:
        store, key = open_file(out)
        text = csv_text(found.rows, guard=guard) if out.endswith(".csv") else json.dumps(found.to_dict(), indent=1)
        store.write(key, text.encode())
    if as_json:
        print_json(found.to_dict())
        return 0
    console.print(found.heading(), soft_wrap=True)
    if found.rows.num_rows:
        render(found.table(), "record" if record else "table", console)
        console.print(f"days in {found.zone}", style="dim")
    return 0


@app.command("export")
def export_register(
    warehouse: WarehouseArgument,
    out: Annotated[
        str,
        typer.Argument(
            help="The file, also s3://; its ending says the format: .gpkg, .geojson, .geojsonl, .fgb, .csv, .shp.zip, "
            ".pmtiles."
        ),
    ],
    sql: Annotated[
        str | None,
        typer.Argument(help="DuckDB SQL, as of roadscan query; empty for all assets.", show_default=False),
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Only this one; several times.", show_default=False)
    ] = None,
    states: Annotated[
        list[str] | None, typer.Option("--state", help="Only this one; several times.", show_default=False)
    ] = None,
    route: Annotated[str | None, typer.Option(help="Its code; 2 finds 0002.", show_default=False)] = None,
    km: Annotated[
        str | None, typer.Option(help="A kilometre or a range: 10, 10-20, 10+500-12+250.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="First day, month or year of the last detection, or of a change.", show_default=False),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last one, itself included.", show_default=False)] = None,
    changes: Annotated[bool, typer.Option("--changes", help="What changed, as roadscan changes has it.")] = False,
    since_release: Annotated[
        int | None,
        typer.Option(help="Only assets that this release has not, or otherwise, or still has.", show_default=False),
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(help="A YAML file of the agency's own fields; or ndw or mire.", show_default=False),
    ] = None,
    as_of: AsOf = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    guard: GuardOption = True,
) -> int:
    """Write the register, or what is asked of it, as a file for QGIS, ArcGIS and others."""
    from roadscan.export import Asked
    from roadscan.export import export_register as run_export

    asked = Asked(
        sql, tuple(classes or ()), tuple(states or ()), _stretch(route, km, since, until), changes, since_release
    )
    with progress("rows", errors) as bar:
        made = run_export(
            warehouse,
            out,
            asked,
            mapping=mapping,
            as_of=_utc(as_of),
            overwrite=overwrite,
            guard=guard,
            on_progress=bar,
        )
    if made.out:
        print_facts({"out": made.out, "format": made.format, "release": made.release, "features": made.features})
        for told in made.told:
            console.print(told, style="dim", markup=False, soft_wrap=True)
    return _ended(made)


@app.command()
def explain(
    warehouse: Annotated[str, typer.Argument(help="The warehouse; a folder or s3://.")],
    asset_id: Annotated[str, typer.Argument(help="Of the asset; an id that became another is followed.")],
    config: Annotated[
        Path | None,
        typer.Option(help="The inventory's YAML; empty for the default thresholds.", show_default=False),
    ] = None,
    as_of: AsOf = None,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> int:
    """Say why an asset is what it is: observations, estimates, state after each drive, and what would change it."""
    from roadscan.inventory import InventoryConfig
    from roadscan.inventory.explain import explain_asset, render_explanation

    settings = load_config(InventoryConfig, config, [f"warehouse={json.dumps(warehouse)}", *(overrides or [])])
    made = explain_asset(warehouse, asset_id, config=settings, as_of=_utc(as_of))
    if as_json:
        print_json(made.to_dict())
    else:
        render_explanation(made, console)
    return 0


@app.command()
def report(
    warehouse: Annotated[str, typer.Argument(help="The warehouse; a folder or s3://.")],
    out: Annotated[str, typer.Option(help="Folder for report.html and its pictures.")] = "report",
    truth: Annotated[str | None, typer.Option(help="Truth folder of a simulation.", show_default=False)] = None,
    overrides: Overrides = None,
) -> int:
    """Draw the register: a strip map, annotated frames, changes, and a page to open."""
    from roadscan.report.build import ReportConfig, make_report

    given = {"warehouse": warehouse, "out": out} | ({"truth": truth} if truth else {})
    pairs = [f"{name}={json.dumps(value)}" for name, value in given.items()]
    made = make_report(load_config(ReportConfig, None, [*pairs, *(overrides or [])]))
    console.print(made.inventory.table())
    console.print(f"report: {made.page}")
    return _ended(made)


@app.command()
def view(
    warehouse: WarehouseArgument,
    reference: Annotated[
        str | None, typer.Option(help="Centrelines, as reference.uri of the inventory.", show_default=False)
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Where images are now, if they moved; several times.", metavar="FROM=TO", show_default=False),
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option(help="Whose decisions they are, unless the page says.", show_default=False)
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; one that others reach demands the token that is printed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8765,
    export: Annotated[
        str | None,
        typer.Option(help="Write files for any web server to this folder; serve nothing.", show_default=False),
    ] = None,
) -> int:
    """Show the register on a map in a browser, and judge it there by its photographs, without internet."""
    from roadscan.view import export_site, open_site, prepare, serve

    with console.status("reading the register"):
        site = open_site(warehouse, reference, images or (), reviewer)
    if export:
        with progress("assets") as bar:
            summary = export_site(site, export, bar)
        print_facts({"out": summary.out, "assets": summary.assets, "photographs": summary.photographs})
        return _ended(summary)
    served = prepare(site, host, port)
    serve(served, lambda: console.print(f"{served.address}  (Ctrl-C ends it)", soft_wrap=True))
    return 0


@app.command()
def score(
    warehouse: Annotated[str, typer.Argument(help="The warehouse; a folder or s3://.")],
    truth: Annotated[
        str, typer.Argument(help="Known assets: a simulation's truth folder, or .geojson, .parquet or .csv.")
    ],
    class_field: Annotated[str, typer.Option(help="Where a file has the class of an asset.")] = "class",
    radius: Annotated[
        list[float] | None,
        typer.Option(
            help="Metres within which a found asset is a known one; several times: 2 and 5.", show_default=False
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=0, help="Of 1 km blocks of road (or drives), for the intervals.")
    ] = 2000,
    as_json: JsonOption = False,
) -> int:
    """Score the register against known assets: precision, recall, F1 and distances, with intervals."""
    from roadscan.evaluate.register.evaluation import RADII_M, evaluate_register

    made = evaluate_register(warehouse, truth, class_field=class_field, radii_m=radius or RADII_M, resamples=resamples)
    if as_json:
        print_json(made.to_dict())
    else:
        print_register_scores(made)
    return 0


@app.command()
def doctor(
    config: ConfigFile = None,
    warehouse: Annotated[str | None, typer.Option(help="Instead of the config's.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="Instead of the config's.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> int:
    """Look at Python, GPUs, Ray, the store and the model; say what to do. Exit code 1 if something cannot work."""
    from roadscan.doctor import Subject, examine, read_subject

    subject = read_subject(config) if config else Subject()
    subject = replace(subject, warehouse=warehouse or subject.warehouse, model=model or subject.model)
    with console.status("looking"):
        findings = list(examine(subject))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_findings(findings)
    return int(any(finding.status == "fail" for finding in findings))


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder for everything it makes; must be new or empty.")],
    km: Annotated[
        float | None, typer.Option(help="Length of the road; 0.3 for a quick look.", show_default=False)
    ] = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> int:
    """Three survey nights in a real S3 store become an inventory, scored against the truth, with pictures."""
    from roadscan.demo.run import DemoConfig, run_demo

    given = [] if km is None else [f"roads.length_km={km}"]
    settings = load_config(DemoConfig, None, [*given, *(overrides or [])])
    if dry_run:
        return print_config(settings)
    run_demo(out, settings, console, progress)
    return 0


@app.command("config")
def show_config(
    job: Annotated[JobName, typer.Argument(help="Whose config; demo_model is that of jobs/demo_model.py.")],
) -> int:
    """Print a job's config as YAML to start from: every field with its meaning, type, bounds, unit and default."""
    from roadscan.manual.commented import commented_yaml

    console.print(commented_yaml(job), soft_wrap=True, end="")
    return 0


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Model file, or demo.")],
    data: Annotated[str, typer.Argument(help="Labelled dataset; a folder or s3://.")],
    split: SplitOption = "test",
    recall: Annotated[float, typer.Option(help="Wanted recall: prints the confidences that reach it.")] = RECALL,
    resamples: ResamplesOption = 2000,
    device: DeviceOption = None,
    image_size: ImageSizeOption = None,
    slices: SlicesOption = None,
    out: Annotated[
        str | None, typer.Option(help="Folder for evaluation.json, confidence.yaml and pictures.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Score a model on labelled images: average precision, P, R and F1, or overlap of pixels, with intervals."""
    from roadscan.evaluate.detection.evaluation import Inference
    from roadscan.evaluate.detection.evaluation import evaluate as run_evaluation
    from roadscan.evaluate.detection.tables import evaluation_tables
    from roadscan.model.exported import inspect
    from roadscan.model.slices import read_slices
    from roadscan.report.evaluation import evaluation_pictures

    inference = Inference(device, image_size_px=image_size, slices=read_slices(slices))
    if inspect(model).card.task == "semantic":
        if recall != RECALL:
            raise ConfigError(
                f"--recall: got {recall:g}, and {model} is semantic: its pixels have no confidence to choose"
            )
        return _evaluate_pixels(model, data, split, resamples, inference, out, as_json=as_json)
    with progress("images", errors if as_json else console) as bar:
        made = run_evaluation(
            model,
            data,
            split=split,
            recall_target=recall,
            resamples=resamples,
            inference=inference,
            on_progress=bar,
        )
    if out:
        _write_files(out, "evaluation.json", made.to_dict(), evaluation_pictures(made))
        open_store(out).write("confidence.yaml", made.confidences_yaml().encode())
    if as_json:
        print_json(made.to_dict())
    else:
        print_tables(evaluation_tables(made), made.notes)
    return 0


def _evaluate_pixels(
    model: str, data: str, split: str, resamples: int, inference: Inference, out: str | None, *, as_json: bool
) -> int:
    """`evaluate` of a semantic model."""
    from roadscan.evaluate.semantic.evaluation import evaluate as run_evaluation
    from roadscan.evaluate.semantic.tables import evaluation_tables
    from roadscan.report.pixels import evaluation_pictures

    with progress("images", errors if as_json else console) as bar:
        made = run_evaluation(model, data, split=split, resamples=resamples, inference=inference, on_progress=bar)
    if out:
        _write_files(out, "evaluation.json", made.to_dict(), evaluation_pictures(made))
    if as_json:
        print_json(made.to_dict())
    else:
        print_tables(evaluation_tables(made), made.notes)
    return 0


@app.command()
def compare(
    models: Annotated[
        list[str], typer.Argument(help="NAME=FILE,FILE… (seeds of one model), or a file. The first is the baseline.")
    ],
    data: Annotated[str, typer.Option(help="Labelled dataset; a folder or s3://.", show_default=False)],
    split: SplitOption = "test",
    resamples: ResamplesOption = 2000,
    device: DeviceOption = None,
    image_size: ImageSizeOption = None,
    slices: SlicesOption = None,
    out: Annotated[
        str | None, typer.Option(help="Folder for comparison.json and pictures.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
) -> int:
    """Compare models on the same labelled images: means over seeds, and differences with intervals over drives."""
    from roadscan.evaluate.detection.compare import read_candidates
    from roadscan.evaluate.detection.evaluation import Inference
    from roadscan.model.exported import inspect
    from roadscan.model.slices import read_slices

    if as_json and markdown:
        raise ConfigError("--json and --markdown: got both; expected one of them")
    candidates = read_candidates(models)
    inference = Inference(device, image_size_px=image_size, slices=read_slices(slices))
    run = _compare_pixels if inspect(candidates[0].files[0]).card.task == "semantic" else _compare_objects
    with progress("images", errors if as_json or markdown else console) as bar:
        made, shown, pictures = run(
            candidates, data, {"split": split, "resamples": resamples, "inference": inference, "on_progress": bar}
        )
    if out:
        _write_files(out, "comparison.json", made.to_dict(), pictures())
    if as_json:
        print_json(made.to_dict())
    elif markdown:
        tables = [table.markdown() for table in shown]
        notes = "".join(f"- {note}\n" for note in made.notes)
        console.print("\n".join([*tables, notes] if notes else tables), soft_wrap=True, end="")
    else:
        print_tables(shown, made.notes)
    return 0


def _compare_objects(candidates: Sequence[Candidate], data: str, options: dict[str, Any]) -> ComparedModels:
    from roadscan.evaluate.detection.compare import compare as run_comparison
    from roadscan.evaluate.detection.tables import comparison_tables
    from roadscan.report.evaluation import comparison_pictures

    made = run_comparison(candidates, data, **options)
    return made, comparison_tables(made), lambda: comparison_pictures(made)


def _compare_pixels(candidates: Sequence[Candidate], data: str, options: dict[str, Any]) -> ComparedModels:
    from roadscan.evaluate.semantic.compare import compare as run_comparison
    from roadscan.evaluate.semantic.tables import comparison_tables
    from roadscan.report.pixels import comparison_pictures

    made = run_comparison(candidates, data, **options)
    return made, comparison_tables(made), lambda: comparison_pictures(made)


@dataset_app.command("check")
def check_dataset(
    uri: Annotated[str, typer.Argument(help="Labelled dataset: a folder, s3://, or its YAML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    allow_near_duplicates: Annotated[
        bool, typer.Option("--allow-near-duplicates", help="Images in two splits that look alike are only warnings.")
    ] = False,
) -> int:
    """Decode every image, look at every label, hold the splits against each other; exit code 1 if it is refused."""
    from roadscan.dataset.check import check_dataset as run_check

    with progress("images", errors if as_json else console) as bar:
        found = run_check(uri, allow_near_duplicates=allow_near_duplicates, on_progress=bar)
    if as_json:
        print_json(found.to_dict())
    else:
        console.print(found)
    return int(found.refused)


@releases_app.command("list")
def list_releases(warehouse: WarehouseArgument, as_json: JsonOption = False) -> int:
    """Say which releases there are, the newest first."""
    from roadscan.warehouse import Warehouse

    store = Warehouse(warehouse)
    current = store.published()
    rows = [(current.number, current.created_at, True)]
    rows += [(entry.number, entry.created_at, store.store.exists(entry.path)) for entry in store.entries(current)]
    print_rows([dict(zip(("release", "created_at", "kept"), row, strict=True)) for row in rows], as_json=as_json)
    return 0


@releases_app.command("show")
def show_release(
    warehouse: WarehouseArgument,
    number: NumberArgument,
    as_json: JsonOption = False,
) -> int:
    """Say what a release holds: rows, files and bytes of each table."""
    from roadscan.warehouse import Warehouse
    from roadscan.warehouse.upkeep import find_release

    release = find_release(Warehouse(warehouse), number)
    if not as_json:
        console.print(f"release {release.number} of {release.created_at[:19]} UTC: {release.note}")
    rows = [
        {"table": table, "version": one.version, "rows": one.rows, "files": one.files, "bytes": one.bytes}
        for table, one in release.tables.items()
    ]
    print_rows(rows, as_json=as_json)
    return 0


@releases_app.command("diff")
def diff_releases(
    warehouse: WarehouseArgument,
    old: Annotated[int, typer.Argument(help="Number of the one release.")],
    new: Annotated[int, typer.Argument(help="Number of the other.")],
    as_json: JsonOption = False,
) -> int:
    """Say which tables differ between two releases, and by how much."""
    from roadscan.warehouse import Warehouse
    from roadscan.warehouse.upkeep import difference, find_release

    store = Warehouse(warehouse)
    found = difference(store, find_release(store, old), find_release(store, new))
    print_rows([asdict(one) for one in found], as_json=as_json)
    return 0


@releases_app.command("restore")
def restore_release(warehouse: WarehouseArgument, number: NumberArgument) -> int:
    """Publish an older release again as the newest; reviewers' decisions stay, and so do the releases between."""
    from roadscan.warehouse import Warehouse
    from roadscan.warehouse.upkeep import restore

    made = restore(Warehouse(warehouse), number)
    console.print(f"release {made.number}: {made.note}")
    return 0


@app.command()
def vacuum(
    warehouse: WarehouseArgument,
    dry_run: DryRun = False,
    days: Annotated[int, typer.Option(min=1, help="Releases younger than this are kept, and all ends of months.")] = 90,
) -> int:
    """Delete what no kept release needs: old releases but for the last of each month, and what runs that died left."""
    from roadscan.warehouse import Warehouse
    from roadscan.warehouse.upkeep import vacuum as run_vacuum

    gone = run_vacuum(Warehouse(warehouse), days=days, dry_run=dry_run)
    verb = "would go" if dry_run else "gone"
    console.print(f"{gone.releases} releases and {gone.files} files of {gone.bytes / 1e6:.1f} MB {verb}")
    return 0


@app.command()
def migrate(warehouse: WarehouseArgument) -> int:
    """Bring a warehouse of roadscan 0.1 to today's layout; its data files stay as they are."""
    from roadscan.warehouse.migrate import migrate as run_migrate

    with progress("files") as on_progress:
        done = run_migrate(warehouse, on_progress)
    if done.releases:
        console.print(f"{done.releases} releases with {done.files} files migrated")
    else:
        console.print("nothing to do: the warehouse has today's layout")
    return 0


@model_app.command("import")
def import_model(
    weights: Annotated[Path, typer.Argument(help="Ultralytics YOLOv8 .pt, or a state dict in .safetensors.")],
    out: Annotated[Path, typer.Argument(help="The model file to write.")],
    task: Annotated[str, typer.Option(help="For .safetensors: detect, segment or semantic.")] = "detect",
    variant: Annotated[str, typer.Option(help="For .safetensors: n, s, m, l or x.")] = "n",
    classes: Annotated[str, typer.Option(help="For .safetensors: coco, or names separated by commas.")] = "coco",
    run_pickle: Annotated[bool, typer.Option("--run-pickle", help="Allow a .pt, which may run code.")] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Folder of images of what the model is for; 8 are kept with it.", show_default=False),
    ] = None,
) -> int:
    """Bring Ultralytics or COCO weights in as a roadscan model file."""
    from roadscan.model.importing import import_weights

    card, digest = import_weights(
        weights, out, task=task, variant=variant, classes=classes, run_pickle=run_pickle, calibrate=calibrate
    )
    print_facts(
        {"model": str(out), "task": card.task, "variant": card.variant, "classes": len(card.classes), "sha256": digest}
    )
    return 0


@model_app.command("calibrate")
def calibrate_model(
    model: Annotated[str, typer.Argument(help="Model file, or demo.")],
    images: Annotated[Path, typer.Argument(help="Folder of images of what the model is for.")],
    out: Annotated[Path, typer.Argument(help="The model file to write; may be the same.")],
) -> int:
    """Keep 8 images with a model, on which every backend has to find what PyTorch finds before it may be used."""
    from roadscan.model.bundle import load, save
    from roadscan.model.calibration import calibration_from_folder

    bundle = load(model)
    calibration = calibration_from_folder(bundle, images)
    digest = save(out, bundle.card, bundle.weights, calibration)
    print_facts({"model": str(out), "calibration images": len(calibration), "sha256": digest})
    return 0


@model_app.command("export")
def export_model(
    model: Annotated[str, typer.Argument(help="Model file, or demo.")],
    to: Annotated[Format, typer.Option(help="The program that shall run it.")],
    out: Annotated[
        Path | None,
        typer.Argument(help="What to write; empty for the model's name with the format's ending.", show_default=False),
    ] = None,
    fixed: Annotated[
        str | None,
        typer.Option(
            metavar="BATCHxHEIGHTxWIDTH",
            help="The only input it shall take, in pixels; empty for any.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Export a model for another program, with its card inside; it must find what PyTorch finds to be written."""
    from roadscan.model import export

    made = export.export_model(model, to, out, export.read_fixed(fixed) if fixed else None)
    print_facts({"exported": str(made.path), "to": to, "sha256": made.sha256, "largest difference": made.difference})
    return 0


@model_app.command("bench")
def bench_model(
    model: Annotated[str, typer.Argument(help="Model file, or demo.")] = "demo",
    images: Annotated[int, typer.Option(min=1, help="In a batch.")] = 16,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; empty for all.", show_default=False)] = None,
) -> int:
    """Show all backends side by side on this machine: speed, agreement with PyTorch, start-up."""
    from roadscan.model.bench import bench

    with progress("rounds") as bar:
        rows = bench(model, images=images, threads=threads, on_progress=bar)
    print_backends(rows)
    return 0


@model_app.command("show")
def show_model(model: Annotated[str, typer.Argument(help="Model file, or demo.")] = "demo") -> int:
    """Print a model's card, of a model file or an exported one."""
    from roadscan.model.exported import Exported, open_model

    opened = open_model(model)
    facts: dict[str, Any] = {"sha256": opened.sha256}
    if isinstance(opened, Exported):
        facts["exported_to"] = opened.format
    else:
        facts["calibration_images"] = len(opened.calibration)
    print_json({**opened.card.model_dump(mode="json"), **facts})
    return 0


def _write_files(out: str, name: str, facts: dict[str, Any], pictures: dict[str, bytes]) -> None:
    store = open_store(out)
    store.write(name, json.dumps(facts, indent=1, allow_nan=False).encode())
    for picture, data in pictures.items():
        store.write(picture, data)
