"""What a job came to -> what one counts on and does not get, in one line: never silent, whatever the job.

A job that reads or writes nothing usable ends as any other, so that what it did is kept; but it says so, with what to
do, and its exit code is `SHORT`. What a job cannot do at all is an error.
"""

from __future__ import annotations

from typing import Protocol

SHORT = 3


class Summary(Protocol):
    """What any job came to."""

    @property
    def shortfall(self) -> str | None:
        """What is missing, why, and what to do; None where all is there."""
