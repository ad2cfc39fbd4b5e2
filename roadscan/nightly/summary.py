"""What one night came to, as JSON for programs and as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from roadscan.nightly.drift import Rate

Outcome = Literal["complete", "complete already", "incomplete", "gate closed", "no progress", "lease lost", "error"]

EXIT_CODES: dict[Outcome, int] = {
    "complete": 0, "complete already": 0, "error": 1, "incomplete": 3, "lease lost": 4, "no progress": 5,
    "gate closed": 6,
}  # fmt: skip
LEFT_OUT = EXIT_CODES["incomplete"]  # a drive that cannot be read is frames that are lost


@dataclass(frozen=True)
class FrameCounts:
    """Frames of some drives.

    Attributes:
        frames: in the drives' manifests.
        frames_ok, frames_quarantined, frames_failed: in the release, each frame once.
        frames_lost: in no release.
        frames_twice: rows that repeat another one.
        frames_dark, frames_blurred: that are ok and show little.
        reasons: of those in quarantine or failed, how many.
        missing: by drive, frames that failed or are lost.
        unusable: by drive, frames in quarantine; those of which more are than the limit allows.
    """

    frames: int = 0
    frames_ok: int = 0
    frames_quarantined: int = 0
    frames_failed: int = 0
    frames_lost: int = 0
    frames_twice: int = 0
    frames_dark: int = 0
    frames_blurred: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    unusable: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether every frame is there once and none failed."""
        return not (self.frames_failed or self.frames_lost or self.frames_twice)

    @property
    def quarantined_share(self) -> float:
        """Part of the frames that is in quarantine; 0 where there are no frames."""
        return self.frames_quarantined / self.frames if self.frames else 0.0

    @property
    def useless(self) -> bool:
        """Whether there are frames, and every one of them is in quarantine."""
        return 0 < self.frames == self.frames_quarantined


@dataclass(frozen=True)
class GateReport:
    """What a gate found; see `roadscan.nightly.gate`.

    Attributes:
        closed: whether something is worse.
        differences: in words, each that was looked at, new minus old.
        unsaid: whether it could not be judged.
    """

    closed: bool
    differences: tuple[str, ...]
    unsaid: bool = False

    def __str__(self) -> str:
        """In words."""
        return ("worse: " if self.closed else "not worse: " if not self.unsaid else "") + "; ".join(self.differences)


