"""What is known of asset classes, in a YAML file: a taxonomy of one's own, such as of another detector's classes.

classes:
  pole: {height_m: 9, grounded: true, merge_m: 8}
  barrier: {geometry: line, grounded: true}
  car: {ignored: true}
others: point          # what is known of classes that are not listed: nothing; or ignored
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Literal

from pydantic import Field, ValidationError

from roadscan import settings
from roadscan.config import Config, explain
from roadscan.errors import ConfigError, Malformed
from roadscan.storage import Store, read_given
from roadscan.taxonomy import HIGHWAY, AssetClass, Geometry, Taxonomy
from roadscan.yamltext import read_yaml

OF_HIGHWAYS = "highway"  # in place of a file: roadscan's own


class ClassConfig(Config):
    """One class; see `roadscan.taxonomy.AssetClass`."""

    geometry: Geometry = Field(
        Geometry.POINT, description="point: stands beside the road; line: runs along it; overhead: spans it"
    )
    height_m: float | None = Field(
        None, gt=0, le=100, description="typical height of the box, for ranges; null if unknown"
    )
    height_rel_sigma: float = Field(0.3, gt=0, le=1, description="relative standard deviation of that within the class")
    grounded: bool = Field(False, description="whether the box ends where the object meets the ground")
    merge_m: float = Field(4.5, gt=0, le=200, description="no two assets of the class are closer than this")
    ignored: bool = Field(False, description="whether its detections are left out of the register")
    color_rgb: tuple[int, int, int] = Field((128, 128, 128), description="its colour on every picture")


class TaxonomyConfig(Config):
    """The file."""

    classes: dict[str, ClassConfig] = Field(min_length=1, description="by the name that detections have")
    others: Literal["point", "ignored"] = Field("point", description="what classes are that are not listed")


def taxonomy_of(store: Store, given: str | None) -> Taxonomy:
    """The taxonomy of a warehouse: the given one, else the one that it keeps, else the highway's.

    Args:
        store: the warehouse's.
        given: as `read_taxonomy` has it; None for what is kept.

    Raises:
        ConfigError, StorageError: as `read_taxonomy` does.
        WarehouseError: the warehouse's settings are not of this version.
    """
    if given is not None:
        return read_taxonomy(given)
    kept = settings.taxonomy(store)
    return HIGHWAY if kept is None else _parsed(kept.encode(), store.uri_of(settings.KEY))


def keep_taxonomy(store: Store, taxonomy: Taxonomy) -> None:
    """Have a warehouse keep a taxonomy for who gives none.

    Raises:
        WarehouseError: the warehouse's settings are not of this version.
        Conflict: another run changed what is kept in this moment.
    """
    settings.keep_taxonomy(store, None if taxonomy == HIGHWAY else _text(taxonomy))


def read_taxonomy(uri: str) -> Taxonomy:
    """The taxonomy of a file.

    Args:
        uri: a path or s3:// address of a YAML file; or the word highway.

    Raises:
        ConfigError: it is not there or no YAML, or a field is unknown or wrong: which, what was got, what was expected.
        StorageError: it cannot be read.
    """
    if uri == OF_HIGHWAYS:
        return HIGHWAY
    return _parsed(read_given("taxonomy", uri, f"a YAML file of classes, or {OF_HIGHWAYS}"), f"taxonomy {uri}")


def _parsed(data: bytes, where: str) -> Taxonomy:
    try:
        tree = read_yaml(data)
    except Malformed as error:
        raise ConfigError(f"{where}: {error}; expected YAML with classes") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{where}: got {type(tree).__name__}; expected a mapping with classes")
    try:
        found = TaxonomyConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, TaxonomyConfig, where)) from None
    classes = tuple(AssetClass(name, **dict(one)) for name, one in found.classes.items())
    return Taxonomy(classes, others_ignored=found.others == "ignored")


def _text(taxonomy: Taxonomy) -> str:
    """What `_parsed` reads the taxonomy from."""
    classes = {one.name: asdict(one) for one in taxonomy.classes}
    for fields in classes.values():
        del fields["name"]
    return json.dumps({"classes": classes, "others": "ignored" if taxonomy.others_ignored else "point"})
