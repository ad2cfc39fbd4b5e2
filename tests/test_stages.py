"""The one rule for stages: ``run_<stage>(config, …, on_progress) -> <Stage>Summary`` in ``run.py``."""

from __future__ import annotations

from importlib import import_module
from inspect import signature

import pytest

from roadscan.progress import silent


@pytest.mark.parametrize("stage", ["scan", "inventory", "train", "tune", "nightly"])
def test_every_stage_is_entered_alike(stage: str) -> None:
    run = getattr(import_module(f"roadscan.{stage}.run"), f"run_{stage}")
    parameters = signature(run).parameters
    assert next(iter(parameters)) == "config"
    assert parameters["config"].annotation == f"{stage.capitalize()}Config"
    assert parameters["on_progress"].default is silent
    assert signature(run).return_annotation == f"{stage.capitalize()}Summary"
    assert getattr(import_module(f"roadscan.{stage}"), run.__name__) is run
