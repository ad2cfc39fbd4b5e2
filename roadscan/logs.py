"""How much roadscan tells of what it does, on standard error: by ``-v``, ``-q`` or the environment's ROADSCAN_LOG.

Warnings are told by default. Processes that a job starts on the same machine are told by the environment.
"""

from __future__ import annotations

import logging
import os
from collections.abc import MutableMapping

from roadscan.errors import ConfigError
from roadscan.printing import TerminalFormatter

VARIABLE = "ROADSCAN_LOG"
LEVELS = ("debug", "info", "warning", "error")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
QUIETEST, LOUDEST = -1, 2  # steps from warnings


def choose_level(steps: int, environment: MutableMapping[str, str]) -> str | None:
    """The level to log from; None where nobody asked for one. It is kept in the environment for processes to come.

    Args:
        steps: 1 for each ``-v``, -1 for ``-q``; 0 for what the environment says.
        environment: of this process.

    Raises:
        ConfigError: the environment names no level.
    """
    if steps:
        environment[VARIABLE] = LEVELS[LEVELS.index("warning") - max(QUIETEST, min(steps, LOUDEST))]
    level = environment.get(VARIABLE, "").lower()
    if level and level not in LEVELS:
        raise ConfigError(f"{VARIABLE}: got {level!r}; expected one of {', '.join(LEVELS)}")
    return level or None


def set_up_logging(steps: int = 0) -> None:
    """Log from the chosen level on; where none is chosen, Python's own way of telling warnings stays.

    Args:
        steps: as for `choose_level`.

    Raises:
        ConfigError: the environment names no level.
    """
    level = choose_level(steps, os.environ)
    if level is None:
        if logging.lastResort is not None:  # Python's own way
            logging.lastResort.setFormatter(TerminalFormatter())
        return
    logger = logging.getLogger("roadscan")
    logger.setLevel(level.upper())
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(TerminalFormatter(FORMAT))
        logger.addHandler(handler)
