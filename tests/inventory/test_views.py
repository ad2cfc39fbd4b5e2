"""The shipped views over a register made by hand.

Route 0001, section 0100, five kilometres: 0 and 1 in district A, 2 and half of 3 in B, the other half of 3 and 4 in C.
Night n1 drove kilometres 0, 2 and 3, night n2 kilometre 0; nobody drove kilometres 1 and 4.

    left    P1 100        P6 missing 300  P7 rejected 350  P8 candidate 400  P2 600  P5 suspect 1000  P3 2600
    right   P4 700
    left    G1 900 to 2100 and inside it G3 1000 to 1200, then G4 2500 to 2600
    right   G2 200 to 500
    nowhere P9, a pole, and G5, 50 m of guardrail: no centreline was near
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from roadscan.inventory import query
from roadscan.inventory.views import VIEWS, stored_views
from roadscan.schemas import ASSET_HISTORY, ASSETS, TABLES
from roadscan.taxonomy import HIGHWAY
from roadscan.warehouse import Warehouse

POLE, RAIL, STOP = "Single-Arm Pole", "Concrete Guardrail", "Tram Stop"  # the last is in no taxonomy
N1, N2 = datetime(2026, 3, 1, 20, tzinfo=UTC), datetime(2026, 3, 8, 20, tzinfo=UTC)
NETWORK = {"route_code": "0001", "section_code": "0100", "lrs_version": "v"}


def asset(asset_id, km_m, side="left", state="confirmed", kind=POLE, end=None, length=None, route="0001"):
    located = {**NETWORK, "route_code": route} if km_m is not None else {}
    if km_m is not None:
        located |= {"district": "A" if km_m < 2000 else "B", "km_m": km_m, "km_end_m": end}
    row = {"asset_id": asset_id, "class": kind, "geometry": b"", "lon": 100.0, "lat": 13.0 + (km_m or 0) * 1e-5}
    row |= {"bbox": dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), 0.0), "pos_sigma_m": 1.0, "score": 0.9}
    row |= {"cov_ee_m2": 0.5, "cov_en_m2": 0.0, "cov_nn_m2": 0.5, "n_observations": 4, "n_nights": 1}
    row |= {"first_seen": N1, "last_seen": N1, "evidence_uri": f"images/{asset_id}.jpg", "existence": 0.9}
    row |= {"side": side, "state": state, "length_m": length if length or end is None else float(end - km_m)}
    return dict.fromkeys(ASSETS.names) | row | located


REGISTER = [
    asset("P1", 100),
    asset("P2", 600),
    asset("P3", 2600),
    asset("P4", 700, side="right"),
    asset("P5", 1000, state="suspect"),
    asset("P6", 300, state="missing"),
    asset("P7", 350, state="rejected"),
    asset("P8", 400, state="candidate"),
    asset("P9", None),
    asset("G1", 900, kind=RAIL, end=2100),
    asset("G2", 200, kind=RAIL, end=500, side="right"),
    asset("G3", 1000, kind=RAIL, end=1200),
    asset("G4", 2500, kind=RAIL, end=2600),
    asset("G5", None, kind=RAIL, length=50.0),
    asset("T1", 1500, kind=STOP, route="0002"),
    asset("T2", 1900, kind=STOP, route="0002"),
]


def change(asset_id, kind, drive_id, at, class_name=POLE):
    place = {"lon": 100.0, "lat": 13.0}
    return {"asset_id": asset_id, "class": class_name, "change": kind, "drive_id": drive_id, "changed_at": at, **place}


# OLD was merged into P1; what was said of it stands under its old id, as in a register that another program wrote.
CHANGES = [
    change("P1", "new", "n1", N1),
    change("OLD", "moved", "n1", N1),
    change("P6", "new", "n1", N1),
    change("P6", "missing", "n2", N2),
    change("GONE", "new", "n1", N1),  # left the register again, without an alias
]


def told(asset_id, drive_id, at, seen=True, hits=3):
    row = {"asset_id": asset_id, "class": POLE, "drive_id": drive_id, "seen": seen, "looked_at": at}
    return dict.fromkeys(ASSET_HISTORY.names) | row | {"hits": hits if seen else 0, "covering": 4}


HISTORY = [
    told("OLD", "n1", N1, hits=2),
    told("P6", "n1", N1),
    told("P1", "n2", N2),
    told("P6", "n2", N2, seen=False),
    told("GONE", "n1", N1),
]
ALIASES = [{"alias_id": "OLD", "asset_id": "P1", "reason": "merged", "since": N2}]


def kilometre(km, district, drive_id=None, at=None, route="0001", length=1000.0):
    row = {**NETWORK, "route_code": route, "km": km, "district": district, "length_m": length, "lon": 100.0}
    last = at + timedelta(seconds=40) if at else None
    return row | {"lat": 13.0, "drive_id": drive_id, "first_at": at, "last_at": last, "frames": 80 if drive_id else 0}


KILOMETRES = [
    kilometre(0, "A", "n1", N1),
    kilometre(0, "A", "n2", N2),
    kilometre(1, "A"),
    kilometre(2, "B", "n1", N1),
    kilometre(3, "B", "n1", N1, length=500.0),
    kilometre(3, "C", length=500.0),
    kilometre(4, "C"),
    kilometre(1, "A", "n2", N2, route="0002"),
]


def publish(uri: str, stored: bool = False, **rows: list[dict]) -> Warehouse:
    warehouse = Warehouse(uri)
    tables = {name: pa.Table.from_pylist(some, TABLES[name]) for name, some in rows.items()}
    if stored:
        tables |= stored_views(tables)
    files = [warehouse.write(name, table) for name, table in tables.items()]
    warehouse.publish(lambda release: warehouse.replacement(release, files, "by hand"))
    return warehouse


@pytest.fixture(scope="module", params=[True, False], ids=["stored", "computed"])
def uri(tmp_path_factory, request) -> str:
    uri = str(tmp_path_factory.mktemp("by-hand"))
    tables = {"assets": REGISTER, "asset_changes": CHANGES, "asset_history": HISTORY, "asset_alias": ALIASES}
    publish(uri, request.param, **tables, coverage=KILOMETRES)
    return uri


@pytest.fixture(scope="module")
def unlocated(tmp_path_factory) -> str:
    """The same register without a linear reference."""
    uri = str(tmp_path_factory.mktemp("unlocated"))
    nothing = dict.fromkeys((*NETWORK, "district", "km_m", "km_end_m"))
    tables = {"asset_changes": CHANGES, "asset_history": HISTORY, "asset_alias": ALIASES}
    publish(uri, **tables, assets=[row | nothing for row in REGISTER])
    return uri


def rows(uri: str, sql: str) -> list[tuple]:
    table = query(uri, sql)
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_what_stands_is_neither_missing_nor_rejected(uri):
    ids = {row[0] for row in rows(uri, "SELECT asset_id FROM assets_current")}
    assert ids == {row["asset_id"] for row in REGISTER} - {"P6", "P7"}


def test_assets_per_km(uri):
    columns = "km, confirmed, suspect, candidate, missing"
    assert rows(uri, f"SELECT {columns} FROM assets_per_km WHERE route_code = '0001' AND class = '{POLE}'") == [
        (0, 3, 0, 1, 1),  # P1 P2 P4; P8; P6; the rejected P7 is in no column
        (1, 0, 1, 0, 0),
        (2, 1, 0, 0, 0),
    ]


def test_a_line_is_counted_where_it_begins_and_measured_where_it_is(uri):
    sql = "SELECT km, confirmed, length_m FROM assets_per_km WHERE route_code = '0001' AND class = "
    assert rows(uri, sql + f"'{RAIL}'") == [
        (0, 2, 400.0),  # G1 from 900 and G2: 100 + 300
        (1, 1, 1200.0),  # all of it along G1, and 200 of G3, which begins here
        (2, 1, 200.0),  # G1 to 2100, and G4
    ]


def test_sums_over_kilometres_are_those_of_the_register(uri):
    sql = "SELECT class, sum(confirmed), sum(length_m) FROM assets_per_km GROUP BY class ORDER BY class"
    assert rows(uri, sql) == [(RAIL, 5, 1850.0), (POLE, 5, None), (STOP, 2, None)]  # 1200 + 300 + 200 + 100 + 50


def test_a_line_that_ends_on_a_kilometre_has_nothing_in_the_next(tmp_path):
    publish(str(tmp_path), assets=[asset("G", 800, kind=RAIL, end=3000), asset("H", 4000, kind=RAIL, end=5000)])
    sql = "SELECT km, confirmed, length_m FROM assets_per_km"
    assert rows(str(tmp_path), sql) == [(0, 1, 200.0), (1, 0, 1000.0), (2, 0, 1000.0), (4, 1, 1000.0)]


def test_the_length_in_a_kilometre_is_a_share_of_the_lines_own(tmp_path):
    """A line of 1500 m whose chainages are 1000 m apart: its curve is longer than the centreline's."""
    publish(str(tmp_path), assets=[asset("G", 800, kind=RAIL, end=1800, length=1500.0)])
    assert rows(str(tmp_path), "SELECT km, length_m FROM assets_per_km") == [(0, 300.0), (1, 1200.0)]


