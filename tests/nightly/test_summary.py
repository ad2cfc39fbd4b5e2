from __future__ import annotations

from roadscan.nightly.guard import Watchdog
from roadscan.nightly.summary import NightSummary, Outcome


def summary(outcome: Outcome, **fields: object) -> NightSummary:
    return NightSummary(
        night="2026-11-01", outcome=outcome, started_at="2026-11-01T18:30:00+00:00", seconds=61.2, host="head",
        code_version="0.1", **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_exit_code_says_how_it_went() -> None:
    outcomes: dict[Outcome, int] = {
        "complete": 0, "complete already": 0, "error": 1, "incomplete": 3, "lease lost": 4, "no progress": 5,
        "gate closed": 6,
    }  # fmt: skip
    assert {outcome: summary(outcome).exit_code for outcome in outcomes} == outcomes
    assert summary("complete", left_out={"s3://raw/x": "no manifest"}).exit_code == 3


def test_a_night_without_drives_reads_so() -> None:
    assert summary("complete", release=0).text().splitlines() == [
        "night 2026-11-01: complete", "no drives", "release 0", "61 s, 0 images/s, on head",
    ]  # fmt: skip


def test_a_night_reads_well() -> None:
    told = summary(
        "complete", drives=("a", "b"), frames=906, frames_ok=900, frames_quarantined=6, reasons={"empty": 6},
        detections=1200, assets={"Bus Stop": {"confirmed": 3, "missing": 1}}, changes={"new": 3, "missing": 1},
        release=7, as_of="2026-11-01T19:12:45", images_per_second=20.5, left_out={"s3://raw/x": "no manifest"},
        warnings=("the webhook was not told",),
    )  # fmt: skip
    assert told.text().splitlines() == [
        "night 2026-11-01: complete",
        "2 drives, 906 frames: 900 ok, 6 quarantined; 1200 detections",
        "reasons: 6 empty",
        "Bus Stop: 3 confirmed, 1 missing",
        "changes: 3 new, 1 missing",
        "release 7, --as-of 2026-11-01T19:12:45",
        "left out: s3://raw/x: no manifest",
        "warning: the webhook was not told",
        "61 s, 20.5 images/s, on head",
    ]


def test_the_watchdog_barks_only_while_somebody_watches() -> None:
    seconds = 0.0
    dog = Watchdog(60, clock=lambda: seconds)
    seconds = 1000
    assert dog.check() is None
    with dog.watching("no shard was committed"):
        seconds += 60
        assert dog.check() is None
        dog.progress()
        seconds += 60
        assert dog.check() is None
        seconds += 1
        stop = dog.check()
        assert stop is not None
        assert (stop.outcome, stop.reason) == ("no progress", "no shard was committed for 60 s")
    assert dog.check() is None
