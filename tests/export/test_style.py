"""Styles as XML has them, and as QGIS itself reads them where it is installed."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.exported import HOSTILE
from support.qgis import in_qgis, needs_qgis

from roadscan.export import Asked, export_register
from roadscan.export.style import style_qml
from roadscan.palette import colors_of
from roadscan.warehouse import Warehouse

LOOK = """
layer = QgsVectorLayer(f"{sys.argv[1]}|layername={name}", name, "ogr")
root = layer.renderer().rootRule()
told = [[one.label(), [each.label() for each in one.children()]] for one in root.children()]
found[name] = [layer.featureCount(), told]
broken = [one.filterExpression() for one in root.descendants() if one.filter() and one.filter().hasParserError()]
assert not broken, broken
"""


def rules(qml: str) -> list[tuple[str, str, list[str]]]:
    root = ElementTree.fromstring(qml)
    return [
        (one.get("label", ""), one.get("filter", ""), [each.get("label", "") for each in one])
        for one in root.findall("renderer-v2/rules/rule")
    ]


def test_a_class_has_its_colour_and_each_state_that_there_is_its_form() -> None:
    qml = style_qml("Point", {("Bus Stop", "missing"), ("Bus Stop", "confirmed"), ("Warning Sign", "suspect")})
    assert rules(qml) == [
        ("Bus Stop", "\"class\" = 'Bus Stop'", ["confirmed", "missing"]),
        ("Warning Sign", "\"class\" = 'Warning Sign'", ["suspect"]),
        ("others", "ELSE", []),
    ]
    symbols = ElementTree.fromstring(qml).findall("renderer-v2/symbols/symbol")
    (bus, sign) = colors_of(["Bus Stop", "Warning Sign"])
    colour = {one.get("name"): ElementTree.tostring(one, "unicode") for one in symbols}
    for number, hex_ in (("0", bus), ("1", bus), ("2", sign)):
        red, green, blue = (int(hex_[place : place + 2], 16) for place in (1, 3, 5))
        assert f"{red},{green},{blue},255" in colour[number]
    assert len({text.replace("0", "") for text in colour.values()}) == 4


def test_without_classes_all_look_alike() -> None:
    assert rules(style_qml("LineString", set())) == [("", "", [])]


def test_a_hostile_class_is_a_text_of_the_style() -> None:
    ((label, condition, states), _) = rules(style_qml("Point", {(HOSTILE, "confirmed")}))
    assert label == HOSTILE.replace("\x1b", "\\x1b")
    assert condition == '"class" = ' + "'" + HOSTILE.replace("'", "''").replace("\x1b", "\\\\x1b") + "'"
    assert states == ["confirmed"]


@pytest.mark.slow
@needs_qgis
def test_qgis_opens_each_layer_with_its_style(register: Warehouse, tmp_path: Path) -> None:
    export_register(register.store.uri, str(tmp_path / "a.gpkg"), Asked())
    found = in_qgis(LOOK, str(tmp_path / "a.gpkg"), tmp_path)
    assert found["assets"] == [
        3,
        [["Warning Sign", ["confirmed", "missing"]], [HOSTILE.replace("\x1b", "\\x1b"), ["suspect"]], ["others", []]],
    ]
    assert found["assets_lines"] == [1, [["Concrete Guardrail", ["confirmed"]], ["others", []]]]
