"""YAML read so that text stays what was typed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from roadscan.errors import Malformed
from roadscan.yamltext import Typed, as_text, read_typed, read_yaml

TREE = """
names: [no, yes, 007, sign, '12']
0: pole
day: 2026-11-01
base: &base {a: ~}
other: {<<: *base, b: 1.5}
"""


def test_as_text_keeps_what_was_typed() -> None:
    assert as_text(read_typed(TREE)) == {
        "names": ["no", "yes", "007", "sign", "12"],
        "0": "pole",
        "day": "2026-11-01",
        "base": {"a": None},
        "other": {"a": None, "b": "1.5"},
    }


def test_a_scalar_is_known_both_ways() -> None:
    assert read_typed("2026-11-01") == Typed("2026-11-01", date(2026, 11, 1))
    assert read_typed("2026-13-45") == Typed("2026-13-45", "2026-13-45")
    assert read_typed("") is None
    assert as_text(read_typed("")) is None


@pytest.mark.parametrize("text", ["a: [", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_yaml_or_no_data_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="not valid YAML"):
        read_typed(text)


@pytest.mark.parametrize("read", [read_typed, read_yaml])
def test_a_key_that_comes_twice_is_refused(read: Callable[[str], object]) -> None:
    """PyYAML takes the last one: half of a config would count for nothing, without a word."""
    with pytest.raises(Malformed, match="key 'lr' twice, in lines 3 and 5; expected it once"):
        read("train:\n  inner:\n    lr: 1\n    lr2: 2\n    lr: 3\n")
    with pytest.raises(Malformed, match="key '1' twice, in lines 1 and 1"):
        read("{names: {1: sign, '1': pole}}")  # both are the text 1
    assert read("base: &base {a: x, b: y}\nother: {<<: *base, b: z}\nlist: [{a: x}, {a: y}]\n") == {
        "base": {"a": "x", "b": "y"},
        "other": {"a": "x", "b": "z"},
        "list": [{"a": "x"}, {"a": "y"}],
    }


def test_aliases_that_mean_billions_of_values_or_themselves_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(Malformed, match="aliases mean more than"):
        read_typed("\n".join(lines))
    with pytest.raises(Malformed, match="never ends"):
        read_typed("a: &a [*a]")
    assert as_text(read_typed("a: &a [1]\nb: [*a, *a]")) == {"a": ["1"], "b": [["1"], ["1"]]}
