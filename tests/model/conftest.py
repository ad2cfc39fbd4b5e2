"""Where networks are converted for other backends: once a run of the tests, since a conversion takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.once import made_once


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ``XDG_CACHE_HOME``; whoever comes first converts, under a lock that the program itself takes."""
    return made_once(tmp_path_factory, "converted", lambda _: None)
