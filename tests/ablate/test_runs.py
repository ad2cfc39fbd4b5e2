from __future__ import annotations

from pathlib import Path

import pytest
from support.ablations import LOSSES, ablate_config

from roadscan.ablate.runs import Run, planned_runs, run_name
from roadscan.storage import open_store
from roadscan.train.initial import Initial


def runs(folder: Path, **fields: object) -> list[Run]:
    return [*planned_runs(ablate_config(**fields), {}, open_store(folder))]


def test_there_is_one_run_for_each_loss_variant_and_seed(tmp_path: Path) -> None:
    made = runs(tmp_path)
    assert [(run.seed, run.variant, run.loss) for run in made] == [
        (seed, variant, loss) for seed in (0, 1) for variant in "ns" for loss in LOSSES
    ]
    assert len({run.name for run in made}) == 8
    assert all((run.train.name, run.train.seed) == (run.name, run.seed) for run in made)


def test_losses_of_one_variant_and_seed_differ_in_the_loss_alone(tmp_path: Path) -> None:
    """So that their first weights, their batches and their augmentation are the same, which come from the seed."""
    one, other = (run.train.identity() for run in runs(tmp_path)[:2])
    assert {field for field in one if one[field] != other[field]} == {"loss"}


def test_a_renamed_or_added_loss_does_not_train_the_others_again(tmp_path: Path) -> None:
    before = {run.name for run in runs(tmp_path)}
    renamed = {"bce": LOSSES["cross-entropy"], "focal": LOSSES["gfl"], "gfl 2": {"gamma": 2}}
    assert before < {run.name for run in runs(tmp_path, losses=renamed)}
    assert before < {run.name for run in runs(tmp_path, seeds=[2, 1, 0])}


@pytest.mark.parametrize("field", ["epochs", "batch", "image_size_px", "data"])
def test_another_setting_is_another_run(tmp_path: Path, field: str) -> None:
    config = ablate_config()
    other = config.train.model_copy(update={field: "elsewhere" if field == "data" else 64})
    before = {run.name for run in planned_runs(config, {}, open_store(tmp_path))}
    changed = config.model_copy(update={"train": other})
    assert not before & {run.name for run in planned_runs(changed, {}, open_store(tmp_path))}


def test_of_first_weights_the_contents_count_and_of_the_cluster_nothing() -> None:
    train = ablate_config().training("n", "gfl", 0)
    moved = train.model_copy(
        update={"runs": "elsewhere", "execution": train.execution.model_copy(update={"gpu": True})}
    )
    assert run_name(train, "d", {}) == run_name(moved, "d", {})
    here, there = (train.model_copy(update={"initial": uri}) for uri in ("a.zip", "b.zip"))
    weights = {"a.zip": Initial({}, "sha 1"), "b.zip": Initial({}, "sha 1")}
    assert run_name(here, "d", weights) == run_name(there, "d", weights) != run_name(train, "d", {})
    assert run_name(here, "d", {"a.zip": Initial({}, "sha 2")}) != run_name(here, "d", weights)
