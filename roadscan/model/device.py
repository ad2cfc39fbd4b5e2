"""The device that a process computes on: chosen here alone, and never quietly another one than it was given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from roadscan.errors import DeviceError

DeviceType: TypeAlias = Literal["cuda", "cpu"]
OVERRIDE = "ROADSCAN_DEVICE"  # cpu: compute there though a GPU is held, to try a plan on a cluster without cards
#: There where a driver has shown a GPU to this machine or container, whatever the card's number: NVIDIA's, AMD's, and
#: Linux's in Windows.
DRIVER_FILES = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))


@dataclass(frozen=True)
class Cuda:
    """What torch can do with GPUs here.

    Attributes:
        torch: its version.
        built_for: the CUDA version that it was built for; None of a build for CPUs.
        names: of the GPUs that it can use.
    """

    torch: str
    built_for: str | None
    names: tuple[str, ...]

    @staticmethod
    def here() -> Cuda:
        """What torch can do in this process."""
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return Cuda(torch.__version__, torch.version.cuda, tuple(map(torch.cuda.get_device_name, range(count))))


def choose_device(holds_gpu: bool | None, cuda: Cuda, override: str | None = None) -> DeviceType:
    """What a process was given, and what torch can do -> the device to compute on.

    Args:
        holds_gpu: whether it was given a GPU, or part of one; None where nobody shared any out, as on a laptop.
        cuda: what torch can do here.
        override: the value of ``ROADSCAN_DEVICE``.

    Raises:
        DeviceError: it holds a GPU that torch cannot use, so that it would be idle, and the work slow on a CPU.

    >>> choose_device(None, Cuda("2.15.0", "13.2", ()))
    'cpu'
    """
    if override not in (None, "", "cpu"):
        raise DeviceError(f"{OVERRIDE}: got {override!r}, expected cpu, or nothing for the GPU where there is one")
    if override or not holds_gpu:
        return "cuda" if holds_gpu is None and cuda.names and not override else "cpu"
    if cuda.names:
        return "cuda"
    reason = (
        f"torch {cuda.torch} is a build for CPUs; install the CUDA build on that node."
        if cuda.built_for is None
        else f"torch {cuda.torch} for CUDA {cuda.built_for} finds none there; is the driver installed, and new enough?"
    )
    raise DeviceError(f"a process was given a GPU, but {reason} To compute on CPUs, ask for no GPUs")


def has_driver() -> bool:
    """Whether there is a GPU to be expected here, whether torch can use it or not; nothing is imported."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1")
    return not hidden and any(path.exists() for path in DRIVER_FILES)


def this_device(holds_gpu: bool | None) -> DeviceType:
    """`choose_device` for this process, as it is."""
    return choose_device(holds_gpu, Cuda.here(), os.environ.get(OVERRIDE))


def has_bfloat16(device: DeviceType | str) -> bool:
    """Whether a kind of device computes in bfloat16 itself; what has to do it by other means is slower than float32."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Of an older torch nothing is known.
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(has_it) for name, has_it in capabilities.items() if name.endswith("bf16"))


def device_name(device: str) -> str:
    """A torch device -> its name in summaries, such as ``cuda: NVIDIA H100 80GB HBM3`` or ``cpu``."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"cuda: {torch.cuda.get_device_name(device)}"
