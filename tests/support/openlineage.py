"""Events of OpenLineage by schema: ours, written from the specification, and its own where someone has it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from referencing import Registry, Resource

FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER
SCHEMA = yaml.safe_load((Path(__file__).parent / "schemas" / "openlineage.yaml").read_text())


def check(event: Mapping[str, Any]) -> None:
    """Check an event by our schema.

    Raises:
        jsonschema.ValidationError: it is not as it should be.
    """
    jsonschema.Draft202012Validator(SCHEMA, format_checker=FORMATS).validate(event)


def check_upstream(event: Mapping[str, Any]) -> int | None:
    """Check an event and each of its facets by the specification's own schemas.

    They are in the folder spec/ of the specification, which ROADSCAN_OPENLINEAGE_SPEC names.

    Returns:
        How many facets were checked; None where there is no such folder.
    """
    folder = os.environ.get("ROADSCAN_OPENLINEAGE_SPEC")
    if folder is None:
        return None
    files = [Path(folder) / "OpenLineage.json", *sorted((Path(folder) / "facets").glob("*.json"))]
    schemas = [json.loads(file.read_text()) for file in files]
    registry = Registry().with_resources((one["$id"], Resource.from_contents(one)) for one in schemas)

    def hold(instance: Any, schema_url: str) -> None:
        validator = jsonschema.Draft202012Validator({"$ref": schema_url}, registry=registry, format_checker=FORMATS)
        validator.validate(instance)

    hold(event, event["schemaURL"])
    owners = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
    facets = [one for owner in owners for name in ("facets", "inputFacets") for one in owner.get(name, {}).values()]
    for facet in facets:
        hold(facet, facet["_schemaURL"])
    return len(facets)
