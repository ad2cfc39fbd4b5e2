from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
import torch

from roadscan.errors import ModelError
from roadscan.model import bundle
from roadscan.model.bundle import ModelCard, load, pack, unpack
from roadscan.storage import sha256_hex

CARD = ModelCard(task="detect", variant="n", classes=("a", "b"))
WEIGHTS = {"w": torch.tensor([0.1, 0.2]), "steps": torch.tensor(3)}


def test_a_model_reads_back_in_half_precision() -> None:
    data = pack(CARD, WEIGHTS)
    model = unpack(data, where="x")
    assert model.card == CARD
    assert model.sha256 == sha256_hex(data)
    assert model.weights["w"].dtype == torch.float32
    assert torch.equal(model.weights["w"], WEIGHTS["w"].half().float())
    assert model.weights["steps"] == 3


def test_the_same_model_is_the_same_bytes() -> None:
    assert pack(CARD, WEIGHTS) == pack(CARD, dict(reversed(WEIGHTS.items())))
    assert pack(CARD, WEIGHTS) != pack(CARD.model_copy(update={"confidence": 0.3}), WEIGHTS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 70_000.0])  # float16 has nothing beyond 65504
def test_a_model_of_no_numbers_is_neither_written_nor_read(value: float) -> None:
    with pytest.raises(ModelError, match=r"weights w: got 1 of 2 that are NaN or infinite"):
        pack(CARD, WEIGHTS | {"w": torch.tensor([0.1, value])})
    good = pack(CARD, WEIGHTS | {"w": torch.tensor([0.1, 1.0])})
    archive = zipfile.ZipFile(io.BytesIO(good))
    held = archive.read("weights.safetensors")
    one, bad = (torch.tensor(number).half().numpy().tobytes() for number in (1.0, value))
    assert held.count(one) == 1
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        written.writestr("model.json", archive.read("model.json"))
        written.writestr("weights.safetensors", held.replace(one, bad))
    with pytest.raises(ModelError, match=r"model x: weights w: got 1 of 2 that are NaN or infinite"):
        unpack(buffer.getvalue(), where="x")


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04 broken"])
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"not a roadscan model file.*roadscan model import"):
        unpack(data, where="x")


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    torch.save({"model": 1}, path)
    with pytest.raises(ModelError, match="not a roadscan model file"):
        load(str(path))


@pytest.mark.parametrize(
    ("change", "words"),
    [({"format": "roadscan.model/9"}, "roadscan.model/9"), ({"task": "pose"}, "model.json is wrong")],
)
def test_a_wrong_card_is_named(tmp_path: Path, change: dict[str, str], words: str) -> None:
    path = tmp_path / "m.zip"
    path.write_bytes(pack(CARD, WEIGHTS))
    with zipfile.ZipFile(path) as archive:
        card, weights = json.loads(archive.read("model.json")), archive.read("weights.safetensors")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", json.dumps({**card, **change}))
        archive.writestr("weights.safetensors", weights)
    with pytest.raises(ModelError, match=words):
        load(str(path))


def test_a_model_for_another_task_is_refused(detect_model: str) -> None:
    with pytest.raises(ModelError, match="it is for task 'detect', the job needs 'segment'"):
        load(detect_model, task="segment")


@pytest.mark.parametrize(("name", "task", "classes"), [("demo", "detect", 7), ("demo-segment", "segment", 5)])
def test_the_demo_models_are_shipped_and_small(name: str, task: str, classes: int) -> None:
    data = bundle.read_bytes(name)
    assert len(data) <= 7e6
    card = unpack(data, where=name).card
    assert (card.task, len(card.classes)) == (task, classes)
    assert "rendered images alone" in card.limits
    assert card.metrics["test"]["map50"] > 0.8
