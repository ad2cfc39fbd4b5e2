"""The door to a terminal: text is text, whoever wrote it. No markup is read in it, and what would act is shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType  # noqa: TID251 - the door
from rich.segment import Segment
from rich.text import Text

from roadscan.errors import OutputError
from roadscan.shown import acts, printable

LAYOUT = "\n\t"  # characters that act, and may


class Terminal(Console):
    """A console that prints what it is given: ``[red]`` is five characters, and an escape sequence is seen, not obeyed.

    Args:
        options: as of `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, **options})

    def print(self, *what: Any, **options: Any) -> None:
        """As of `rich.console.Console`.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            super().print(*what, **options)
        except OSError as error:
            if self.stderr:  # so nobody can be told
                return
            raise OutputError(f"what is printed cannot be written: {error.strerror or error}") from None

    def on_broken_pipe(self) -> None:
        """Have that be an error as another one; as of `rich.console.Console`, which would end the program."""
        if not self.stderr:
            raise OutputError("what is printed cannot be written: its reader has gone")

    def render_str(self, text: str, **options: Any) -> Text:
        """As of `rich.console.Console`, which would leave some characters out."""
        return super().render_str(printable(text, LAYOUT), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As of `rich.console.Console`; all that is printed comes through here."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text, LAYOUT), segment.style)


class TerminalFormatter(logging.Formatter):
    """Lines of a log, likewise."""

    def format(self, record: logging.LogRecord) -> str:
        """As of `logging.Formatter`."""
        return printable(super().format(record), LAYOUT)


def cell(text: str, style: str = "") -> Text:
    r"""A text as a cell, title or caption of a rich table, for any console.

    >>> cell("[/red]\x1b[2J").plain
    '[/red]\\x1b[2J'
    """
    return Text(printable(text, LAYOUT), style)


def json_text(tree: Any, indent: int | None = None) -> str:
    r"""A tree as JSON in which every character that acts is written as JSON escapes it; the rest as it is.

    >>> json_text(["ป้าย", "\x9b2J"])
    '["ป้าย", "\\u009b2J"]'
    """
    text = json.dumps(tree, ensure_ascii=False, indent=indent)
    return "".join(json.dumps(char)[1:-1] if acts(char) and char != "\n" else char for char in text)
