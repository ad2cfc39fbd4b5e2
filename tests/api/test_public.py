"""The public names: all there, typed, and imported only when they are asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import roadscan
from roadscan import errors

HEAVY = {"torch", "ray", "duckdb", "pyarrow", "cv2", "ultralytics", "pandas"}


def modules_after(statement: str) -> set[str]:
    """The modules that a new process has imported once it has run a statement."""
    code = f"{statement}\nimport json, sys\nsys.stderr.write(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr))


def test_importing_roadscan_imports_nothing_heavy() -> None:
    assert not modules_after("import roadscan") & HEAVY


def test_asking_for_a_warehouse_imports_no_torch_and_no_ray() -> None:
    found = modules_after("import roadscan; roadscan.open_warehouse")
    assert "duckdb" in found
    assert not found & {"torch", "ray", "cv2", "ultralytics"}


def test_the_help_needs_no_torch_ray_or_duckdb() -> None:
    found = modules_after("from roadscan import cli; assert cli.run(['--help']) == 0")
    assert not found & {"torch", "ray", "duckdb"}


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    assert set(roadscan.__all__) <= set(dir(roadscan))
    for name in roadscan.__all__:
        assert getattr(roadscan, name).__doc__, name


def test_every_error_is_public() -> None:
    raised = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert raised <= set(roadscan.__all__)


def test_a_misspelt_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_warehose'"):
        roadscan.open_warehose  # noqa: B018
    with pytest.raises(ImportError, match="open_warehose"):
        from roadscan import open_warehose  # noqa: F401


@pytest.mark.slow
def test_no_public_name_is_a_package_below_too() -> None:
    """``import roadscan.scan.run`` sets the attribute `scan`: a function of that name would be gone."""
    found = modules_after("import roadscan\nfor name in roadscan.__all__: getattr(roadscan, name)")
    assert not {f"roadscan.{name}" for name in roadscan.__all__} & found
