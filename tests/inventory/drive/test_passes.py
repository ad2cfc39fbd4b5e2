from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from support.world import HOME, LINE, Known, World, drive

from roadscan.inventory.drive.passes import DrivePass, read_pass

WORLD = World(5, 600.0, [Known("p", "Bus Stop", 200.0, 6.0), Known("r", LINE, 100.0, 5.0, 300.0)])
TABLES = drive(WORLD, 0, false_per_frame=0.0)


def changed(table: pa.Table, name: str, values: list) -> pa.Table:
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(index), pa.array(values, table.schema.field(index).type))


def test_a_place_beside_the_path_has_the_chainage_and_offset_it_was_made_from():
    path = read_pass("d", TABLES.frames, TABLES.observations, enu=HOME).path
    s, offset_m = np.linspace(20, 560, 55), np.resize([-8.0, -2.0, 0.0, 5.0], 55)
    found_s, found_offset = path.locate(*path.at(s, offset_m), s + 10.0)
    assert found_s == pytest.approx(s, abs=0.05)
    assert found_offset == pytest.approx(offset_m, abs=0.05)


def test_the_camera_is_where_the_frames_say_in_the_metres_given():
    one = read_pass("d", TABLES.frames, TABLES.observations, enu=HOME)
    x, y = HOME.to_xy(TABLES.frames["camera_lon"].to_numpy(), TABLES.frames["camera_lat"].to_numpy())
    assert one.camera_xy == pytest.approx(np.stack([x, y], axis=1))
    assert one.poses.s[-1] == pytest.approx(np.hypot(np.diff(x), np.diff(y)).sum())


def test_frames_that_are_not_ok_and_what_they_saw_are_left_out():
    status = ["failed", *["ok"] * (TABLES.frames.num_rows - 1)]
    whole, part = (
        read_pass("d", frames, TABLES.observations)
        for frames in (TABLES.frames, changed(TABLES.frames, "status", status))
    )
    first = TABLES.frames["frame_id"][0].as_py()
    lost = TABLES.observations["frame_id"].to_pylist().count(first)
    assert len(part.poses.s) == len(whole.poses.s) - 1
    assert len(part.detections.score) == len(whole.detections.score) - lost
    frame_ids = TABLES.frames["frame_id"].to_pylist()[1:]
    seen_in = part.observations["frame_id"].to_numpy(zero_copy_only=False)[part.detections.row]
    assert [frame_ids[index] for index in part.detections.frame_index] == seen_in.tolist()


def test_one_usable_frame_is_a_pass_without_a_way():
    one = read_pass("d", TABLES.frames.slice(0, 1), TABLES.observations)
    first = TABLES.frames["frame_id"][0].as_py()
    assert one.still
    assert len(one.detections.row) == TABLES.observations["frame_id"].to_pylist().count(first)
    assert not read_pass("d", TABLES.frames.slice(0, 2), TABLES.observations).still
    assert read_pass("d", TABLES.frames.slice(0, 0), TABLES.observations) is None


def test_frames_in_any_order_are_the_pass_that_they_were_driven_as():
    """Also what each frame saw: times are only times."""
    times = TABLES.frames["captured_at"].take(pa.array(np.random.default_rng(0).permutation(TABLES.frames.num_rows)))
    mixed = changed(TABLES.frames, "captured_at", times.to_pylist())
    driven, found = (read_pass("d", frames, TABLES.observations, enu=HOME) for frames in (TABLES.frames, mixed))
    assert np.array_equal(found.camera_xy, driven.camera_xy)
    assert np.array_equal(found.path.course, driven.path.course)
    assert np.array_equal(found.detections.frame_index, driven.detections.frame_index)
    assert sorted(found.poses.time_us) == sorted(driven.poses.time_us)
    assert (found.started_at, found.ended_at) == (driven.started_at, driven.ended_at)


def test_what_scores_less_is_ignored():
    scores = TABLES.observations["score"].to_numpy()
    least = float(np.median(scores))
    one = read_pass("d", TABLES.frames, TABLES.observations, least)
    assert len(one.detections.score) == (scores >= least).sum()
    assert one.detections.score.min() >= least


def test_a_yaw_turns_bearings_and_both_ends_of_lines_and_no_ranges():
    seen = read_pass("d", TABLES.frames, TABLES.observations).detections
    turned = seen.turned(np.radians(2.0))
    assert np.degrees(turned.bearing - seen.bearing) == pytest.approx(np.full(len(seen.bearing), 2.0))
    lines = np.isfinite(seen.near_bearing_deg)
    assert 0 < lines.sum() < len(lines)
    for name in ("near_bearing_deg", "far_bearing_deg"):
        assert (getattr(turned, name) - getattr(seen, name))[lines] == pytest.approx(np.full(lines.sum(), 2.0))
    for name in ("near_range_m", "far_range_m", "log_range"):
        assert np.array_equal(getattr(turned, name), getattr(seen, name), equal_nan=True)


@pytest.mark.parametrize("column", ["heading_deg", "camera_lon", "camera_lat"])
def test_what_is_not_finite_is_read_like_what_is_not_told(column):
    """A heading that is infinite has no cosine, and a place that is infinite is on no path."""
    values = TABLES.frames[column].to_pylist()
    infinite, null = (
        read_pass("d", changed(TABLES.frames, column, [*values[:5], other, *values[6:]]), TABLES.observations, enu=HOME)
        for other in (float("-inf"), None)
    )
    assert len(infinite.poses.s) == len(values) - (column != "heading_deg")
    for name in ("x", "y", "s", "heading", "half_fov"):
        assert np.array_equal(getattr(infinite.poses, name), getattr(null.poses, name), equal_nan=True)
    assert np.isfinite(infinite.poses.heading).all()


def test_the_edge_of_a_panorama_cuts_nothing_and_all_of_its_frames_look_ahead():
    def of(fov_deg: float) -> DrivePass:
        frames = changed(TABLES.frames, "fov_deg", [fov_deg] * TABLES.frames.num_rows)
        frames = changed(frames, "heading_deg", [(value + 90) % 360 for value in frames["heading_deg"].to_pylist()])
        boxes = [[0.0, 10.0, 30.0, 40.0]] * TABLES.observations.num_rows
        return read_pass("d", frames, changed(TABLES.observations, "box_px", boxes), enu=HOME)

    plain, around = of(359.0), of(360.0)
    assert set(plain.detections.bearing_factor) == {4.0}
    assert set(around.detections.bearing_factor) == {1.0}
    assert not plain.looks_ahead.any()
    assert around.looks_ahead.all()
