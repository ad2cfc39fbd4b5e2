from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from support.commands import roadscan

from roadscan.errors import ConfigError, DatasetError, NotFound, WarehouseError
from roadscan.evaluate.register.changes import score_register
from roadscan.evaluate.register.evaluation import evaluate_register
from roadscan.evaluate.register.scores import Score
from roadscan.evaluate.register.truth import KNOWN, open_truth, read_file, read_simulated
from roadscan.evaluate.register.truth.known import nearest_m
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSET_HISTORY, ASSETS, FRAMES, RUNS
from roadscan.simulate.labels.truth import ASSETS as TRUE_ASSETS
from roadscan.simulate.labels.truth import BOXES, CHANGES, TRUE_FRAMES
from roadscan.storage import open_store
from roadscan.survey.geodesy import WGS84
from roadscan.warehouse import Warehouse

LON, LAT = 100.5, 13.7
SIGN, POLE, BRIDGE, RAIL = "Warning Sign", "Single-Arm Pole", "Pedestrian Bridge", "Concrete Guardrail"
START = datetime(2026, 3, 1, tzinfo=UTC)


def at(x_m, y_m=0.0):
    """Longitude and latitude of a place so many metres east and north of home."""
    lon, lat, _ = WGS84.fwd(LON, LAT, 90, x_m)
    return WGS84.fwd(lon, lat, 0, y_m)[:2] if y_m else (lon, lat)


def row(asset_id, name, x_m, state="confirmed", y_m=0.0, to_m=None):
    """A row of the register, a line where it has an end."""
    lon, lat = at(x_m, y_m)
    shape = shapely.Point(lon, lat) if to_m is None else shapely.LineString([(lon, lat), at(to_m, y_m)])
    west, south, east, north = shape.bounds
    return {
        "asset_id": asset_id, "class": name, "geometry": shape.wkb, "lon": lon, "lat": lat, "state": state,
        "bbox": {"xmin": west, "ymin": south, "xmax": east, "ymax": north}, "pos_sigma_m": 1.0, "cov_ee_m2": 1.0,
        "cov_en_m2": 0.0, "cov_nn_m2": 1.0, "length_m": None if to_m is None else to_m - x_m, "side": "left",
        "score": 0.9, "n_observations": 3, "n_nights": 1, "first_seen": START, "last_seen": START,
        "evidence_uri": "x.jpg",
    }  # fmt: skip


def publish(uri, rows, drives=("d1",), aliases=(), changes=(), history=(), reach_m=3000):
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
         "camera_id": "front", "status": "ok", "n_detections": 0, "run_key": "k"}
        for x in range(0, reach_m, 10)
    ]  # fmt: skip
    tables = {"assets": (rows, ASSETS), "runs": (runs, RUNS), "frames": (frames, FRAMES)}
    tables |= {"asset_alias": (aliases, ASSET_ALIAS), "asset_changes": (changes, ASSET_CHANGES)}
    tables |= {"asset_history": (history, ASSET_HISTORY)}
    files = [
        warehouse.write(name, pa.Table.from_pylist(list(rows), schema=schema), folder="", name=name)
        for name, (rows, schema) in tables.items()
    ]
    warehouse.publish(lambda release: release.replaced(lambda _: True, files, "test"))
    return str(uri)


