"""OpenVINO: the network compiled for the CPU that it runs on."""

from __future__ import annotations

import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import torch

from roadscan.model.backends.cache import engine_folder
from roadscan.model.backends.engine import Engine, Pixels, Precision, require_installed
from roadscan.model.bundle import Bundle
from roadscan.model.head import Raw

FILE = "model.xml"


class OpenVinoEngine(Engine):
    """The network in OpenVINO on a CPU.

    One stream a core, each with images of its own. Input sizes are open: one compilation (0.1 s for YOLOv8n) serves all
    sizes of batch and image, and was as fast as one a size.

    Args:
        bundle: the model, from a file.
        precision: half is bfloat16 where the CPU has instructions for it, and float32 elsewhere.
        threads: cores to use.
    """

    backend = "openvino"

    def __init__(self, bundle: Bundle, precision: Precision, threads: int) -> None:
        require_installed("openvino")
        openvino = import_openvino()
        self.folder = engine_folder(bundle, self.backend, ("openvino",), lambda made: _convert(bundle, made))
        core = openvino.Core()
        number = "f32"
        if precision == "half" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            number = "bf16"
        self._compiled = core.compile_model(core.read_model(self.folder / FILE), "CPU", cpu_settings(threads, number))
        self._thread = threading.local()
        self.runs_on = f"cpu, openvino {'bfloat16' if number == 'bf16' else 'float32'}"
        self.lanes = threads

    def forward(self, images_bhwc: Pixels) -> Raw:
        if not hasattr(self._thread, "request"):
            self._thread.request = self._compiled.create_infer_request()
        request = self._thread.request
        request.infer({0: images_bhwc}, share_inputs=True)
        outputs = range(len(self._compiled.outputs))
        return Raw(*(torch.from_numpy(request.get_output_tensor(index).data) for index in outputs))


def import_openvino() -> Any:
    """The module; its converter sends usage statistics unless somebody has opted out, but not without theirs."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def cpu_settings(threads: int, number: str) -> dict[str, Any]:
    """How a network is compiled for a CPU: a stream a core, in f32 or bf16."""
    return {
        "NUM_STREAMS": str(threads),
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": number,
        "ENABLE_CPU_PINNING": False,  # pinned, all processes of a node would sit on the same first cores
    }


def _convert(bundle: Bundle, folder: Path) -> None:
    from roadscan.model import yolo

    openvino = import_openvino()

    side = bundle.card.image_size_px
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # OpenVINO's way in is torch.jit.trace, which is deprecated
        example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
        model = openvino.convert_model(yolo.RawNetwork(bundle), example_input=example)
    model.reshape({model.inputs[0]: [-1, -1, -1, 3]})
    openvino.save_model(model, folder / FILE, compress_to_fp16=False)
