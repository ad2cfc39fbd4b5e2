"""How much is logged: by options, by the environment, and nothing by themselves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.commands import roadscan

from roadscan.errors import ConfigError
from roadscan.logs import VARIABLE, choose_level

TELL = "; ".join(f"logging.getLogger('roadscan.scan').{level}('a {level}')" for level in ("debug", "info", "warning"))
CODE = f"import logging; from roadscan.logs import set_up_logging; set_up_logging({{steps}}); {TELL}"


def logged(steps: int, **environment: str) -> list[str]:
    """What a new process writes to standard error, without times."""
    command = [sys.executable, "-c", CODE.format(steps=steps)]
    clean = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**clean, **environment})
    assert done.stdout == ""
    return [line.partition(",")[2].partition(" ")[2] or line for line in done.stderr.splitlines()]


def test_by_default_warnings_alone_are_told_as_python_does() -> None:
    assert logged(0) == ["a warning"]


@pytest.mark.parametrize(
    ("steps", "environment", "levels"),
    [
        (1, {}, ["info", "warning"]),
        (2, {}, ["debug", "info", "warning"]),
        (5, {}, ["debug", "info", "warning"]),
        (-1, {}, []),
        (0, {VARIABLE: "INFO"}, ["info", "warning"]),
        (0, {VARIABLE: "error"}, []),
        (1, {VARIABLE: "error"}, ["info", "warning"]),
    ],
)
def test_options_and_the_environment_choose_the_level(
    steps: int, environment: dict[str, str], levels: list[str]
) -> None:
    assert logged(steps, **environment) == [f"{level.upper()} roadscan.scan: a {level}" for level in levels]


def test_the_choice_is_there_for_processes_to_come() -> None:
    environment: dict[str, str] = {}
    assert choose_level(2, environment) == "debug"
    assert environment == {VARIABLE: "debug"}
    assert choose_level(0, {}) is None


def test_a_level_that_there_is_not_is_named() -> None:
    with pytest.raises(ConfigError, match="ROADSCAN_LOG: got 'loud'; expected one of debug, info, warning, error"):
        choose_level(0, {VARIABLE: "loud"})
    done = roadscan("config", "scan", **{VARIABLE: "loud"})
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