@dataclass(frozen=True, kw_only=True)
class NightSummary(FrameCounts):
    """A night, as far as it came, with its frames; of a scan that was stopped the missing are those in no commit.

    Attributes:
        night: ISO 8601 date.
        outcome: in one word or two.
        started_at, seconds: of this run; a night may have had others before.
        host, code_version, model_sha256: what ran where.
        drives: all drives of the night.
        detections: in the released drives.
        assets: of the whole register, by class and state.
        changes: of the register, by kind, that this night's drives showed.
        release, as_of: the night's release, and the moment to ask for it.
        km: surveyed by the released drives.
        rates: detections a kilometre, by class; see `roadscan.nightly.drift`.
        images_per_second: of this run's scan.
        images_per_node_second: of this run's scan, by node that lends cores or GPUs to jobs.
        node_seconds: of this run, by kind of node.
        devices: what the processes of this run's scan computed on, and how many on each.
        left_out: by address, why a drive could not be scanned.
        done_by: ISO 8601: when the night was to be done; None where the config does not say.
        on_time: whether it was; None where nobody asked, or where it is not done and still may be.
        gates: what each gate found, by its name; those that had something to judge.
        forced: why closed gates were passed; None where none was.
        max_quarantined: the largest share of frames in quarantine with which it is complete.
        withheld: why there is no release of the night, though all of its frames are there.
        warnings: what did not change the result.
        error: what stopped the run.
    """

    night: str
    outcome: Outcome
    started_at: str
    seconds: float
    host: str
    code_version: str
    model_sha256: str | None = None
    drives: tuple[str, ...] = ()
    detections: int = 0
    assets: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    release: int | None = None
    as_of: str | None = None
    km: float = 0.0
    rates: dict[str, Rate] = field(default_factory=dict)
    images_per_second: float = 0.0
    images_per_node_second: float = 0.0
    node_seconds: dict[str, float] = field(default_factory=dict)
    devices: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    done_by: str | None = None
    on_time: bool | None = None
    max_quarantined: float = 1.0
    gates: dict[str, GateReport] = field(default_factory=dict)
    forced: str | None = None
    withheld: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None

    @property
    def exit_code(self) -> int:
        """0 complete, 1 error, 3 frames lost or too many unusable, 4 lease lost, 5 no progress, 6 gate closed."""
        return EXIT_CODES[self.outcome] or (LEFT_OUT if self.left_out else 0)

    def to_dict(self) -> dict[str, Any]:
        """As it is written and posted."""
        first = {"format": "roadscan.night-summary/1", "night": self.night, "outcome": self.outcome}
        return {**first, **asdict(self), "exit_code": self.exit_code}

    def text(self) -> str:
        """As people read it, in a few lines."""
        lines = [f"night {self.night}: {self.outcome}", *self._frames(), *self._register()]
        if self.release is not None:
            lines.append(f"release {self.release}" + (f", --as-of {self.as_of}" if self.as_of else ""))
        lines += [f"missing: {count} frames of {drive}" for drive, count in self.missing.items()]
        lines += [f"quarantine: {count} frames of {drive}" for drive, count in self.unusable.items()]
        lines += [f"left out: {uri}: {reason}" for uri, reason in self.left_out.items()]
        lines += [f"gate: {name}: {report}" for name, report in self.gates.items() if not report.closed or self.forced]
        lines += [f"forced: {self.forced}"] if self.forced else []
        lines += [f"no release: {reason}" for reason in self.withheld]
        lines += [f"late: it was to be done by {self.done_by}"] if self.on_time is False else []
        lines += [f"warning: {warning}" for warning in self.warnings]
        lines += [f"error: {self.error}"] if self.error else []
        if self.seconds:
            by = f" by {_listed(self.devices)}" if self.devices else ""
            a_node = f", {self.images_per_node_second:g} a node" if self.images_per_node_second else ""
            lines.append(f"{self.seconds:.0f} s, {self.images_per_second:g} images/s{by}{a_node}, on {self.host}")
        if self.node_seconds:
            lines.append(f"node-seconds: {_listed({kind: round(s) for kind, s in self.node_seconds.items()})}")
        return "\n".join(lines)

    def _frames(self) -> list[str]:
        if not self.drives:
            return ["no drives"]
        counts = {
            "ok": self.frames_ok, "quarantined": self.frames_quarantined, "failed": self.frames_failed,
            "lost": self.frames_lost, "twice": self.frames_twice,
        }  # fmt: skip
        said = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "ok")
        length = f" on {self.km:.1f} km" if self.km else ""
        lines = [f"{len(self.drives)} drives, {self.frames} frames: {said}; {self.detections} detections{length}"]
        lines += [f"reasons: {_listed(self.reasons)}"] if self.reasons else []
        hard = {name: n for name, n in {"dark": self.frames_dark, "blurred": self.frames_blurred}.items() if n}
        lines += [f"hard to see: {_listed(hard)}, of {self.frames_ok} frames"] if hard else []
        return lines + [
            f"drift: {name}: {rate.per_km:g} detections/km; {rate.low:g} to {rate.high:g} by the nights before"
            for name, rate in self.rates.items()
            if rate.drifted
        ]

    def _register(self) -> list[str]:
        lines = [f"{name}: {_listed(states)}" for name, states in self.assets.items()]
        return lines + ([f"changes: {_listed(self.changes)}"] if self.changes else [])


@dataclass(frozen=True)
class NightlySummary:
    """What one run of the job came to.

    Attributes:
        nights: a summary of each, in turn.
        left_out: by address, why a drive could not be scanned.
        passed_over: by address, when a new drive began that is of none of these nights; None where no frame has a time.
    """

    nights: tuple[NightSummary, ...]
    left_out: dict[str, str]
    passed_over: dict[str, str | None]

    @property
    def exit_code(self) -> int:
        """0 all complete; 3 frames are lost, failed or in a drive that cannot be read."""
        return max([*(night.exit_code for night in self.nights), LEFT_OUT if self.left_out else 0])


def _listed(counts: Mapping[str, int]) -> str:
    """As a list.

    >>> _listed({"new": 3, "missing": 1})
    '3 new, 1 missing'
    """
    return ", ".join(f"{count} {name}" for name, count in counts.items())
