"""The config of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from roadscan.config import Config, replace_fields
from roadscan.errors import ConfigError
from roadscan.model.bundle import Variant
from roadscan.train.config import TrainConfig
from roadscan.tune.space import Dimension, Range, Settings, options, probes

Metric = Literal["map50_95", "map50", "f1", "mask_map50_95", "mask_map50", "miou", "boundary_f1"]
PIXEL_METRICS = ("miou", "boundary_f1")
NOT_SEARCHED = ("data", "out", "runs", "name", "epochs", "seed", "validate_every", "execution", "tracking")
NETWORK_FIELDS = ("variant", "activation", "image_size_px")  # what latency depends on
VARIANTS: tuple[Variant, ...] = get_args(Variant)


class PruningConfig(Config):
    """Asynchronous successive halving (Li et al. 2020, https://arxiv.org/abs/1810.05934)."""

    first_epoch: int = Field(1, ge=1, description="epochs that every trial gets before it is compared with others")
    factor: int = Field(3, ge=2, description="one of so many goes on, for so many times the epochs")


class TuneConfig(Config):
    """One sweep: trainings that differ in the fields of a space."""

    name: str = Field("sweep", pattern=r"^[\w.-]+$", description="the sweep's folder; the same name goes on with it")
    sweeps: str = Field("sweeps", description="folder or s3:// prefix of sweeps; shared by all nodes")
    train: TrainConfig = Field(description="the training that trials are variations of; its epochs are a trial's most")
    space: dict[str, Dimension] = Field(min_length=1, description="for each field of train: [values], or low and high")
    by_variant: dict[Variant, dict[str, Any]] = Field(
        {}, description="other fields of train where a trial has that variant: batch, execution.workers …"
    )
    trials: int = Field(32, ge=1, description="in all, with the known good ones")
    metric: Metric = Field("map50_95", description="of the validation split, to be as great as possible")
    latency: bool = Field(
        False, description="search the trade-off with latency, which is measured before; without pruning"
    )
    pruning: PruningConfig | None = Field(
        None, description="give poor trials up early; worth it where all variants learn about as fast"
    )
    max_concurrent: int | None = Field(
        None, ge=1, description="trials at once; empty: what the cluster has room for. Needed where it grows on demand"
    )
    max_failures: int = Field(2, ge=0, description="times that a trial whose process was lost is taken up again")
    seed: int = Field(0, ge=0, description="of the search; trials have train.seed")

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants that trials may have."""
        searched = self.space.get("variant", (self.train.variant,))
        return tuple(one for one in VARIANTS if not isinstance(searched, Range) and one in searched)

    def trial(self, settings: Settings) -> TrainConfig:
        """A trial's settings -> its training, but for where it is kept.

        Raises:
            ConfigError: the settings contradict each other, or what else is configured.
        """
        variant = settings.get("variant", self.train.variant)
        return replace_fields(self.train, {**self.by_variant.get(variant, {}), **settings})

    def base_settings(self, fields: Sequence[str], variant: str | None = None) -> Settings:
        """Fields -> the values that trials have before they differ; of one variant, or as ``train`` has it."""
        base = self.train if variant is None else self.trial({"variant": variant})
        tree = base.model_dump(mode="json")
        return {field: _get(tree, field) for field in fields}

    def identity(self) -> dict[str, Any]:
        """What must be the same for a sweep to go on: all but where it is kept, and how much is done, and at once."""
        left_out = {"name", "sweeps", "train", "trials", "max_concurrent", "max_failures"}
        own = self.model_dump(mode="json", exclude=left_out)
        return {**own, "train": {**self.train.identity(), "data": self.train.data, "initial": self.train.initial}}

    @model_validator(mode="after")
    def _consistent(self) -> TuneConfig:
        given = {"name", "runs", "out"} & self.train.model_fields_set
        if given:
            raise ValueError(f"train.{min(given)}: the sweep names and keeps its trials itself; leave it out")
        for field in self.space:
            if field.split(".")[0] in NOT_SEARCHED:
                raise ValueError(f"space.{field}: trials cannot differ in that")
        for variant, fields in self.by_variant.items():
            if variant not in self.variants:
                raise ValueError(
                    f"by_variant.{variant}: no trial has that variant; expected {', '.join(self.variants)}"
                )
            if taken := fields.keys() & {"variant", "data", "runs", "name", "out", "epochs"}:
                raise ValueError(f"by_variant.{variant}.{min(taken)}: trials cannot differ in that here")
            if both := fields.keys() & self.space.keys():
                raise ValueError(f"by_variant.{variant}.{min(both)}: it is searched; leave it out here or in space")
        if self.trials < len(self.variants):
            raise ValueError(
                f"trials: got {self.trials}, expected at least {len(self.variants)}: the baseline of each variant"
            )
        if self.latency:
            for field in set(NETWORK_FIELDS) & self.space.keys():
                if any(isinstance(one, Range) for one in options(self.space[field])):
                    raise ValueError(f"space.{field}: latency is measured for each value before; expected [values]")
        for what, settings in self._single_changes():
            try:
                self.trial(settings)
            except ConfigError as error:
                raise ValueError(f"{what}: {error}") from None
        return self

    def _single_changes(self) -> Iterator[tuple[str, Settings]]:
        """Settings that change the base in one field: each variant, and each probe of each dimension."""
        for variant in self.variants:
            yield f"variant {variant}", {"variant": variant}
        for field, dimension in self.space.items():
            for value in probes(dimension):
                yield f"space.{field}", {field: value}


def _get(tree: dict[str, Any], field: str) -> Any:
    for part in field.split("."):
        tree = tree[part]
    return tree
