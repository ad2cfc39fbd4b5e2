"""Gates: a register that is worse where assets are known, and models that need no look at images."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support import world
from support.drives import START
from support.nights import Scan, ScanOfWorld, config_of, drive_of_night, drive_of_world, run

from roadscan.errors import ConfigError, DatasetError
from roadscan.evaluate.register.intervals import Estimate
from roadscan.inventory.build import DriveTables
from roadscan.model.bundle import load, save
from roadscan.nightly.gate import judge
from roadscan.scan.ledger import keep_model
from roadscan.warehouse import Release, Warehouse

NAN = float("nan")
BLIND = {"tracking": {"min_score": 0.99}}  # a threshold that someone mistyped: no detection is left


@pytest.mark.parametrize(
    ("high", "closed", "unsaid"), [(-0.001, True, False), (0.0, False, False), (0.2, False, False), (NAN, False, True)]
)
def test_worse_is_what_is_worse_by_more_than_its_interval(high: float, closed: bool, unsaid: bool) -> None:
    report = judge({"recall": Estimate(-0.1, -0.2, high), "precision": Estimate(0.1, 0.0, 0.2)}, "new minus old")
    assert (report.closed, report.unsaid) == (closed, unsaid)


@pytest.fixture
def road() -> world.World:
    return world.make_world(3, 2000.0)


def known_assets(road: world.World, folder: Path) -> str:
    rows = road.truth(0)
    points = rows.filter(pa.compute.equal(rows["geometry"], "point")).to_pylist()
    path = folder / "known.csv"
    lines = [f"{row['asset_id']},{row['class']},{row['lon']},{row['lat']}" for row in points]
    path.write_text("\n".join(["asset_id,class,lon,lat", *lines]))
    return str(path)


def nights_of(road: world.World, folder: Path, count: int) -> list[DriveTables]:
    """Drives on successive evenings from the first night on."""
    later = START - world.START
    made = []
    for night in range(count):
        drive = world.drive(road, night)
        moved = (table.set_column(table.schema.get_field_index("captured_at"), table.schema.field("captured_at"),
                                  pa.array([time + later for time in table["captured_at"].to_pylist()],
                                           table.schema.field("captured_at").type))
                 for table in (drive.frames, drive.observations))  # fmt: skip
        made.append(DriveTables(drive.drive_id, *moved))
    return made


def current(tmp_path: Path) -> tuple[Warehouse, Release]:
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    return warehouse, warehouse.current()


@pytest.mark.slow
def test_a_register_that_is_worse_is_not_released_and_the_next_night_tries_again(
    road: world.World, tmp_path: Path, detect_model: str
) -> None:
    drives = nights_of(road, tmp_path, 4)
    scan = ScanOfWorld(*drives)
    health = {"known_assets": known_assets(road, tmp_path)}
    good = config_of(tmp_path, detect_model, health=health)
    bad = config_of(tmp_path, detect_model, health=health, inventory=BLIND)

    drive_of_world(tmp_path, drives[0])
    code, (told,) = run(good, scan, one=1)
    assert (code, told.outcome, told.gates) == (0, "complete", {})  # there was no register before
    drive_of_world(tmp_path, drives[1])
    code, (told,) = run(good, scan, one=2)
    assert (code, told.outcome, told.gates["register"].closed) == (0, "complete", False)
    warehouse, before = current(tmp_path)
    assert warehouse.read(before, "assets").num_rows > 50

    drive_of_world(tmp_path, drives[2])
    code, (told,) = run(bad, scan, one=3)
    assert (code, told.outcome, told.release) == (6, "gate closed", None)
    (why,) = told.withheld
    assert why.startswith("the register is worse: precision, register minus the current one: ")
    assert f"no release: {why}" in told.text()
    _, after = current(tmp_path)
    assert [after.version(table) for table in ("assets", "coverage")] == [
        before.version(table) for table in ("assets", "coverage")
    ]
    assert set(warehouse.read(after, "runs")["drive_id"].to_pylist()) == {one.drive_id for one in drives[:3]}
    assert warehouse.read(after, "observations", drive_id="night-03").num_rows == drives[2].observations.num_rows

    drive_of_world(tmp_path, drives[3])
    code, (told,) = run(good, scan, one=4)
    assert (code, told.outcome) == (0, "complete")
    assert set(warehouse.read(warehouse.current(), "inventory_drives")["drive_id"].to_pylist()) == {
        one.drive_id for one in drives
    }
    code, (told,) = run(good, scan, one=3)
    assert (code, told.outcome) == (0, "complete")


@pytest.mark.slow
def test_a_reason_opens_a_gate_and_stands_in_the_releases_note(
    road: world.World, tmp_path: Path, detect_model: str
) -> None:
    drives = nights_of(road, tmp_path, 3)
    scan = ScanOfWorld(*drives)
    health = {"known_assets": known_assets(road, tmp_path)}
    for drive in drives[:2]:
        drive_of_world(tmp_path, drive)
    assert run(config_of(tmp_path, detect_model, health=health), scan, one=2, force="a test")[1][0].forced is None
    _, before = current(tmp_path)
    assert before.note == "night 2026-11-02"  # no gate was closed
    drive_of_world(tmp_path, drives[2])
    bad = config_of(tmp_path, detect_model, health=health, inventory=BLIND)
    code, (told,) = run(bad, scan, one=3, force="the list is out of date")
    assert (code, told.outcome, told.forced) == (0, "complete", "the list is out of date")
    assert told.gates["register"].closed
    assert "forced: the list is out of date" in told.text()
    _, after = current(tmp_path)
    assert after.note == "night 2026-11-03, forced: the list is out of date"
    assert after.version("assets") != before.version("assets")


@pytest.mark.parametrize(
    ("health", "force", "words"),
    [
        ({"min_detections": 0}, "because", "--force: no gate is configured"),
        ({"known_assets": "x.csv"}, " ", "--force: got no reason"),
    ],
)
def test_a_reason_that_is_of_no_use_is_an_error(
    tmp_path: Path, detect_model: str, health: dict[str, str], force: str, words: str
) -> None:
    drive_of_night(tmp_path, 1)
    with pytest.raises(ConfigError, match=words):
        run(config_of(tmp_path, detect_model, health=health), Scan(), one=1, force=force)


def test_known_assets_that_cannot_be_read_stop_the_run_before_it_begins(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    (tmp_path / "known.csv").write_text("asset_id,lon,lat\na,100.5,13.7\n")
    scan = Scan()
    with pytest.raises(DatasetError, match="no row has 'class'"):
        run(config_of(tmp_path, detect_model, health={"known_assets": str(tmp_path / "known.csv")}), scan, one=1)
    assert scan.scanned == []


def scanned_once_with_the_demo_model(folder: Path, **health: Any) -> None:
    drive_of_night(folder, 1)
    code, (told,) = run(config_of(folder, "demo", health=health), Scan(), one=1)
    assert (code, told.gates) == (0, {})  # the first model has nothing to be held against
    keep_model(Warehouse(str(folder / "warehouse")), "demo", str(told.model_sha256))  # as a scan does


def test_a_model_that_forgot_a_class_is_worse_and_scans_nothing(tmp_path: Path) -> None:
    demo = load("demo")
    save(tmp_path / "forgot.zip", demo.card.model_copy(update={"classes": ("X", *demo.card.classes[1:])}), demo.weights)
    scanned_once_with_the_demo_model(tmp_path, labelled="labelled")
    drive_of_night(tmp_path, 2)
    scan = Scan()
    config = config_of(tmp_path, str(tmp_path / "forgot.zip"), health={"labelled": "labelled"})
    code, (told,) = run(config, scan, one=2)
    assert (code, told.outcome, scan.scanned) == (6, "gate closed", [])
    assert f"does not know {demo.card.classes[0]}" in told.withheld[0]


def test_a_model_whose_predecessor_is_not_kept_passes_with_a_warning(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    run(config_of(tmp_path, "demo"), Scan(), one=1)
    drive_of_night(tmp_path, 2)
    code, (told,) = run(config_of(tmp_path, detect_model, health={"labelled": "labelled"}), Scan(), one=2)
    (warning,) = told.warnings
    assert (code, told.outcome) == (0, "complete")
    assert warning.startswith("the model was not judged: model ")


def test_the_drives_of_a_world_begin_on_the_nights_of_the_tests(road: world.World, tmp_path: Path) -> None:
    drives = nights_of(road, tmp_path, 2)
    assert [one.frames["captured_at"][0].as_py() for one in drives] == [START, START + timedelta(days=1)]