@pytest.mark.parametrize("end", [None, 700])
def test_a_line_without_extent_keeps_its_length(tmp_path, end):
    publish(str(tmp_path), assets=[asset("G", 700, kind=RAIL, end=end, length=12.0)])
    assert rows(str(tmp_path), "SELECT km, length_m FROM assets_per_km") == [(0, 12.0)]


def test_assets_without_a_reference_are_in_the_counts_with_null(uri):
    sql = "SELECT class, km, confirmed, length_m FROM assets_per_km WHERE route_code IS NULL ORDER BY class"
    assert rows(uri, sql) == [(RAIL, None, 1, 50.0), (POLE, None, 1, None)]
    sql = "SELECT class, confirmed, length_km FROM assets_per_district WHERE district IS NULL ORDER BY class"
    assert rows(uri, sql) == [(RAIL, 1, 0.05), (POLE, 1, None)]
    assert rows(uri, "SELECT lines, length_km FROM guardrail_km WHERE route_code IS NULL") == [(1, 0.05)]


def test_assets_per_district(uri):
    assert rows(uri, "SELECT * FROM assets_per_district WHERE district IS NOT NULL") == [
        ("A", RAIL, 3, 0, 0, 0, 1.7),
        ("A", POLE, 3, 1, 1, 1, None),
        ("A", STOP, 2, 0, 0, 0, None),
        ("B", RAIL, 1, 0, 0, 0, 0.1),
        ("B", POLE, 1, 0, 0, 0, None),
    ]


