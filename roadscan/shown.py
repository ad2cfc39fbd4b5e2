"""What others wrote, as a message or a terminal may show it: short, on one line, and without characters that act."""

from __future__ import annotations

import reprlib
import unicodedata
from typing import Any

LENGTH = 200  # of a value in a message
_ACTS = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format (as right-to-left marks), surrogates, separators of lines
_JOINERS = "\u200c\u200d"  # of Persian, Indic and Thai writing: format characters that only shape their neighbours

_repr = reprlib.Repr()
_repr.maxlevel, _repr.maxstring, _repr.maxother, _repr.maxlong = 3, 120, 120, 60
_repr.maxlist = 30  # the columns of a table that one is looked for in


def printable(text: str, keep: str = "") -> str:
    r"""A text with every character that acts on a terminal shown as Python writes it.

    Args:
        text: anything.
        keep: such characters that may stay, as ``"\n"``.

    >>> printable("Sign\x1b[2J\n\u202egnp"), printable("ป้าย é")
    ('Sign\\x1b[2J\\n\\u202egnp', 'ป้าย é')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(ascii(char)[1:-1] if acts(char) and char not in keep else char for char in text)


def shown(value: Any) -> str:
    """A value that was got, as a message quotes it: as Python writes it, cut where it is long or deep.

    >>> shown("abc"), shown({"a": [[[[1]]]]}), len(shown("x" * 10_000)) <= LENGTH
    ("'abc'", "{'a': [[[...]]]}", True)
    """
    return _cut(printable(_repr.repr(value)))


def said(error: BaseException) -> str:
    """What an error of another library says, or its type where it says nothing.

    >>> said(ValueError("no digits")), said(MemoryError())
    ('no digits', 'MemoryError')
    """
    return _cut(" ".join(printable(str(error), keep="\n").split())) or type(error).__name__


def acts(char: str) -> bool:
    """Whether a character does something to a terminal other than being seen."""
    return unicodedata.category(char) in _ACTS and char not in _JOINERS


def _cut(text: str) -> str:
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"
