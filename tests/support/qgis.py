"""Debian's QGIS, which reads what roadscan writes and serves, where it is installed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

PYTHON = Path("/usr/bin/python3")  # Debian's, which has python3-qgis
#: A layer's name -> what a script, which ends in `found[name] = …`, has found out of it.
SCRIPT = """
import json, sys
from qgis.core import QgsApplication, QgsVectorLayer
app = QgsApplication([], False)
app.initQgis()
found = {{}}
for name in ("assets", "assets_lines"):
{look}
print(json.dumps(found))
"""


def _is_there() -> bool:
    asked = [PYTHON, "-c", "import qgis.core"]
    return PYTHON.exists() and not subprocess.run(asked, capture_output=True, env={}, check=False).returncode


needs_qgis = pytest.mark.skipif(not _is_there(), reason="needs QGIS, of Debian's python3-qgis")


def in_qgis(look: str, address: str, home: Path) -> dict[str, Any]:
    """What lines of Python find out of each layer, by its name; `name` is that, and `sys.argv[1]` the address."""
    environment = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    script = SCRIPT.format(look="".join(f"    {line}\n" for line in look.strip().splitlines()))
    done = subprocess.run(
        [PYTHON, "-c", script, address], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
