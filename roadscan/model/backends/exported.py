"""Exported networks, each run by the program that it was exported for, as it stands in its file."""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import torch

from roadscan.errors import ModelError
from roadscan.model.backends.engine import Backend, Choice, Engine, Pixels, Precision, require_installed
from roadscan.model.backends.openvino import cpu_settings, import_openvino
from roadscan.model.decode import PADDING_GREY
from roadscan.model.device import device_name
from roadscan.model.exported import INSTEAD, Exported
from roadscan.model.formats import FixedInput, Format
from roadscan.model.head import Decoded
from roadscan.parsing import read_zip

#: (b, 3, h, w) float32 RGB in 0..1 -> what the network gives.
Run: TypeAlias = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
BACKENDS: dict[Format, Backend] = {
    "onnx": "onnxruntime", "openvino": "openvino", "torchscript": "torch", "tensorrt": "tensorrt",
}  # fmt: skip


class ExportedEngine(Engine):
    """An exported network. Inputs that are smaller than the one size it takes are filled up with grey.

    Args:
        model: the network.
        device: cuda of TensorRT, cpu of the others.
        threads: cores to use.

    Raises:
        ModelError: its program is not installed, or does not run on that device, or cannot read the file.
    """

    def __init__(self, model: Exported, device: str, threads: int) -> None:
        self.backend = BACKENDS[model.format]
        needed = "cuda" if model.format == "tensorrt" else "cpu"
        if not device.startswith(needed):
            raise ModelError(
                f"a model exported to {model.format} runs on {needed}, and this process is to compute on {device}; "
                f"ask for that device, or {INSTEAD}"
            )
        try:
            self._run = _OPENERS[model.format](model.data, threads)
        except ModelError:
            raise
        except Exception as error:  # whatever ails another program's reader
            raise ModelError(
                f"a model exported to {model.format} cannot be opened ({type(error).__name__}: {error})"
            ) from error
        self._fixed_bhw = model.fixed_bhw
        self.runs_on = f"{device_name(device)}, {self.backend} float32, exported to {model.format}"
        self.lanes = threads if needed == "cpu" else 0

    def forward(self, images_bhwc: Pixels) -> Decoded:
        if self._fixed_bhw is None:
            return Decoded(*self._run(_network_input(images_bhwc)))
        parts = [self._run(_network_input(part)) for part in filled(images_bhwc, self._fixed_bhw)]
        whole = [torch.cat(outputs)[: len(images_bhwc)] for outputs in zip(*parts, strict=True)]
        height, width = (math.ceil(side / 4) for side in images_bhwc.shape[1:3])
        return Decoded(whole[0], *(prototypes[:, :, :height, :width] for prototypes in whole[1:]))


def open_exported(wanted: Choice, model: Exported, device: str, precision: Precision, threads: int) -> ExportedEngine:
    """An exported network -> what runs it.

    Raises:
        ModelError: another backend or precision was asked for than it was exported for; and as `ExportedEngine`.
    """
    own = BACKENDS[model.format]
    if wanted not in ("auto", own):
        raise ModelError(f"backend {wanted}: the model was exported to {model.format}; set backend=auto")
    if precision != "full":
        raise ModelError(f"precision {precision}: the model was exported in float32; set precision=full")
    return ExportedEngine(model, device, threads)


def filled(images_bhwc: Pixels, fixed_bhw: FixedInput) -> Iterator[Pixels]:
    """Images (b, h, w, 3) -> batches of one size (B, H, W, 3) with all of them, at the left and top; the rest is grey.

    Raises:
        ModelError: the images are larger.
    """
    batch, height, width = fixed_bhw
    if images_bhwc.shape[1] > height or images_bhwc.shape[2] > width:
        got = f"{images_bhwc.shape[1]}x{images_bhwc.shape[2]}"
        raise ModelError(
            f"the model was exported for inputs of {height}x{width} px alone, and images come to {got} px (height x "
            "width); set a smaller image_size_px, or export it for that size, or for any size"
        )
    for start in range(0, len(images_bhwc), batch):
        part = images_bhwc[start : start + batch]
        whole = np.full((batch, height, width, 3), PADDING_GREY, np.uint8)
        whole[: len(part), : part.shape[1], : part.shape[2]] = part
        yield whole


def _network_input(images_bhwc: Pixels) -> torch.Tensor:
    return torch.from_numpy(images_bhwc).permute(0, 3, 1, 2).flip(1).contiguous().float().div_(255)


def _onnx(data: bytes, threads: int) -> Run:  # noqa: ARG001 - one thread for each lane
    require_installed("onnxruntime", INSTEAD)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda images: tuple(map(torch.from_numpy, session.run(None, {"images": images.numpy()})))


def _openvino(data: bytes, threads: int) -> Run:
    require_installed("openvino", INSTEAD)
    core = import_openvino().Core()
    files = read_zip(data, ("model.xml", "model.bin"))
    network = core.read_model(files["model.xml"], files["model.bin"])
    compiled = core.compile_model(network, "CPU", cpu_settings(threads, "f32"))
    own = threading.local()

    def run(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        found = own.request.infer({0: images.numpy()}, share_inputs=True)
        return tuple(torch.from_numpy(found[output]) for output in compiled.outputs)

    return run


def _torchscript(data: bytes, threads: int) -> Run:  # noqa: ARG001 - torch computes a lane on one core
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (DeprecationWarning, FutureWarning))  # TorchScript is not developed any more
        network = torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]

    def run(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = network(images)
        return (found,) if isinstance(found, torch.Tensor) else tuple(found)

    return run


def _tensorrt(data: bytes, threads: int) -> Run:  # noqa: ARG001 - it computes on the GPU
    from roadscan.model import yolo

    return yolo.open_tensorrt(data)


_OPENERS = {"onnx": _onnx, "openvino": _openvino, "torchscript": _torchscript, "tensorrt": _tensorrt}
