"""YAML read so that text stays what was typed."""

from __future__ import annotations

from datetime import date

import pytest
import yaml

from roadscan.yamltext import Typed, as_text, read_typed

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
    with pytest.raises(yaml.YAMLError):
        read_typed(text)
