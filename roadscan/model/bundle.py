"""The model file: one zip, loaded without pickle.

    model.json              the `ModelCard`
    weights.safetensors     float16 on disk, float32 in memory
    calibration/00.jpg …    up to 8 of the network's inputs, on which every backend has to agree with PyTorch

The archive is stored with fixed timestamps, so the same model is the same bytes, and its SHA-256 is the `model_sha256`
of every row it produces.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import safetensors
from pydantic import Field

from roadscan.config import Config
from roadscan.errors import Malformed, ModelError, NotFound
from roadscan.model.formats import format_of
from roadscan.parsing import parsing, read_json, read_zip
from roadscan.storage import open_file, open_store, sha256_hex

if TYPE_CHECKING:
    import torch  # whose import takes a second: a program that only plans with a model does without it

FORMAT: Literal["roadscan.model/1"] = "roadscan.model/1"
CALIBRATION = "calibration/"
DEMO = "demo"
SHIPPED = {DEMO: "demo-detect.zip", "demo-segment": "demo-segment.zip"}  # the names of the models that roadscan has
StateDict: TypeAlias = "dict[str, torch.Tensor]"
Task: TypeAlias = Literal["detect", "segment", "semantic"]
Variant: TypeAlias = Literal["n", "s", "m", "l", "x"]
Activation: TypeAlias = Literal["silu", "leaky_relu"]


class ModelCard(Config):
    """What a model is, how it came to be, and what may be expected of it."""

    format: Literal["roadscan.model/1"] = FORMAT
    task: Task = Field(description="detect: boxes; segment: boxes and masks; semantic: the class of every pixel")
    variant: Variant = Field(description="YOLOv8 size")
    activation: Activation = Field("silu", description="of the convolutions")
    classes: tuple[str, ...] = Field(
        min_length=1,
        description="class names, in the order of the network's outputs; of semantic the background follows",
    )
    image_size_px: int = Field(640, ge=32, multiple_of=32, description="longer side of the network's input")
    confidence: float = Field(0.25, gt=0, lt=1, description="detections below this score are dropped")
    iou: float = Field(0.6, gt=0, lt=1, description="overlap at which non-maximum suppression drops the lower score")
    initialised_from: str = Field("scratch", description="where the weights started")
    trained_on: str = Field("unknown", description="the data, in words")
    training: dict[str, Any] = Field({}, description="settings that trained it")
    metrics: dict[str, Any] = Field({}, description="measured figures, each with the data it was measured on")
    limits: str = Field("", description="what it must not be used for")
    licence: str = Field("AGPL-3.0-or-later", description="SPDX identifier")
    code_version: str = Field("", description="roadscan version that wrote the file")

    def confidences(self, given: float | Mapping[str, float] | None) -> tuple[float, ...]:
        """What a user wants kept -> the lowest score kept of each class.

        Args:
            given: one score for all classes; by class name, where the others have the card's own; None for the card's.

        Raises:
            ModelError: a class is none of the model's.
        """
        if not isinstance(given, Mapping):
            return (given or self.confidence,) * len(self.classes)
        unknown = [name for name in given if name not in self.classes]
        if unknown:
            raise ModelError(
                f"confidence: got a score for {unknown[0]!r}; expected classes of the model: {', '.join(self.classes)}"
            )
        return tuple(given.get(name, self.confidence) for name in self.classes)


@dataclass(frozen=True)
class Bundle:
    """A model in memory.

    Attributes:
        card: what it is.
        weights: float32, by name.
        sha256: digest of its file; empty where it is in none.
        calibration: image files, each of an input of the network; may be none.
    """

    card: ModelCard
    weights: StateDict
    sha256: str
    calibration: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class ModelFile:
    """A model file that was looked at, but not loaded: its card, and the digest of the file."""

    card: ModelCard
    sha256: str


def pack(card: ModelCard, weights: StateDict, calibration: Sequence[bytes] = ()) -> bytes:
    """The model file's bytes; the same model always gives the same bytes.

    Raises:
        ModelError: a weight is no finite number, or none that float16 holds: such a model finds nothing, in silence.
    """
    import safetensors.torch

    half = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in sorted(weights.items())
    }
    _require_finite(half, "the model", "train again, or with a smaller learning rate; float16 holds up to 65504")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:  # noqa: TID251 - written, not read
        for name, data in (
            ("model.json", card.model_dump_json(indent=1).encode()),
            ("weights.safetensors", safetensors.torch.save(half)),
        ):
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        for number, image in enumerate(calibration):
            archive.writestr(zipfile.ZipInfo(f"{CALIBRATION}{number:02d}.jpg"), image, zipfile.ZIP_STORED)
    return buffer.getvalue()


def unpack(data: bytes, *, where: str) -> Bundle:
    """A model from its file's bytes.

    Raises:
        ModelError: not a model file, one of a format that this version does not read, or one whose weights are no
            finite numbers.
    """
    import safetensors.torch

    card, weights, calibration = _parts(data, where)
    try:
        with parsing("weights"):
            tensors = safetensors.torch.load(weights)
    except Malformed as error:
        raise ModelError(f"model {where}: {error}; import or export it again") from None
    _require_finite(tensors, f"model {where}", "write the file again, from the model that it was made from")
    whole = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    return Bundle(card, whole, sha256_hex(data), calibration)


def _require_finite(weights: StateDict, what: str, advice: str) -> None:
    for name, tensor in weights.items():
        count = int((~tensor.isfinite()).sum()) if tensor.is_floating_point() else 0
        if count:
            raise ModelError(
                f"{what}: weights {name}: got {count} of {tensor.numel()} that are NaN or infinite; expected finite "
                f"numbers: {advice}"
            )


def read_card(data: bytes, *, where: str) -> ModelCard:
    """The card in a model file's bytes; its weights are not loaded. Errors are those of `unpack`."""
    return _parts(data, where)[0]


