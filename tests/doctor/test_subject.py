"""Which addresses are taken from a job's config."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from roadscan.doctor import Subject, read_subject
from roadscan.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "jobs" / "configs"


def test_the_configs_that_come_with_roadscan() -> None:
    scan = Subject("s3://warehouse/highways", "demo", ("s3://raw/drives",))
    assert read_subject(CONFIGS / "nightly.yaml") == scan
    train = read_subject(CONFIGS / "train.yaml")
    assert (train.datasets, train.outputs, train.model) == (("s3://raw/labelled",), ("s3://models/runs",), None)
    tune = read_subject(CONFIGS / "tune.yaml")
    assert (tune.datasets, tune.outputs) == (("s3://raw/labelled",), ("s3://models/sweeps",))
    assert read_subject(CONFIGS / "demo_model-semantic.yaml").datasets == ("runs/semantic/images",)
    ablate = read_subject(CONFIGS / "ablate.yaml")
    assert (ablate.datasets, ablate.outputs) == (("s3://raw/labelled",), ("s3://models/ablations",))


def test_a_night_a_start_and_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump({"warehouse": "w", "scan": {"drives": "one", "model": "m.zip"}}))
    assert read_subject(path) == Subject("w", "m.zip", ("one",))
    path.write_text(yaml.safe_dump({"initial": "coco.zip", "execution": {"cache_dir": "/big", "workers": 2}}))
    assert read_subject(path) == Subject(model="coco.zip", cache_dir="/big")
    path.write_text(yaml.safe_dump({"train": {"initial": "coco.safetensors"}}))
    assert read_subject(path).model is None  # weights, not a model file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[1, 2]", "expected a mapping"), (b"warehouse: [3]", "warehouse: got"), (b"drives: 3", "drives: got 3"),
        (b"scan: {model: [a]}", "scan.model: got"), (b"train: 1", "train: got 1"), (b"\xff", "not valid YAML"),
    ],
)  # fmt: skip
def test_configs_that_are_none(tmp_path: Path, text: bytes, words: str) -> None:
    (tmp_path / "job.yaml").write_bytes(text)
    with pytest.raises(ConfigError, match=words):
        read_subject(tmp_path / "job.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_subject(tmp_path / "no.yaml")
