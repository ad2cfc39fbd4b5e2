"""A table beside a dataset's labels that tells more of its images, for labels of any format.

    frames.parquet or frames.csv
        image        the image's key, below the dataset's root
        drive_id     the survey drive that it is of
        conditions   night, rain …: any number of names; a list, or a text with semicolons
        visibility   how much of each object is to be seen, 0 to 1, in the order of the image's labels; likewise

All but the first may be left out, or empty. ``condition``, one name, is read as ``conditions``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc

from roadscan.dataset import occlusion
from roadscan.dataset.draft import Problem
from roadscan.dataset.files import Files
from roadscan.dataset.labels import BadLabel, ImageRecord, conditions_of, share_of
from roadscan.errors import DatasetError, Malformed
from roadscan.parsing import arrow_file, parsing, read_parquet, utf8

PARQUET, CSV = "frames.parquet", "frames.csv"
COLUMNS = ("drive_id", "conditions", "condition", "visibility")


@dataclass(frozen=True)
class FramesTable:
    """What a table tells.

    Attributes:
        where: its key; empty where there is none.
        rows: by image.
    """

    where: str
    rows: Mapping[str, Mapping[str, Any]]

    def completed(self, image: ImageRecord) -> ImageRecord:
        """An image with what the table tells of it, in place of what its labels do.

        Raises:
            BadLabel: the row does not suit the image.
        """
        row = self.rows.get(image.name)
        if row is None:
            return image
        drive_id = row["drive_id"]
        conditions = conditions_of([*_listed(row["conditions"]), *_listed(row["condition"])], "conditions")
        names = _occlusions(row["visibility"], len(image.objects)) or [one.occlusion for one in image.objects]
        return replace(
            image,
            drive_id=image.drive_id if drive_id in (None, "") else str(drive_id),
            conditions=conditions or image.conditions,
            objects=[replace(one, occlusion=name) for one, name in zip(image.objects, names, strict=True)],
        )

    def warnings(self, keys: Iterable[str]) -> list[Problem]:
        """What a user may want to know: rows that are of no image of the dataset, where that is all of them."""
        if not self.rows or not self.rows.keys().isdisjoint(keys):
            return []
        text = f"none of its {len(self.rows)} images is one of the dataset, as {next(iter(self.rows))!r}; write keys"
        return [Problem("label without image", self.where, text)]


def read_frames_table(files: Files) -> FramesTable:
    """A dataset's files -> what its table of frames tells; nothing where there is none.

    Raises:
        DatasetError: there are two, or one cannot be read, or does not name images.
    """
    found = {key: data for key in (PARQUET, CSV) if (data := files.read_if_there(key)) is not None}
    if len(found) > 1:
        raise DatasetError(f"{files.store.uri}: there are {PARQUET} and {CSV}; remove one of them")
    for key, data in found.items():
        where = files.store.uri_of(key)
        try:
            table = read_parquet(data) if key == PARQUET else _read_csv(data)
        except Malformed as error:
            raise DatasetError(f"{where}: {error}; write it again, or remove it") from None
        if "image" not in table.column_names:
            raise DatasetError(
                f"{where}: columns are {', '.join(table.column_names)}; expected image, and of {', '.join(COLUMNS)} "
                "those that you know"
            )
        images = table["image"].to_pylist()
        columns = {
            name: table[name].to_pylist() if name in table.column_names else [None] * len(images) for name in COLUMNS
        }
        cells = zip(*columns.values(), strict=True)
        return FramesTable(
            key, {str(image): dict(zip(COLUMNS, row, strict=True)) for image, row in zip(images, cells, strict=True)}
        )
    return FramesTable("", {})


def _read_csv(data: bytes) -> pa.Table:
    """All cells as text."""
    with parsing("CSV"):
        names = pc.open_csv(arrow_file(utf8(data))).schema.names
        texts = pc.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
        return pc.read_csv(arrow_file(data), convert_options=texts)


def _listed(cell: Any) -> list[Any]:
    """A list, or a text with semicolons, as a list; empty for nothing."""
    if cell is None or cell == "":
        return []
    return cell.split(";") if isinstance(cell, str) else list(cell) if isinstance(cell, list) else [cell]


def _occlusions(cell: Any, objects: int) -> list[str | None]:
    """How much is seen of each object of an image -> names; empty where nothing is told."""
    shares = _listed(cell)
    if shares and len(shares) != objects:
        raise BadLabel(f"visibility has {len(shares)} values, and the image {objects} objects; expected one each")
    return [None if share in (None, "") else occlusion.of_visibility(share_of(share, "visibility")) for share in shares]
