from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from support.ablations import ablate_config

from roadscan.ablate.runs import run_name


def test_the_baseline_is_the_first_loss_unless_another_is_named() -> None:
    assert (ablate_config().baseline_loss, ablate_config().other_losses) == ("cross-entropy", ("gfl",))
    named = ablate_config(baseline="gfl")
    assert (named.baseline_loss, named.other_losses) == ("gfl", ("cross-entropy",))


def test_a_training_has_its_own_variant_loss_and_seed_and_the_variants_fields() -> None:
    config = ablate_config(by_variant={"s": {"batch": 8, "execution.workers": 2}})
    made = config.training("s", "gfl", 1)
    assert (made.variant, made.loss.gamma, made.seed, made.batch, made.execution.workers) == ("s", 1.5, 1, 8, 2)
    assert config.training("n", "gfl", 1).batch == 16


def test_a_loss_may_bring_other_fields_and_be_the_baselines_own_but_for_them() -> None:
    losses = {"cross-entropy": {}, "rare more often": {}, "mixed": {"gamma": 2}}
    own = {"rare more often": {"repeat_threshold": 0.1}, "mixed": {"augment.mixup": 0.2, "optimiser": {"lr": 0.01}}}
    config = ablate_config(losses=losses, by_loss=own, by_variant={"s": {"optimiser.lr": 0.5, "batch": 8}})
    plain, rare, mixed = (config.training("s", name, 0) for name in losses)
    assert (plain.repeat_threshold, rare.repeat_threshold, mixed.repeat_threshold) == (None, 0.1, None)
    assert (plain.augment.mixup, mixed.augment.mixup, mixed.loss.gamma) == (0, 0.2, 2)
    assert (plain.optimiser.lr, mixed.optimiser.lr, mixed.batch) == (0.5, 0.01, 8)  # a loss has the last word
    names = {run_name(train, "data", {}) for train in (plain, rare, mixed)}
    assert len(names) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"baseline": "focal"}, r"baseline: got 'focal'; expected one of the losses: cross-entropy, gfl"),
        ({"seeds": [1, 1]}, r"seeds: got 1, 1; expected each once"),
        ({"variants": ["n", "n"]}, r"variants: got n, n"),
        ({"losses": {"a": {"gamma": 2}, "b": {"gamma": 2.0}}}, r"losses\.b: the same as losses\.a"),
        ({"losses": {"a": {"gamma": 0.5}}}, r"between 0 and 1 the gradient is unbounded"),
        ({"train": {"data": "d", "seed": 3}}, r"train\.seed: the ablation sets it for each run"),
        ({"train": {"data": "d", "loss": {"gamma": 2}}}, r"train\.loss: the ablation sets it"),
        ({"by_variant": {"x": {"batch": 8}}}, r"by_variant\.x: no run has it; expected n, s"),
        ({"by_variant": {"s": {"epochs": 8}}}, r"by_variant\.s\.epochs: runs cannot differ in that here"),
        ({"by_variant": {"s": {"loss.gamma": 2}}}, r"by_variant\.s\.loss\.gamma: runs cannot differ"),
        ({"by_loss": {"focal": {"batch": 8}}}, r"by_loss\.focal: no run has it; expected cross-entropy, gfl"),
        ({"by_loss": {"gfl": {"loss.gamma": 2}}}, r"by_loss\.gfl\.loss\.gamma: runs cannot differ"),
        ({"by_loss": {"gfl": {"epochs": 2}}}, r"by_loss\.gfl\.epochs: runs cannot differ"),
        ({"by_loss": {"gfl": {"repeat_threshold": 2}}}, r"losses\.gfl: .*\n? *repeat_threshold"),
        ({"losses": {"a": {}, "b": {}}, "by_loss": {"b": {}}}, r"losses\.b: the same as losses\.a"),
        ({"by_variant": {"s": {"batch": 0}}}, r"variant s, losses\.cross-entropy: .*\n? *batch"),
    ],
)
def test_what_cannot_be_compared_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ablate_config(**fields)
