"""Training in one process and in two."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import labelled
from support.distributed import config_of, digest, gradient, train_together

from roadscan.dataset.shrunk import shrink
from roadscan.errors import ConfigError, StorageError, TrainingError
from roadscan.scratch import scratch_of_process
from roadscan.train import loop
from roadscan.train.dataloader import images_to_shrink
from roadscan.train.ranks import SingleProcess

CPU = torch.device("cpu")


class Stopped(Exception):
    pass


@pytest.mark.slow
def test_it_learns(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 24, "val": 8})
    config = config_of(tmp_path, epochs=8, batch=4, validate_every=8, optimiser={"lr": 3e-3, "warmup_epochs": 1})
    state = loop.train(config, dataset, None, SingleProcess(tmp_path / "run", CPU))
    first, last = state.history[0], state.history[-1]
    assert last["cls_loss"] > 0  # the stock trainer in a worker multiplies its loss by 0
    for name in ("box_loss", "dfl_loss"):
        assert 0 < last[name] < first[name], name
    assert [row["epoch"] for row in state.history] == list(range(1, 9))
    assert state.best_epoch == 8
    assert 0 <= last["fitness"] == last["map50_95"] <= last["map50"] <= 1


@pytest.mark.slow
def test_segmentation_trains_masks(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 8, "val": 2}, task="segment")
    state = loop.train(config_of(tmp_path, epochs=3), dataset, None, SingleProcess(tmp_path / "run", CPU))
    assert 0 < state.history[-1]["seg_loss"] < state.history[0]["seg_loss"]
    assert state.history[-1]["fitness"] == state.history[-1]["mask_map50_95"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "found"),
    [
        ({"kind": "varifocal", "gamma": 2.0, "alpha": 0.75, "prior": 0.01}, set()),
        ({"gamma": 1.5, "alpha": "from_frequency", "scale_gain": True}, {"alpha", "cls_gain", "scale_gain"}),
    ],
    ids=["varifocal", "alpha by class"],
)
def test_it_learns_with_losses_for_rare_classes(loss: dict[str, Any], found: set[str], tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 24, "val": 4})
    optimiser = {"lr": 3e-3, "warmup_epochs": 1}
    config = config_of(tmp_path, epochs=8, batch=4, validate_every=8, optimiser=optimiser, loss=loss)
    state = loop.train(config, dataset, None, ranks := SingleProcess(tmp_path / "run", CPU))
    first, last = state.history[0], state.history[-1]
    assert last["cls_loss"] > 0
    assert all(0 < last[name] < first[name] for name in ("box_loss", "dfl_loss"))
    used = state.identity.get("loss_on_dataset", {})
    assert {*used} == found
    if found:
        counts = np.bincount(np.concatenate([image.classes for image in dataset.splits["train"]]), minlength=3)
        assert [*used["alpha"].values()] == pytest.approx(1 - counts / counts.sum())
        assert used["cls_gain"] > config.loss.cls_gain
    again = loop.train(config, dataset, None, ranks)  # goes on from its end, with the same figures
    assert digest(again.network) == digest(state.network)


@pytest.mark.slow
@pytest.mark.parametrize("loader_workers", [0, 2])
def test_a_run_that_stops_and_goes_on_ends_with_the_same_weights(
    loader_workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 10, "val": 2})
    augment = {"mosaic": 1.0, "close_mosaic": 1}
    config = config_of(tmp_path, epochs=3, augment=augment, execution={"loader_workers": loader_workers})
    whole = loop.train(config, dataset, None, SingleProcess(tmp_path / "whole", CPU))
    stock = loop.yolo.criterion

    def stop(step: int, *loss: Any) -> Any:
        if step == 4:  # in the middle of the second epoch of three steps
            raise Stopped
        return loss

    monkeypatch.setattr(loop.yolo, "criterion", lambda *given: Changed(stock(*given), stop))
    with pytest.raises(Stopped):
        loop.train(config, dataset, None, SingleProcess(tmp_path / "cut", CPU))
    monkeypatch.undo()
    torch.manual_seed(123)  # where the program's random numbers are must not matter
    resumed = loop.train(config, dataset, None, SingleProcess(tmp_path / "cut", CPU))
    assert digest(resumed.network) == digest(whole.network)
    assert all(torch.equal(resumed.ema.weights[name], whole.ema.weights[name]) for name in whole.ema.weights)
    timeless = [[{k: v for k, v in row.items() if "seconds" not in k} for row in s.history] for s in (resumed, whole)]
    assert timeless[0] == timeless[1]


def test_a_run_goes_on_only_with_its_own_settings(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 4, "val": 2})
    loop.train(config_of(tmp_path, epochs=1), dataset, None, SingleProcess(tmp_path / "run", CPU))
    with pytest.raises(ConfigError, match=r"(?s)started with other settings.*loss\.gamma: the run has 0\.0, got 1\.5"):
        loop.train(
            config_of(tmp_path, epochs=1, loss={"gamma": 1.5}), dataset, None, SingleProcess(tmp_path / "run", CPU)
        )


def test_a_run_goes_on_only_with_its_own_images(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 4, "val": 2})
    loop.train(config_of(tmp_path, epochs=1), dataset, None, SingleProcess(tmp_path / "run", CPU))
    other = labelled.draw_dataset(tmp_path, {"train": 4, "val": 2}, seed=1)
    with pytest.raises(ConfigError, match=r"(?s)started with other settings.*dataset: the run has '"):
        loop.train(config_of(tmp_path, epochs=1), other, None, SingleProcess(tmp_path / "run", CPU))


def test_a_run_may_go_on_at_another_place(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path / "here", {"train": 4, "val": 2})
    done = loop.train(config_of(tmp_path / "here", epochs=1), dataset, None, SingleProcess(tmp_path / "run", CPU))
    moved = labelled.draw_dataset(tmp_path / "there", {"train": 4, "val": 2})
    again = loop.train(config_of(tmp_path / "there", epochs=1), moved, None, SingleProcess(tmp_path / "run", CPU))
    assert digest(again.network) == digest(done.network)


@pytest.mark.parametrize("where", ["loss", "activations"])
def test_a_step_without_a_finite_gradient_is_skipped(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 12, "val": 2})
    before = _poison(monkeypatch, where, lambda step: step == 1)
    state = loop.train(config_of(tmp_path, epochs=1), dataset, None, SingleProcess(tmp_path / "run", CPU))
    assert before[0] != before[1] == before[2]  # weights and statistics stayed
    assert before[2] != _state(state.network)
    assert all(tensor.isfinite().all() for tensor in state.ema.weights.values())
    assert state.history[0]["skipped_steps"] == 1
    assert state.history[0]["box_loss"] > 0  # the mean of the other two


def test_a_run_that_diverges_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 12, "val": 2})
    monkeypatch.setattr(loop, "SKIPPED_STEPS", 2)
    _poison(monkeypatch, "loss", lambda step: step >= 1)
    with pytest.raises(TrainingError, match=r"diverged in epoch 1: no finite gradient in 2 steps; lower optimiser\.lr"):
        loop.train(config_of(tmp_path, epochs=1), dataset, None, SingleProcess(tmp_path / "run", CPU))


class Changed:
    """A criterion whose losses a function changes.

    Args:
        stock: the real one.
        change: given the step, from 0, its losses and their items; gives both as they shall be.
    """

    def __init__(self, stock: Any, change: Callable[..., Any]) -> None:
        self.stock, self.change, self.loss_names, self.step = stock, change, stock.loss_names, -1

    def __call__(self, output: Any, batch: Any) -> Any:
        self.step += 1
        return self.change(self.step, *self.stock(output, batch))


def _poison(monkeypatch: pytest.MonkeyPatch, where: str, chosen: Callable[[int], bool]) -> list[str]:
    """Make chosen steps NaN, in their loss or in an activation; digests of the network before each step."""
    before: list[str] = []
    stock = loop.yolo.criterion

    def spoilt(step: int, parts: torch.Tensor, items: Any) -> Any:
        return (parts * torch.nan if chosen(step) and where == "loss" else parts), items

    def criterion(network: Any, *given: Any) -> Changed:
        network.register_forward_pre_hook(lambda *_: before.append(_state(network)))
        if where == "activations":
            network.model[3].register_forward_hook(lambda *_: _[2] * torch.nan if chosen(len(before) - 1) else None)
        return Changed(stock(network, *given), spoilt)

    monkeypatch.setattr(loop.yolo, "criterion", criterion)
    return before


def _state(network: torch.nn.Module) -> str:
    return str([float(t.double().sum()) for t in network.state_dict().values() if t.is_floating_point()])


def test_it_stops_early_when_validation_gets_no_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 4, "val": 2})
    scores = iter([0.3, 0.5, 0.4, 0.4, 0.4, 0.4])
    monkeypatch.setattr(loop, "validate", lambda *_: {"fitness": next(scores)})
    state = loop.train(config_of(tmp_path, epochs=9, patience=2), dataset, None, SingleProcess(tmp_path / "run", CPU))
    assert (state.best_epoch, state.epoch) == (2, 4)


def test_parts_of_a_batch_add_up_to_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a loss that is a sum over images, in two parts the gradient is the same sum in another order."""

    def additive(output: Any, _: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss = output["scores"].square().sum() / 1000
        return loss[None], {"cls_loss": loss.detach()}

    additive.loss_names = ("cls_loss",)  # type: ignore[attr-defined]
    monkeypatch.setattr(loop.yolo, "criterion", lambda *_: additive)
    dataset = labelled.draw_dataset(tmp_path, {"train": 4, "val": 2})
    fields = {"epochs": 1, "batch_norm": "frozen"}
    once, twice = (
        gradient(
            loop.train(
                config_of(tmp_path, **fields, accumulate=n), dataset, None, SingleProcess(tmp_path / f"{n}", CPU)
            )
        )
        for n in (1, 2)
    )
    assert once.abs().max() > 0
    assert (once - twice).abs().max() < 1e-5 * once.abs().max()


def test_a_fault_in_a_loader_process_is_told_as_one_in_the_worker(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 4, "val": 2}, size_hw=(192, 320))
    small = shrink(tmp_path, images_to_shrink(dataset, 160), tmp_path / "cache")
    os.truncate(small.path, 100)
    for processes in (0, 1):
        config = config_of(tmp_path, execution={"loader_workers": processes})
        with pytest.raises(StorageError, match=r"^/\S+shrunk-\w+\.bgr: .* it was removed or cut off; start again"):
            loop.train(config, dataset, None, SingleProcess(tmp_path / "run", CPU), shrunk=small)


