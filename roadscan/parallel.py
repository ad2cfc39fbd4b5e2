"""Work shared by processes of this machine, which end at once where the job is stopped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_processes(work: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    """What each job gives, in order; at most a few are done ahead of what the caller has taken.

    Args:
        work: a function of a module, which each process imports: none is forked, as the caller may hold threads (Arrow,
            Ray) that do not survive that.
        jobs: what it is called with; they are sent to the processes.
        workers: processes.

    Raises:
        BrokenProcessPool: a process was ended from outside while this result, or another one, was due.
        Exception: of `work`.
    """
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = iter(jobs)
        begun = deque(pool.submit(work, job) for job in islice(waiting, 2 * workers))
        try:
            while begun:
                result = begun.popleft().result()
                begun.extend(pool.submit(work, job) for job in islice(waiting, 1))
                yield result
        finally:  # not future by future, as `Executor.map` does: where the processes have ended, its thread then fails
            pool.shutdown(cancel_futures=True)