def test_guardrail_km_by_section_and_side(uri):
    assert rows(uri, "SELECT * FROM guardrail_km WHERE route_code IS NOT NULL") == [
        (RAIL, "0001", "0100", "left", 3, 1.5),
        (RAIL, "0001", "0100", "right", 1, 0.3),
    ]


def gaps(uri, where="true"):
    sql = f"SELECT class, side, from_m, to_m, gap_m, to_id, unsurveyed_km FROM asset_gaps WHERE {where} ORDER BY ALL"
    return rows(uri, sql)


def test_gaps_are_between_confirmed_assets_of_a_class_and_side(uri):
    assert gaps(uri, f"class = '{POLE}'") == [
        (POLE, "left", 100, 600, 500, "P2", 0),
        (POLE, "left", 600, 2600, 2000, "P3", 1),  # nobody looked at kilometre 1: there may be poles
    ]


def test_gaps_of_lines_are_from_the_farthest_end(uri):
    assert gaps(uri, f"class = '{RAIL}'") == [(RAIL, "left", 2100, 2500, 400, "G4", 0)]  # not from 1200, G3's end


def test_gaps_of_a_class_that_nobody_knew(uri):
    assert gaps(uri, "class = 'Tram Stop' AND gap_m > 300") == [(STOP, "left", 1500, 1900, 400, "T2", 0)]
    assert gaps(uri, "class = 'Tram Stop' AND gap_m > 400") == []