def test_a_checkpoint_is_removed_once_it_is_kept_or_by_who_starts_after_a_kill(tmp_path: Path) -> None:
    made = list[Path | None]()

    class Noting(SingleProcess):
        def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
            made.append(checkpoint)
            super().report(metrics, checkpoint)

    dataset = labelled.draw_dataset(tmp_path, {"train": 4, "val": 2})
    loop.train(config_of(tmp_path, epochs=1), dataset, None, Noting(tmp_path / "run", CPU))
    assert [path.name for path in (tmp_path / "run" / "latest").iterdir()] == ["state.pt"]
    (checkpoint,) = made
    assert checkpoint is not None
    assert not checkpoint.exists()
    assert checkpoint.parent == scratch_of_process("train").path  # what goes when the next process starts


def test_only_a_gpu_is_asked_for_deterministic_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = torch.backends.cudnn.benchmark, torch.utils.deterministic.fill_uninitialized_memory
    try:
        torch.backends.cudnn.benchmark = True
        loop.ask_for_determinism(CPU)
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.benchmark
        loop.ask_for_determinism(torch.device("cuda"))
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark, torch.utils.deterministic.fill_uninitialized_memory = before


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_ranks_have_the_same_weights_after_every_step(accumulate: int, tmp_path: Path) -> None:
    config = config_of(tmp_path, epochs=2, batch=4, accumulate=accumulate)
    first, second = train_together(2, config, {"train": 10, "val": 3}, tmp_path)
    assert len(first["steps"]) == 6
    assert first["steps"] == second["steps"]
    assert len({network for network, _ in first["steps"]}) == 6  # and every step changed them
    assert first["history"] == second["history"]
    assert first["history"][-1]["cls_loss"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("batch", [4, 3], ids=["even", "uneven"])
def test_two_ranks_have_the_gradient_of_one(batch: int, tmp_path: Path) -> None:
    """Frozen BatchNorm and the global normaliser make the sum over ranks the same sum; only its order differs."""
    fields = {"epochs": 1, "batch": batch, "batch_norm": "frozen", "loss": {"normaliser": "global"}}
    histories = []
    for world_size in (1, 2):
        folder = tmp_path / str(world_size)
        folder.mkdir()
        images = {"train": batch, "val": 1}  # one of two ranks validates nothing
        seen = train_together(world_size, config_of(tmp_path, **fields), images, folder)
        histories.append(seen[0]["history"][0])
    alone, together = (torch.load(tmp_path / f"{n}" / "gradient-0.pt") for n in (1, 2))
    assert alone.abs().max() > 0
    assert (alone - together).abs().max() < 1e-5 * alone.abs().max()
    if batch == 4:  # what is shown is the mean over ranks
        for name in ("box_loss", "cls_loss", "dfl_loss"):
            assert histories[0][name] == pytest.approx(histories[1][name], rel=1e-4)
