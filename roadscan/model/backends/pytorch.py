"""PyTorch: the reference that every other backend has to agree with, and the one that runs everywhere."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext

import torch

from roadscan.model.backends.engine import Engine, Pixels, Precision
from roadscan.model.bundle import Bundle
from roadscan.model.device import device_name
from roadscan.model.head import Raw

HALF = {"cuda": torch.float16, "cpu": torch.bfloat16}


class TorchEngine(Engine):
    """The network in PyTorch, channels last.

    Weights are cast once, here: autocast casts frozen weights again in every pass. On a GPU, full precision is IEEE
    float32, without TF32, so that it is the reference for everything else; half (float16) is the fast one. cuDNN times
    its algorithms for full batches alone, as the last one of a shard may have any size, and not in a training, where
    another choice would be other bits.

    On a GPU every calling thread has a stream of its own, so that one's upload and suppression lie beside another's
    network; the lock is around the launch alone, because cuDNN's switches belong to the process.

    Args:
        bundle: the model.
        device: torch device.
        precision: full is float32; half is float16 on a GPU, bfloat16 on a CPU, which is slow on one without
            instructions for it (AVX512-BF16, AMX).
        threads: of a CPU: images computed at once, each on one core. Splitting one image's layers over cores
            instead makes all cores wait for the slowest, hundreds of times an image.
    """

    backend = "torch"

    def __init__(self, bundle: Bundle, device: str, precision: Precision, threads: int) -> None:
        from roadscan.model import yolo  # not above: a process that runs another backend does without it

        self._device = torch.device(device)
        dtype = HALF.get(self._device.type, torch.float32) if precision == "half" else torch.float32
        network = yolo.RawNetwork(bundle).to(self._device, dtype)
        self._network = network.to(memory_format=torch.channels_last)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # other streams would not wait for weights that are on their way
        self._largest = 0
        self._launch = threading.Lock()
        self._thread = threading.local()
        self.runs_on = f"{device_name(device)}, torch {str(dtype).removeprefix('torch.')}"
        self.lanes = threads if self._device.type == "cpu" else 0

    def forward(self, images_bhwc: Pixels) -> Raw:
        host = torch.from_numpy(images_bhwc)
        if self._device.type != "cuda":
            return Raw(*self._network(host.to(self._device)))
        pixels = host.pin_memory().to(self._device, non_blocking=True)
        self._largest = max(self._largest, len(images_bhwc))
        search = len(images_bhwc) == self._largest and not torch.are_deterministic_algorithms_enabled()
        with self._launch, torch.backends.cudnn.flags(enabled=True, benchmark=search, allow_tf32=False):
            return Raw(*self._network(pixels))

    def stream(self) -> AbstractContextManager[object]:
        if self._device.type != "cuda":
            return nullcontext()
        if not hasattr(self._thread, "stream"):
            self._thread.stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        return torch.cuda.stream(self._thread.stream)
