"""A style of QGIS for a layer: an asset's colour is its class's, and the form of its mark its state's.

They look as in `roadscan view`. Source: what QGIS 3.22 writes for a rule-based renderer (Layer, Save Style).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from xml.etree import ElementTree

from roadscan.palette import colors_of
from roadscan.shown import printable
from roadscan.taxonomy import HIGHWAY

GREY = "#777777"  # of what has neither a known class nor a known state
PAPER = "#ffffff"
#: By kind of shape and state the settings of a symbol's layers, from below; {color} is that of the asset's class.
LAYERS: dict[str, dict[str, tuple[dict[str, str], ...]]] = {
    "Point": {
        "confirmed": ({"name": "circle", "color": "{color}", "size": "3"},),
        "candidate": ({"name": "circle", "color": PAPER, "outline_color": "{color}", "outline_width": "0.6"},),
        "suspect": (
            {"name": "circle", "color": PAPER, "outline_color": "{color}", "outline_width": "0.6"},
            {"name": "semi_circle", "color": "{color}", "angle": "270", "outline_style": "no"},
        ),
        "missing": ({"name": "cross2", "outline_color": "{color}", "outline_width": "0.8"},),
        "rejected": ({"name": "cross2", "outline_color": "{color}", "outline_width": "0.4", "size": "2"},),
    },
    "LineString": {
        "confirmed": ({"line_color": "{color}", "line_width": "0.9"},),
        "candidate": ({"line_color": "{color}", "line_width": "0.6", "line_style": "dot"},),
        "suspect": ({"line_color": "{color}", "line_width": "0.9", "line_style": "dash"},),
        "missing": ({"line_color": "{color}", "line_width": "0.4", "line_style": "dash dot"},),
        "rejected": ({"line_color": "{color}", "line_width": "0.2", "line_style": "dash dot dot"},),
    },
}
USUAL = {
    "Point": {"size": "2.6", "size_unit": "MM", "outline_color": PAPER, "outline_width": "0.3"},
    "LineString": {"line_width_unit": "MM", "line_style": "solid", "capstyle": "flat"},
}
SYMBOL = {"Point": ("marker", "SimpleMarker"), "LineString": ("line", "SimpleLine")}


def style_qml(kind: str, looks: Collection[tuple[str, str]]) -> str:
    """A style as QGIS keeps it.

    Args:
        kind: Point or LineString.
        looks: classes and states that there are; none for one look for all.
    """
    root = ElementTree.Element("qgis", {"styleCategories": "Symbology", "version": "3.22.0"})
    renderer = ElementTree.SubElement(
        root, "renderer-v2", {"type": "RuleRenderer", "symbollevels": "0", "forceraster": "0"}
    )
    rules, symbols = (
        ElementTree.SubElement(renderer, "rules", {"key": "all"}),
        ElementTree.SubElement(renderer, "symbols"),
    )
    states = list(LAYERS[kind])
    known = sorted({name for name, _ in looks}, key=_place)
    number = 0
    for name, color in zip(known, colors_of(known), strict=True):
        of_class = ElementTree.SubElement(
            rules, "rule", {"key": f"class {number}", "label": printable(name), "filter": f'"class" = {_quoted(name)}'}
        )
        there = {state for one, state in looks if one == name}
        for state in (one for one in states if one in there):
            told = {"key": f"look {number}", "label": state, "filter": f'"state" = {_quoted(state)}'}
            ElementTree.SubElement(of_class, "rule", {**told, "symbol": str(number)})
            _symbol(symbols, number, kind, state, color)
            number += 1
    other = {"key": "others", "label": "others" if looks else "", "symbol": str(number)}
    ElementTree.SubElement(rules, "rule", other | ({"filter": "ELSE"} if looks else {}))
    _symbol(symbols, number, kind, "confirmed", GREY)
    ElementTree.SubElement(root, "layerGeometryType").text = str(list(LAYERS).index(kind))
    ElementTree.indent(root)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ElementTree.tostring(
        root, encoding="unicode"
    )


def _symbol(symbols: ElementTree.Element, number: int, kind: str, state: str, color: str) -> None:
    type_, class_ = SYMBOL[kind]
    symbol = ElementTree.SubElement(symbols, "symbol", {"name": str(number), "type": type_, "alpha": "1"})
    for settings in LAYERS[kind][state]:
        layer = ElementTree.SubElement(symbol, "layer", {"class": class_, "enabled": "1", "pass": "0", "locked": "0"})
        options = ElementTree.SubElement(layer, "Option", {"type": "Map"})
        for name, value in _settings(USUAL[kind] | settings, color).items():
            ElementTree.SubElement(options, "Option", {"name": name, "type": "QString", "value": value})


def _settings(settings: Mapping[str, str], color: str) -> dict[str, str]:
    told = {name: value.format(color=color) for name, value in settings.items()}
    return {name: _rgba(value) if value.startswith("#") else value for name, value in told.items()}


def _rgba(color: str) -> str:
    """A colour as QGIS writes it.

    >>> _rgba("#d55e00")
    '213,94,0,255'
    """
    return ",".join(str(int(color[place : place + 2], 16)) for place in (1, 3, 5)) + ",255"


def _quoted(text: str) -> str:
    r"""A text as an expression of QGIS has it; what XML has no room for does not match, and looks as others do.

    >>> _quoted("o'clock \\ 1")
    "'o''clock \\\\ 1'"
    """
    return "'" + printable(text).replace("\\", "\\\\").replace("'", "''") + "'"


def _place(name: str) -> tuple[int, str]:
    names = HIGHWAY.names
    return (names.index(name) if name in names else len(names), name)
