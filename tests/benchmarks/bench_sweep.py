"""A sweep against a grid and against random search, on a detector that is a formula.

The formula, a detector on 7 classes of road assets, trained for 81 epochs; not fitted to any method:

- Variants n s m l x come to the published mAP50-95 of 0.478 0.521 0.581 0.591 0.608, the larger ones slower.
- The best lr is 2e-3 for n and falls to 1e-3 for x; ten times off costs 0.06.
- Gamma brings 0.010 at 1.5, and nothing at 0 and 3.
- Gamma shrinks the class loss, so the best cls_gain is 0.5 x 2^gamma; each factor of 2 off costs 0.008.
- Alpha brings 0.004 at 0.5 - gamma / 10; 0.3 off that, it brings nothing.
- The score after an epoch is the final one times 1 - exp(-(epoch / tau)^0.7), with tau of 6 epochs for n to
  10 for x, whatever else is set: of one variant, what is better at last is better from the start.
- What is measured is off by 0.003 (standard deviation) a trial and 0.002 an epoch; what is compared is the true value.

The grid has 5 points in each range and all epochs for each. The sweep runs as on a cluster: trials side by side, in
simulated time, in which an epoch of a larger variant takes longer. Every other search may spend the epochs that the
sweep of its seed spent, and finishes what it has begun by then.

    python tests/benchmarks/bench_sweep.py --seeds 24
"""

from __future__ import annotations

import argparse
import heapq
import math
from dataclasses import dataclass, field
from itertools import product
from time import perf_counter
from typing import Any
from unittest import mock

import numpy as np
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage

from roadscan.tune import sweep as sweeps
from roadscan.tune.config import PruningConfig, TuneConfig
from roadscan.tune.space import Range, Settings, grid_points, options
from roadscan.tune.sweep import Sweep

EPOCHS = 81
FINAL = {"n": 0.478, "s": 0.521, "m": 0.581, "l": 0.591, "x": 0.608}
BEST_LR = {"n": 2.0e-3, "s": 1.7e-3, "m": 1.4e-3, "l": 1.2e-3, "x": 1.0e-3}
TAU_EPOCHS = {"n": 6.0, "s": 7.0, "m": 8.0, "l": 9.0, "x": 10.0}
EPOCH_COST = {"n": 1.0, "s": 1.3, "m": 2.0, "l": 3.0, "x": 4.5}  # time, in epochs of n
TRIAL_NOISE, EPOCH_NOISE = 0.003, 0.002
WITHIN = 0.99  # of the grid's best
POINTS = 5  # of the grid, in each range

SPACE: dict[str, Any] = {
    "variant": [*FINAL],
    "loss.gamma": [0, {"low": 1, "high": 3}],
    "loss.alpha": [None, {"low": 0.1, "high": 0.9}],
    "loss.cls_gain": {"low": 0.25, "high": 4, "log": True},
    "optimiser.lr": {"low": 1e-4, "high": 1e-2, "log": True},
}


def curve(settings: Settings) -> np.ndarray:
    """(81,) the true score after each epoch."""
    variant, gamma, alpha = settings["variant"], settings["loss.gamma"], settings["loss.alpha"]
    off_lr = math.log10(settings["optimiser.lr"] / BEST_LR[variant])
    off_gain = math.log2(settings["loss.cls_gain"] / (0.5 * 2**gamma))
    final = FINAL[variant] - 0.06 * off_lr**2 - 0.008 * off_gain**2 + 0.010 * (1 - ((gamma - 1.5) / 1.5) ** 2)
    if alpha is not None:
        final += 0.004 * (1 - ((alpha - (0.5 - gamma / 10)) / 0.3) ** 2)
    tau = TAU_EPOCHS[variant]
    return final * -np.expm1(-((np.arange(1, EPOCHS + 1) / tau) ** 0.7))


def grid_best() -> float:
    """The true score of the best point of the grid."""
    axes = [
        [value for one in options(dimension) for value in _points(one)] for dimension in configured(1, 0).space.values()
    ]
    return max(curve(dict(zip(SPACE, values, strict=True)))[-1] for values in product(*axes))


def _points(option: Any) -> list[Any]:
    if not isinstance(option, Range):
        return [option]
    spaced = np.geomspace if option.log else np.linspace
    return [float(value) for value in spaced(option.low, option.high, POINTS)]


