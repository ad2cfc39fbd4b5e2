from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from roadscan.parallel import in_processes


def squared(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def test_results_come_in_order_from_other_processes() -> None:
    results = list(in_processes(squared, range(20), 2))
    assert [result for result, _ in results] == [number**2 for number in range(20)]
    assert os.getpid() not in {process for _, process in results}


def test_jobs_are_taken_as_results_are() -> None:
    taken = []

    def jobs() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = in_processes(squared, jobs(), 2)
    assert [next(results)[0] for _ in range(3)] == [0, 1, 4]
    assert len(taken) == 2 * 2 + 3  # ahead, and one for each result
    results.close()


def test_what_a_job_raises_is_raised() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        list(in_processes(squared, [1, None, 3], 1))  # type: ignore[list-item]
