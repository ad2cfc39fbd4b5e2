"""The wheel, installed into an environment of its own and used from outside of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from support.commands import ROOT


@dataclass(frozen=True)
class Installed:
    """A virtual environment with roadscan's wheel.

    Attributes:
        root: of all that `install` made.
    """

    root: Path

    @property
    def wheel(self) -> Path:
        """The wheel itself."""
        (wheel,) = self.root.glob("*.whl")
        return wheel

    @property
    def venv(self) -> Path:
        """The environment."""
        return self.root / "venv"

    def run(self, folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of its programs, in a folder; it sees no path of the repository."""
        tools = f"{self.venv / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"  # the demo's S3 server
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        return subprocess.run(
            [self.venv / "bin" / program, *arguments],
            cwd=folder,
            env={**environment, "PATH": tools, "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def install(root: Path) -> None:
    """Fill an empty folder: the wheel alone is new, what it depends on is this environment's.

    That one's folder is added by a `.pth` file, whose own `.pth` files are not gone through.
    """
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", root, ROOT], check=True, cwd=root
    )
    one = Installed(root)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", one.venv], check=True)
    subprocess.run(
        [*pip, "--python", one.venv / "bin/python", "install", "--no-deps", "--no-index", one.wheel], check=True
    )
    packages = next(one.venv.glob("lib/python*/site-packages"))
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"])
