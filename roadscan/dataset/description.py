"""A dataset's YAML file, beside its images: where labels are, which classes are made of theirs, boxes or outlines.

    format: cvat                # or as the annotations look
    task: detect                # the boxes around outlines; semantic: classes of pixels; empty: what the labels are
    classes:
      map: {stop: sign, "regulatory--*": sign}
      ignore: [tree, "other-*"]
    path_prefix: D:/export      # cut from image names that were written elsewhere
    train: {annotations: labels.xml, images: images, list: train.txt}
    val: {annotations: labels.xml, images: images, list: val.txt}

Pixels that have classes of their own are in label maps (`LabelMapsConfig`), with the splits' images as YOLO names them:

    train: images/train
    val: images/val
    label_maps:
      path: {images: labels}    # images/train/a.jpg has labels/train/a.png
      numbers: {road: 7, traffic sign: 20, background: 0, void: 255}

Without splits they are looked for where the format's tools put them. Text is taken as it is typed: a class may be named
``no``. YOLO's ``data.yaml`` has its own way to name splits, and may have `task`, `classes` and `path_prefix` too.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AliasChoices, Field, ValidationError, model_validator

from roadscan.config import Config, explain
from roadscan.dataset.records import Task
from roadscan.errors import DatasetError

ConfigT = TypeVar("ConfigT", bound=Config)
Number: TypeAlias = Annotated[int, Field(ge=0, le=65535)]
Colour: TypeAlias = tuple[Annotated[int, Field(ge=0, le=255)], ...]
FormatName: TypeAlias = Literal["yolo", "coco", "voc", "cvat", "bdd100k", "mapillary", "label_studio"]


class ClassesConfig(Config):
    """The classes to learn, from those of the labels. A pattern has ``*`` or ``?``; a class's own name goes first."""

    map: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        {}, description="class of the labels, or a pattern, to its name here; several may share one"
    )
    ignore: tuple[str, ...] = Field((), description="classes of the labels, or patterns, whose objects are left out")


class Settings(Config):
    """What a dataset of any format may set."""

    format: FormatName | None = Field(None, description="of the labels; empty: as they look")
    task: Task | None = Field(
        None,
        description="detect: boxes, around outlines where there are; semantic: the classes of pixels, drawn from "
        "outlines or in label maps; empty: what there is",
    )
    classes: ClassesConfig = Field(ClassesConfig(), description="the classes to learn")
    path_prefix: str | None = Field(None, description="what to cut from image names that were written elsewhere")


class SplitConfig(Config):
    """Where the labels and images of a split are, below the dataset's folder."""

    annotations: str = Field(description="file of labels, or the folder of such files")
    images: str = Field(".", description="folder below which the images are")
    list: str | None = Field(None, description="text file that names the split's images, one a line; empty: all")


class Description(Settings):
    """A dataset whose labels are files of annotations."""

    train: SplitConfig | None = Field(None, description="to learn from")
    val: SplitConfig | None = Field(
        None, validation_alias=AliasChoices("val", "valid", "validation"), description="to choose the best epoch by"
    )
    test: SplitConfig | None = Field(None, description="to score on")


class LabelMapsConfig(Config):
    """Images whose pixels are the classes of other images': where they are, and what their values mean."""

    path: dict[str, str] = Field(
        {"images": "labels"}, min_length=1, description="texts of an image's path, and what its label map's has instead"
    )
    suffix: str = Field(".png", description="of label maps, in place of the image's")
    numbers: dict[str, Number | tuple[Number, ...]] | None = Field(
        None, min_length=1, description="name of a class, background or void, to the number or numbers of its pixels"
    )
    colours: dict[str, Colour | tuple[Colour, ...]] | None = Field(
        None, min_length=1, description="likewise, to its colour or colours, as red, green, blue"
    )
    config: str | None = Field(None, description="Mapillary Vistas' own description of its classes, a JSON file")

    @model_validator(mode="after")
    def _one_table(self) -> LabelMapsConfig:
        given = [name for name in ("numbers", "colours", "config") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"label_maps: got {', '.join(given) or 'none'} of numbers, colours, config; expected one")
        return self


def read_label_maps_config(tree: dict[str, Any], where: str) -> LabelMapsConfig:
    """The entry `label_maps` of a YAML file.

    Raises:
        DatasetError: one of its fields is wrong.
    """
    given = tree["label_maps"]
    if not isinstance(given, dict):
        raise DatasetError(f"{where}: label_maps: got {given!r}; expected a mapping, such as\n{EXAMPLE_OF_MAPS}")
    return _validated(LabelMapsConfig, given, f"{where}: label_maps")


def read_settings(tree: dict[str, Any], where: str) -> Settings:
    """The settings in a YAML file that has other fields too.

    Raises:
        DatasetError: one is wrong.
    """
    return _validated(
        Settings, {name: tree[name] for name in Settings.model_fields if tree.get(name) is not None}, where
    )


def read_description(tree: dict[str, Any], where: str) -> Description:
    """A YAML file's mapping -> what it describes.

    Raises:
        DatasetError: a field is unknown or wrong, or no split is given.
    """
    found = _validated(Description, tree, where)
    if not any((found.train, found.val, found.test)):
        raise DatasetError(f"{where}: none of train, val and test is given; expected at least one, such as\n{EXAMPLE}")
    return found


EXAMPLE = """  train: {annotations: labels/train.json, images: images/train}
  val: {annotations: labels/val.json, images: images/val}"""


EXAMPLE_OF_LISTS = """  train: {{annotations: {0}, list: train.txt}}
  val: {{annotations: {0}, list: val.txt}}"""


EXAMPLE_OF_MAPS = """  path: {images: labels}
  numbers: {road: 7, traffic sign: 20, background: 0, void: 255}"""


def _validated(model: type[ConfigT], tree: dict[str, Any], where: str) -> ConfigT:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise DatasetError(explain(error, model, where)) from None
