"""TensorRT's engines by Ultralytics, which builds and runs them. It has never run on a card.

Engines are Ultralytics' `.engine` files: a header with facts as JSON, then what TensorRT made for one kind of GPU.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from roadscan.errors import ModelError


def require_tensorrt() -> None:
    """Tell the user what an engine needs.

    Raises:
        ModelError: there is no GPU that PyTorch can use, or NVIDIA's package is not installed.
    """
    missing = [] if torch.cuda.is_available() else ["a GPU that PyTorch can use"]
    missing += [] if find_spec("tensorrt") else ["NVIDIA's package tensorrt (pip install tensorrt)"]
    if missing:
        raise ModelError(
            "tensorrt: an engine is built on the kind of GPU that it runs on, and here is missing: "
            f"{' and '.join(missing)}; export to onnx instead, which runs everywhere"
        )


def build_tensorrt(onnx: Path, out: Path, facts: Mapping[str, Any]) -> None:
    """A network as ONNX, of one input size -> its engine in float32 for this machine's GPU, which takes minutes.

    Args:
        onnx: the network.
        out: the engine's file.
        facts: for the engine's header.

    Raises:
        ModelError: as `require_tensorrt`.
    """
    require_tensorrt()
    from ultralytics.utils.export.engine import onnx2engine

    onnx2engine(str(onnx), str(out), metadata=dict(facts))


def open_tensorrt(engine: bytes) -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
    """An engine -> what runs it on a batch (b, 3, h, w), float32 RGB in 0..1; one call at a time has the GPU.

    Raises:
        ModelError: as `require_tensorrt`.
    """
    require_tensorrt()
    from ultralytics.nn.backends import TensorRTBackend

    with tempfile.NamedTemporaryFile(suffix=".engine") as file:
        Path(file.name).write_bytes(engine)
        backend = TensorRTBackend(file.name, torch.device("cuda:0"))

    alone = threading.Lock()

    def run(images_bchw: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with alone:
            found = backend.forward(images_bchw.to(backend.device))
            return tuple(one.clone() for one in found)  # it gives the same memory each time

    return run