def test_gaps_do_not_cross_to_another_carriageway(tmp_path):
    on = [asset(name, km) | {"carriageway": way} for name, km, way in [("A", 0, "L"), ("B", 50, "R"), ("C", 90, "L")]]
    publish(str(tmp_path), assets=on)
    assert [(row[2], row[5]) for row in gaps(str(tmp_path))] == [(0, "C")]


def test_without_a_reference_there_are_counts_but_no_gaps(unlocated):
    assert gaps(unlocated) == []
    assert rows(unlocated, "SELECT sum(confirmed) FROM assets_per_km") == [(12,)]
    assert rows(unlocated, "SELECT sum(confirmed) FROM assets_per_district") == [(12,)]
    assert rows(unlocated, "SELECT sum(lines), sum(length_km) FROM guardrail_km") == [(5, 1.85)]
    assert rows(unlocated, "SELECT asset_id, route_code FROM missing_assets") == [("P6", None)]
    assert rows(unlocated, "SELECT count(*) FROM changes_since") == [(5,)]
    assert rows(unlocated, "SELECT count(*) FROM asset_timeline") == [(5,)]
    assert rows(unlocated, "SELECT count(*) FROM survey_age") == [(0,)]


def test_changes_since_a_date(uri):
    after, before = (f"FROM changes_since WHERE changed_at {sign} TIMESTAMPTZ '2026-03-05'" for sign in "><")
    last = rows(uri, f"SELECT asset_id, change, route_code, km_m, state {after}")
    assert last == [("P6", "missing", "0001", 300, "missing")]
    assert rows(uri, f"SELECT asset_id, change, km_m {before}") == [
        ("P1", "moved", 100),
        ("GONE", "new", None),
        ("P1", "new", 100),
        ("P6", "new", 300),
    ]


def test_missing_assets_say_since_when_and_who_looked(uri):
    sql = "SELECT asset_id, class, km_m, missing_since, drive_id, last_seen, evidence_uri FROM missing_assets"
    assert rows(uri, sql) == [("P6", POLE, 300, N2, "n2", N1, "images/P6.jpg")]


def test_a_missing_asset_without_a_change_is_still_missing(tmp_path):
    publish(str(tmp_path), assets=[asset("P", 100, state="missing")])
    assert rows(str(tmp_path), "SELECT asset_id, missing_since, drive_id FROM missing_assets") == [("P", None, None)]


def test_missing_again_counts_from_the_last_time(tmp_path):
    twice = [change("P", "missing", f"n{k}", N1 + timedelta(days=k)) for k in (5, 1)]
    back = change("P", "reappeared", "n3", N1 + timedelta(days=9))
    publish(str(tmp_path), assets=[asset("P", 100, state="missing")], asset_changes=[*twice, back])
    assert rows(str(tmp_path), "SELECT missing_since, drive_id FROM missing_assets") == [(N1 + timedelta(days=5), "n5")]


def test_unsurveyed_kilometres_are_those_without_a_drive(uri):
    assert rows(uri, "SELECT * EXCLUDE (lon, lat) FROM unsurveyed_km") == [
        ("0001", "0100", "A", 1, 1000.0),
        ("0001", "0100", "C", 3, 500.0),
        ("0001", "0100", "C", 4, 1000.0),
    ]


def test_what_was_not_surveyed_is_never_missing(uri):
    """P5 is in kilometre 1, where nobody was, and stands as it stood; P6 was missed where two drives were."""
    both = "missing_assets AS m JOIN unsurveyed_km AS u ON u.km = m.km_m // 1000 AND u.route_code = m.route_code"
    assert rows(uri, f"SELECT asset_id FROM {both}") == []
    assert rows(uri, "SELECT drives FROM survey_age WHERE route_code = '0001' AND km = 0") == [(2,)]
    sql = "SELECT sum(missing) FROM assets_per_km JOIN unsurveyed_km USING (route_code, section_code, km)"
    assert rows(uri, sql) == [(0,)]


