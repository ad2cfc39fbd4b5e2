"""What a warehouse knows of itself, whoever reads it: ``settings.json`` at its root: its time zone and its taxonomy."""

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


def taxonomy(store: Store) -> str | None:
    """A warehouse's store -> what it keeps of its classes, as `roadscan.classes` writes it; None for the highway's.

    Raises:
        WarehouseError: the settings are not of this version.
    """
    return _read(store)[0].get("taxonomy")


def keep_time_zone(store: Store, name: str) -> None:
    """Have a warehouse keep a time zone; a warning where it kept another one.

    Raises:
        Conflict: another run set it in this moment.
    """
    before = _keep(store, "time_zone", name, UTC)
    if before not in (None, name):
        LOG.warning("%s: its time zone was %s, and is %s from now on", store.uri, before, name)


def keep_taxonomy(store: Store, text: str | None) -> None:
    """Have a warehouse keep what is known of its classes, None for the highway's; a warning where it kept another one.

    Raises:
        Conflict: another run set it in this moment.
    """
    before = _keep(store, "taxonomy", text, None)
    if before not in (None, text):
        LOG.warning("%s: its taxonomy is another one from now on; every tile is built again", store.uri)


def _keep(store: Store, name: str, value: str | None, default: str | None) -> str | None:
    """Write a setting, None for none; what it was before."""
    settings, tag = _read(store)
    before = settings.get(name)
    if (before or default) == value:
        return before
    others = {key: one for key, one in settings.items() if key != name}
    kept = {} if value is None else {name: value}
    data = json.dumps({**others, "format": FORMAT, **kept}, indent=1).encode()
    if tag is None:
        store.create(KEY, data)
        return before
    try:
        store.swap(KEY, data, tag=tag)
    except Conflict:
        raise Conflict(f"{store.uri_of(KEY)}: another run changed it meanwhile; run again") from None
    return before


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
