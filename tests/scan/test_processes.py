from __future__ import annotations

import pytest

from roadscan.scan.placement import Placement
from roadscan.scan.processes import gpus_of


@pytest.mark.parametrize(
    ("actors", "gpus", "visible", "expected"),
    [
        (4, 0.5, "0,1", ["0", "0", "1", "1"]),
        (2, 0.6, "0,1", ["0", "1"]),  # one a card: two would not fit on the first
        (6, 1 / 3, "4,7", ["4", "4", "4", "7", "7", "7"]),
        (2, 1, "0,1", ["0", "1"]),
        (1, 1, "GPU-5f3a", ["GPU-5f3a"]),
    ],
)
def test_processes_of_one_machine_share_its_gpus(actors: int, gpus: float, visible: str, expected: list[str]) -> None:
    placement, environment = Placement(actors, 4, gpus), {"CUDA_VISIBLE_DEVICES": visible}
    assert [gpus_of(number, placement, environment) for number in range(actors)] == expected
