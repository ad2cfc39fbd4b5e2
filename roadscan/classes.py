"""What is known of asset classes, in a YAML file: a taxonomy of one's own, such as of another detector's classes.

classes:
  pole: {height_m: 9, grounded: true, merge_m: 8}
  barrier: {geometry: line, grounded: true}
  car: {ignored: true}
others: point          # what is known of classes that are not listed: nothing; or ignored
"""

from __future__ import annotations

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
    return HIGHWAY if kept is None else _taxonomy(_checked(kept.encode(), store.uri_of(settings.KEY)))


def keep_taxonomy(store: Store, given: str) -> None:
    """Have a warehouse keep a taxonomy, as `read_taxonomy` reads it.

    Raises:
        ConfigError, StorageError: as `read_taxonomy` does.
        Conflict: another run changed what is kept in this moment.
    """
    settings.keep_taxonomy(store, None if given == OF_HIGHWAYS else _read(given).model_dump_json())


def read_taxonomy(uri: str) -> Taxonomy:
    """The taxonomy of a file.

    Args:
        uri: a path or s3:// address of a YAML file; or the word highway.

    Raises:
        ConfigError: it is not there or no YAML, or a field is unknown or wrong: which, what was got, what was expected.
        StorageError: it cannot be read.
    """
    return HIGHWAY if uri == OF_HIGHWAYS else _taxonomy(_read(uri))


def _read(uri: str) -> TaxonomyConfig:
    return _checked(read_given("taxonomy", uri, f"a YAML file of classes, or {OF_HIGHWAYS}"), f"taxonomy {uri}")


def _checked(data: bytes, where: str) -> TaxonomyConfig:
    try:
        tree = read_yaml(data)
    except Malformed as error:
        raise ConfigError(f"{where}: {error}; expected YAML with classes") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{where}: got {type(tree).__name__}; expected a mapping with classes")
    try:
        return TaxonomyConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, TaxonomyConfig, where)) from None


def _taxonomy(found: TaxonomyConfig) -> Taxonomy:
    classes = tuple(AssetClass(name, **dict(one)) for name, one in found.classes.items())
    return Taxonomy(classes, others_ignored=found.others == "ignored")
