"""What is to be looked at, as a config names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from roadscan.config import Config, load_config

CACHE_DIR = "/tmp/roadscan-datasets"  # noqa: S108 - as execution.cache_dir of a training


@dataclass(frozen=True)
class Subject:
    """Addresses that a job reads and writes.

    Attributes:
        warehouse: written with conditions, released.
        model: a model file that is read.
        drives, datasets: read.
        outputs: roots of checkpoints, sweeps and ablations, written.
        cache_dir: where datasets are staged.
    """

    warehouse: str | None = None
    model: str | None = None
    drives: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    cache_dir: str = CACHE_DIR


class _Execution(Config):
    model_config = ConfigDict(extra="ignore")

    cache_dir: str = Field(CACHE_DIR, description="folder for datasets")


class _Named(Config):
    """The fields of any job's config that are addresses; all others are that job's own affair."""

    model_config = ConfigDict(extra="ignore")

    warehouse: str | None = Field(None, min_length=1, description="a folder or s3://")
    model: str | None = Field(None, min_length=1, description="a model file")
    initial: str | None = Field(None, min_length=1, description="a model file, or weights in .safetensors")
    drives: tuple[str, ...] = Field((), description="folders or s3://")
    data: str | None = Field(None, min_length=1, description="a labelled dataset")
    runs: str | None = Field(None, min_length=1, description="of a training: its checkpoints")
    sweeps: str | None = Field(None, min_length=1, description="of a sweep: its trials")
    ablations: str | None = Field(None, min_length=1, description="of an ablation: its runs")
    execution: _Execution = Field(_Execution(), description="of a training")

    @field_validator("drives", mode="before")
    @classmethod
    def _one_or_more(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given


class _Job(_Named):
    """A night has a scan, a sweep and an ablation have a training."""

    scan: _Named = Field(_Named(), description="of a night")
    train: _Named = Field(_Named(), description="of a sweep or an ablation")


def read_subject(config: Path) -> Subject:
    """What a scan's, night's, training's, sweep's, ablation's or inventory's YAML names.

    Raises:
        ConfigError: no such file, not a YAML mapping, or an address that is none.
    """
    job = load_config(_Job, config)
    parts: tuple[_Named, ...] = (job, job.scan, job.train)
    models = [
        name for part in parts for name in (part.model, part.initial) if name and not name.endswith(".safetensors")
    ]
    return Subject(
        warehouse=next((part.warehouse for part in parts if part.warehouse), None),
        model=models[0] if models else None,
        drives=tuple(address for part in parts for address in part.drives),
        datasets=tuple(part.data for part in parts if part.data),
        outputs=tuple(root for part in parts for root in (part.runs, part.sweeps, part.ablations) if root),
        cache_dir=next((p.execution.cache_dir for p in parts if p.execution.cache_dir != CACHE_DIR), CACHE_DIR),
    )