def _parts(data: bytes, where: str) -> tuple[ModelCard, bytes, tuple[bytes, ...]]:
    """Card, weights as they are stored, and calibration images; all of them whole."""
    if kind := format_of(data):
        raise ModelError(
            f"model {where}: exported to {kind}, without weights to go on from; expected the model file that it was "
            "exported from"
        )
    try:
        found = read_zip(data, ("model.json", "weights.safetensors", CALIBRATION))
        with parsing("model file"):
            text, weights = found.pop("model.json"), found.pop("weights.safetensors")
            safetensors.deserialize(weights)  # type: ignore[no-untyped-call]  # reads the header, and checks it
        format_ = read_json(text).get("format")
    except Malformed as error:
        raise ModelError(
            f"model {where}: not a roadscan model file ({error}); "
            "bring Ultralytics or COCO weights in with 'roadscan model import'"
        ) from None
    if format_ != FORMAT:
        raise ModelError(f"model {where}: format is {format_!r}, this version reads {FORMAT!r}")
    try:
        return read_json(text, ModelCard), weights, tuple(found.values())
    except Malformed as error:
        raise ModelError(f"model {where}: model.json is wrong: {error}") from None


def read_bytes(uri: str) -> bytes:
    """The bytes of a model file at a path or ``s3://`` address, or of one of those that are `SHIPPED`."""
    if uri in SHIPPED:
        return (files("roadscan.model") / SHIPPED[uri]).read_bytes()
    store, name = open_file(uri)
    try:
        return store.read(name)
    except NotFound:
        known = " or ".join(f"'{name}'" for name in SHIPPED)
        raise ModelError(f"model {uri}: no such file; expected a path, an s3:// address, {known}") from None


def load(uri: str, *, task: Task | None = None) -> Bundle:
    """Read a model file.

    Args:
        uri: path, ``s3://`` address, or one of `SHIPPED`.
        task: what the caller needs; None for any.

    Raises:
        ModelError: no such file, not a model file, or a model for another task.
    """
    bundle = unpack(read_bytes(uri), where=uri)
    check_task(bundle.card, uri, task)
    return bundle


def check_task(card: ModelCard, uri: str, task: Task | None) -> None:
    """Refuse a model for another task than the caller needs; None for any.

    Raises:
        ModelError: it is for another one.
    """
    if task is not None and card.task != task:
        raise ModelError(
            f"model {uri}: it is for task {card.task!r}, the job needs {task!r}; "
            f"set task={card.task} or give a model for {task}"
        )


def save(path: Path, card: ModelCard, weights: StateDict, calibration: Sequence[bytes] = ()) -> str:
    """Write a model file and return its sha256."""
    data = pack(card, weights, calibration)
    open_store(path.parent).write(path.name, data)
    return sha256_hex(data)
