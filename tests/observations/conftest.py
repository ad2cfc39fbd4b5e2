"""The register's world and its warehouse of one drive, for tables that become registers."""

from inventory.conftest import warehouse, world

__all__ = ["warehouse", "world"]
