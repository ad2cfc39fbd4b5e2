"""A night as metrics of Prometheus, in its text format: what a collector of files serves, and a Pushgateway takes.

A night has ended when somebody scrapes it, and its cluster is gone. So its metrics are left where a department's
Prometheus looks anyway: in a file for node_exporter's textfile collector, or at a Pushgateway, which is for such jobs.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ and https://github.com/prometheus/pushgateway
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from urllib.parse import quote

from roadscan.errors import RoadscanError
from roadscan.nightly.http import HTTP, send
from roadscan.nightly.summary import NightSummary
from roadscan.storage import open_file

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
JOB = "roadscan"

Sample: TypeAlias = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """A gauge.

    Attributes:
        name: with its unit.
        meaning: one line.
        samples: of a night: labels and values.
        labels: their names, besides ``warehouse``, which every sample has.
    """

    name: str
    meaning: str
    samples: Callable[[NightSummary], Iterable[Sample]]
    labels: tuple[str, ...] = ()


def _one(value: Callable[[NightSummary], float | None]) -> Callable[[NightSummary], Iterable[Sample]]:
    """A metric without labels; of a value that is not known it has no sample."""

    def samples(night: NightSummary) -> Iterator[Sample]:
        known = value(night)
        if known is not None:
            yield {}, known

    return samples


def _frames(night: NightSummary) -> Iterator[Sample]:
    for status in ("ok", "quarantined", "failed", "lost", "twice"):
        yield {"status": status}, getattr(night, f"frames_{status}")


def _rates(end: str) -> Callable[[NightSummary], Iterator[Sample]]:
    def samples(night: NightSummary) -> Iterator[Sample]:
        for name, rate in night.rates.items():
            if (value := getattr(rate, end)) is not None:
                yield {"class": name}, value

    return samples


def _ended_s(night: NightSummary) -> float:
    return (datetime.fromisoformat(night.started_at) + timedelta(seconds=night.seconds)).timestamp()


METRICS = (
    Metric("roadscan_night_end_timestamp_seconds", "When the last run of a night ended.", _one(_ended_s)),
    Metric("roadscan_night_duration_seconds", "How long that run took.", _one(lambda night: night.seconds)),
    Metric("roadscan_night_complete", "Whether it is complete.", _one(lambda night: night.outcome == "complete")),
    Metric("roadscan_night_on_time", "Whether it was done by health.done_by.", _one(lambda night: night.on_time)),
    Metric("roadscan_night_exit_code", "Of the run: 0 complete.", _one(lambda night: night.exit_code)),
    Metric("roadscan_night_drives", "Of the night.", _one(lambda night: len(night.drives))),
    Metric("roadscan_night_left_out_drives", "That cannot be read.", _one(lambda night: len(night.left_out))),
    Metric("roadscan_night_surveyed_km", "By its drives.", _one(lambda night: night.km)),
    Metric("roadscan_night_frames", "Of its drives, by what became of them.", _frames, ("status",)),
    Metric("roadscan_night_quarantined_ratio", "Share of its frames.", _one(lambda night: night.quarantined_share)),
    Metric(
        "roadscan_night_quarantined_limit_ratio", "Largest share with which it is complete.",
        _one(lambda night: night.max_quarantined),
    ),
    Metric(
        "roadscan_night_unusable_frames", "In quarantine or failed, by reason.",
        lambda night: (({"reason": reason}, count) for reason, count in night.reasons.items()), ("reason",),
    ),
    Metric("roadscan_night_detections", "In its frames.", _one(lambda night: night.detections)),
    Metric("roadscan_night_detections_per_km", "By class.", _rates("per_km"), ("class",)),
    Metric("roadscan_night_detections_per_km_low", "Least by the nights before.", _rates("low"), ("class",)),
    Metric("roadscan_night_detections_per_km_high", "Most by the nights before.", _rates("high"), ("class",)),
    Metric("roadscan_night_drifted", "Whether detections per km are outside of these.", _rates("drifted"), ("class",)),
    Metric(
        "roadscan_night_gate_closed", "Whether a gate found something worse, forced or not.",
        lambda night: (({"gate": name}, report.closed) for name, report in night.gates.items()), ("gate",),
    ),
    Metric("roadscan_night_forced", "Whether a closed gate was passed.", _one(lambda night: night.forced is not None)),
    Metric(
        "roadscan_night_node_seconds", "Of the nodes of the cluster during the run, by kind.",
        lambda night: (({"kind": kind}, seconds) for kind, seconds in night.node_seconds.items()), ("kind",),
    ),
    Metric("roadscan_night_images_per_second", "Of its scan.", _one(lambda night: night.images_per_second)),
    Metric(
        "roadscan_night_images_per_node_second", "Of its scan, by node that works.",
        _one(lambda night: night.images_per_node_second),
    ),
    Metric("roadscan_release", "Number of the night's release.", _one(lambda night: night.release)),
    Metric(
        "roadscan_register_assets", "Of the whole register, by class and state.",
        lambda night: (({"class": name, "state": state}, count)
                       for name, states in night.assets.items() for state, count in states.items()), ("class", "state"),
    ),
)  # fmt: skip


def exposition(night: NightSummary, warehouse: str) -> str:
    """A night -> its metrics in the text format, each with help and type, also those without a sample.

    Args:
        night: its summary.
        warehouse: address, the label that tells warehouses apart.
    """
    lines = []
    for metric in METRICS:
        lines += [f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} gauge"]
        for labels, value in metric.samples(night):
            pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in {"warehouse": warehouse, **labels}.items())
            lines.append(f"{metric.name}{{{pairs}}} {float(value)!r}")
    return "\n".join(lines) + "\n"


def leave_metrics(to: str, night: NightSummary, warehouse: str) -> str | None:
    """Leave a night's metrics in a file, or at a Pushgateway, in place of those of the night before.

    Args:
        to: path or s3:// address of the file, or http(s):// address of the Pushgateway.
        night: its summary.
        warehouse: address.

    Returns:
        None when that was done, otherwise why not.
    """
    data = exposition(night, warehouse).encode()
    if to.startswith(HTTP):
        reason = send(gateway_url(to, warehouse), data, CONTENT_TYPE, method="PUT")
        return reason and f"the Pushgateway of health.metrics has no metrics of this night: {reason}"
    try:
        store, key = open_file(to)
        store.write(key, data)
    except RoadscanError as error:
        return f"the metrics of this night were not written: {error}"
    return None


def gateway_url(address: str, warehouse: str) -> str:
    """A Pushgateway's address -> where a warehouse's metrics go: a group of its own, which a PUT replaces.

    >>> gateway_url("http://pushgateway.monitoring:9091/", "s3://warehouse/highways")
    'http://pushgateway.monitoring:9091/metrics/job/roadscan/warehouse@base64/czM6Ly93YXJlaG91c2UvaGlnaHdheXM='
    """
    named = base64.urlsafe_b64encode(warehouse.encode()).decode()
    return f"{address.rstrip('/')}/metrics/job/{JOB}/warehouse@base64/{quote(named, safe='=')}"


def _escaped(text: str) -> str:
    r"""A label's value, as the text format has it.

    >>> print(_escaped('a "b"'))
    a \"b\"
    """
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