def configured(trials: int, seed: int) -> TuneConfig:
    """A sweep over the formula."""
    train = {"data": "formula", "epochs": EPOCHS}
    return TuneConfig.model_validate({"train": train, "space": SPACE, "trials": trials, "seed": seed})


@dataclass
class Outcome:
    """What a search came to: the true score of what it chose, what it spent, and how long it thought itself."""

    true: float
    epochs: int
    trials: int
    seconds: float


@dataclass(order=True)
class Running:
    """A trial on its way to the end of its next epoch."""

    due: float
    number: int
    settings: Settings = field(compare=False)
    measured: np.ndarray = field(compare=False)
    epoch: int = field(default=0, compare=False)


def search(config: TuneConfig, at_once: int, most_epochs: float = math.inf) -> Outcome:
    """Run a sweep in simulated time."""
    rng = np.random.default_rng([7, config.seed])
    start = perf_counter()
    sweep = Sweep(config, InMemoryStorage())
    true: dict[int, float] = {}
    running: list[Running] = []
    now, spent, more = 0.0, 0, True
    while True:
        while more and len(running) < at_once:
            given = sweep.next() if spent < most_epochs else None
            if given is None:
                more = False
                break
            scores = curve(given.settings)
            true[given.number] = scores[-1]
            noise = rng.normal(0, TRIAL_NOISE) + rng.normal(0, EPOCH_NOISE, EPOCHS)
            cost = EPOCH_COST[given.settings["variant"]]
            heapq.heappush(running, Running(now + cost, given.number, given.settings, scores + noise))
        if not running:
            break
        one = heapq.heappop(running)
        now, one.epoch, spent = one.due, one.epoch + 1, spent + 1
        if sweep.report(one.number, one.epoch, float(one.measured[one.epoch - 1])):
            sweep.prune(one.number, {})
        elif one.epoch == EPOCHS:
            sweep.complete(one.number, {})
        else:
            one.due = now + EPOCH_COST[one.settings["variant"]]
            heapq.heappush(running, one)
    seconds = perf_counter() - start
    ended = [row for row in sweep.rows() if row.state == "complete"]
    best = max(ended, key=lambda row: row.value or 0)
    return Outcome(true[best.number], spent, len(true), seconds)


def searches(trials: int, seed: int, at_once: int) -> dict[str, Outcome]:
    """Each way of searching once, all with the epochs that the first one spends."""
    ours = search(configured(trials, seed), at_once)
    endless = configured(1_000_000, seed)
    pruned = endless.model_copy(update={"pruning": PruningConfig(first_epoch=EPOCHS // 9)})
    no_starts = mock.patch.object(sweeps, "initial_points", return_value=[])
    found = {"sweep": ours}
    with no_starts:
        found["sweep, without known good starts"] = search(configured(trials, seed), at_once)
    found["sweep, with pruning"] = search(pruned, at_once, ours.epochs)
    with mock.patch.object(sweeps, "make_sampler", RandomSampler):
        found["random, with known good starts"] = search(endless, at_once, ours.epochs)
        found["random, with them and pruning"] = search(pruned, at_once, ours.epochs)
        with no_starts:
            found["random"] = search(endless, at_once, ours.epochs)
    return found


def main() -> None:
    """Search with each seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--at-once", type=int, default=8, help="trials side by side")
    arguments = parser.parse_args()
    best = grid_best()
    points = grid_points(configured(1, 0).space, POINTS)
    found: dict[str, list[Outcome]] = {}
    for seed in range(arguments.seeds):
        for name, one in searches(arguments.trials, seed, arguments.at_once).items():
            found.setdefault(name, []).append(one)
    print(f"grid: {points} trials, {points * EPOCHS} epochs, best {best:.4f}; mean over {arguments.seeds} seeds\n")
    print("| | trials | epochs, of the grid's | score, of the grid's best | worst | within 1 % | ms a trial |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, ones in found.items():
        shares = np.array([one.true for one in ones]) / best
        trials, epochs = (np.mean([getattr(one, what) for one in ones]) for what in ("trials", "epochs"))
        own_ms = 1000 * sum(one.seconds for one in ones) / sum(one.trials for one in ones)
        print(
            f"| {name} | {trials:.0f} | {100 * epochs / points / EPOCHS:.2f} % | {100 * shares.mean():.2f} % | "
            f"{100 * shares.min():.2f} % | {(shares >= WITHIN).sum()} of {len(ones)} | {own_ms:.0f} |"
        )


if __name__ == "__main__":
    main()
