"""One line of an examination, and how a check becomes one whatever happens to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from roadscan.errors import RoadscanError

DEADLINE_S = 30  # of one check; a store that does not answer would be asked for minutes

Status: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        check: what was looked at.
        status: ok, warn (works, but not as it should) or fail.
        found: what there is.
        advice: what to do; empty where it is ok.
    """

    check: str
    status: Status
    found: str
    advice: str = ""


def within(name: str, check: Callable[[], Finding], deadline_s: float = DEADLINE_S) -> Finding:
    """What a check finds; also that it raised, or did not end in time."""
    made: list[Finding] = []

    def run() -> None:
        try:
            made.append(check())
        except RoadscanError as error:
            made.append(Finding(name, "fail", str(error), "mend what it names, then look again"))
        except Exception as error:  # noqa: BLE001 - whatever breaks, the other checks go on
            made.append(Finding(name, "fail", f"{type(error).__name__}: {error}", "the check itself broke"))

    thread = threading.Thread(target=run, daemon=True)  # one that hangs must not keep the program
    thread.start()
    thread.join(deadline_s)
    return (
        made[0] if made else Finding(name, "fail", f"no answer in {deadline_s:g} s", "is the address right, and open?")
    )
