"""The gates of a night: a new model, and the night's register, are held against what readers have, and pass or not.

    model     before the scan, where it is another than the last one: both on the department's labelled images
    scan      before the register is built: what new drives show, and what earlier ones did on the same road
    register  before it is published: both on stretches of road whose assets are known

Of models and registers, worse is what is worse by more than its interval: the whole interval of the difference, on
the same resamples, is below zero. So chance closes a gate on few nights, and small losses pass. What cannot be said, as
with labelled images of one drive, passes with a warning. A gate judges again whenever the night is run; a reason given
with ``--force`` opens it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from roadscan.errors import ConfigError
from roadscan.evaluate.register.compare import compare_registers
from roadscan.evaluate.register.states import drive_ids
from roadscan.evaluate.register.truth import FileTruth, Truth, open_truth
from roadscan.model.bundle import ModelFile
from roadscan.model.exported import inspect
from roadscan.nightly.config import HealthConfig
from roadscan.nightly.summary import GateReport
from roadscan.progress import OnProgress
from roadscan.scan.ledger import model_key
from roadscan.warehouse import Release, Warehouse

METRIC = "map50_95"  # of the models: the one that trainings and sweeps choose by
PIXEL_METRIC = "miou"  # likewise, of semantic models


class Difference(Protocol):
    """A difference, new minus old: `detection.Delta` or `register.Estimate`."""

    @property
    def value(self) -> float:
        """On everything."""

    @property
    def low(self) -> float:
        """Lower end of its interval; NaN where it cannot be said."""

    @property
    def high(self) -> float:
        """Upper end."""


@dataclass
class Gates:
    """The gates of a run, those that its config has.

    Attributes:
        labelled: address of the labelled dataset.
        known: assets of some stretches.
        force: why a closed gate is passed; None to stop there.
        min_detections: smallest part of the detections of earlier drives; 0 for no gate.
    """

    labelled: str | None = None
    known: Truth | None = None
    force: str | None = None
    min_detections: float = 0.0

    @classmethod
    def open(cls, config: HealthConfig, force: str | None) -> Gates:
        """Read what the gates are held against, as far as that is small.

        Raises:
            ConfigError: a reason to pass gates where there are none, or an empty one.
            WarehouseError, DatasetError: the known assets cannot be read.
        """
        if force is not None and not force.strip():
            raise ConfigError("--force: got no reason; expected one in words, for the release's note")
        if force and not (config.labelled or config.known_assets or config.min_detections):
            raise ConfigError(
                "--force: no gate is configured; expected health.min_detections, health.labelled or health.known_assets"
            )
        known = open_truth(config.known_assets) if config.known_assets else None
        return cls(config.labelled, known, force, config.min_detections)

    def judge_model(
        self, warehouse: Warehouse, runs: Sequence[Mapping[str, Any]], uri: str, new: ModelFile, on_progress: OnProgress
    ) -> GateReport | None:
        """A model against the one of the drive that was scanned last.

        Args:
            warehouse: which keeps the models that its drives were scanned with.
            runs: rows of the released `runs`.
            uri: of the model to scan with.
            new: the same, looked at.
            on_progress: called after each image.

        Returns:
            None where there is nothing to judge: no dataset, no earlier model, or the same one.
        """
        last = max(runs, key=lambda row: row["finished_at"], default=None)
        if self.labelled is None or last is None or last["model_sha256"] == new.sha256:
            return None
        old = last["model_sha256"]
        if not warehouse.store.exists(model_key(old)):
            return GateReport(
                False, (f"model {old[:8]} of {last['drive_id']} is not kept in the warehouse",), unsaid=True
            )
        standing = warehouse.store.uri_of(model_key(old))
        if lost := [name for name in inspect(standing).card.classes if name not in new.card.classes]:
            return GateReport(True, (f"model {new.sha256[:8]} does not know {', '.join(lost)}, as {old[:8]} does",))
        tasks = [card.task for card in (inspect(standing).card, new.card)]
        if tasks.count("semantic") == 1:
            return GateReport(
                True, (f"model {new.sha256[:8]} is for {tasks[1]}, {old[:8]} for {tasks[0]}: they cannot be compared",)
            )
        deltas = _compared(standing, uri, self.labelled, on_progress, of_pixels=new.card.task == "semantic")
        return judge(deltas, f"model {new.sha256[:8]} minus {old[:8]}")

    def judge_register(
        self, warehouse: Warehouse, release: Release, current: pa.Table, candidate: pa.Table
    ) -> GateReport | None:
        """A register against the current one; None where there is nothing to judge: no known assets, or no register.

        Args:
            warehouse: theirs.
            release: with the drives of the new one.
            current: rows of `ASSETS` that readers have.
            candidate: those that are to take their place.
        """
        if self.known is None or not current.num_rows:
            return None
        if isinstance(self.known, FileTruth):
            known = self.known.after()
        else:
            known = self.known.after(drive_ids(warehouse, release))
        return judge(compare_registers(current, candidate, known), "register minus the current one")


def _compared(old: str, new: str, data: str, on_progress: OnProgress, *, of_pixels: bool) -> dict[str, Difference]:
    """Two model files on labelled images -> the differences of what models are chosen by, new minus old."""
    from roadscan.evaluate.detection.compare import Candidate, compare  # late: it brings torch
    from roadscan.evaluate.semantic.compare import compare as compare_pixels

    candidates = [Candidate("old", (old,)), Candidate("new", (new,))]
    if of_pixels:
        rows = {f"{PIXEL_METRIC} of pixels": compare_pixels(candidates, data, on_progress=on_progress).rows[1]}
        metric = PIXEL_METRIC
    else:
        made = compare(candidates, data, on_progress=on_progress).rows
        rows, metric = {f"{METRIC} of {kind}": of_kind[1] for kind, of_kind in made.items()}, METRIC
    return {name: row.deltas.metrics[metric] for name, row in rows.items() if row.deltas}


@dataclass
class GatesOfNight:
    """What the gates of one night said.

    Attributes:
        reports: by gate, ``model`` and ``register``, those that judged.
        stopped: the closed ones that nobody forced, in words.
        forced: why closed ones were passed; None where none was.
    """

    reports: dict[str, GateReport] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    forced: str | None = None

    def passes(self, name: str, report: GateReport | None, force: str | None) -> bool:
        """Take a gate's report, None of one that had nothing to judge -> whether the night goes on."""
        if report is None:
            return True
        self.reports[name] = report
        if report.closed and not force:
            self.stopped.append(f"the {name} is {report}")
            return False
        self.forced = force if report.closed else self.forced
        return True

    def warnings(self) -> tuple[str, ...]:
        """What could not be judged."""
        return tuple(
            f"the {name} was not judged: {report}"
            for name, report in self.reports.items()
            if report.unsaid and not report.closed
        )


def judge(differences: Mapping[str, Difference], what: str) -> GateReport:
    """Differences by name -> whether one is below zero by more than its interval.

    >>> from roadscan.evaluate.register.intervals import Estimate
    >>> print(judge({"recall": Estimate(-0.1, -0.15, -0.02)}, "new minus old"))
    worse: recall, new minus old: -0.100 (-0.150 to -0.020)
    """
    worse = [one for one in differences.values() if one.high < 0]
    unsaid = [one for one in differences.values() if math.isnan(one.high)]
    words = [
        f"{name}, {what}: {one.value:+.3f}"
        + (" without an interval" if math.isnan(one.high) else f" ({one.low:+.3f} to {one.high:+.3f})")
        for name, one in differences.items()
    ]
    return GateReport(bool(worse), tuple(words), bool(unsaid))
