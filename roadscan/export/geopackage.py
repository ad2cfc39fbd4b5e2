"""Styles in a GeoPackage: the table in which QGIS looks for them when it opens a layer."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from roadscan.errors import RoadscanError

#: Source: QgsOgrProviderUtils of QGIS 3.22, whose columns and types these are.
TABLE = """
    CREATE TABLE layer_styles (
        id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256),
        f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
        useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
        update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))"""
CONTENTS = """
    INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id)
    VALUES ('layer_styles', 'attributes', 'layer_styles', 'styles of QGIS', 0)"""
STYLE = """
    INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML,
        styleSLD, useAsDefault, description, owner)
    SELECT '', '', table_name, column_name, 'roadscan', ?, '', 1, 'colour: class, form: state', ''
    FROM gpkg_geometry_columns WHERE table_name = ?"""


def add_styles(file: Path, styles: Mapping[str, str]) -> None:
    """Put styles into a GeoPackage, each as its layer's default.

    Args:
        file: the GeoPackage.
        styles: by the name of the layer.
    """
    try:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(TABLE)
            connection.execute(CONTENTS)
            connection.executemany(STYLE, [(qml, layer) for layer, qml in styles.items()])
    except sqlite3.Error as error:  # a disk that is full
        raise RoadscanError(f"export: the styles cannot be written into the GeoPackage: {error}") from None
