"""Warehouses on disk and in a real S3 store."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadscan.warehouse import Warehouse


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """An empty warehouse."""
    if request.param == "disk":
        return Warehouse(str(tmp_path / "warehouse"))
    request.getfixturevalue("s3")
    return Warehouse(f"s3://warehouse/{tmp_path.name}")
