"""The verdict on a night whose frames were counted: whether it is complete, and if not, why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roadscan.nightly.summary import FrameCounts, Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a night came to.

    Attributes:
        outcome: of its summary.
        withheld, error: likewise.
    """

    outcome: Outcome
    withheld: tuple[str, ...] = ()
    error: str | None = None


def judge(counted: FrameCounts, max_quarantined: float, stopped: Sequence[str] = ()) -> Verdict:
    """Counts of a night's frames -> whether it gets a release.

    Args:
        counted: from `audit`.
        max_quarantined: largest share of the frames in quarantine with which a night is complete.
        stopped: closed gates, in words.

    >>> judge(FrameCounts(frames=20, frames_ok=19, frames_quarantined=1), 0.05).outcome
    'complete'
    """
    if not counted.clean:
        return Verdict("incomplete", withheld=tuple(stopped))
    if counted.useless:
        return Verdict("error", error=f"all {counted.frames} frames are in quarantine: nothing was surveyed; {_ADVICE}")
    if counted.quarantined_share > max_quarantined:
        reason = (
            f"{counted.frames_quarantined} of {counted.frames} frames are in quarantine, "
            f"{counted.quarantined_share:.1%}; health.max_quarantined allows {max_quarantined:.1%}; {_ADVICE}, or "
            "again with a limit that allows it"
        )
        return Verdict("incomplete", withheld=(reason, *stopped))
    return Verdict("gate closed", withheld=tuple(stopped)) if stopped else Verdict("complete")


_ADVICE = "repair what the reasons say, and run the night again"