def write(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return str(path)


def feature(name, *lonlat, kind="Point", field="class", **properties):
    coordinates = list(lonlat[0]) if kind == "Point" else [list(place) for place in lonlat]
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": {field: name, **properties}}


def test_geojson_gives_points_lines_and_their_ids(tmp_path):
    uri = write(
        tmp_path / "t.geojson",
        feature(SIGN, at(0), asset_id=7, note="x"),
        {**feature(BRIDGE, [*at(50), 12.0]), "id": "b1"},
        feature(RAIL, at(0), at(100), kind="LineString", state="removed"),
        feature(POLE, at(10), kind="MultiPoint"),
    )
    truth = read_file(uri)
    assert truth.assets.schema == KNOWN
    rows = truth.assets.to_pylist()
    assert [r["asset_id"] for r in rows] == ["7", "b1", "known-3", "known-4"]
    assert [r["geometry"] for r in rows] == ["point", "overhead", "line", "point"]
    assert (rows[2]["lon"], rows[2]["lat"]) == pytest.approx(at(50), abs=1e-7)
    assert rows[2]["lons"] == pytest.approx([at(0)[0], at(100)[0]])
    assert rows[0]["lons"] is None
    known = truth.after()
    assert (known.standing.num_rows, known.removed.num_rows, known.seen) == (3, 1, None)


def test_without_states_nobody_says_what_was_removed(tmp_path):
    assert read_file(write(tmp_path / "t.geojson", feature(SIGN, at(0)))).after().removed is None


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_keeps_ids_as_text(tmp_path, end):
    path = tmp_path / "t.csv"
    lines = ["kind,lon,lat,asset_id,drive_id", f'"{SIGN}",100.5,13.7,0012,d1', f"{POLE},100.6,13.8,13,"]
    path.write_bytes(("\ufeff" + end.join([*lines, ""])).encode())
    rows = read_file(str(path), "kind").assets.to_pylist()
    assert [(r["asset_id"], r["class"], r["lon"], r["lat"]) for r in rows] == [
        ("0012", SIGN, 100.5, 13.7), ("13", POLE, 100.6, 13.8),
    ]  # fmt: skip
    assert [r["drive_id"] for r in rows] == ["d1", None]


def test_parquet_may_have_columns_or_geometries(tmp_path):
    table = pa.table({"class": [SIGN], "lon": [100.5], "lat": [13.7]})
    pq.write_table(table, tmp_path / "plain.parquet")
    shapes = [shapely.Point(100.5, 13.7), shapely.LineString([(100.5, 13.7), (100.6, 13.7)])]
    frame = geopandas.GeoDataFrame({"class": [SIGN, RAIL]}, geometry=shapes, crs=4326)
    frame.rename_geometry("shape").to_parquet(tmp_path / "geo.parquet")
    assert read_file(str(tmp_path / "plain.parquet")).assets["lon"].to_pylist() == [100.5]
    assert read_file(str(tmp_path / "geo.parquet")).assets["geometry"].to_pylist() == ["point", "line"]
    frame.to_crs(32647).to_parquet(tmp_path / "utm.parquet")
    with pytest.raises(DatasetError, match=r"EPSG:32647; expected longitude and latitude.*to_crs\(4326\)"):
        read_file(str(tmp_path / "utm.parquet"))


POINT = feature(SIGN, at(0))
BAD_FEATURES = {
    "none": ([], "has no rows; expected one a known asset"),
    "no class": ([feature(SIGN, at(0), field="type")], r"no row has 'class', only \['type'\].*--class-field"),
    "class of one": ([POINT, feature(None, at(0))], "row 2: class: got None; expected the class"),
    "polygon": (
        [{**POINT, "geometry": {"type": "Polygon", "coordinates": [[at(0), at(1), at(0, 1), at(0)]]}}],
        r"row 1: geometry: got Polygon POLYGON \(\(.*; expected a Point or a LineString",
    ),
    "two parts": ([feature(SIGN, at(0), at(1), kind="MultiPoint")], "row 1: geometry: got MultiPoint"),
    "no geometry": ([POINT, {**POINT, "geometry": None}], "row 2: geometry: got none that can be read"),
    "swapped": ([POINT, feature(SIGN, at(0)[::-1])], r"row 2: lon, lat: got \[13.7, 100.5\].*lon and lat are swapped"),
    "metres": (
        [feature(SIGN, (665_000, 1_515_000))],
        "row 1: lon, lat: got .*numbers, in degrees on WGS 84 and not in metres",
    ),
    "id twice": (
        [feature(SIGN, at(0), asset_id="a"), feature(SIGN, at(9), asset_id="a")],
        "asset_id: got 'a' 2 times; expected one row an asset",
    ),
    "state": ([feature(SIGN, at(0), state="gone")], "row 1: state: got 'gone'; expected one of standing, removed"),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_a_wrong_feature_is_named(tmp_path, case):
    features, message = BAD_FEATURES[case]
    with pytest.raises(DatasetError, match=message):
        read_file(write(tmp_path / "t.geojson", *features))


BAD_CSV = {
    "": "cannot be read as CSV|has no rows",
    "class,lon\nx,1\n": r"has no column lat, only \['class', 'lon'\]; expected lon and lat",
    "class;lon;lat\nx;1;2\n": "has no column lon, lat.*separated by commas",
    "class,lon,lat\nx,1,2\nx,100°,2\n": "row 2: lon: got '100°'; expected degrees",
    "class,lon,lat\nx,,2\n": "row 1: lon: got None; expected degrees",
    "class,lon,lat\nx,nan,2\n": "row 1: lon, lat: got .nan, 2.; expected .*: numbers, in degrees",
    "class,lon,lat\nx,181,2\n": "row 1: lon, lat: got .181, 2.",
    "class,lon,lat\nx,1\n": "cannot be read as CSV",
    "kind,lon,lat\nx,1,2\n": "no row has 'class', only .'kind'.",
}


@pytest.mark.parametrize("text", BAD_CSV)
def test_a_wrong_table_is_explained(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DatasetError, match=BAD_CSV[text]):
        read_file(str(tmp_path / "t.csv"))


def test_what_is_no_such_file_is_refused(tmp_path):
    for name, data, message in [
        ("a.geojson", b"{", "not valid JSON"),
        ("b.geojson", b'{"type": "Point"}', "got Point; expected a GeoJSON FeatureCollection"),
        ("c.parquet", b"no parquet", "cannot be read as Parquet"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DatasetError, match=message):
            open_truth(str(tmp_path / name))
    with pytest.raises(NotFound):
        open_truth(str(tmp_path / "absent.csv"))
    with pytest.raises(
        WarehouseError, match=r"expected the truth folder of a simulation, or a file that ends in \.geojson"
    ):
        open_truth(str(tmp_path))


def test_a_truth_of_another_register_is_refused(tmp_path):
    register = pa.Table.from_pylist([row("a", SIGN, 0), row("b", "Milestone", 5), row("r", RAIL, 0, to_m=50)], ASSETS)

    def check(*features):
        read_file(write(tmp_path / "t.geojson", *features)).check(register)

    check(POINT, feature("Milestone", at(0)), feature(POLE, at(0)), feature(RAIL, at(0), at(9), kind="LineString"))
    with pytest.raises(DatasetError, match=r"class: got \['Warning Signs'\]; expected .*: rename it to 'Warning Sign'"):
        check(feature("Warning Signs", at(0)))
    with pytest.raises(DatasetError, match="got a Point for 'Concrete Guardrail'; expected a LineString"):
        check(feature(RAIL, at(0)))
    for name in ("Milestone", POLE):
        with pytest.raises(DatasetError, match=f"got a LineString for '{name}'; expected a Point"):
            check(feature(name, at(0), at(9), kind="LineString"))
    with pytest.raises(DatasetError, match=r"km or more from the register; .*give the truth of the surveyed road"):
        check(feature(SIGN, (2.35, 48.85)))


def test_swapped_degrees_that_are_in_range_are_told_by_the_register(tmp_path):
    # Of Paris, both 2.35, 48.85 and 48.85, 2.35 are places on Earth.
    here = row("a", SIGN, 0) | {"lon": 2.35, "lat": 48.85}
    truth = read_file(write(tmp_path / "t.geojson", feature(SIGN, (48.85, 2.35))))
    with pytest.raises(DatasetError, match="lon and lat are swapped"):
        truth.check(pa.Table.from_pylist([here], ASSETS))


def test_nearest_is_in_metres():
    places = np.array([at(0), at(100, 30), (-80.0, -13.0)])
    distances = nearest_m(places, np.array([at(0), at(100)]))
    assert distances[:2] == pytest.approx([0, 30], abs=0.01)
    assert distances[2] > 1e6
    assert np.isinf(nearest_m(places, np.zeros((0, 2)))).all()


def simulated(folder, rows, changes=(), nights=("d1",), unseen=()):
    """A truth folder. Rows as (id, class, x, first night, last night) and perhaps the end of a line."""
    store = open_store(str(folder))

    def put(key, rows, schema):
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer)
        store.write(key, buffer.getvalue())

    kinds = {BRIDGE: "overhead", RAIL: "line"}
    assets = []
    for asset_id, name, x, first, last, *end in rows:
        lons, lats = zip(at(x), at(end[0]), strict=True) if end else (None, None)
        lon, lat = at((x + end[0]) / 2 if end else x)
        assets.append({
            "asset_id": asset_id, "class": name, "geometry": kinds.get(name, "point"), "lon": lon, "lat": lat,
            "lons": lons, "lats": lats, "first_night": first, "last_night": last,
        })  # fmt: skip
    put("assets.parquet", assets, TRUE_ASSETS)
    put("changes.parquet", changes, CHANGES)
    for drive in nights:
        put(f"frames/{drive}.parquet", [], TRUE_FRAMES)
        boxes = [{"asset_id": r[0]} for r in rows if r[0] not in unseen for _ in range(3)]
        put(f"boxes/{drive}.parquet", boxes, BOXES)
    return str(folder)


def test_a_simulation_tells_what_stood_and_what_went(tmp_path):
    uri = simulated(
        tmp_path,
        [("stays", SIGN, 0, 1, 9), ("goes", SIGN, 50, 1, 1), ("comes", SIGN, 99, 2, 9), ("later", SIGN, 200, 3, 9)],
        nights=("d1", "d2", "d3"),
        unseen={"comes"},
    )
    known = read_simulated(uri).after(["d2", "d1"])
    assert known.standing["asset_id"].to_pylist() == ["stays", "comes"]
    assert known.removed["asset_id"].to_pylist() == ["goes"]
    assert known.seen == {"stays", "goes", "later"}
    assert read_simulated(uri).after(["d1"]).removed.num_rows == 0
    with pytest.raises(WarehouseError, match="has no drive d9; expected the truth of the warehouse's own drives"):
        read_simulated(uri).after(["d9"])
    with pytest.raises(WarehouseError, match="the warehouse has no drive"):
        read_simulated(uri).after([])


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
    assert made.notes == ("2 blocks of 1 km are few: read the intervals as too narrow",)
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
    assert made.identity is None
    assert made.missing.score is None


def test_drives_are_the_blocks_where_the_truth_has_them(tmp_path):
    history = [
        {
            "asset_id": a,
            "class": SIGN,
            "drive_id": d,
            "seen": s,
            "looked_at": START + timedelta(days=n),
            "hits": 1,
            "covering": 1,
        }
        for n, (a, d, s) in enumerate([("A", "d1", True), ("A", "d2", True), ("A", "d3", False), ("B", "d1", True)])
    ]
    uri = publish(tmp_path / "w", [row("A", SIGN, 0), row("B", SIGN, 100)], history=history)
    features = [feature(SIGN, at(0), drive_id="d2"), feature(SIGN, at(150), drive_id="d1")]
    made = evaluate_register(uri, write(tmp_path / "t.geojson", *features))
    assert (made.resampling.blocks, made.resampling.block_of) == (2, "drive")
    # Of d1 one is wrong and one is not found, of d2 all is right: drawn twice each, or once both.
    overall = made.radii[0].overall
    assert (overall.precision.low, overall.precision.value, overall.precision.high) == (0, 0.5, 1)


def test_a_register_is_needed_and_a_radius_above_zero(tmp_path):
    truth = write(tmp_path / "t.geojson", POINT)
    with pytest.raises(WarehouseError, match="no register there; run 'roadscan inventory' first"):
        evaluate_register(str(tmp_path / "empty"), truth)
    with pytest.raises(ConfigError, match=r"radius: got \[2.0, -1.0\]; expected one or more distances above 0 m"):
        evaluate_register(str(tmp_path / "empty"), truth, radii_m=(2.0, -1.0))


def test_the_command_prints_a_table_or_json(tmp_path):
    uri = publish(tmp_path / "w", [row("A", SIGN, 1), row("B", SIGN, 2000), row("R", RAIL, 100, to_m=180)])
    truth = write(
        tmp_path / "t.geojson",
        feature(SIGN, at(0), field="kind"),
        feature(RAIL, at(100), at(200), kind="LineString", field="kind"),
    )
    shown = roadscan("score", uri, truth, "--class-field", "kind", "--radius", "3", "--resamples", "50")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "points, matched within 3 m" in shown.stdout
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["Warning", "Sign", "2", "1", "50.0", "100", "66.7", "1.00", "1.00"] in rows
    # From 100 to 180 m of 100 to 200 m: its ends are 0 and 20 m off.
    assert ["Concrete", "Guardrail", "80", "100", "100", "80.0", "88.9", "10.00", "18.00"] in rows
    assert ["standing", "assets", "called", "missing", "0", "of", "1", "(0.0%)"] in rows
    plain = json.loads(roadscan("score", uri, truth, "--class-field", "kind", "--json").stdout)
    assert [one["radius_m"] for one in plain["radii"]] == [2, 5]
    assert plain["radii"][0]["classes"][SIGN]["recall"]["value"] == 1
    assert plain["missing"]["false_alarm_rate"] == 0
    wrong = roadscan("score", uri, truth)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "no row has 'class'" in wrong.stderr
