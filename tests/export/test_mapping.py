"""An agency's names: those that are shipped, and files of users."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.exported import ROWS
from support.viewed import warehouse_of

from roadscan.errors import ConfigError, WarehouseError
from roadscan.export import Asked, export_register
from roadscan.export.mapping import SHIPPED, read_mapping
from roadscan.warehouse import Warehouse


def exported(register: Warehouse, folder: Path, mapping: str, asked: Asked | None = None) -> list[dict[str, str]]:
    export_register(
        register.store.uri, str(folder / "a.csv"), asked or Asked(), mapping=mapping, overwrite=True, guard=False
    )
    with (folder / "a.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def own(folder: Path, text: str) -> str:
    (folder / "own.yaml").write_text(text)
    return str(folder / "own.yaml")


def test_fields_are_expressions_or_looked_up_and_what_is_not_there_is_counted(
    register: Warehouse, tmp_path: Path
) -> None:
    mapping = own(
        tmp_path,
        """
        layer: borden
        where: length_m IS NULL
        fields:
          Bord Nr: coalesce(control_id, asset_id)
          status: {of: state, values: {confirmed: 007, missing: ~}}
          km: round(km_m / 1000, 1)
          'quote "': asset_id
        """,
    )
    rows = exported(register, tmp_path, mapping)
    assert [(row["Bord Nr"], row["status"], row["km"], row['quote "']) for row in rows] == [
        ("sign", "007", "2.4", "sign"),
        ("M-7", "", "9", "gone"),
        ("=1+1", "", "", "odd"),
    ]
    assert list(rows[0]) == ["WKT", "Bord Nr", "status", "km", 'quote "']
    made = export_register(register.store.uri, str(tmp_path / "b.gpkg"), Asked(), mapping=mapping)
    assert made.features == {"borden": 3}
    assert made.lost == ("1 of status: not in the table of values, so empty",)  # suspect; missing is there, as nothing


def test_a_mapping_of_rows_that_only_have_coordinates_has_their_places(register: Warehouse, tmp_path: Path) -> None:
    mapping = own(tmp_path, "fields: {what: asset_id}")
    (row, *_) = exported(register, tmp_path, mapping, Asked("SELECT asset_id, lon, lat FROM assets ORDER BY lon DESC"))
    assert (row["WKT"], row["what"]) == ("POINT (100.6 13.75)", "gone")


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_gives_every_field_from_a_register(name: str, register: Warehouse, tmp_path: Path) -> None:
    rows = exported(register, tmp_path, name)
    assert list(rows[0]) == ["WKT", *read_mapping(name).fields]
    assert read_mapping(name).source


def test_signs_are_as_the_netherlands_have_them(tmp_path: Path) -> None:
    here = {"lon": 5.38, "lat": 52.16}
    made = warehouse_of(
        tmp_path / "w",
        here | {"asset_id": "own", "class": "J37", "state": "missing"},
        here | {"asset_id": "zone", "class": "A1(Zone)", "control_id": "HR-23"},
        here | {"asset_id": "plain", "class": "Warning Sign"},
        here | {"asset_id": "tree", "class": "Tree"},
        here | {"asset_id": "not", "class": "C6", "state": "rejected"},
        {"asset_id": "rail", "class": "C1", "line": [(5.3, 52.1), (5.31, 52.1)]},
    )
    found = {
        row["externalId"]: (row["rvvCode"], row["status"], row["validated"]) for row in exported(made, tmp_path, "ndw")
    }
    assert found == {
        "own": ("J37", "REMOVED", "n"),
        "HR-23": ("A1(Zone)", "PLACED", "j"),
        "plain": ("", "PLACED", "n"),
    }


def test_elements_of_mire_are_miles_of_a_route(register: Warehouse, tmp_path: Path) -> None:
    found = {row["asset_id"]: row for row in exported(register, tmp_path, "mire")}
    begin, end = "Begin Point Segment Descriptor", "End Point Segment Descriptor"
    # 2400 m are 2400 / 1609.344 = 1.491 miles; the rail is from 0.062 to 0.155.
    assert (found["sign"]["Route Number"], found["sign"][begin], found["sign"][end]) == ("0002", "1.491", "1.491")
    assert (found["rail"][begin], found["rail"][end]) == ("0.062", "0.155")
    assert len(found) == len(ROWS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fields: {}", "fields"),
        ("[1]", "expected a mapping of fields"),
        ("fields: {a: {of: class}}", "values"),
        ("fields: {a: class}\nother: 1", "other"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_field(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        read_mapping(own(tmp_path, text))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("nothing", "nothing"),
        ("(SELECT content FROM read_text('/etc/passwd'))", "disabled|not allowed|Permission"),
        ("1) FROM assets; DROP TABLE assets; --", "expected one SELECT|syntax error"),
    ],
)
def test_an_expression_only_reads_the_release(expression: str, words: str, register: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=words):
        exported(register, tmp_path, own(tmp_path, f"fields: {{a: {expression!r}}}"))
    assert not (tmp_path / "a.csv").exists()
