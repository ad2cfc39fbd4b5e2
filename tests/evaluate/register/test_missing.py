from __future__ import annotations

import pyarrow as pa
import pytest
from support.known_assets import found, truth

from roadscan.evaluate.register.missing import score_missing


def states(*rows):
    """Rows as (id, x in metres, state), all of class sign."""
    table = found(*((i, "sign", x) for i, x, _ in rows))
    return table.append_column("state", pa.array([state for *_, state in rows], pa.string()))


def test_what_is_called_missing_is_compared_with_what_was_removed():
    ours = states(
        ("a", 0, "missing"),  # was removed
        ("b", 50, "missing"),  # stands: a false alarm
        ("c", 100, "missing"),  # was never there
        ("d", 150, "suspect"),  # was removed: not reported
        ("e", 200, "confirmed"),
        ("f", 250, "candidate"),  # not in the register
    )
    standing = truth(("t50", "sign", 50), ("t200", "sign", 200), ("t250", "sign", 250), ("t300", "sign", 300))
    removed = truth(("t0", "sign", 0), ("t150", "sign", 150), ("t400", "sign", 400))
    scores = score_missing(ours, standing, removed, seen={"t0", "t150", "t50"})
    assert scores.score is not None
    assert scores.score.precision == pytest.approx(1 / 3)
    assert scores.score.recall == pytest.approx(1 / 2)  # nobody saw t400
    assert (scores.false_alarms, scores.never_known, scores.standing_found) == (1, 1, 2)
    assert scores.false_alarm_rate == pytest.approx(1 / 2)


def test_without_known_removals_only_false_alarms_are_counted():
    scores = score_missing(states(("a", 0, "missing"), ("b", 50, "confirmed")), truth(("t", "sign", 50)), None)
    assert scores.score is None
    assert (scores.missing, scores.false_alarms, scores.standing_found) == (1, 0, 1)
