"""Which rows are exported: the register, what passes a filter, the changes, the difference of two releases, or SQL."""

from __future__ import annotations

from dataclasses import dataclass, field

from roadscan.errors import ConfigError, WarehouseError
from roadscan.inventory.query import query_release, quoted
from roadscan.inventory.query.changes import CHANGES, Stretch, find_stretch, where
from roadscan.inventory.query.sql import BEFORE, stream_release
from roadscan.warehouse import Release, Warehouse
from roadscan.warehouse.upkeep import find_release

DERIVED = ("bbox",)  # what the geometry says, too


@dataclass(frozen=True)
class Asked:
    """What is asked for; without anything, all assets.

    Attributes:
        sql: of DuckDB, over the release's tables and views.
        classes, states: one of these; empty for all.
        stretch: where on the network, and days: of the last detection, or of the change.
        changes: the register's changes, and not its assets.
        since_release: only assets that differ from those of this release.
    """

    sql: str | None = None
    classes: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    stretch: Stretch = field(default_factory=Stretch)
    changes: bool = False
    since_release: int | None = None

    def __post_init__(self) -> None:
        filtered = bool(self.classes or self.states or self.stretch != Stretch())
        if self.sql and (filtered or self.changes or self.since_release is not None):
            raise ConfigError("sql: got it with other filters; expected it alone: say the filters in its WHERE")
        if self.changes and self.since_release is not None:
            raise ConfigError("--changes and --since-release: got both; expected one of them")

    @property
    def layer(self) -> str:
        """What the rows are, as a layer's name."""
        if self.sql:
            return "query"
        return "changes" if self.changes else "assets"


@dataclass(frozen=True)
class Question:
    """What is asked of a release, as SQL.

    Attributes:
        sql: one SELECT.
        before: the release whose register it compares with.
    """

    sql: str
    before: Release | None = None


def question_of(warehouse: Warehouse, release: Release, asked: Asked) -> Question:
    """What is asked for -> the SQL that asks for it.

    Raises:
        WarehouseError: the release has no register, or no such route; or there is no release to compare with.
    """
    if asked.sql:
        return Question(asked.sql.strip().rstrip(";"))
    if not release.has("assets"):
        raise WarehouseError(
            f"{warehouse.store.uri}: no register there; run roadscan inventory --set warehouse={warehouse.store.uri}"
        )
    stretch = find_stretch(warehouse, release, asked.stretch)
    conditions = [where(stretch, "changed_at" if asked.changes else "last_seen")]
    for name, wanted in (("class", asked.classes), ("state", asked.states)):
        if wanted:
            conditions.append(f"{name} IN ({', '.join(map(quoted, wanted))})")
    rows, before = "assets", None
    if asked.since_release is not None:
        before = find_release(warehouse, asked.since_release)
        rows = f"({_difference(warehouse, release, before)})"
    elif asked.changes:
        rows = CHANGES
    return Question(f"SELECT * FROM {rows} WHERE {' AND '.join(conditions)}", before)  # noqa: S608 - quoted


def _difference(warehouse: Warehouse, release: Release, before: Release) -> str:
    """Assets that are new, other than before, or gone, as SQL.

    `difference` is added, changed or removed; `differs_in` has the names of the columns that changed, and `now_id` the
    asset that a removed one became part of.
    """
    if not before.has("assets"):
        raise WarehouseError(f"since-release: release {before.number} has no register; expected a later one")
    now = query_release(warehouse, release, "SELECT * FROM assets LIMIT 0").schema.names
    with stream_release(warehouse, release, f"SELECT * FROM {BEFORE} LIMIT 0", before=before) as reader:  # noqa: S608
        both = [name for name in reader.schema.names if name in now]
    told = [name for name in both if name not in (*DERIVED, "asset_id")]
    differs = ", ".join(f"CASE WHEN n.{name} IS DISTINCT FROM b.{name} THEN '{name}' END" for name in told)
    kept = ", ".join(f"b.{name}" for name in both)
    return f"""
        SELECT * FROM (
            SELECT n.*, CASE WHEN b.asset_id IS NULL THEN 'added' ELSE 'changed' END AS difference,
                CASE WHEN b.asset_id IS NOT NULL THEN concat_ws(',', {differs}) END AS differs_in, NULL::TEXT AS now_id
            FROM assets AS n LEFT JOIN {BEFORE} AS b ON b.asset_id = n.asset_id)
        WHERE difference = 'added' OR differs_in <> ''
        UNION ALL BY NAME
        SELECT {kept}, 'removed' AS difference, NULL::TEXT AS differs_in, l.asset_id AS now_id
        FROM {BEFORE} AS b LEFT JOIN asset_alias AS l ON l.alias_id = b.asset_id
        WHERE b.asset_id NOT IN (SELECT asset_id FROM assets)"""  # noqa: S608 - names of columns
