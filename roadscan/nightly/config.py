"""The config of the nightly job."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from roadscan.config import Config, ZoneName
from roadscan.inventory import InventoryConfig
from roadscan.scan.config import ScanConfig


class LeaseConfig(Config):
    """The lock that keeps a second run from the same warehouse; renewed three times in its length."""

    length_s: float = Field(90.0, ge=1, le=3600, description="after which a run that died no longer holds it; seconds")
    skew_s: float = Field(
        15.0, ge=0, le=600, description="by which clocks of two machines may differ; added before another run takes it"
    )


def _as_written(value: object) -> object:
    """YAML 1.1 reads 10:30 as a number to the base of 60; here it is that time again."""
    return f"{value // 60:02d}:{value % 60:02d}" if type(value) is int else value


def _known_time(text: str) -> str:
    try:
        return f"{datetime.strptime(text, CLOCK):{CLOCK}}"
    except ValueError:
        raise ValueError("expected a time of day in hours and minutes, such as 06:00") from None


def _without_secrets(address: str) -> str:
    if address.startswith(("http://", "https://")) and ("@" in urlsplit(address).netloc or urlsplit(address).query):
        raise ValueError("expected an address without a user, a password or a query: no secret stands in a config")
    return address


#: A file, or the http(s) address of a service; an error message may repeat it.
ToldAddress = Annotated[str, AfterValidator(_without_secrets)]
CLOCK = "%H:%M"
#: A time on the department's clocks, in hours and minutes.
ClockTime = Annotated[str, BeforeValidator(_as_written), AfterValidator(_known_time)]


class HealthConfig(Config):
    """What a night has to be like to be released, and who is told of it."""

    # One frame in twenty is more than a few damaged files and short tunnels take from a night, and less than one of ten
    # drives whose camera or receiver was dead: of that one somebody should hear in the morning.
    max_quarantined: float = Field(
        0.05, ge=0, le=1, description="largest share of a night's frames in quarantine with which it is complete"
    )
    min_detections: float = Field(
        0.25,
        ge=0,
        le=1,
        description="smallest part of the detections of earlier drives on the same road with which a night's go into "
        "the register; 0 for no gate",
    )
    done_by: ClockTime | None = Field(
        None, description="time of day by which a night is to be done, else it is late; such as 06:00, empty for none"
    )
    labelled: str | None = Field(
        None,
        description="labelled dataset, a folder or s3://, on which a new model must not be worse than the one before; "
        "empty for no gate",
    )
    known_assets: str | None = Field(
        None,
        description="every asset of its classes on some stretches of road, .geojson, .parquet or .csv: a night's "
        "register that is worse there than the current one is not released; empty for no gate",
    )
    metrics: ToldAddress | None = Field(
        None,
        description="where metrics of each night are left for Prometheus: a file that ends in .prom, for the textfile "
        "collector of node_exporter, or http(s)://, a Pushgateway; empty for none",
    )
    lineage: ToldAddress | None = Field(
        None,
        description="where OpenLineage events of each night go: http(s)://, to which they are posted, or a folder or "
        "s3://, where each is an object; empty for none",
    )

    @property
    def due(self) -> time | None:
        """`done_by` as a time."""
        return time.fromisoformat(self.done_by) if self.done_by else None


class NightlyConfig(Config):
    """A night: which drives, with which scan, into which register."""

    warehouse: str = Field(min_length=1, description="of the scan and of the register; a folder or s3://")
    time_zone: ZoneName = Field(
        "UTC", description="in which a date begins and ends, and SQL reads times; such as Asia/Bangkok"
    )
    scan: ScanConfig = Field(description="as for roadscan scan; its warehouse is the one above")
    inventory: InventoryConfig = Field(description="as for roadscan inventory; its warehouse is the one above")
    lease: LeaseConfig = Field(LeaseConfig(), description="how long a run that died keeps others out")
    no_progress_s: float = Field(
        1800.0, ge=1, le=86400, description="without a shard committed, a drive read or a tile built: the run is ended"
    )
    health: HealthConfig = Field(
        HealthConfig(), description="what a night has to be like to be released, and who is told of it"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_warehouse(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "warehouse" not in given:
            return given
        parts = {name: given.get(name) or {} for name in ("scan", "inventory")}
        inner = {
            name: {"warehouse": given["warehouse"], **part} for name, part in parts.items() if isinstance(part, dict)
        }
        if "inventory" in inner and inner["inventory"].get("time_zone") is None:
            inner["inventory"]["time_zone"] = given.get("time_zone", "UTC")
        return {**given, **inner}

    @model_validator(mode="after")
    def _no_other_warehouse(self) -> Self:
        others = {self.scan.warehouse, self.inventory.warehouse} - {self.warehouse}
        if others:
            raise ValueError(f"scan and inventory have the night's warehouse {self.warehouse}; got {sorted(others)}")
        return self

    @model_validator(mode="after")
    def _nothing_again(self) -> Self:
        if self.scan.again:
            raise ValueError(f"scan.again: got {list(self.scan.again)}; expected none, as a night scans what is new: "
                             "use 'roadscan scan --again'")  # fmt: skip
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)
