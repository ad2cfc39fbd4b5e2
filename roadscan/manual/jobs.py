"""The jobs that have a config, and where its model is."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Literal, TypeAlias

from roadscan.config import Config

JobName: TypeAlias = Literal[
    "ingest", "simulate", "scan", "inventory", "nightly", "report", "train", "tune", "ablate", "demo", "demo_model"
]


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        config: its config model, as ``module:class``.
        command: how it is started, and given a config.
        without: dotted fields that a part of the config has, and this job does not take.
    """

    config: str
    command: str
    without: frozenset[str] = frozenset()

    def model(self) -> type[Config]:
        """The config model; its module is imported."""
        module, _, name = self.config.partition(":")
        model: type[Config] = getattr(import_module(module), name)
        return model


JOBS: dict[JobName, Job] = {
    "ingest": Job("roadscan.survey.importers:IngestConfig", "roadscan ingest CONFIG"),
    "simulate": Job("roadscan.simulate:SimulationConfig", "roadscan simulate OUT CONFIG"),
    "scan": Job("roadscan.scan.config:ScanConfig", "roadscan scan CONFIG"),
    "inventory": Job("roadscan.inventory:InventoryConfig", "roadscan inventory CONFIG"),
    "nightly": Job(
        "roadscan.nightly.config:NightlyConfig",
        "roadscan nightly CONFIG",
        frozenset({"scan.warehouse", "inventory.warehouse"}),  # the night's own
    ),
    "report": Job("roadscan.report.build:ReportConfig", "roadscan report WAREHOUSE --set name=value"),
    "train": Job("roadscan.train.config:TrainConfig", "roadscan train CONFIG"),
    "tune": Job(
        "roadscan.tune.config:TuneConfig",
        "roadscan tune CONFIG",
        frozenset({"train.name", "train.runs", "train.out"}),  # a sweep names and keeps its trials itself
    ),
    "ablate": Job(
        "roadscan.ablate.config:AblateConfig",
        "roadscan ablate CONFIG",
        frozenset({f"train.{field}" for field in ("name", "runs", "out", "variant", "loss", "seed")}),  # each run's own
    ),
    "demo": Job("roadscan.demo.run:DemoConfig", "roadscan demo OUT --set name=value"),
    "demo_model": Job("roadscan.demo.model:DemoModelConfig", "python jobs/demo_model.py CONFIG"),
}
