"""The process group of a run's workers: nccl where all compute on GPUs, else gloo."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import ray
import torch
from ray.train.torch import TorchConfig, get_device

from roadscan.errors import DeviceError
from roadscan.model.device import OVERRIDE, DeviceType, this_device

Backend = Literal["nccl", "gloo"]


def choose_backend(devices: Iterable[DeviceType]) -> Backend:
    """The workers' devices -> the backend of their process group.

    >>> choose_backend(["cuda", "cuda"]), choose_backend(["cpu"])
    ('nccl', 'gloo')
    """
    return "nccl" if all(device == "cuda" for device in devices) else "gloo"


def worker_device() -> torch.device:
    """The device of the worker that calls this.

    Raises:
        DeviceError: it holds a GPU that torch cannot use.
    """
    holds_gpu = bool(ray.get_runtime_context().get_accelerator_ids().get("GPU"))
    return get_device() if this_device(holds_gpu) == "cuda" else torch.device("cpu")


def environment() -> dict[str, str]:
    """The driver's environment variables that decide on devices, for its workers."""
    return {OVERRIDE: os.environ[OVERRIDE]} if OVERRIDE in os.environ else {}


@dataclass
class CheckedTorchConfig(TorchConfig):  # type: ignore[misc]
    """Ray's own config of a process group, but the backend follows the devices that workers find.

    With nccl on a worker without a usable GPU, torch would say that it has no nccl, and Ray would try again and again.
    Here the driver is told what is wrong with the device, and workers, connected over gloo, have nothing to do.

    Attributes:
        reporter: the run's `Reporter`.
    """

    reporter: Any = None

    @property
    def backend_cls(self) -> Any:
        """Ray's class that makes the process group; this one looks at the devices first."""

        class Checked(super().backend_cls):  # type: ignore[misc]
            def on_start(self, worker_group: Any, backend_config: CheckedTorchConfig) -> None:
                found = worker_group.execute(_device_or_error)
                errors = [one for one in found if isinstance(one, DeviceError)]
                if errors:
                    ray.get(backend_config.reporter.on_failure.remote(errors[0]))
                backend = choose_backend(["cpu"] if errors else found)
                super().on_start(worker_group, replace(backend_config, backend=backend))  # type: ignore[call-arg]

        return Checked


def _device_or_error() -> DeviceType | DeviceError:
    try:
        return "cuda" if worker_device().type == "cuda" else "cpu"
    except DeviceError as error:
        return error
