"""Files of exported networks: what each is called, and how it is told from others by its bytes."""

from __future__ import annotations

from typing import Literal, TypeAlias

from roadscan.parsing import zip_names

Format: TypeAlias = Literal["onnx", "openvino", "torchscript", "tensorrt"]

#: Batch, and height and width in pixels, of the only input that a network takes.
FixedInput: TypeAlias = tuple[int, int, int]
#: How the name of each ends, by which Ultralytics knows them too. OpenVINO's is a folder.
SUFFIXES: dict[Format, str] = {
    "onnx": ".onnx", "openvino": "_openvino_model", "torchscript": ".torchscript", "tensorrt": ".engine",
}  # fmt: skip
OPENVINO_FILES = ("model.xml", "model.bin", "metadata.yaml")
TORCHSCRIPT_FACTS = "extra/config.txt"  # in the archive, below a folder of any name
ONNX_START = b"\x08"  # field 1 of the protobuf, `ir_version`, which exporters write first


def format_of(data: bytes) -> Format | None:
    """A file's bytes -> the format of the exported network in it; None of any other file, such as a model file.

    Args:
        data: the file; of an OpenVINO folder the zip that `exported.read_model_bytes` makes of it.
    """
    if data[4:5] == b"{":  # Ultralytics' header: its length in four bytes, then JSON
        return "tensorrt"
    if data.startswith(ONNX_START):
        return "onnx"
    names = zip_names(data)
    if OPENVINO_FILES[0] in names:
        return "openvino"
    return "torchscript" if any(name.endswith(TORCHSCRIPT_FACTS) for name in names) else None
