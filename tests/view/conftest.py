from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.viewed import Pages, nights, served

from roadscan.view import open_site


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The register of three nights, served."""
    warehouse = nights(tmp_path_factory.mktemp("viewed"))
    with served(open_site(warehouse.store.uri)) as made:
        yield made
