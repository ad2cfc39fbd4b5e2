"""ONNX Runtime: on a CPU by its own kernels, on a GPU by TensorRT."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch

from roadscan.errors import ModelError
from roadscan.model.backends.cache import engine_folder
from roadscan.model.backends.engine import Engine, Pixels, Precision, require_installed
from roadscan.model.bundle import Bundle
from roadscan.model.device import device_name
from roadscan.model.head import Raw

FILE = "model.onnx"
TENSORRT = "TensorrtExecutionProvider"


class OnnxRuntimeEngine(Engine):
    """The network in ONNX Runtime on a CPU: one session without threads of its own, called from one thread a core.

    Args:
        bundle: the model, from a file.
        precision: full alone: on a CPU it has no half precision for convolutions.
        threads: cores to use.
    """

    backend = "onnxruntime"

    def __init__(self, bundle: Bundle, precision: Precision, threads: int) -> None:
        require_installed("onnxruntime")
        import onnxruntime

        if precision == "half":
            raise ModelError("backend onnxruntime: no half precision on a CPU; set precision=full, or backend=torch")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.folder = engine_folder(bundle, "onnx", ("onnxscript",), lambda made: _convert(bundle, made))
        self._session = onnxruntime.InferenceSession(self.folder / FILE, options, providers=["CPUExecutionProvider"])
        self.runs_on = "cpu, onnxruntime float32"
        self.lanes = threads

    def forward(self, images_bhwc: Pixels) -> Raw:
        return Raw(*map(torch.from_numpy, self._session.run(None, {"images": images_bhwc})))


class TensorRtEngine(Engine):
    """The network in TensorRT, through ONNX Runtime. Written from its documentation: it has never run on a card.

    TensorRT builds its engine for the first batch of every new input size, which takes minutes, and keeps it beside the
    network. Results come back through the host's memory.

    Args:
        bundle: the model, from a file.
        device: cuda.
        precision: half lets TensorRT take float16 wherever it finds that faster.
    """

    backend = "tensorrt"

    def __init__(self, bundle: Bundle, device: str, precision: Precision) -> None:
        require_installed("tensorrt")
        import onnxruntime

        if TENSORRT not in onnxruntime.get_available_providers():
            has = ", ".join(onnxruntime.get_available_providers())
            raise ModelError(
                f"backend tensorrt: the onnxruntime that is installed has {has}; it needs a GPU, and "
                "onnxruntime-gpu in place of onnxruntime: pip uninstall onnxruntime, then "
                "pip install 'roadscan[tensorrt]'; or set backend=torch"
            )
        self.folder = engine_folder(bundle, "onnx", ("onnxscript",), lambda made: _convert(bundle, made))
        settings: dict[str, Any] = {
            "trt_fp16_enable": precision == "half",
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(self.folder / f"tensorrt-{onnxruntime.__version__}"),
        }
        self._session = onnxruntime.InferenceSession(self.folder / FILE, providers=[(TENSORRT, settings)])
        if TENSORRT not in self._session.get_providers():  # a library of CUDA is missing: it would compute on the CPU
            raise ModelError("backend tensorrt: ONNX Runtime cannot load TensorRT's libraries; set backend=torch")
        self._lock = threading.Lock()
        self.runs_on = f"{device_name(device)}, tensorrt {'float16' if precision == 'half' else 'float32'}"

    def forward(self, images_bhwc: Pixels) -> Raw:
        with self._lock:
            return Raw(*map(torch.from_numpy, self._session.run(None, {"images": images_bhwc})))


def _convert(bundle: Bundle, folder: Path) -> None:
    from roadscan.model import yolo

    side = bundle.card.image_size_px
    height, width = (yolo.STRIDE_PX * torch.export.Dim(name, min=1) for name in ("height", "width"))
    names = ["head", "prototypes"] if bundle.card.task == "segment" else ["head"]
    torch.onnx.export(
        yolo.RawNetwork(bundle),
        (torch.zeros(2, side, side + yolo.STRIDE_PX, 3, dtype=torch.uint8),),
        folder / FILE,
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=names,
        dynamic_shapes={"images_bhwc": {0: torch.export.Dim("batch", min=1), 1: height, 2: width}},
    )
