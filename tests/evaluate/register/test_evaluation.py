from __future__ import annotations

import json

import pyarrow as pa
import pytest
from support.commands import Command
from support.truths import BRIDGE, LAT, LON, POINT, RAIL, SIGN, START, at, feature, row, simulated, write

from roadscan.errors import ConfigError, WarehouseError
from roadscan.evaluate.register.changes import score_register
from roadscan.evaluate.register.evaluation import evaluate_register
from roadscan.evaluate.register.scores import Score
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSETS, FRAMES, RUNS
from roadscan.warehouse import Warehouse


def publish(uri, rows, drives=("d1",), aliases=(), changes=(), reach_m=3000, detections=0):
    """A release whose drives went from home eastwards, with a frame every 10 m."""
    warehouse = Warehouse(str(uri))
    counts = dict.fromkeys(["frames", "frames_ok", "frames_quarantined", "frames_failed", "observations"], 0)
    runs = [
        {"drive_id": d, "drive_uri": d, "drive_sha256": "0", "run_key": "k", "model_sha256": "m", "code_version": "1",
         "finished_at": START, **counts}
        for d in drives
    ]  # fmt: skip
    frames = [
        {"drive_id": drives[0], "frame_id": f"{x}", "camera_lon": at(x)[0], "camera_lat": at(x)[1],
         "camera_id": "front", "status": "ok", "n_detections": detections, "run_key": "k"}
        for x in range(0, reach_m, 10)
    ]  # fmt: skip
    tables = {"assets": (rows, ASSETS), "runs": (runs, RUNS), "frames": (frames, FRAMES)}
    tables |= {"asset_alias": (aliases, ASSET_ALIAS), "asset_changes": (changes, ASSET_CHANGES)}
    files = [
        warehouse.write(name, pa.Table.from_pylist(list(rows), schema=schema))
        for name, (rows, schema) in tables.items()
    ]
    warehouse.publish(lambda release: warehouse.replacement(release, files, "test"))
    return str(uri)


def test_a_warehouse_is_scored_against_a_simulation(tmp_path):
    """Two nights: s1 goes, which the register calls missing; s3 comes; s4 was never shown; the rail is 80 of 100 m."""
    truth = simulated(
        tmp_path / "truth",
        [("s0", SIGN, 0, 1, 9), ("s1", SIGN, 1100, 1, 1), ("s3", SIGN, 2200, 2, 9), ("s4", SIGN, 2300, 1, 9),
         ("b", BRIDGE, 600, 1, 9), ("rail", RAIL, 100, 1, 9, 200)],
        [{"night": 2, "asset_id": "s1", "change": "removed"}, {"night": 2, "asset_id": "s3", "change": "added"}],
        nights=("d1", "d2"), unseen={"s4"},
    )  # fmt: skip
    first = [row("A", SIGN, 1), row("B", SIGN, 1101), row("G", BRIDGE, 608), row("R", RAIL, 100, to_m=180)]
    uri = publish(tmp_path / "w", first, ["d1"])
    second = [
        row("A", SIGN, 4), row("B", SIGN, 1101, "missing"), row("C", SIGN, 2201, "suspect"), row("G", BRIDGE, 608),
        row("X", SIGN, 2600), row("K", SIGN, 2301, "candidate"), row("R2", RAIL, 100, to_m=180),
    ]  # fmt: skip
    change = {"class": SIGN, "drive_id": "d2", "changed_at": START, "lon": LON, "lat": LAT}
    changes = [change | {"asset_id": a, "change": c} for a, c in [("B", "missing"), ("A", "suspect"), ("C", "new")]]
    alias = {"alias_id": "R", "asset_id": "R2", "reason": "merged", "since": START}
    publish(tmp_path / "w", second, ["d1", "d2"], [alias], changes)
    made = evaluate_register(uri, truth)
    near, far = made.radii
    assert (near.radius_m, far.radius_m, far.overhead) == (2.0, 5.0, (BRIDGE,))
    # Found signs: A, C and X. Known and shown: s0 and s3. A is 4 m off.
    assert (near.classes[SIGN].precision.value, near.classes[SIGN].recall.value) == pytest.approx((1 / 3, 1 / 2))
    assert (far.classes[SIGN].precision.value, far.classes[SIGN].recall.value) == pytest.approx((2 / 3, 1))
    assert far.classes[SIGN].f1.value == pytest.approx(0.8)
    assert far.classes[SIGN].p50_m.value == pytest.approx(2.5, abs=0.01)
    assert near.classes[BRIDGE].recall.value == 1
    assert far.overall.precision.value == pytest.approx(3 / 4)
    rail = made.lines[RAIL]
    assert (rail.precision.value, rail.recall.value, rail.p50_m.value) == pytest.approx((1, 0.8, 10), abs=0.01)
    assert (made.missing.score.precision, made.missing.score.recall) == (1, 1)
    assert (made.missing.false_alarms, made.missing.standing_found) == (0, 3)
    # Compared: s0, the bridge and the rail, whose old id is an alias now.
    assert (made.identity.registers, made.identity.compared, made.identity.stable) == (2, 3, 3)
    assert (made.resampling.blocks, made.resampling.block_of) == (2, "km")  # in the second kilometre nothing stands
    assert made.notes == (
        "2 blocks of 1 km are few: read the intervals as too narrow",
        "1 of 5 known assets do not count for recall: too few images show them: s4",
    )
    old = score_register(uri, truth)
    assert (old.changes.true_positives, old.changes.found, old.changes.known) == (2, 2, 2)
    assert old.assets.per_class[SIGN] == far_score(far, SIGN)


