"""What a user may set of the linear reference."""

from __future__ import annotations

from pydantic import Field, field_validator

from roadscan.config import Config, check_renamed

REQUIRED = ("route_code", "section_code", "km_start", "km_end")
OPTIONAL = ("carriageway", "district", "posts")


class ReferenceConfig(Config):
    """Config of `roadscan.inventory.reference.read_reference`.

    The file has one feature a centreline, longitude and latitude on WGS 84, with these properties:

    - `route_code`, `section_code`: numbers or text; digits alone are padded with zeros to `code_digits`.
    - `km_start`, `km_end`: chainage at the first and the last vertex, as ``25.556`` or ``"25+556"``. Either may be
      the larger.
    - `carriageway`, `district`: optional text.
    - `posts`: optional, kilometre posts as a list of ``[km, lon, lat]``. Chainage is linear between them, along the
      line; without them between its ends.
    """

    uri: str = Field(
        min_length=1,
        pattern=r"(?i)\.(geojson|json|parquet|geoparquet)$",
        description="centrelines, .geojson or .parquet: a path or s3:// address",
    )
    columns: dict[str, str] = Field({}, description="property names of the file, where they differ: {km_start: from}")
    version: str | None = Field(
        None, min_length=1, max_length=100, description="of the reference; default: first 12 digits of its SHA-256"
    )
    code_digits: int = Field(4, ge=0, le=32, description="width of route and section codes; 0 leaves them as they are")
    max_offset_m: float = Field(60.0, gt=0, le=1000, description="what is farther from every centreline is on none")

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, value: dict[str, str]) -> dict[str, str]:
        return check_renamed(value, (*REQUIRED, *OPTIONAL), "properties of a centreline")

    def column(self, name: str) -> str:
        """What the file calls a property."""
        return self.columns.get(name, name)
