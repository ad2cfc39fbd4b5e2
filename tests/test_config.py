from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import yaml
from pydantic import Field

from roadscan.config import Config, ZoneName, dump_config, load_config, overrides_of, replace_fields
from roadscan.demo.run import DemoConfig
from roadscan.errors import ConfigError
from roadscan.scan.config import ScanConfig

FIELDS = ["drives=[a]", "warehouse=w"]


def test_a_file_and_overrides_become_one_config(tmp_path: Path) -> None:
    file = tmp_path / "scan.yaml"
    file.write_text("drives: [a, b]\nwarehouse: w\nbatch_size: 4\n")
    config = load_config(ScanConfig, file, ["batch_size=8", "confidence=0.5"])
    assert (config.drives, config.warehouse, config.batch_size, config.confidence) == (("a", "b"), "w", 8, 0.5)


def test_the_printed_config_reads_back_as_itself(tmp_path: Path) -> None:
    config = load_config(ScanConfig, None, FIELDS)
    assert ScanConfig.model_validate(yaml.safe_load(dump_config(config))) == config


@pytest.mark.parametrize(
    "given",
    [FIELDS, ['drives=["a b", "2026"]', 'warehouse="007"', "confidence=0.00001", "batch_size=4", 'summary="it: # 1"']],
)
def test_a_configs_overrides_make_it_again(given: list[str]) -> None:
    config = load_config(ScanConfig, None, given)
    words = overrides_of(config)
    assert load_config(ScanConfig, None, words) == config
    assert len(words) == len(given)  # no default is said


class Texts(Config):
    """Text in every place that a config has for it."""

    text: str = "given"
    unset: str | None = "given"
    choice: Literal["on", "off"] = "off"
    zone: ZoneName = "UTC"
    many: tuple[str, ...] = ()
    by_name: dict[str, str] = Field({})
    either: int | str = 0
    numbers: tuple[int, float] | None = None
    flag: bool = False


# What plain YAML would make something else of, or would not read.
WORDS = [
    "007",
    "no",
    "on",
    "12:30",
    "2026-11-01",
    "2026-13-45",
    "1e3",
    "0x1f",
    "%Y%m%d",
    "@eaDir",
    "#1",
    "[fr](.*)",
    "~",
    "{a",
]


@pytest.mark.parametrize("word", [*WORDS, "a: b", "- a", "it: # 1", "null and void", "'a' or 'b'", "ป้าย"])
def test_text_on_the_command_line_is_taken_as_typed(word: str) -> None:
    config = load_config(Texts, None, [f"text={word}", f"unset={word}"])
    assert (config.text, config.unset) == (word, word)
    assert load_config(Texts, None, overrides_of(config)) == config


@pytest.mark.parametrize("word", WORDS[:8])
def test_text_in_a_file_is_taken_as_typed(tmp_path: Path, word: str) -> None:
    file = tmp_path / "texts.yaml"
    file.write_text(f"text: {word}\nunset: {word}\nmany: [{word}, a]\nby_name: {{{word}: {word}}}\n")
    config = load_config(Texts, file)
    assert (config.text, config.unset, config.many, config.by_name) == (word, word, (word, "a"), {word: word})


def test_text_within_lists_and_mappings_is_taken_as_typed() -> None:
    config = load_config(Texts, None, ["many=[no, 007, a]", "by_name={no: 12:30}", "by_name.lon=007", "choice=on"])
    assert (config.many, config.by_name, config.choice) == (("no", "007", "a"), {"no": "12:30", "lon": "007"}, "on")


def test_quotes_around_text_are_no_part_of_it() -> None:
    config = load_config(Texts, None, ["text='007'", 'unset="null"', "zone='Asia/Bangkok'"])
    assert (config.text, config.unset, config.zone) == ("007", "null", "Asia/Bangkok")


def test_text_is_unset_by_nothing_and_by_null(tmp_path: Path) -> None:
    assert [load_config(Texts, None, [f"unset={word}"]).unset for word in ("", "null", " ")] == [None, None, None]
    assert load_config(Texts, None, ["text="]).text == ""
    file = tmp_path / "texts.yaml"
    file.write_text("unset: ~\n")
    assert load_config(Texts, file).unset is None


