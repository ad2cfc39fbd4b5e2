"""Text that others wrote reaches a terminal, a spreadsheet and a log as text."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console
from rich.table import Table
from support.commands import PROGRAM

from roadscan.errors import OutputError
from roadscan.evaluate.detection.tables import ScoreTable
from roadscan.inventory import render
from roadscan.inventory.query.rendering import csv_text
from roadscan.live import progress
from roadscan.printing import Terminal, TerminalFormatter, cell, json_text
from roadscan.progress import Progress
from roadscan.report.page import Grid

#: As a contractor's class name: closing markup, a sequence that clears the screen, one of eight bits, and letters from
#: right to left.
HOSTILE = [
    "[/red]",
    "a\\[/red]",
    "[bold]x",
    "Sign\x1b[2J\x1b]0;title\x07",
    "\x9b2J",
    "a\u202egpj.exe",
    "x\r\x08y",
    "\ud800",
]
ACTS = "\x1b\x9b\x07\x08\r\u202e\ud800"


def printed(*what: Any, of: type[Console] = Terminal) -> str:
    out = io.StringIO()
    of(file=out, width=120).print(*what)
    return out.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_printed_as_text_wherever_it_stands(text: str) -> None:
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    for shown in (printed(text), printed("note:", text), printed(table)):
        assert not set(shown) & set(ACTS)
        assert cell(text).plain[-3:] in shown


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("how", ["table", "record", "json", "csv"])
def test_rows_with_hostile_text_and_names_are_printed(text: str, how: Any) -> None:
    text = text.replace("\ud800", "\udcff".encode(errors="replace").decode())  # Arrow has no half a pair
    for of in (Terminal, Console):
        out = io.StringIO()
        render(pa.table({text: [text, "a"]}), how, of(file=out, width=100))
        assert not set(out.getvalue()) & set(ACTS)


@pytest.mark.parametrize("text", HOSTILE)
def test_tables_of_scores_and_reports_take_any_name(text: str) -> None:
    for made in (
        ScoreTable(text, ["class", text], [[text, text]], text).rich(),
        Grid(["class", text], [[text, "1"]]).table(),
    ):
        for of in (Terminal, Console):
            assert not set(printed(made, of=of)) & set(ACTS)


def test_json_stays_json() -> None:
    for text in HOSTILE:
        assert json.loads(json_text({text: [text, "ป้าย"]}, indent=1)) == {text: [text, "ป้าย"]}
        assert not set(json_text([text])) & set(ACTS)


def test_a_log_line_shows_what_would_act() -> None:
    record = logging.LogRecord("roadscan", logging.WARNING, "", 0, "%s", ("a\x1b[2J",), None)
    assert TerminalFormatter("%(message)s").format(record) == "a\\x1b[2J"


@pytest.mark.parametrize("text", ['=HYPERLINK("http://a","b")', "+1+1", "-1+1", "@SUM(A1)", " =1+1", "\t=1"])
def test_csv_gives_a_spreadsheet_no_formula_unless_it_is_told_to(text: str) -> None:
    table = pa.table({"class": [text], "lon": [-100.5], "text": ["-12.5"], "note": ["a=b"]})
    rows = [list(csv.reader(io.StringIO(csv_text(table, guard=guard))))[1] for guard in (True, False)]
    assert rows == [[f"'{text}", "-100.5", "-12.5", "a=b"], [text, "-100.5", "-12.5", "a=b"]]


@pytest.mark.parametrize("how", ["table", "record", "json", "csv"])
def test_times_that_python_has_not_are_shown(how: Any) -> None:
    """290,000 years from now, within a list too, beside one of this year."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    us = pa.timestamp("us", "UTC")
    far = pa.array([2**62, int(now.timestamp()) * 10**6], us)
    days = pa.array([2**22, 0], pa.int32()).cast(pa.date32())
    out = io.StringIO()
    render(
        pa.table({"far": far, "days": days, "all": pa.array([[2**62], []], pa.list_(us))}),
        how,
        Terminal(file=out, width=200),
    )
    assert "148108-07-06T14:00:27.387904" in out.getvalue()  # 2^62 microseconds are 146,138.5 years of 365.2425 days
    assert "13453-08-13" in out.getvalue()
    assert "2026-01-02" in out.getvalue()


@pytest.mark.parametrize("gone", ["full", "closed"])
def test_what_cannot_be_printed_is_an_error_and_progress_goes_on_without_a_word(
    gone: str, caplog: pytest.LogCaptureFixture
) -> None:
    if gone == "full":
        out = Path("/dev/full").open("w")  # noqa: SIM115 - its buffer cannot be written at the end of a block either
    else:
        read, write = os.pipe()
        os.close(read)
        out = os.fdopen(write, "w")
    to = Terminal(file=out)
    with pytest.raises(OutputError, match="what is printed cannot be written"):
        to.print("result")
    with progress("frames", to) as bar:
        for done in range(3):
            bar(Progress("scan", done, 2, "frames"))
    assert caplog.text.count("no progress is shown from here on") == 1
    with suppress(OSError):
        out.close()


@pytest.mark.slow
def test_a_command_whose_output_cannot_be_written_says_so_in_a_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PROGRAM, "config", "scan"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        1, "error: what is printed cannot be written: No space left on device\n"
    )  # fmt: skip
