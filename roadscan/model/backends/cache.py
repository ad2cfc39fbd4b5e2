"""Converted networks on disk, so that a later process starts without PyTorch's network or a conversion.

    $XDG_CACHE_HOME/roadscan/engines/<model sha256>-<backend>-<versions>-r<revision>/
        model.xml, model.bin, model.onnx …    what the backend reads
        verdict-<backend>-….json              for what it runs on, its version and a processor: whether it agrees

Where ``XDG_CACHE_HOME`` is not set, it is ``~/.cache``; where that cannot be written, the folder for temporary files.
An engine's folder appears whole or not at all, whoever else makes the same one, and may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from roadscan.errors import ModelError
from roadscan.model.bundle import Bundle
from roadscan.storage import sha256_hex

REVISION = 1  # of what is exported and how it is judged: another one makes every engine anew
CONVERTERS = ("torch", "ultralytics-opencv-headless")  # whose versions may change what is exported
logger = logging.getLogger(__name__)


def engine_folder(bundle: Bundle, backend: str, packages: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """The folder of a model's engine, made where there is none.

    Args:
        bundle: the model.
        backend: whose engine it is.
        packages: distributions whose version goes into the name, besides PyTorch and Ultralytics.
        make: writes the engine's files into an empty folder.

    Raises:
        ModelError: the model is in no file, so there is nothing to know its engine by.
    """
    if not bundle.sha256:
        raise ModelError(f"backend {backend}: needs a model that was written to a file; set backend=torch")
    versions = "-".join(version(package) for package in (*packages, *CONVERTERS))
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = _engines_in(Path(caches)) / f"{bundle.sha256}-{backend}-{versions}-r{REVISION}"
    if folder.exists():
        return folder
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # many processes of a node start at once: one converts, the others wait
        if not folder.exists():
            made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
            try:
                make(made)
                made.rename(folder)
            finally:
                shutil.rmtree(made, ignore_errors=True)
    return folder


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that another process reads whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)


@cache
def machine() -> str:
    """This processor in 12 letters: kernels, and so results, are chosen by what it can do."""
    lines = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    told = sorted({line for line in lines.splitlines() if line.startswith(("model name", "flags", "Features"))})
    return sha256_hex("\n".join(told).encode())[:12]


@cache
def _engines_in(caches: Path) -> Path:
    root = caches / "roadscan" / "engines"
    spare = Path(tempfile.gettempdir()) / f"roadscan-engines-{os.getuid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=root).close()
    except OSError as error:
        logger.warning("%s cannot be written (%s): engines are kept in %s instead", root, error.strerror, spare)
        root = spare
        root.mkdir(mode=0o700, exist_ok=True)
        if root.stat().st_uid != os.getuid():  # somebody else's folder under our name: nothing is to be read from there
            raise ModelError(f"{root}: belongs to another user; set XDG_CACHE_HOME to a folder of your own") from None
    return root
