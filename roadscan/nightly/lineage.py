"""A night as events of OpenLineage: which drives and which model became which versions of which tables.

A run of a night is a run of the job ``nightly WAREHOUSE``: START, then COMPLETE, or FAIL with what was wrong. Drives
and the model are its inputs, with the digests that roadscan knows them by; the tables are its outputs, with their
versions.

Source: OpenLineage 2-0-2, https://openlineage.io/spec/2-0-2/OpenLineage.json, and its facets; names of datasets:
https://openlineage.io/docs/spec/naming
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

import pyarrow as pa

from roadscan import __version__
from roadscan.errors import RoadscanError
from roadscan.nightly.http import HTTP, send
from roadscan.nightly.record import NightRecord
from roadscan.nightly.summary import NightSummary
from roadscan.schemas import DRIVE_FRAMES, TABLES, described
from roadscan.storage import open_store
from roadscan.warehouse import Release

PRODUCER = f"urn:roadscan:{__version__}"
SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACETS = {  # where each facet's schema is
    "nominalTime": "1-0-1/NominalTimeRunFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
    "inputStatistics": "1-0-0/InputStatisticsInputDatasetFacet",
}
#: The tables that readers have; views and what is kept for the next night are made of these.
READ = ("frames", "observations", "runs", "assets", "asset_changes", "asset_history", "asset_alias", "coverage")

EventType = Literal["START", "COMPLETE", "FAIL"]


@dataclass(frozen=True)
class LineageRun:
    """The events of one run of a night.

    Attributes:
        to: http(s) address that events are posted to, or a folder or s3:// prefix in which each is an object.
        warehouse: address.
        model: address of the model file.
        zone: in which a night's date begins and ends.
        run_id: of all its events.
    """

    to: str
    warehouse: str
    model: str
    zone: ZoneInfo
    run_id: str = field(default_factory=lambda: str(uuid4()))

    def start(self, record: NightRecord) -> str | None:
        """Tell that a night begins, with its drives; None when that was taken, otherwise why not."""
        return self._emit("START", self._event("START", record.night, _drives(record), []))

    def end(self, record: NightRecord, summary: NightSummary, release: Release | None) -> str | None:
        """Tell how a night ended; as `start`.

        Args:
            record: of the night.
            summary: of this run.
            release: the current one; None where the warehouse does not say.
        """
        event: EventType = "COMPLETE" if summary.outcome == "complete" else "FAIL"
        inputs = _drives(record)
        if summary.model_sha256:
            inputs.append(_dataset(self.model, {"version": {"datasetVersion": summary.model_sha256}}))
        outputs = [self._output(table, release) for table in READ if release and release.has(table)]
        why = (
            None
            if event == "COMPLETE"
            else "; ".join(filter(None, (summary.outcome, summary.error, *summary.withheld)))
        )
        return self._emit(event, self._event(event, summary.night, inputs, outputs, why))

    def _event(
        self, kind: EventType, night: str, inputs: list[Any], outputs: list[Any], why: str | None = None
    ) -> dict[str, Any]:
        begins = datetime.combine(date.fromisoformat(night), time(), self.zone)
        ends = datetime.combine(begins.date() + timedelta(days=1), time(), self.zone)
        facets = {"nominalTime": {"nominalStartTime": begins.isoformat(), "nominalEndTime": ends.isoformat()}}
        if why:
            facets["errorMessage"] = {"message": why, "programmingLanguage": "PYTHON"}
        job_type = {"processingType": "BATCH", "integration": "ROADSCAN", "jobType": "JOB"}
        return {
            "eventType": kind,
            "eventTime": datetime.now(UTC).isoformat(),
            "producer": PRODUCER,
            "schemaURL": SPEC,
            "run": {"runId": self.run_id, "facets": _facets(facets)},
            "job": {
                "namespace": "roadscan",
                "name": f"nightly {self.warehouse}",
                "facets": _facets({"jobType": job_type}),
            },
            "inputs": inputs,
            "outputs": outputs,
        }

    def _output(self, table: str, release: Release) -> dict[str, Any]:
        facets = {"schema": _columns(TABLES[table]), "version": {"datasetVersion": str(release.version(table))}}
        return _dataset(f"{self.warehouse}/{table}", facets)

    def _emit(self, kind: EventType, event: Mapping[str, Any]) -> str | None:
        data = json.dumps(event).encode()
        if self.to.startswith(HTTP):
            reason = send(self.to, data, "application/json")
            return reason and f"the service of health.lineage was not told of {kind}: {reason}"
        moment = datetime.fromisoformat(event["eventTime"])
        try:
            open_store(self.to).write(f"{moment:%Y%m%dT%H%M%S.%fZ}-{kind.lower()}-{self.run_id}.json", data)
        except RoadscanError as error:
            return f"the lineage event {kind} was not written: {error}"
        return None


def _drives(record: NightRecord) -> list[dict[str, Any]]:
    facets = {"schema": _columns(DRIVE_FRAMES)}
    return [
        _dataset(drive.uri, {**facets, "version": {"datasetVersion": drive.sha256}})
        | {"inputFacets": _facets({"inputStatistics": {"rowCount": drive.frames}})}
        for drive in record.drives
    ]


def _columns(schema: pa.Schema) -> dict[str, Any]:
    """A schema as the schema facet has it."""
    return {"fields": [{"name": one.name, "type": str(one.type), "description": described(one)[1]} for one in schema]}


def _dataset(address: str, facets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A dataset, named as OpenLineage names those of object stores and disks."""
    namespace, name = dataset_name(address)
    return {"namespace": namespace, "name": name, "facets": _facets(facets)}


def dataset_name(address: str) -> tuple[str, str]:
    """An address -> namespace and name.

    >>> dataset_name("s3://raw/drives/d1"), dataset_name("/data/drives/d1"), dataset_name("demo")
    (('s3://raw', 'drives/d1'), ('file', '/data/drives/d1'), ('file', 'demo'))
    """
    parts = urlsplit(address)
    return (f"s3://{parts.netloc}", parts.path.strip("/")) if parts.scheme == "s3" else ("file", address)


def _facets(facets: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Facets by name, each with who made it and where its schema is."""
    return {
        name: {"_producer": PRODUCER, "_schemaURL": _schema_url(FACETS[name]), **content}
        for name, content in facets.items()
    }


def _schema_url(facet: str) -> str:
    return f"https://openlineage.io/spec/facets/{facet}.json#/$defs/{facet.partition('/')[2]}"
