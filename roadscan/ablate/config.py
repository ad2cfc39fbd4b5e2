"""The config of an ablation."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from roadscan.config import Config, replace_fields
from roadscan.errors import ConfigError
from roadscan.model.bundle import Variant
from roadscan.model.losses import LossConfig
from roadscan.train.config import TrainConfig

LossName = Annotated[str, StringConstraints(pattern=r"^[\w. -]+$")]
OWN = {"name", "runs", "out", "variant", "loss", "seed"}  # fields of a training that the ablation sets
SAME = {*OWN, "data", "epochs", "image_size_px"}  # in which no runs differ, but as the ablation says
SHARED = {*SAME, "augment", "activation"}  # in which variants do not differ


class AblateConfig(Config):
    """One ablation: every loss with every variant and every seed, trained and tested alike."""

    name: str = Field("ablation", pattern=r"^[\w.-]+$", description="its folder; the same name goes on with it")
    ablations: str = Field("ablations", description="folder or s3:// prefix of ablations; shared by all nodes")
    train: TrainConfig = Field(description="the training that all runs are of, but for variant, loss and seed")
    variants: tuple[Variant, ...] = Field(("n", "s", "m", "l", "x"), min_length=1, description="YOLOv8 sizes")
    losses: dict[LossName, LossConfig] = Field(
        {"cross-entropy": LossConfig()}, min_length=1, description="by a name for the tables: the fields of train.loss"
    )
    by_loss: dict[LossName, dict[str, Any]] = Field(
        {}, description="other fields of train that come with a loss: repeat_threshold, augment.mixup …"
    )
    baseline: str | None = Field(None, description="the loss that the others are held against; empty: the first")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0, 1, 2), min_length=1, description="a training each; with one, a difference may be the seed's alone"
    )
    by_variant: dict[Variant, dict[str, Any]] = Field(
        {}, description="other fields of train where a run has that variant: initial, batch, execution.workers …"
    )
    resamples: int = Field(2000, ge=0, description="of the tested split's drives, for the intervals")
    head_share: float = Field(
        0.8, gt=0, lt=1, description="of the training split's objects: the fewest classes that hold it are the head"
    )
    pictured_images: int = Field(4, ge=1, le=20, description="test images in the figure")
    max_concurrent: int | None = Field(
        None, ge=1, description="runs at once; empty: what the cluster has room for. Needed where it grows on demand"
    )

    @property
    def baseline_loss(self) -> str:
        """The name of the loss that the others are held against."""
        return self.baseline or next(iter(self.losses))

    @property
    def other_losses(self) -> tuple[str, ...]:
        """The names of all losses but the baseline."""
        return tuple(loss for loss in self.losses if loss != self.baseline_loss)

    def training(self, variant: Variant, loss: str, seed: int) -> TrainConfig:
        """A cell of the ablation -> its training, but for where it is kept.

        Raises:
            ConfigError: the settings contradict each other.
        """
        own = {"variant": variant, "loss": self.losses[loss].model_dump(mode="json"), "seed": seed}
        return replace_fields(self.train, {**self.by_variant.get(variant, {}), **self.by_loss.get(loss, {}), **own})

    @model_validator(mode="after")
    def _consistent(self) -> AblateConfig:
        if given := OWN & self.train.model_fields_set:
            raise ValueError(f"train.{min(given)}: the ablation sets it for each run; leave it out")
        if self.baseline is not None and self.baseline not in self.losses:
            raise ValueError(f"baseline: got {self.baseline!r}; expected one of the losses: {', '.join(self.losses)}")
        for what, values in (("variants", self.variants), ("seeds", self.seeds)):
            if len({*values}) < len(values):
                raise ValueError(f"{what}: got {', '.join(map(str, values))}; expected each once")
        names: dict[str, str] = {}
        for name, loss in self.losses.items():
            settings = json.dumps([loss.model_dump(mode="json"), self.by_loss.get(name, {})], sort_keys=True)
            if (other := names.setdefault(settings, name)) != name:
                raise ValueError(f"losses.{name}: the same as losses.{other}; leave one of them out")
        _check_own_fields("by_variant", self.by_variant, self.variants, SHARED)
        _check_own_fields("by_loss", self.by_loss, self.losses, SAME)
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        """Why a variant, or a loss, cannot be trained with the rest of the settings."""
        for variant in self.variants:
            for loss in self.losses:
                try:
                    self.training(variant, loss, self.seeds[0])
                except ConfigError as error:
                    yield f"variant {variant}, losses.{loss}: {error}"


def _check_own_fields(
    group: str, given: Mapping[Any, Mapping[str, Any]], known: Collection[str], fixed: Collection[str]
) -> None:
    """Refuse fields for runs that there are none of, and fields in which runs must not differ."""
    for name, fields in given.items():
        if name not in known:
            raise ValueError(f"{group}.{name}: no run has it; expected {', '.join(known)}")
        if taken := {field for field in fields if field.partition(".")[0] in fixed}:
            raise ValueError(f"{group}.{name}.{min(taken)}: runs cannot differ in that here")
