"""What a model found in the images of a split, as a Parquet file, so that its scores can be made again without it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from roadscan import schemas
from roadscan.dataset.records import LabelledImage
from roadscan.errors import DatasetError, Malformed
from roadscan.evaluate.detection.predict import true_objects
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.parsing import read_parquet
from roadscan.storage import parquet_bytes

DATASET = b"dataset_sha256"  # key of the file's metadata


def found_bytes(results: Sequence[ImageResult], names: Sequence[str], dataset_sha256: str) -> bytes:
    """Results -> a Parquet file of their detections (`schemas.FOUND`); scores and boxes to the last bit.

    Args:
        results: every image of a split.
        names: of the classes, by index.
        dataset_sha256: digest of the dataset, which is kept in the file.
    """
    counts = [len(result.found.classes) for result in results]
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(result.found.boxes_xyxy for result in results)])
    classes = np.concatenate([np.zeros(0, np.int64), *(result.found.classes for result in results)])
    scores = [result.found.scores for result in results if result.found.scores is not None]
    masks = [
        None if result.found.masks is None else result.found.masks[row]["counts"].decode()
        for result in results
        for row in range(len(result.found.classes))
    ]
    columns = {
        "image_key": np.repeat([result.key for result in results], counts) if results else [],
        "class": np.array(names, object)[classes],
        "score": np.concatenate([np.zeros(0, np.float32), *scores]),
        "box_px": pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel(), pa.float32()), 4),
        "mask_rle": pa.array(masks, pa.string()),
    }
    table = pa.table({name: pa.array(column) for name, column in columns.items()}).cast(schemas.FOUND)
    return parquet_bytes(table.replace_schema_metadata({**schemas.FOUND.metadata, DATASET: dataset_sha256.encode()}))


def read_found(
    data: bytes, images: Sequence[LabelledImage], names: Sequence[str], dataset_sha256: str
) -> list[ImageResult]:
    """A file of detections and the images that they are in -> results by key, as `predict` gave them.

    Args:
        data: of `found_bytes`.
        images: all of the split.
        names: of the classes, by index.
        dataset_sha256: of the dataset, as it is now.

    Raises:
        DatasetError: the detections are of another dataset.
    """
    try:
        table = read_parquet(data, schemas.FOUND)
    except Malformed as error:
        raise DatasetError(f"a file of detections is {error}; set another name, and it is trained anew") from None
    if (of := table.schema.metadata.get(DATASET, b"").decode()) != dataset_sha256:
        raise DatasetError(
            f"the dataset is another one than the models were trained and tested on: digest {dataset_sha256[:12]}, "
            f"expected {of[:12]}; set another name, and it is trained anew"
        )
    number = {name: index for index, name in enumerate(names)}
    keys = np.array(table["image_key"].to_pylist(), object)
    classes = np.array([number[name] for name in table["class"].to_pylist()], np.int64)
    scores = table["score"].to_numpy().astype(np.float32)
    boxes = table["box_px"].combine_chunks().flatten().to_numpy().reshape(-1, 4).astype(np.float32)
    masks = table["mask_rle"].to_pylist()
    rows_of: dict[str, list[int]] = {image.key: [] for image in images}
    for row, key in enumerate(keys):
        rows_of[key].append(row)
    results = []
    for image in sorted(images, key=lambda image: image.key):
        rows, truth = np.array(rows_of[image.key], np.int64), true_objects(image)
        drawn = None
        if truth.masks is not None:
            size = [image.height_px, image.width_px]
            drawn = tuple({"size": size, "counts": masks[row].encode()} for row in rows)
        found = Objects(boxes[rows], classes[rows], scores[rows], drawn)
        results.append(ImageResult(image.key, truth, found, image.drive_id, image.conditions))
    return results
