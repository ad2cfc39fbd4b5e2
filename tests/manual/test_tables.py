"""The generated pages: every field and every column once, in the repository as the code has them now."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from roadscan import schemas
from roadscan.manual.columns import drive_frames, warehouse_tables
from roadscan.manual.tables import config_tables, markdown_table, schema_tables

ROOT = Path(__file__).resolve().parents[2]


def test_the_pages_of_the_repository_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("pages", ROOT / ".ci/pages.py")
    assert spec is not None
    assert spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    monkeypatch.setattr("sys.argv", ["pages.py", "--check"])
    assert pages.main() == 0
    page = (ROOT / "jobs/README.md").read_text()
    assert pages.replaced(page, "configs", "other") != page
    with pytest.raises(SystemExit, match="no <!-- nothing -->"):
        pages.replaced(page, "nothing", "")


def test_every_column_is_told_with_its_type_and_its_comment() -> None:
    tables = {**warehouse_tables(), "drive": drive_frames()}
    for name, schema in {**schemas.TABLES, "drive": schemas.DRIVE_FRAMES}.items():
        assert [column.name for column in tables[name].columns] == schema.names
        assert [column.nullable for column in tables[name].columns] == [field.nullable for field in schema]
    told = {column.name: column.description for column in tables["assets"].columns}
    assert told["existence"] == "probability that it stands"
    assert told["district"] == "that looks after the section"
    assert tables["runs"].description == "One row a scanned drive."
    (action,) = [column for column in tables["reviews"].columns if column.name == "action"]
    assert action.description.startswith("accept | reject | merge")


def test_every_field_of_the_shipped_configs_is_in_the_tables() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", config_tables(), re.MULTILINE | re.DOTALL))
    for path in sorted((ROOT / "jobs/configs").glob("*.yaml")):
        for field, value in yaml.safe_load(path.read_text()).items():
            inner = [f"{field}.{name}" for name in value] if isinstance(value, dict) else []
            told = sections[path.stem.partition("-")[0]]  # demo_model-semantic.yaml is of demo_model
            assert f"| `{field}` |" in told or all(f"| `{name}`" in told for name in inner), (path, field)


def test_a_cell_cannot_break_a_row() -> None:
    rows = markdown_table(["a", "b"], [["x | y", "z"]]).splitlines()
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3, 3, 3]
    for row in (config_tables() + schema_tables()).splitlines():
        assert not row.startswith("|") or len(re.findall(r"(?<!\\)\|", row)) == 6, row
