"""Run the installed `roadscan` command as a user would, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROGRAM = str(Path(sys.executable).parent / "roadscan")
Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ("TMPDIR", "RAY_TMPDIR")  # where programs, and Ray on this machine alone, write what nobody asked for


def roadscan(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end; output is captured, and standard input is empty."""
    return subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def sets(**fields: object) -> list[str]:
    """`--set name=value` for each field."""
    return [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
