from __future__ import annotations

import math

import pyarrow as pa
import pytest
import shapely

from roadscan.evaluate.assets import score_assets, score_changes, seen_assets

M = 1 / 111_319.49  # one metre in degrees of longitude on the equator
ASSET = pa.schema(
    [("asset_id", pa.string()), ("class", pa.string()), ("lon", pa.float64()), ("lat", pa.float64()),
     ("length_m", pa.float64()), ("geometry", pa.binary())]
)  # fmt: skip
TRUTH = pa.schema(
    [("asset_id", pa.string()), ("class", pa.string()), ("lon", pa.float64()), ("lat", pa.float64()),
     ("geometry", pa.string()), ("lons", pa.list_(pa.float64())), ("lats", pa.list_(pa.float64()))]
)  # fmt: skip


def found(*points, lines=()):
    """Points as (id, class, x in metres); lines as (id, class, from x, to x, y)."""
    rows = [
        {"asset_id": i, "class": c, "lon": x * M, "lat": 0.0, "geometry": shapely.Point(x * M, 0).wkb}
        for i, c, x in points
    ]
    for i, c, start, end, y in lines:
        shape = shapely.LineString([(start * M, y * M), (end * M, y * M)])
        rows.append({"asset_id": i, "class": c, "lon": start * M, "lat": 0.0, "geometry": shape.wkb, "length_m": 1.0})
    return pa.Table.from_pylist(rows, schema=ASSET)


def truth(*points, geometry="point", lines=()):
    rows = [{"asset_id": i, "class": c, "lon": x * M, "lat": 0.0, "geometry": geometry} for i, c, x in points]
    rows += [
        {
            "asset_id": i,
            "class": c,
            "lon": a * M,
            "lat": 0.0,
            "geometry": "line",
            "lons": [a * M, b * M],
            "lats": [0, 0],
        }
        for i, c, a, b in lines
    ]
    return pa.Table.from_pylist(rows, schema=TRUTH)


def test_nothing_found_and_nothing_there():
    scores = score_assets(found(), truth())
    assert scores.per_class == scores.lines == {}
    assert math.isnan(scores.overall.precision)
    assert math.isnan(scores.position_p50_m)


def test_matching_is_one_to_one():
    # Two found 1 m and 2 m from the only sign: one is right, the other is wrong however near it is.
    scores = score_assets(found(("a", "sign", 1), ("b", "sign", 2)), truth(("t", "sign", 0)))
    assert scores.matches == {"a": "t"}
    assert (scores.overall.precision, scores.overall.recall) == (0.5, 1.0)
    assert scores.position_p50_m == pytest.approx(1.0, abs=0.01)


def test_as_many_pairs_as_possible_within_the_radius():
    # b is nearest to t0, but then a (4 m from t0, 9 m from t1) would have none.
    scores = score_assets(found(("a", "sign", -4), ("b", "sign", 1)), truth(("t0", "sign", 0), ("t1", "sign", 5)))
    assert scores.matches == {"a": "t0", "b": "t1"}


@pytest.mark.parametrize(("x", "right"), [(4.9, 1), (5.1, 0)])
def test_the_radius_is_the_limit(x, right):
    assert score_assets(found(("a", "sign", x)), truth(("t", "sign", 0))).overall.true_positives == right


def test_an_overhead_asset_has_a_wider_radius():
    assert score_assets(found(("a", "bridge", 9)), truth(("t", "bridge", 0), geometry="overhead")).overall.recall == 1


def test_classes_do_not_mix():
    scores = score_assets(found(("a", "sign", 0)), truth(("t", "pole", 0)))
    assert scores.per_class["sign"].precision == 0
    assert scores.per_class["pole"].recall == 0


def test_what_was_never_shown_counts_neither_way():
    known = truth(("t", "sign", 0), ("hidden", "sign", 100), ("dark", "sign", 200))
    scores = score_assets(found(("a", "sign", 0), ("b", "sign", 100)), known, seen={"t"})
    assert scores.overall.precision == 1  # b stands at a real sign
    assert scores.overall.recall == 1  # of the one sign that was to be seen


def test_lines_are_scored_by_length():
    # 60 of 80 found metres lie on the 100 m that are there.
    scores = score_assets(found(lines=[("a", "rail", 40, 120, 2)]), truth(lines=[("t", "rail", 0, 100)]))
    assert scores.lines["rail"].precision == pytest.approx(0.75, abs=0.01)
    assert scores.lines["rail"].recall == pytest.approx(0.6, abs=0.01)
    assert scores.per_class == {}


def test_a_line_found_twice_is_right_once():
    twice = found(lines=[("a", "rail", 0, 100, 1), ("b", "rail", 0, 100, -1)])
    scores = score_assets(twice, truth(lines=[("t", "rail", 0, 100)]))
    assert scores.lines["rail"].precision == pytest.approx(0.5, abs=0.01)


def test_a_line_too_far_to_the_side_is_wrong():
    scores = score_assets(found(lines=[("a", "rail", 0, 100, 6)]), truth(lines=[("t", "rail", 0, 100)]))
    assert scores.lines["rail"].recall == 0


def test_changes_are_compared_as_pairs():
    score = score_changes([("t1", "removed"), ("t2", "added"), ("A9", "added")], [("t1", "removed"), ("t2", "removed")])
    assert score.precision == pytest.approx(1 / 3)
    assert score.recall == pytest.approx(1 / 2)


def test_seen_assets_have_three_boxes_over_all_drives():
    nights = [pa.table({"asset_id": ["a", "a", "b"]}), pa.table({"asset_id": ["a", "c", "b"]})]
    assert seen_assets(nights) == {"a"}
    assert seen_assets([]) == set()
