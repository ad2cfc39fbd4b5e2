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

from roadscan.config import Config, explain
from roadscan.errors import ConfigError, Malformed
from roadscan.storage import read_given
from roadscan.taxonomy import HIGHWAY, AssetClass, Geometry, Taxonomy
from roadscan.yamltext import read_yaml


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


def read_taxonomy(uri: str | None) -> Taxonomy:
    """The taxonomy of a file; the highway's without one.

    Args:
        uri: a path or s3:// address of a YAML file.

    Raises:
        ConfigError: it is not there or no YAML, or a field is unknown or wrong: which, what was got, what was expected.
        StorageError: it cannot be read.
    """
    if uri is None:
        return HIGHWAY
    data = read_given("taxonomy", uri, "a YAML file of classes")
    where = f"taxonomy {uri}"
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