def test_fields_that_are_no_text_are_read_as_yaml() -> None:
    config = load_config(Texts, None, ["either=007", "numbers=[1, 2.5]", "flag=yes"])
    assert (config.either, config.numbers, config.flag) == (7, (1, 2.5), True)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], ["drives: required", "warehouse: required"]),
        ([*FIELDS, "colour=red"], ["colour: unknown field", "batch_size"]),
        ([*FIELDS, "batch_size=0"], ["batch_size: got 0", "greater than or equal to 1"]),
        ([*FIELDS, "task=draw"], ["task: got 'draw'", "'detect', 'segment' or 'semantic'"]),
        ([*FIELDS, "drives=[]"], ["drives: got []", "at least 1"]),
        (["nonsense"], ["--set nonsense", "field=value"]),
        ([*FIELDS, "warehouse.x=1"], ["'warehouse' is a value"]),
        ([*FIELDS, "batch_size=[1"], ["not valid YAML"]),
    ],
)
def test_every_wrong_field_is_named(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(ScanConfig, None, overrides)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(("text", "words"), [("- a\n- b\n", "mapping"), ("a: [", "not valid YAML")])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_config(ScanConfig, file)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*No such file"):
        load_config(ScanConfig, "nowhere.yaml")


def test_the_fingerprint_follows_rows_and_not_speed() -> None:
    base = load_config(ScanConfig, None, FIELDS)
    assert load_config(ScanConfig, None, [*FIELDS, "batch_size=3"]).fingerprint() == base.fingerprint()
    assert load_config(ScanConfig, None, [*FIELDS, "confidence=0.3"]).fingerprint() != base.fingerprint()


def test_each_class_may_have_its_lowest_score() -> None:
    one = load_config(ScanConfig, None, [*FIELDS, "confidence={sign: 0.3, no: 0.1}"])
    assert one.confidence == {"sign": 0.3, "no": 0.1}
    other = load_config(ScanConfig, None, [*FIELDS, "confidence={no: 0.1, sign: 0.3}"])
    assert one.fingerprint() == other.fingerprint()
    assert load_config(ScanConfig, None, [*FIELDS, "confidence.sign=0.3"]).confidence == {"sign": 0.3}
    with pytest.raises(ConfigError, match=r"confidence.*sign: got 2; .*less than 1"):
        load_config(ScanConfig, None, [*FIELDS, "confidence={sign: 2}"])


def test_an_unknown_field_of_a_group_is_told_that_groups_fields() -> None:
    with pytest.raises(ConfigError, match=r"roads\.foo: unknown field; known fields: .*length_km"):
        load_config(DemoConfig, None, ["roads.foo=1"])
    with pytest.raises(ConfigError, match=r"slices\.size: unknown field; known fields: overlap_px, .*size_px"):
        load_config(ScanConfig, None, [*FIELDS, "slices={size: 320}"])


def test_an_override_of_one_field_leaves_the_others(tmp_path: Path) -> None:
    assert load_config(DemoConfig, None, ["roads.length_km=1"]).roads.seed == DemoConfig().roads.seed == 5
    file = tmp_path / "x.yaml"
    file.write_text("roads:\n")
    assert load_config(DemoConfig, file, ["roads.length_km=1"]).roads.length_km == 1


def test_fields_are_replaced_by_dotted_name() -> None:
    base = load_config(DemoConfig, None, ["roads.length_km=1"])
    other = replace_fields(base, {"roads.seed": 9, "roads.nights": 3})
    assert (other.roads.seed, other.roads.nights, other.roads.length_km) == (9, 3, 1)
    assert base.roads.seed == 5
    assert replace_fields(base, {}) == base


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"roads.sed": 1}, "roads.sed: unknown field; known fields: .*seed"),
        ({"colour": 1}, "colour: unknown field; known fields: .*roads"),
        ({"roads.length_km": -1}, "roads.length_km: got -1; "),
        ({"roads.length_km.x": 1}, "roads.length_km.x: 'length_km' is a value, not a group of fields"),
    ],
)
def test_a_replaced_field_is_checked(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace_fields(DemoConfig(), fields)
