"""Packages that export names of their modules without importing them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

STAGES = ["scan", "train", "tune", "nightly"]


@pytest.mark.parametrize("stage", STAGES)
def test_every_exported_name_is_there(stage: str) -> None:
    package = import_module(f"roadscan.{stage}")
    assert all(getattr(package, name).__name__ == name for name in package.__all__)


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    package = import_module("roadscan.scan")
    with pytest.raises(AttributeError, match=r"module 'roadscan.scan' has no attribute 'rum_scan'"):
        _ = package.rum_scan


@pytest.mark.parametrize(
    "statement", ["from roadscan.scan import ScanConfig", "from roadscan.train.reporter import Reporter"]
)
def test_what_needs_neither_torch_nor_ray_is_imported_without_them(statement: str) -> None:
    code = f"import sys; {statement}; print({{'torch', 'ray'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
