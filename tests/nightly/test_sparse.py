"""Nights that show far less than the nights before on the same road."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.nights import Scan, config_of, drive_of_night, run

from roadscan.inventory import query

FRAMES = 60
SEES = Scan(classes=("Bus Stop",))


def drives_of_register(folder: Path) -> list[str]:
    sql = "SELECT drive_id FROM inventory_drives ORDER BY 1"
    return query(str(folder / "warehouse"), sql)[0].to_pylist()


def test_a_night_that_shows_nothing_where_the_last_one_did_stays_out_of_the_register(
    tmp_path: Path, detect_model: str
) -> None:
    config = config_of(tmp_path, detect_model)
    for night in (1, 2, 3):
        drive_of_night(tmp_path, night, n=FRAMES)
    assert run(config, SEES, one=1)[0] == 0

    code, (told,) = run(config, Scan(), one=2)
    assert (code, told.outcome, told.release, told.frames_ok) == (6, "gate closed", None, FRAMES)
    words = (
        "the scan is worse: 0 detections of this night where earlier drives had 60 on the same road, 0.0%; "
        "health.min_detections is 25.0%"
    )
    assert told.withheld == (words,)
    assert f"no release: {words}" in told.text().splitlines()
    assert drives_of_register(tmp_path) == ["d1"]

    code, (told,) = run(config, SEES, one=3)  # the drive that was held back would come along
    assert (code, told.outcome) == (6, "gate closed")
    assert "0 detections of nights held back before where earlier drives had 60" in told.withheld[0]
    assert drives_of_register(tmp_path) == ["d1"]

    code, (told,) = run(config, SEES, one=2, force="all shelters were taken down")
    assert (code, told.outcome, told.forced) == (0, "complete", "all shelters were taken down")
    assert drives_of_register(tmp_path) == ["d1", "d2", "d3"]
    assert run(config, SEES, one=3)[0] == 0


@pytest.mark.parametrize(
    ("frames", "seen", "health"),
    [
        (FRAMES, 0.5, {}),
        (20, 0.0, {}),  # too few to tell
        (FRAMES, 0.0, {"min_detections": 0}),
    ],
)
def test_a_night_that_shows_less_for_some_reason_is_complete(
    tmp_path: Path, detect_model: str, frames: int, seen: float, health: dict[str, float]
) -> None:
    config = config_of(tmp_path, detect_model, health=health)
    for night in (1, 2):
        drive_of_night(tmp_path, night, n=frames)
    run(config, Scan(classes=("Bus Stop", "Warning Sign")), one=1)
    code, (told,) = run(config, Scan(classes=("Bus Stop",) if seen else ()), one=2)
    assert (code, told.outcome) == (0, "complete")


def test_another_road_is_not_compared(tmp_path: Path, detect_model: str) -> None:
    """The second drive's frames are a degree further north."""

    class Elsewhere(Scan):
        latitude = 14.9

    config = config_of(tmp_path, detect_model)
    for night in (1, 2):
        drive_of_night(tmp_path, night, n=FRAMES)
    run(config, SEES, one=1)
    assert run(config, Elsewhere(), one=2)[0] == 0