def test_survey_age_gives_the_last_drive_and_the_days_since(uri):
    found = rows(uri, "SELECT km, district, drives, last_at, days FROM survey_age WHERE route_code = '0001'")
    assert [row[:4] for row in found] == [
        (0, "A", 2, N2 + timedelta(seconds=40)),
        (1, "A", 0, None),
        (2, "B", 1, N1 + timedelta(seconds=40)),
        (3, "B", 1, N1 + timedelta(seconds=40)),
        (3, "C", 0, None),
        (4, "C", 0, None),
    ]
    today = datetime.now(UTC)
    for *_, last_at, days in found:
        assert days is None if last_at is None else 0 <= (today - last_at).days - days <= 1


def test_never_surveyed_and_surveyed_long_ago_are_asked_for_together(tmp_path):
    now = datetime.now(UTC)
    covered = [kilometre(k, "A", "n", now - timedelta(days=d, hours=1)) for k, d in enumerate((10, 364, 366))]
    publish(str(tmp_path), coverage=[*covered, kilometre(3, "A")])
    sql = "SELECT km, days FROM survey_age WHERE days > 365 OR drives = 0"
    assert rows(str(tmp_path), sql) == [(2, 366), (3, None)]
    assert rows(str(tmp_path), "SELECT km FROM unsurveyed_km") == [(3,)]


def test_the_timeline_of_an_asset_goes_through_its_aliases(uri):
    sql = "SELECT looked_at, drive_id, seen, hits, changes, km_m, state FROM asset_timeline WHERE asset_id = 'P1'"
    assert rows(uri, sql) == [
        (N1, "n1", True, 2, ["moved", "new"], 100, "confirmed"),  # said of OLD
        (N2, "n2", True, 3, None, 100, "confirmed"),
    ]
    assert rows(uri, "SELECT * FROM asset_timeline WHERE asset_id = 'OLD'") == []


def test_the_timeline_has_what_a_drive_missed_and_assets_that_went(uri):
    sql = "SELECT drive_id, seen, hits, changes FROM asset_timeline WHERE asset_id = 'P6'"
    assert rows(uri, sql) == [("n1", True, 3, ["new"]), ("n2", False, 0, ["missing"])]
    assert rows(uri, "SELECT state, km_m FROM asset_timeline WHERE asset_id = 'GONE'") == [(None, None)]


@pytest.mark.parametrize("known", ["OLD", "P1"])
def test_any_id_that_was_ever_given_leads_to_the_asset(uri, known):
    now = f"(SELECT asset_id FROM asset_ids WHERE id = '{known}')"
    assert rows(uri, f"SELECT DISTINCT asset_id FROM asset_timeline WHERE asset_id = {now}") == [("P1",)]


def test_every_id_stands_for_one_asset(uri):
    ids = rows(uri, "SELECT id, asset_id, reason FROM asset_ids")
    assert len({row[0] for row in ids}) == len(ids) == len(REGISTER) + 1
    assert [row for row in ids if row[0] != row[1]] == [("OLD", "P1", "merged")]


def test_views_of_an_older_release_are_of_that_release(tmp_path):
    uri = str(tmp_path)
    publish(uri, assets=REGISTER, coverage=KILOMETRES)
    between = datetime.now(UTC)
    publish(uri, assets=[asset("P1", 100, state="missing")], coverage=[kilometre(1, "A", "n3", N2)])
    count = "SELECT count(*) AS n FROM "
    for view, now, then in (("missing_assets", 1, 1), ("unsurveyed_km", 0, 3), ("assets_per_km", 1, 9)):
        assert query(uri, count + view)["n"][0].as_py() == now, view
        assert query(uri, count + view, as_of=between)["n"][0].as_py() == then, view


def test_no_view_knows_a_class():
    assert not [name for name in HIGHWAY.names for sql in VIEWS.values() if name in sql]
