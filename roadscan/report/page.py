"""One HTML file with everything in it, to be opened from a disk or sent by mail."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from rich.box import SIMPLE
from rich.table import Table

from roadscan.parsing import PNG
from roadscan.printing import cell

STYLE = """
:root { --ink: #1d2733; --line: #e3e7eb; --soft: #66717d; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); }
body { margin: 0 auto; max-width: 1240px; padding: 2.2rem 1.4rem; }
h1 { margin: 0 0 .2rem; } h2 { margin: 2.4rem 0 .6rem; }
.facts { color: var(--soft); }
img { max-width: 100%; border-radius: 6px; }
.frames { display: grid; grid-template-columns: repeat(auto-fill, minmax(560px, 1fr)); gap: .8rem; }
.crops { display: flex; flex-wrap: wrap; gap: .8rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .85rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
td small { display: block; color: var(--soft); white-space: nowrap; }
.scroll { overflow-x: auto; }
h3 { margin: 1.4rem 0 .3rem; } p.caption { color: var(--soft); font-size: .85rem; max-width: 62rem; }
"""


@dataclass(frozen=True)
class Picture:
    """An image file and what it shows."""

    data: bytes
    caption: str = ""

    def html(self) -> str:
        """A figure with the image inside."""
        kind = "png" if self.data.startswith(PNG) else "jpeg"
        source, text = f"data:image/{kind};base64,{b64encode(self.data).decode()}", escape(self.caption)
        return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


@dataclass(frozen=True)
class Grid:
    """A table: header and rows of text."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def table(self) -> Table:
        """The same for a terminal."""
        made = Table(box=SIMPLE, collapse_padding=True, pad_edge=False)
        for number, name in enumerate(self.header):
            made.add_column(cell(name), justify="right" if number else "left", no_wrap=not number)
        for row in self.rows:
            made.add_row(*map(cell, row))
        return made

    def html(self) -> str:
        """A table element."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.header)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        return f"<table><tr>{head}</tr>{body}</table>"


@dataclass(frozen=True)
class Sentences:
    """Text, a sentence a line."""

    lines: Sequence[str]

    def html(self) -> str:
        """A list element."""
        return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in self.lines) + "</ul>"


class Part(Protocol):
    """What can stand in a section: `Picture`, `Grid`, or another table."""

    def html(self) -> str:
        """Its HTML."""


@dataclass(frozen=True)
class Section:
    """A heading, what stands below it, and how pictures are laid out (``frames``, ``crops`` or nothing)."""

    title: str
    parts: Sequence[Part]
    layout: str = ""

    def html(self) -> str:
        """The heading and the parts."""
        parts = "".join(part.html() for part in self.parts)
        return f'<h2>{escape(self.title)}</h2><div class="{self.layout}">{parts}</div>'


def page(title: str, facts: str, sections: Sequence[Section]) -> str:
    """The HTML of a report; a section without parts is left out."""
    body = "".join(section.html() for section in sections if section.parts)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        f'<h1>{escape(title)}</h1><p class="facts">{escape(facts)}</p>{body}</html>\n'
    )
