"""What a backend is to the rest: an `Engine`, which runs one network on one device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from roadscan.errors import ModelError

if TYPE_CHECKING:
    from roadscan.model.head import Decoded, Raw  # which imports PyTorch; configs import this module

Precision: TypeAlias = Literal["full", "half"]
Backend: TypeAlias = Literal["torch", "openvino", "onnxruntime", "tensorrt"]
#: What a user may ask for: a backend, or the fastest that agrees with PyTorch.
Choice: TypeAlias = Literal["torch", "openvino", "onnxruntime", "tensorrt", "auto"]
Pixels: TypeAlias = npt.NDArray[np.uint8]

#: The module of each backend that is an extra of the same name.
MODULES: dict[Backend, str] = {"openvino": "openvino", "onnxruntime": "onnxruntime", "tensorrt": "onnxruntime"}


class Engine(ABC):
    """A network, loaded, on a device. Several threads may call `forward` at once.

    Attributes:
        backend: the program that computes.
        runs_on: device, backend and number format, for summaries.
        lanes: how many threads should call at once, each with a part of the batch, so that every core has work; 0 where
            the engine takes a whole batch and uses the device by itself.
        folder: of its files on disk, see `cache`; None of PyTorch, which has none.
    """

    backend: Backend
    runs_on: str
    lanes: int = 0
    folder: Path | None = None

    @abstractmethod
    def forward(self, images_bhwc: Pixels) -> Raw | Decoded:
        """Run the network.

        Args:
            images_bhwc: (b, h, w, 3) uint8 BGR; h and w multiples of 32.

        Returns:
            What the network gives, of an exported one decoded; good until the same thread's next call, which may use
            the memory again.
        """

    def stream(self) -> AbstractContextManager[object]:
        """What a thread's `forward`, and all that it computes from the result, must run inside of."""
        return nullcontext()


def require_installed(backend: Backend, instead: str = "set backend=torch") -> None:
    """Tell the user how to install what a backend needs, or what to do instead.

    Raises:
        ModelError: it is not installed.
    """
    if not is_installed(backend):
        raise ModelError(f"backend {backend}: not installed; pip install 'roadscan[{backend}]', or {instead}")


def version_of(backend: Backend) -> str:
    """The version of a backend's program; nothing is imported."""
    module = MODULES.get(backend, "torch")
    return ", ".join(f"{name} {version(name)}" for name in sorted({*packages_distributions().get(module, ())}))


def is_installed(backend: Backend) -> bool:
    """Whether the program of a backend is there; nothing is imported."""
    return backend == "torch" or find_spec(MODULES[backend]) is not None
