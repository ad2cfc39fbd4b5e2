"""What is known to stand beside the road: a simulation's truth folder, or a file from anyone.

    open_truth ─┬─ simulated: a folder with assets, their nights, and the boxes that show which were seen
                └─ file: GeoJSON, (Geo)Parquet or CSV ─► conform ─► rows of `KNOWN`

Either tells with `after` what is `Known` after some drives: what stands, what was removed, what counts for recall.
"""

from __future__ import annotations

from typing import TypeAlias

from roadscan.errors import WarehouseError
from roadscan.evaluate.register.truth.file import FileTruth, read_file
from roadscan.evaluate.register.truth.known import KNOWN, Known
from roadscan.evaluate.register.truth.simulated import SimulatedTruth, read_simulated, seen_assets
from roadscan.geofiles import PLACES

__all__ = [
    "KNOWN",
    "FileTruth",
    "Known",
    "SimulatedTruth",
    "Truth",
    "open_truth",
    "read_file",
    "read_simulated",
    "seen_assets",
]

Truth: TypeAlias = SimulatedTruth | FileTruth


def open_truth(uri: str, class_field: str = "class") -> Truth:
    """The truth at an address.

    Args:
        uri: a simulation's ``truth`` folder, or a file that ends in .geojson, .json, .parquet, .geoparquet or .csv.
        class_field: the property or column of a file that names the class.

    Raises:
        WarehouseError: there is no truth folder there.
        DatasetError: the file cannot be used; the message names the field and the row.
    """
    if uri.lower().endswith(PLACES):
        return read_file(uri, class_field)
    try:
        return read_simulated(uri)
    except WarehouseError as error:
        raise WarehouseError(f"{error}, or a file that ends in {', '.join(PLACES)}") from None
