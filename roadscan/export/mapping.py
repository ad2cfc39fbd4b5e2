"""An agency's own names: a YAML file of fields, each an expression over the register, or a table of values.

    source: where the names stand
    layer: traffic_signs
    where: class IN ('Information Sign', 'Warning Sign')
    fields:
      externalId: coalesce(control_id, asset_id)
      status: {of: state, values: {confirmed: PLACED, missing: REMOVED}}

An expression is DuckDB's SQL over the columns of what is exported; a column's name is one. What is in no table of
values is empty, and is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files

from pydantic import Field

from roadscan.config import Config, load_config
from roadscan.inventory.query import quoted

SHIPPED = ("mire", "ndw")
HIDDEN = "_roadscan_"  # how the names begin of columns that are not written
UNMATCHED = f"{HIDDEN}unmatched_"  # whether a field's table has no value for the row; the field's number follows
GEOMETRY = f"{HIDDEN}geometry"
PLACES = (("lon", "lat"), ("camera_lon", "camera_lat"))  # columns that place a row which has no geometry


class Values(Config):
    """A field whose values are looked up."""

    of: str = Field(description="The column, or an expression, whose value is looked up, as text.")
    values: dict[str, str | None] = Field(description="The agency's value for each; ~ for none.")


class Mapping(Config):
    """An agency's model."""

    source: str = Field(default="", description="Where the names of the fields stand.")
    layer: str | None = Field(default=None, min_length=1, description="Name of the layer.")
    where: str | None = Field(default=None, min_length=1, description="Only rows of which this holds; SQL.")
    fields: dict[str, str | Values] = Field(min_length=1, description="By the field's name.")

    @property
    def looked_up(self) -> dict[int, str]:
        """Names of the fields whose values are looked up, by their number."""
        return {number: name for number, (name, told) in enumerate(self.fields.items()) if isinstance(told, Values)}

    def select(self, sql: str, columns: Sequence[str]) -> str:
        """SQL for rows -> SQL for the same rows under the agency's names.

        Args:
            sql: one SELECT.
            columns: that it gives; those that place a row go along, hidden.
        """
        chosen = [self._field(number, name) for number, name in enumerate(self.fields)]
        if "geometry" in columns:
            chosen.append(f"geometry AS {GEOMETRY}")
        for lon, lat in PLACES:
            if lon in columns and lat in columns:
                chosen += [f"{lon} AS {HIDDEN}lon", f"{lat} AS {HIDDEN}lat"]
                break
        passing = f" WHERE {self.where}" if self.where else ""
        return f"SELECT {', '.join(chosen)} FROM ({sql}){passing}"  # noqa: S608 - the user's own SQL, which only reads

    def _field(self, number: int, name: str) -> str:
        told, shown = self.fields[name], identifier(name)
        if isinstance(told, str):
            return f"({told}) AS {shown}"
        of = f"({told.of})::TEXT"
        cases = " ".join(f"WHEN {quoted(one)} THEN {_text(now)}" for one, now in told.values.items())
        known = ", ".join(map(quoted, told.values))
        missing = f"{of} IS NOT NULL AND {of} NOT IN ({known})" if known else f"{of} IS NOT NULL"
        looked_up = f"CASE {of} {cases} END" if cases else "NULL::TEXT"
        return f"{looked_up} AS {shown}, ({missing}) AS {UNMATCHED}{number}"


def read_mapping(name: str) -> Mapping:
    """A mapping of a file, or of one that is shipped, by its name.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    if name in SHIPPED:
        with as_file(files("roadscan.export") / "mappings" / f"{name}.yaml") as path:
            return load_config(Mapping, path)
    return load_config(Mapping, name)


def identifier(name: str) -> str:
    """A name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


def _text(value: str | None) -> str:
    return "NULL" if value is None else quoted(value)
