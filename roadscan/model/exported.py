"""Any model that can detect: a model file, or a network that was exported from one for another program.

    model.onnx, model.torchscript, model.engine     one file each
    model_openvino_model/                           model.xml, model.bin, metadata.yaml; read as one zip of them

Each carries the card of the model that it was exported from (`export`). It has no weights that could be trained on, so
what needs those reads a `Bundle`.
"""

from __future__ import annotations

import ast
import io
import zipfile
from dataclasses import dataclass
from typing import Any, TypeAlias

from roadscan.errors import Malformed, ModelError
from roadscan.model import bundle
from roadscan.model.backends.engine import require_installed
from roadscan.model.bundle import Bundle, ModelCard, ModelFile, Task
from roadscan.model.formats import OPENVINO_FILES, SUFFIXES, TORCHSCRIPT_FACTS, FixedInput, Format, format_of
from roadscan.parsing import parsing, read_json, read_zip, zip_names
from roadscan.storage import open_store, sha256_hex
from roadscan.yamltext import read_yaml

CARD = "roadscan_card"  # the fact that holds the card, as JSON
INSTEAD = "give the model file that it was exported from"
FIXED = "roadscan_fixed_bhw"  # the fact that holds batch, height and width, where the network takes no others


@dataclass(frozen=True)
class Exported:
    """An exported network in memory.

    Attributes:
        card: of the model that it was exported from.
        format: what it was exported to.
        data: its file; of OpenVINO the zip of its folder.
        sha256: digest of that.
        fixed_bhw: batch, height and width of its input in pixels, where it takes no others.
    """

    card: ModelCard
    format: Format
    data: bytes
    sha256: str
    fixed_bhw: FixedInput | None = None


Model: TypeAlias = Bundle | Exported


def open_model(uri: str, *, task: Task | None = None) -> Model:
    """Read a model that can detect.

    Args:
        uri: a model file or an exported network, a path or ``s3://`` address; or ``demo``.
        task: what the caller needs; None for any.

    Raises:
        ModelError: there is none, it cannot be read, or it is for another task.
    """
    model = unpack_model(read_model_bytes(uri), where=uri)
    bundle.check_task(model.card, uri, task)
    return model


def inspect(uri: str, *, task: Task | None = None) -> ModelFile:
    """The card of a model that can detect, and its digest; arguments and errors are those of `open_model`."""
    data = read_model_bytes(uri)
    card = unpack_model(data, where=uri).card if format_of(data) else bundle.read_card(data, where=uri)
    bundle.check_task(card, uri, task)
    return ModelFile(card, sha256_hex(data))


def read_model_bytes(uri: str) -> bytes:
    """The bytes at an address, as `bundle.read_bytes`; of an OpenVINO folder a zip, the same for the same files."""
    if not uri.rstrip("/").endswith(SUFFIXES["openvino"]):
        return bundle.read_bytes(uri)
    store, buffer = open_store(uri.rstrip("/")), io.BytesIO()
    if missing := [name for name in OPENVINO_FILES if not store.exists(name)]:
        raise ModelError(f"model {uri}: {', '.join(missing)} not in it; expected {', '.join(OPENVINO_FILES)}")
    with zipfile.ZipFile(buffer, "w") as archive:  # noqa: TID251 - written, not read
        for name in OPENVINO_FILES:
            archive.writestr(zipfile.ZipInfo(name), store.read(name))
    return buffer.getvalue()


def unpack_model(data: bytes, *, where: str) -> Model:
    """A model from its bytes, as `read_model_bytes` gives them.

    Raises:
        ModelError: neither a model file nor an exported network with a card, or the program for it is not installed.
    """
    kind = format_of(data)
    if kind is None:
        return bundle.unpack(data, where=where)
    try:
        with parsing(kind):
            facts = _FACTS[kind](data)
    except Malformed as error:
        raise ModelError(f"model {where}: {error}") from None
    if CARD not in facts:
        raise ModelError(
            f"model {where}: {kind} without a card, so not exported by roadscan; import its weights with 'roadscan "
            "model import', and export that with 'roadscan model export'"
        )
    try:
        card = read_json(str(facts[CARD]), ModelCard)
        with parsing("size of an input"):
            fixed: FixedInput | None = ast.literal_eval(str(facts.get(FIXED)))
    except Malformed as error:
        raise ModelError(f"model {where}: its card is wrong: {error}") from None
    return Exported(card, kind, data, sha256_hex(data), fixed)


def _onnx_facts(data: bytes) -> dict[str, Any]:
    require_installed("onnxruntime", INSTEAD)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # nothing is to be run
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return dict(session.get_modelmeta().custom_metadata_map)


def _openvino_facts(data: bytes) -> dict[str, Any]:
    name = "metadata.yaml"
    return dict(read_yaml(read_zip(data, [name])[name]))


def _torchscript_facts(data: bytes) -> dict[str, Any]:
    name = next(name for name in zip_names(data) if name.endswith(TORCHSCRIPT_FACTS))
    return read_json(read_zip(data, [name])[name])


def _tensorrt_facts(data: bytes) -> dict[str, Any]:
    return read_json(data[4 : 4 + int.from_bytes(data[:4], "little")])


_FACTS = {
    "onnx": _onnx_facts, "openvino": _openvino_facts, "torchscript": _torchscript_facts, "tensorrt": _tensorrt_facts,
}  # fmt: skip
