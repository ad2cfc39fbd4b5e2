"""What a warehouse knows of itself, whoever reads it: ``settings.json`` at its root. Today that is its time zone."""

from __future__ import annotations

import json
import logging

from roadscan.errors import Conflict, Malformed, NotFound, WarehouseError
from roadscan.parsing import read_json
from roadscan.storage import MAX_RECORD_BYTES, Store

LOG = logging.getLogger(__name__)
KEY = "settings.json"
FORMAT = "roadscan.settings/1"
UTC = "UTC"


def time_zone(store: Store) -> str:
    """A warehouse's store -> the IANA name of the zone in which SQL reads its times; UTC where nobody set one.

    Raises:
        WarehouseError: the settings are not of this version.
    """
    return _read(store)[0].get("time_zone", UTC)


def keep_time_zone(store: Store, name: str) -> None:
    """Have a warehouse keep a time zone; a warning where it kept another one.

    Raises:
        Conflict: another run set it in this moment.
    """
    settings, tag = _read(store)
    known = settings.get("time_zone", UTC)
    if known == name:
        return
    data = json.dumps({**settings, "format": FORMAT, "time_zone": name}, indent=1).encode()
    if tag is None:
        store.create(KEY, data)
        return
    LOG.warning("%s: its time zone was %s, and is %s from now on", store.uri, known, name)
    try:
        store.swap(KEY, data, tag=tag)
    except Conflict:
        raise Conflict(f"{store.uri_of(KEY)}: another run changed it meanwhile; run again") from None


def _read(store: Store) -> tuple[dict[str, str], str | None]:
    try:
        data, tag = store.read_tagged(KEY, max_bytes=MAX_RECORD_BYTES)
    except NotFound:
        return {}, None
    try:
        settings = read_json(data, dict[str, str])
        if settings.get("format") != FORMAT:
            raise Malformed("of another version")
        return settings, tag
    except Malformed as error:
        raise WarehouseError(
            f"{store.uri_of(KEY)}: not settings that this version reads ({error}); upgrade, or remove it"
        ) from None
