"""A question to the cells that it is about, before it is asked: what drives said of assets is then read of these alone.

Of what names assets in a question only such conditions are looked at as decide row by row, from an asset's id and its
place on the network: ``FROM asset_timeline WHERE route_code = '0007' AND …``. No row that they let through lies outside
of the cells that come out. Whatever else a question says is left to the engine, and where one of its parts reads what
drives said without such a condition, everything is read.
"""

# ruff: noqa: S608 - statements are put together from names of this package and from what DuckDB itself wrote
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb

from roadscan.parsing import read_json

Box: TypeAlias = tuple[float, float, float, float]  # degrees west, south, east, north
Node: TypeAlias = dict[str, Any]  # of a statement, as DuckDB's parser has it

#: What reads what drives said of assets, and by which of its columns the rows can be told that it needs.
READERS = {
    "asset_timeline": ("asset_id", "route_code", "section_code", "km_m"),
    "asset_history": ("asset_id",),
    "asset_observations": ("asset_id",),
    "change_photographs": ("asset_id",),
}
FEW = ("asset_id", "route_code")  # one of these has to be in a condition, else it is not about some assets
MOST_ASKED = 100_000  # a question about more of them is about the country
ASKED = "assets_asked"  # a table in the connection: those rows of `asset_cells` that a question is about
FAR_DEG = 0.002  # a photograph of a place is from its cell of 0.001 degrees, or from one of those about it
NOWHERE: Box = (180.0, 90.0, -180.0, -90.0)
PLAIN = {"COMPARISON", "CONJUNCTION", "BETWEEN", "OPERATOR", "CONSTANT", "COLUMN_REF", "CAST", "TYPE"}
LIKE = {"~~", "!~~", "~~*", "!~~*"}  # functions as operators


@dataclass(frozen=True)
class Asked:
    """What a question needs of what lies where assets are; `ASKED` has these assets.

    Attributes:
        cells: of `asset_history` and `asset_observations`.
        box: within which those frames are that may show the assets' changes, from east to west where nothing changed.
            Known only where the connection has `changes_since`.
    """

    cells: frozenset[str]
    box: Box | None


def find_asked(connection: duckdb.DuckDBPyConnection, sql: str, *, changes: bool) -> Asked | None:
    """What a question is about; None where it may be about everything.

    Args:
        connection: has `asset_cells`.
        sql: the question, one statement.
        changes: whether the connection has `changes_since`, too, so that a box can be told.
    """
    try:
        conditions = _conditions(connection, sql)
        if not conditions:
            return None
        where = f"WHERE {' OR '.join(conditions)}"
        chosen = f"SELECT asset_id, said_as, cell FROM asset_cells {where}"
        connection.execute(f"CREATE TEMP TABLE {ASKED} AS {chosen} LIMIT {MOST_ASKED + 1}")
        rows = connection.execute(f"SELECT cell, count(*) FROM {ASKED} GROUP BY cell").fetchall()
        if sum(count for _, count in rows) > MOST_ASKED:
            return None
        box = None
        if changes:
            ends = f"min(lon) - {FAR_DEG}, min(lat) - {FAR_DEG}, max(lon) + {FAR_DEG}, max(lat) + {FAR_DEG}"
            ((*found,),) = connection.execute(f"SELECT {ends} FROM changes_since {where}").fetchall()
            box = NOWHERE if None in found else (found[0], found[1], found[2], found[3])
    except (duckdb.Error, LookupError):  # a parser that writes it in another way; or it is wrong, which is said later
        return None
    return Asked(frozenset(cell for cell, _ in rows), box)


def _conditions(connection: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """One condition for each time that a question names one of `READERS`; none where it names one without."""
    ((text,),) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
    tree = read_json(text)
    conditions = []
    for node in list(_nodes(tree)):
        table = node.get("from_table") or {}
        name = str(table.get("table_name", "")).lower()
        if node.get("type") == "SELECT_NODE" and table.get("type") == "BASE_TABLE" and name in READERS:
            usable = _usable(node, table, name)
            if not usable:
                return []
            conditions.append(_written(connection, usable))
            node["from_table"] = None
    named = set(re.findall(r"\w+", json.dumps(list(_without_columns(tree))).lower()))
    return [] if named & READERS.keys() else conditions


def _usable(node: Node, table: Node, name: str) -> list[Node]:
    """The conditions of a SELECT from one of `READERS` that decide which assets it needs; none where none does."""
    if table["sample"] or node["sample"] or table["column_name_alias"] or table.get("at_clause"):
        return []
    columns, spoken = set(READERS[name]), {name, table["alias"].lower()}
    usable = [one for one in _conjuncts(node["where_clause"]) if _is_plain(one, columns, spoken)]
    mentioned = {_name(one) for condition in usable for one in _nodes(condition) if one.get("class") == "COLUMN_REF"}
    return usable if mentioned & set(FEW) else []


def _conjuncts(condition: Node | None) -> Iterator[Node]:
    """The parts of a condition that all have to hold."""
    if condition and condition["type"] == "CONJUNCTION_AND":
        for child in condition["children"]:
            yield from _conjuncts(child)
    elif condition:
        yield condition


def _is_plain(condition: Node, columns: set[str], spoken: set[str]) -> bool:
    """Whether a condition says of these columns, of a table spoken of in these ways, what holds for a row by itself."""
    for one in _nodes(condition):
        if one.get("class") == "COLUMN_REF":
            if _name(one) not in columns or not {name.lower() for name in one["column_names"][:-1]} <= spoken:
                return False
        elif one.get("class") == "FUNCTION":
            if one["function_name"] not in LIKE or one["schema"] or one["catalog"]:
                return False
        elif one.get("class", "CONSTANT") not in PLAIN:
            return False
    return True


def _written(connection: duckdb.DuckDBPyConnection, conditions: list[Node]) -> str:
    """Conditions as SQL, with the names of their columns alone."""
    for one in _nodes(conditions):
        if one.get("class") == "COLUMN_REF":
            one["column_names"] = [_name(one)]
    return f"({' AND '.join(_expression(connection, one) for one in conditions)})"


def _expression(connection: duckdb.DuckDBPyConnection, condition: Node) -> str:
    """A condition as SQL, in parentheses."""
    ((text,),) = connection.execute("SELECT json_serialize_sql('SELECT 1')").fetchall()
    tree = read_json(text)
    tree["statements"][0]["node"]["select_list"] = [condition]
    ((sql,),) = connection.execute("SELECT json_deserialize_sql(?)", [json.dumps(tree)]).fetchall()
    return f"({str(sql).strip().removeprefix('SELECT ')})"


def _name(reference: Node) -> str:
    """The column that a reference names."""
    return str(reference["column_names"][-1]).lower()


def _nodes(tree: Any) -> Iterator[Node]:
    """Every node of a statement, from the outside in."""
    if isinstance(tree, dict):
        yield tree
    for child in _children(tree):
        yield from _nodes(child)


def _children(tree: Any) -> Iterable[Any]:
    return tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()


def _without_columns(tree: Any) -> Iterator[Any]:
    """All that a statement says but the names of its columns, which say of no table that it is read."""
    if isinstance(tree, dict):
        for key, child in tree.items():
            if key != "column_names":
                yield key
                yield from _without_columns(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _without_columns(child)
    else:
        yield tree
