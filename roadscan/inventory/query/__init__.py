"""Questions to a release: SQL, what changed where, what its columns mean, and how answers look on a terminal."""

from roadscan.inventory.query.rendering import render
from roadscan.inventory.query.sql import query, query_release, quoted, stream_release

__all__ = ["query", "query_release", "quoted", "render", "stream_release"]
