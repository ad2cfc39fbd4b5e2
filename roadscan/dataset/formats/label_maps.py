"""Label maps: an image file beside each image, whose pixels are numbers or colours of classes.

    data.yaml                   train, val, test as in YOLO; label_maps: where the maps are, and what their values mean
    images/<split>/<name>.jpg
    labels/<split>/<name>.png   of the same size

A value may mean a class, ``background`` (what no class covers) or ``void`` (neither learnt nor scored); ``classes`` of
the YAML file may map classes to these, too. Cityscapes, CamVid and the like are described so; Mapillary Vistas has a
JSON file of its own, in which the number of a pixel is the place of its class, and what is not evaluated is void. The
YAML files of Ultralytics' semantic datasets are read as well (``masks_dir``, ``label_mapping``).

Source: https://www.mapillary.com/dataset/vistas (config.json: labels with name, evaluate, color);
https://docs.ultralytics.com/datasets/semantic (masks_dir, label_mapping, 255 for pixels that are ignored).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from roadscan.dataset.assemble import Labelling, completed, new_names
from roadscan.dataset.description import LabelMapsConfig, Settings, read_label_maps_config
from roadscan.dataset.draft import Draft, DraftImage, Problem, check_names
from roadscan.dataset.files import Files
from roadscan.dataset.formats.yolo import names_of, split_entries
from roadscan.dataset.formats.yolo_images import SplitImages
from roadscan.dataset.frames_table import read_frames_table
from roadscan.dataset.label_maps import BACKGROUND, VOID, VOID_VALUE, check_pixel_classes
from roadscan.dataset.labels import ImageRecord, whole
from roadscan.dataset.records import BACKGROUND_PIXELS, VOID_PIXELS, LabelMapFile, Palette
from roadscan.errors import DatasetError, Malformed
from roadscan.parsing import read_json

CHANNELS = 3
IGNORED = "ignore_label"  # Ultralytics' word for void


def read_label_maps(files: Files, yaml_key: str, tree: dict[str, Any], settings: Settings) -> Draft:
    """Read a dataset of label maps; the maps themselves are looked at when they are used.

    Args:
        files: its root, the folder of the YAML file.
        yaml_key: of the YAML file.
        tree: what the YAML file says, as text.
        settings: what it sets.

    Raises:
        DatasetError: the YAML file is wrong. What is wrong with images and label maps is collected.
    """
    where = files.store.uri_of(yaml_key)
    config = read_label_maps_config(tree if "label_maps" in tree else _of_ultralytics(tree, where), where)
    if settings.task not in (None, "semantic"):
        raise DatasetError(f"{where}: task: got {settings.task}, and label maps have no objects; expected semantic")
    table = _table(files, config, where)
    names, palette = _palette(table, settings, of_colours=config.colours is not None, where=where)
    found = Labelling(where)
    images = SplitImages(files, tree, settings.path_prefix, where, found)
    there, frames = set(files.keys("")), read_frames_table(files)
    splits: dict[str, list[DraftImage]] = {}
    for split, entries in split_entries(tree, where).items():
        if (keys := images.of_split(split, entries)) is None:
            continue
        splits[split] = []
        for key in keys:
            map_key = _map_key(key, config)
            if map_key not in there:
                text = f"there is no label map {map_key}; is label_maps.path right?"
                found.errors.append(Problem("bad label", key, text))
                continue
            told = completed(ImageRecord(where, key, None, []), frames, found.errors)
            splits[split].append(
                DraftImage(
                    key, None, (), np.zeros((0, 4)), (), told.drive_id, told.conditions,
                    label_map=LabelMapFile(map_key, palette),
                )
            )  # fmt: skip
    unknown = frames.warnings(image.key for images in splits.values() for image in images)
    return Draft(files, "semantic", names, splits, found.errors, [*found.warnings, *unknown])


def _of_ultralytics(tree: dict[str, Any], where: str) -> dict[str, Any]:
    """An Ultralytics YAML file -> the entry that means the same here."""
    names = names_of(tree, where)
    mapping = tree.get("label_mapping") or {str(number): str(number) for number in range(len(names))}
    numbers: dict[str, list[str]] = {}
    for source, target in mapping.items():
        index = whole(target)
        if target != IGNORED and (index is None or not 0 <= index < len(names)):
            raise DatasetError(f"{where}: label_mapping: {source} is {target!r}; expected a class's index or {IGNORED}")
        if not source.startswith("-"):  # as Cityscapes' -1, which no image file holds
            numbers.setdefault(VOID if index is None else names[index], []).append(source)
    if str(VOID_VALUE) not in mapping:
        numbers.setdefault(VOID, []).append(str(VOID_VALUE))
    return {"label_maps": {"path": {"images/": f"{tree['masks_dir']}/"}, "numbers": numbers}}


def _map_key(image_key: str, config: LabelMapsConfig) -> str:
    key = posixpath.splitext(image_key)[0]
    for text, instead in config.path.items():
        key = key.replace(text, instead)
    return key + config.suffix


def _table(files: Files, config: LabelMapsConfig, where: str) -> dict[int, str]:
    """The name of each value: of a number, or of a colour as `Palette` counts it."""
    if config.config is not None:
        return dict(enumerate(_vistas_names(files, config.config)))
    rows: list[tuple[int, str]] = []
    for name, given in (config.numbers or {}).items():
        rows += [(number, name) for number in ((given,) if isinstance(given, int) else given)]
    for name, colours in (config.colours or {}).items():
        for colour in (colours,) if isinstance(colours[0], int) else colours:
            if not isinstance(colour, tuple) or len(colour) != CHANNELS:
                raise DatasetError(f"{where}: label_maps.colours: {name} has {colours}; expected [red, green, blue]")
            rows.append((colour[0] << 16 | colour[1] << 8 | colour[2], name))
    table = dict(rows)
    if len(table) < len(rows):
        twice = next(value for value in table if sum(value == one for one, _ in rows) > 1)
        both = " and ".join(name for value, name in rows if value == twice)
        raise DatasetError(f"{where}: label_maps: {both} have the same value; expected one name for each")
    return table


@dataclass(frozen=True)
class _VistasLabel:
    name: str
    evaluate: bool = True


@dataclass(frozen=True)
class _Vistas:
    """What is read of Mapillary Vistas' config file."""

    labels: tuple[_VistasLabel, ...]