def far_score(one, name):
    """The counts behind an estimate of a class."""
    row = one.classes[name]
    return Score(row.precision.value * row.found, row.found, row.recall.value * row.known, row.known)


def test_what_no_camera_passed_does_not_count_for_recall(tmp_path):
    uri = publish(tmp_path / "w", [row("A", SIGN, 0), row("B", SIGN, 2010)], reach_m=2000)
    features = [feature(SIGN, at(x)) for x in (0, 1000, 2010, 2600)]
    made = evaluate_register(uri, write(tmp_path / "t.geojson", *features))
    assert (made.radii[0].overall.known, made.radii[0].overall.recall.value) == pytest.approx((3, 2 / 3))
    assert made.notes[-1].startswith("1 of 4 known assets do not count for recall: no camera came within 30 m")
    assert "of them: " in made.notes[-1]
    assert made.identity is None
    assert made.missing.score is None


def test_drives_are_the_blocks_where_the_truth_has_them(tmp_path):
    seen = [row("A", SIGN, 0) | {"last_drive_id": "d2"}, row("B", SIGN, 100) | {"last_drive_id": "d1"}]
    uri = publish(tmp_path / "w", seen)
    features = [feature(SIGN, at(0), drive_id="d2"), feature(SIGN, at(150), drive_id="d1")]
    made = evaluate_register(uri, write(tmp_path / "t.geojson", *features))
    assert (made.resampling.blocks, made.resampling.block_of) == (2, "drive")
    # Of d1 one is wrong and one is not found, of d2 all is right: drawn twice each, or once both.
    overall = made.radii[0].overall
    assert (overall.precision.low, overall.precision.value, overall.precision.high) == (0, 0.5, 1)


def test_a_register_is_needed_and_a_radius_above_zero(tmp_path):
    truth = write(tmp_path / "t.geojson", POINT)
    with pytest.raises(WarehouseError, match="no warehouse here"):
        evaluate_register(str(tmp_path / "empty"), truth)
    with pytest.raises(ConfigError, match=r"radius: got \[2.0, -1.0\]; expected one or more distances above 0 m"):
        evaluate_register(str(tmp_path / "empty"), truth, radii_m=(2.0, -1.0))


@pytest.mark.slow
def test_the_command_prints_a_table_or_json(here: Command, tmp_path):
    uri = publish(tmp_path / "w", [row("A", SIGN, 1), row("B", SIGN, 2000), row("R", RAIL, 100, to_m=180)])
    truth = write(
        tmp_path / "t.geojson",
        feature(SIGN, at(0), field="kind"),
        feature(RAIL, at(100), at(200), kind="LineString", field="kind"),
    )
    shown = here("score", uri, truth, "--class-field", "kind", "--radius", "3", "--resamples", "50")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "points, matched within 3 m" in shown.stdout
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["Warning", "Sign", "2", "1", "50.0", "100", "66.7", "1.00", "1.00"] in rows
    # From 100 to 180 m of 100 to 200 m: its ends are 0 and 20 m off.
    assert ["Concrete", "Guardrail", "80", "100", "100", "80.0", "88.9", "10.00", "18.00"] in rows
    assert ["standing", "assets", "called", "missing", "0", "of", "1", "(0.0%)"] in rows
    plain = json.loads(here("score", uri, truth, "--class-field", "kind", "--json").stdout)
    assert [one["radius_m"] for one in plain["radii"]] == [2, 5]
    assert plain["radii"][0]["classes"][SIGN]["recall"]["value"] == 1
    assert plain["missing"]["false_alarm_rate"] == 0
    wrong = here("score", uri, truth)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "no row has 'class'" in wrong.stderr


@pytest.mark.parametrize(("detections", "told"), [(0, False), (1, True)])
def test_a_drive_whose_empty_frames_nobody_listed_is_told(tmp_path, detections, told):
    """Where it saw nothing no frame says that it was there, and what stands there does not count."""
    uri = publish(tmp_path / "w", [row("A", SIGN, 1)], detections=detections)
    notes = evaluate_register(uri, write(tmp_path / "truth.geojson", POINT), resamples=0).notes
    assert any(note.startswith("of 1 drives only frames with a detection are known") for note in notes) is told
