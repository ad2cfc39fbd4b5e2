"""The register as the files that geographic information systems read: GeoPackage, GeoJSON, FlatGeobuf, CSV, and more.

A question to a release (`asked`), its answer under an agency's names (`mapping`), told by shape and brought to what a
format has (`spool`, `columns`), written by GDAL (`gdal`), with a style for QGIS (`style`, `geopackage`).
"""

from roadscan.export.asked import Asked
from roadscan.export.run import Exported, export_register

__all__ = ["Asked", "Exported", "export_register"]
