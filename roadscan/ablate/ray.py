"""The runs of an ablation on a Ray cluster: as many at once as there is room for, each a Ray Train run of its own.

All that has to outlive the driver is in the runs' folders. A run that was under way goes on from its last epoch, and
one whose summary is there is not started.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import ray

from roadscan.ablate.latency import Latency, network_of
from roadscan.ablate.runs import Run
from roadscan.ablate.state import RunState, State, drop_checkpoints, history_of, is_complete
from roadscan.dataset.records import Task
from roadscan.errors import RoadscanError, TrainingError
from roadscan.model.device import device_name, this_device
from roadscan.progress import OnProgress, Progress
from roadscan.train.config import TrainConfig
from roadscan.train.initial import Initial
from roadscan.train.placement import Placement
from roadscan.train.process_group import environment
from roadscan.train.ray import train_on_cluster
from roadscan.tune.latency import measure_latency
from roadscan.tune.placement import SweepPlan

POLL_S = 2.0


def run_all(
    runs: Sequence[Run], plan: SweepPlan, initials: Mapping[str, Initial], on_progress: OnProgress
) -> dict[str, str]:
    """Bring all runs to their end; Ray is connected.

    Args:
        runs: in the order in which they start.
        plan: of the cluster.
        initials: first weights, by their address.
        on_progress: called with the states of all runs, when one starts, ends, or has done an epoch.

    Returns:
        By name, why those failed that did: the loss was not finite any more, or its processes were lost too often.

    Raises:
        RoadscanError: what no other run could do without, either; those under way are left for the next driver.
    """
    runner = _Runner(runs, plan, initials, on_progress)
    while runner.step():
        pass
    return runner.failures


class _Runner:
    """The driver's view: which runs wait, which are under way."""

    def __init__(
        self, runs: Sequence[Run], plan: SweepPlan, initials: Mapping[str, Initial], on_progress: OnProgress
    ) -> None:
        self.failures: dict[str, str] = {}
        self._runs, self._plan, self._on_progress = runs, plan, on_progress
        # The weights themselves: where a run's process is, their file need not be.
        self._initials = {uri: ray.put(initial) for uri, initial in initials.items()}
        self._nothing = ray.put(None)
        self._complete = {run.name for run in runs if is_complete(run)}
        for run in runs:
            if run.name in self._complete:
                drop_checkpoints(run)  # those that a driver left which was killed just then
        self._waiting = deque(run for run in runs if run.name not in self._complete)
        self._running: dict[ray.ObjectRef, Run] = {}
        self._shown: tuple[RunState, ...] = ()

    def step(self) -> bool:
        """Start what has room, wait a moment, take in what has ended; whether anything is left to do."""
        while self._waiting and self._has_room(self._waiting[0]):
            run = self._waiting.popleft()
            self._running[self._start(run)] = run
        self._send_progress()
        if not self._running:
            return False
        ended, _ = ray.wait([*self._running], timeout=POLL_S)
        for task in ended:
            self._take_in(self._running.pop(task), task)
        return True

    def _has_room(self, run: Run) -> bool:
        return self._plan.has_room([run.variant, *(one.variant for one in self._running.values())])

    def _start(self, run: Run) -> Any:
        train = self._plan.placed(run.train)
        initial = self._nothing if train.initial is None else self._initials[train.initial]
        # Without a processor of its own: it only waits for its workers.
        task = ray.remote(_train).options(num_cpus=0, max_retries=train.execution.max_failures)
        # In a list, or Ray would hand over the weights in place of the reference.
        return task.remote(train.model_dump_json(), self._plan.placements[run.variant], [initial], environment())

    def _take_in(self, run: Run, task: Any) -> None:
        try:
            failure = _answer(task)
        except ray.exceptions.RayError as error:
            if isinstance(error, ray.exceptions.RayTaskError):
                raise
            failure = f"its process was lost more than max_failures times: {type(error).__name__}"
        if failure is None:
            drop_checkpoints(run)
            self._complete.add(run.name)
        else:
            self.failures[run.name] = failure

    def _send_progress(self) -> None:
        states = tuple(self._state(run) for run in self._runs)
        if states != self._shown:
            self._shown = states
            done = sum(one.state in ("complete", "failed") for one in states)
            self._on_progress(Progress("ablate", done, len(states), "runs", {"runs": states}))

    def _state(self, run: Run) -> RunState:
        state: State = "waiting"
        if run.name in self._complete:
            return RunState(run, "complete", run.train.epochs)
        if run.name in self.failures:
            state = "failed"
        elif any(one.name == run.name for one in self._running.values()):
            state = "running"
        epochs = 0 if state == "waiting" else len(history_of(run))
        return RunState(run, state, epochs, self.failures.get(run.name))


def _train(train: str, placement: Placement, initial: list[Any], variables: dict[str, str]) -> str | None:
    """Train one run, in a process of Ray's; why it failed, if it did."""
    os.environ |= variables
    try:
        train_on_cluster(TrainConfig.model_validate_json(train), placement, initial[0])
    except TrainingError as error:
        return str(error)
    return None


def measure_latencies(task: Task, trains: Sequence[TrainConfig], plan: SweepPlan) -> dict[str, Latency]:
    """Trainings -> milliseconds an image and parameters of each network, measured in turn where they will run."""
    found: dict[str, Latency] = {}
    for train in trains:
        if (network := network_of(train)) in found:
            continue
        placement = plan.placements[train.variant]
        measure = ray.remote(_measure).options(
            num_cpus=placement.cpus, num_gpus=placement.gpus, runtime_env={"env_vars": environment()}
        )
        found[network] = _answer(measure.remote(task, train.model_dump_json(), placement))
    return found


def _answer(task: Any) -> Any:
    """What a task of Ray's gives; its own mistake without the traceback that Ray puts before the message."""
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RoadscanError):
            raise error.cause from None
        raise


def _measure(task: Task, train: str, placement: Placement) -> Latency:
    config, holds_gpu = TrainConfig.model_validate_json(train), placement.gpus > 0
    network = task, config.variant, config.activation, config.image_size_px
    ms = measure_latency(*network, placement.cpus, holds_gpu=holds_gpu)
    name = device_name(this_device(holds_gpu))
    return Latency(ms, name if name != "cpu" else f"cpu, {placement.cpus} core{'s' * (placement.cpus > 1)}")
