"""What the command line shows of what is done: a config as YAML, a table in the end."""

from __future__ import annotations

import pytest
import yaml

from roadscan import terminal
from roadscan.scan.config import ScanConfig
from roadscan.terminal import (
    print_config,
    print_training,
)
from roadscan.train.result import TrainSummary

LOSSES = {"box_loss": 1.25, "cls_loss": 0.5, "dfl_loss": 1.0}


def test_a_config_is_yaml_in_a_narrow_terminal_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal.console, "width", 40)
    config = ScanConfig(drives=("s3://raw/" + "drive/" * 20,), warehouse="s3://warehouse/" + "highways/" * 20)
    print_config(config)
    assert yaml.safe_load(capsys.readouterr().out) == config.model_dump(mode="json")


def test_a_training_ends_with_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"map50": 0.8791, "map50_95": 0.7, "precision": 0.9, "recall": 0.8, "f1": 0.85, "confidence": 0.31}
    print_training("model.zip", TrainSummary("runs/a", 4, 3, "0" * 64, {"val": scores}, "cpu", "gloo"))
    out = capsys.readouterr().out
    assert ["val", "0.879", "0.700", "0.900", "0.800", "0.850", "0.310"] in [line.split() for line in out.splitlines()]
    assert "{" not in out
    assert ["device", "cpu"] in [line.split() for line in out.splitlines()]