def _vistas_names(files: Files, key: str) -> list[str]:
    """The class of each number, `VOID` where it is not evaluated."""
    try:
        labels = read_json(files.read(key), _Vistas).labels
    except Malformed as error:
        raise DatasetError(
            f"{files.store.uri_of(key)}: expected Mapillary Vistas' JSON, 'labels' with a 'name' each ({error})"
        ) from None
    return [one.name if one.evaluate else VOID for one in labels]


def _palette(
    table: Mapping[int, str], settings: Settings, *, of_colours: bool, where: str
) -> tuple[tuple[str, ...], Palette]:
    """The dataset's classes, in the order of the table, and what each value becomes."""
    labels = [name for name in dict.fromkeys(table.values()) if name not in (BACKGROUND, VOID)]
    new = new_names(labels, settings.classes, where)
    kept = dict.fromkeys(name for name in new.values() if name not in (None, BACKGROUND, VOID))
    names = check_names([*kept], f"{where}: classes")
    check_pixel_classes(names, where)
    special: dict[str | None, int] = {None: BACKGROUND_PIXELS, BACKGROUND: BACKGROUND_PIXELS, VOID: VOID_PIXELS}

    def meaning(label: str) -> int:
        name = new.get(label, label)
        return special[name] if name in special else names.index(str(name))

    return names, Palette({value: meaning(label) for value, label in table.items()}, of_colours)
