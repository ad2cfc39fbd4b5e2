"""The state of a run between two epochs, and its checkpoint: float32, exact, loaded without pickle."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from roadscan.errors import ConfigError, Malformed, TrainingError
from roadscan.model.bundle import StateDict
from roadscan.parsing import parsing, read_json
from roadscan.storage import Store, read_record

TAU = 2000  # updates over which the average becomes slow: it would else keep the fresh weights for thousands of steps
FILE = "state.pt"
SETTINGS = "settings.json"


class Ema:
    """An exponential moving average of weights and BatchNorm statistics, which is the model that a run gives.

    The decay grows as ultralytics' does: decay (1 - exp(-updates / 2000)).

    Attributes:
        source: the network's own weights, by name, as they are now.
        weights: the average of them.
        updates: how many there were.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay, self.source = decay, network.state_dict()
        self.weights: StateDict = {name: tensor.detach().clone() for name, tensor in self.source.items()}
        self.updates = 0
        self._floats = [name for name, tensor in self.source.items() if tensor.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the network's weights as they are now."""
        self.updates += 1
        new = 1 - self._decay * (1 - math.exp(-self.updates / TAU))
        torch._foreach_lerp_([self.weights[n] for n in self._floats], [self.source[n] for n in self._floats], new)
        for name in self.source.keys() - set(self._floats):
            self.weights[name].copy_(self.source[name])


@dataclass
class State:
    """A run between two epochs.

    Attributes:
        network: the trained network.
        optimiser: of it.
        ema: average of it.
        identity: `TrainConfig.identity` of the run.
        epoch: epochs done.
        history: one row an epoch.
        best_epoch: the epoch (from 1) with the best validation; 0 before the first.
        best: the average's weights then.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    ema: Ema
    identity: dict[str, Any]
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best: StateDict = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the checkpoint into a folder."""
        tree = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "ema": {"weights": self.ema.weights, "updates": self.ema.updates},
            "facts": json.dumps([self.identity, self.epoch, self.history, self.best_epoch]),
            "best": self.best,
        }
        torch.save(tree, folder / FILE)

    def load(self, folder: Path) -> None:
        """Restore the state from the checkpoint in a folder.

        Raises:
            ConfigError: it is of a run with other settings.
        """
        try:
            with parsing("checkpoint"):
                tree = torch.load(folder / FILE, map_location="cpu", weights_only=True)
                facts = read_json(tree["facts"], tuple[dict[str, Any], int, list[dict[str, Any]], int])
        except Malformed as error:
            raise TrainingError(f"{folder / FILE}: {error}; remove the run's folder, and start again") from None
        identity, self.epoch, self.history, self.best_epoch = facts
        check_identity(identity, self.identity)
        self.network.load_state_dict(tree["network"])
        self.optimiser.load_state_dict(tree["optimiser"])
        for name, tensor in tree["ema"]["weights"].items():
            self.ema.weights[name].copy_(tensor)
        self.ema.updates, self.best = tree["ema"]["updates"], tree["best"]


def check_identity(stored: dict[str, Any], now: dict[str, Any], what: str = "run") -> None:
    """Refuse to go on with a run, or what else it is, under other settings.

    Raises:
        ConfigError: names every setting that differs.
    """
    a, b = _flat(stored), _flat(read_json(json.dumps(now)))
    differing = [
        f"  {key}: the {what} has {a.get(key)!r}, got {b.get(key)!r}"
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key)
    ]
    if differing:
        raise ConfigError(
            f"the {what} of this name was started with other settings; set another name, or the same settings:\n"
            + "\n".join(differing)
        )


def write_settings(identity: dict[str, Any], store: Store) -> None:
    """Write a run's `TrainConfig.identity` into its folder."""
    store.write(SETTINGS, json.dumps(identity, indent=1).encode())


def check_settings(identity: dict[str, Any], store: Store) -> None:
    """Refuse settings under which the run in a folder could not go on; of its images a checkpoint alone tells.

    Raises:
        ConfigError: names every setting that differs.
    """
    if store.exists(SETTINGS):
        check_identity(read_record(store, SETTINGS, dict[str, Any]), identity)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
