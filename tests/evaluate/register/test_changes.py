from __future__ import annotations

import pytest

from roadscan.evaluate.register.changes import score_changes


def test_changes_are_compared_as_pairs():
    score = score_changes([("t1", "removed"), ("t2", "added"), ("A9", "added")], [("t1", "removed"), ("t2", "removed")])
    assert score.precision == pytest.approx(1 / 3)
    assert score.recall == pytest.approx(1 / 2)
