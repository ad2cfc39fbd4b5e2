from __future__ import annotations

import pytest
from support.exported import ROWS
from support.viewed import warehouse_of

from roadscan.warehouse import Warehouse


@pytest.fixture(scope="session")
def register(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Three points and a guardrail, one of a class that somebody else has named."""
    return warehouse_of(tmp_path_factory.mktemp("exported"), *ROWS)
