"""All checks, in the order in which one would mend things."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from roadscan.doctor import detector, machine, store
from roadscan.doctor.cluster import ray_cluster, token
from roadscan.doctor.finding import Finding, within
from roadscan.doctor.subject import Subject

MODEL_S = 120  # a large model over a slow link


def examine(subject: Subject) -> Iterator[Finding]:
    """All findings, as they are made; a check that breaks is a finding, too."""
    for name, check in (
        ("python", machine.python), ("machine", machine.machine), ("gpu", machine.gpu),
        ("shared memory", machine.shared_memory), ("open files", machine.open_files),
    ):  # fmt: skip
        yield within(name, check)
    for what in machine.disks(subject.cache_dir):
        yield within(what[0], partial(machine.disk, *what))
    yield within("token", token)
    yield within("ray", ray_cluster)
    if subject.model:
        yield within("detector", detector.shipped, MODEL_S)
        yield within("model", lambda: detector.model(str(subject.model)), MODEL_S)
    yield from _clock_checked_once(_stores(subject))


def _stores(subject: Subject) -> Iterator[Finding]:
    for address in subject.drives:
        yield from store.drives(address)
    for address in subject.datasets:
        yield from store.dataset(address)
    for address in subject.outputs:
        yield from store.output(address)
    if subject.warehouse:
        yield from store.warehouse(subject.warehouse)


def _clock_checked_once(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Findings -> the same with the first on the clock alone: all roots lie in the same store."""
    told = False
    for finding in findings:
        if finding.check != "clock" or not told:
            yield finding
        told = told or finding.check == "clock"
