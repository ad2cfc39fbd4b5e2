"""Kilometres of the sections, and what of them drives covered."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from support.centrelines import BEND, EAST, MAIN, RADIUS_M, drive, feature, lonlat, read

from roadscan.inventory.reference import coverage, uncovered
from roadscan.schemas import COVERAGE


def test_kilometres_add_up_to_the_section(tmp_path):
    reference = read(tmp_path, feature(BEND, (5.6, 6.4), district="Warin"), feature([(-3000, 0), (0, 0)], (3, 6), 9))
    table = reference.kilometres()
    assert table.schema.names == COVERAGE.names[:7]
    rows = table.to_pylist()
    assert [(row["route_code"], row["section_code"], row["district"], row["km"]) for row in rows] == [
        ("0001", "0102", "Warin", 5),
        ("0001", "0102", "Warin", 6),
        *[("0009", "0102", None, km) for km in (3, 4, 5)],
    ]
    lengths = np.array([row["length_m"] for row in rows])
    assert lengths[:2].sum() == pytest.approx(RADIUS_M * np.pi / 2, rel=1e-4)
    np.testing.assert_allclose(lengths[:2], RADIUS_M * np.pi / 4, rtol=1e-4)
    np.testing.assert_allclose(lengths[2:], 1000, rtol=1e-4)
    middle = reference.locate(table["lon"].to_numpy(), table["lat"].to_numpy())
    assert middle["km_m"].tolist() == [5800, 6200, 3500, 4500, 5500]


def test_kilometres_of_sections_in_pieces_and_of_two_carriageways(tmp_path):
    lines = [
        feature([(0, 0), (0, 400)], (10, 10.4), carriageway="L"),
        feature([(0, 400), (0, 1000)], (10.4, 11), carriageway="L"),
        feature([(12, 1000), (12, 0)], (11, 10), carriageway="R"),
        feature([(12, 1010), (12, 1000)], ("11+010", "11+000"), carriageway="R"),
    ]
    rows = read(tmp_path, *lines).kilometres().to_pylist()
    assert [(row["km"], round(row["length_m"])) for row in rows] == [(10, 1000), (11, 10)]


def test_a_sliver_beyond_a_kilometre_is_no_kilometre(tmp_path):
    rows = read(tmp_path, feature([(0, -15), (0, 2005)], ("9+985", "12+005"))).kilometres().to_pylist()
    assert [(row["km"], round(row["length_m"])) for row in rows] == [(10, 1015), (11, 1005)]


def test_what_a_drive_covered_and_what_none_did(tmp_path):
    reference = read(tmp_path, MAIN, EAST)
    y = np.arange(500, 2500, 10)
    lon, lat = drive(3, y)
    time_us = 1_700_000_000_000_000 + np.arange(len(y)) * 1_000_000
    index = reference.assign_track(lon, lat)
    covered = coverage(reference, "d1", lon, lat, time_us, index)
    assert covered.schema.equals(COVERAGE)
    rows = covered.to_pylist()
    assert [(row["km"], row["drive_id"], row["frames"]) for row in rows] == [
        (10, "d1", 50),
        (11, "d1", 100),
        (12, "d1", 50),
    ]
    assert [row["first_at"].timestamp() - 1.7e9 for row in rows] == [0, 50, 150]
    assert [row["last_at"].timestamp() - 1.7e9 for row in rows] == [49, 149, 199]
    assert {row["lrs_version"] for row in rows} == {reference.version}
    rest = uncovered(reference, covered)
    assert rest.schema.equals(COVERAGE)
    assert [
        (row["route_code"], row["km"], row["drive_id"], row["first_at"], row["frames"]) for row in rest.to_pylist()
    ] == [
        ("0001", 13, None, None, 0),
        ("0002", 50, None, None, 0),
        ("0002", 51, None, None, 0),
    ]
    assert uncovered(reference, COVERAGE.empty_table()).num_rows == reference.kilometres().num_rows == 6
    assert uncovered(reference, pa.concat_tables([covered, rest])).num_rows == 0
    none = coverage(reference, "d2", lon, lat, time_us, np.full(len(lon), -1))
    assert none.num_rows == 0
    assert none.schema.equals(COVERAGE)


def test_a_frame_at_the_rounded_beginning_is_of_its_own_line(tmp_path):
    # 25+556.4 is written 25+556, which is before the line begins.
    lines = [MAIN, feature([(0, 5000), (0, 5500)], ("25+556.4", "26+056.4"), section=103)]
    reference = read(tmp_path, *lines)
    rows = coverage(reference, "d", *lonlat([0], [4990]), [0], [1]).to_pylist()
    assert [(row["section_code"], row["km"]) for row in rows] == [("0103", 25)]
