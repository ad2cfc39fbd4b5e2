"""A dataset as one Parquet file: what a staged copy keeps of labels, sizes and digests, to parse nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from roadscan.dataset.draft import Draft, DraftImage, Size
from roadscan.dataset.files import Files
from roadscan.dataset.records import Dataset, LabelledImage, LabelMapFile, Palette
from roadscan.errors import DatasetError, Malformed
from roadscan.parsing import read_json, read_parquet
from roadscan.storage import parquet_bytes

MANIFEST = "roadscan-dataset.parquet"
FORMAT = "roadscan.dataset/2"
HEADER = b"roadscan.dataset"


@dataclass(frozen=True, slots=True)
class StagedImage:
    """An image file of a staged copy: its size in bytes and its digest."""

    size_bytes: int
    sha256: str


def manifest_bytes(dataset: Dataset, staged: Mapping[str, StagedImage]) -> bytes:
    """The Parquet file of a dataset whose images, and label maps, are files with these digests."""
    rows = [(split, image) for split, images in dataset.splits.items() for image in images]
    images = [image for _, image in rows]
    columns: dict[str, Any] = {
        "split": pa.array([split for split, _ in rows], pa.string()),
        "key": pa.array([image.key for image in images], pa.string()),
        "width_px": pa.array([image.width_px for image in images], pa.int32()),
        "height_px": pa.array([image.height_px for image in images], pa.int32()),
        "classes": _listed([image.classes for image in images], np.int64),
        "boxes_xyxy": _listed([image.boxes_xyxy.ravel() for image in images], np.float32),
        "outlines": _outlines_column(images),
        "drive_id": pa.array([image.drive_id for image in images], pa.string()),
        "conditions": pa.array([image.conditions for image in images], pa.list_(pa.string())),
        "occlusions": pa.array([image.occlusions for image in images], pa.list_(pa.string())),
        "size_bytes": pa.array([staged[image.key].size_bytes for image in images], pa.int64()),
        "sha256": pa.array([staged[image.key].sha256 for image in images], pa.string()),
    }
    header: dict[str, Any] = {
        "format": FORMAT,
        "task": dataset.task,
        "names": dataset.names,
        "splits": list(dataset.splits),
    }
    maps = [image.label_map for image in images if image.label_map is not None]
    if maps:
        held = [None if image.label_map is None else staged[image.label_map.key] for image in images]
        columns |= {
            "label_map": pa.array([image.label_map and image.label_map.key for image in images], pa.string()),
            "label_map_bytes": pa.array([one and one.size_bytes for one in held], pa.int64()),
            "label_map_sha256": pa.array([one and one.sha256 for one in held], pa.string()),
        }
        header["palette"] = [maps[0].palette.of_colours, list(maps[0].palette.meaning.items())]
    return parquet_bytes(pa.table(columns).replace_schema_metadata({HEADER: json.dumps(header).encode()}))


def read_manifest(data: bytes, files: Files) -> tuple[Draft, dict[str, StagedImage]]:
    """The labels, and the image files and label maps by key, of `manifest_bytes`.

    Raises:
        DatasetError: the file is damaged, or of another version of roadscan.
    """
    where = files.store.uri_of(MANIFEST)
    try:
        table = read_parquet(data).combine_chunks()
        header = read_json((table.schema.metadata or {}).get(HEADER, b"{}"))
    except Malformed as error:
        raise DatasetError(f"{where}: damaged ({error}); remove the folder, and it is staged again") from None
    if header.get("format") != FORMAT:
        raise DatasetError(f"{where}: format is {header.get('format')!r}, expected {FORMAT!r}; remove the folder")
    plain = ("split", "key", "drive_id", "conditions", "occlusions", "sha256")
    columns = {name: table[name].to_pylist() for name in plain}
    sizes = [Size(*pair) for pair in zip(*(table[name].to_pylist() for name in ("width_px", "height_px")), strict=True)]
    classes, boxes = _arrays(table["classes"]), _arrays(table["boxes_xyxy"])
    outlines = _outlines_rows(table["outlines"])
    maps = _label_maps(table, header)
    splits: dict[str, list[DraftImage]] = {split: [] for split in header["splits"]}
    for row, (split, key, size) in enumerate(zip(columns["split"], columns["key"], sizes, strict=True)):
        scale = np.array(size, np.float64)
        splits[split].append(
            DraftImage(
                key=key,
                size=size,
                classes=classes[row].tolist(),
                boxes=boxes[row].reshape(-1, 4) / np.tile(scale, 2),
                outlines=[tuple(part / scale for part in parts) for parts in outlines[row]],
                drive_id=columns["drive_id"][row],
                conditions=tuple(columns["conditions"][row]),
                occlusions=tuple(columns["occlusions"][row]),
                label_map=maps[row],
            )
        )
    draft = Draft(files, header["task"], tuple(header["names"]), splits, [], [])
    staged = map(StagedImage, table["size_bytes"].to_pylist(), columns["sha256"])
    files_of = dict(zip(columns["key"], staged, strict=True))
    if any(maps):
        sizes_and_digests = zip(*(table[f"label_map_{name}"].to_pylist() for name in ("bytes", "sha256")), strict=True)
        rows = zip(maps, sizes_and_digests, strict=True)
        files_of |= {file.key: StagedImage(*facts) for file, facts in rows if file is not None}
    return draft, files_of


def _label_maps(table: pa.Table, header: dict[str, Any]) -> list[LabelMapFile | None]:
    """The label map of each row, where the dataset has some; all have one palette."""
    if "palette" not in header:
        return [None] * table.num_rows
    of_colours, meaning = header["palette"]
    palette = Palette(dict(map(tuple, meaning)), of_colours)
    return [None if key is None else LabelMapFile(key, palette) for key in table["label_map"].to_pylist()]


def _listed(parts: Sequence[npt.NDArray[Any]], dtype: type) -> Any:
    """A list column from one array a row."""
    return pa.ListArray.from_arrays(_offsets(map(len, parts)), pa.array(np.concatenate([np.zeros(0, dtype), *parts])))


def _outlines_column(images: Sequence[LabelledImage]) -> Any:
    """Objects of parts of points: list<list<list<float>>>."""
    objects = [parts for image in images for parts in image.outlines or ()]
    parts = [part for one in objects for part in one]
    points = _listed([part.ravel() for part in parts], np.float32)
    by_object = pa.ListArray.from_arrays(_offsets(map(len, objects)), points)
    return pa.ListArray.from_arrays(_offsets(len(image.outlines or ()) for image in images), by_object)


def _offsets(lengths: Any) -> Any:
    return pa.array(list(accumulate(lengths, initial=0)), pa.int32())


def _arrays(column: Any) -> list[npt.NDArray[Any]]:
    """One array a row of a list column."""
    return _cut(column, lambda values: values.to_numpy(zero_copy_only=False))


def _outlines_rows(column: Any) -> list[list[tuple[npt.NDArray[Any], ...]]]:
    """The outlines of each row's objects, each (k, 2)."""

    def points(values: Any) -> list[npt.NDArray[Any]]:
        return [part.reshape(-1, 2) for part in _arrays(values)]

    return _cut(column, lambda objects: [tuple(parts) for parts in _cut(objects, points)])


def _cut(column: Any, read: Callable[[Any], Any]) -> list[Any]:
    """What `read` makes of a list column's values, cut into its rows."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # of a table without rows
        return []
    offsets = array.offsets.to_pylist()
    values = read(array.values)
    return [values[start:stop] for start, stop in pairwise(offsets)]
