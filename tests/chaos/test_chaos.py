"""A few nights of the campaign, each with another kind of fault; `make chaos` runs all of them, many times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos.campaign import World, befall, world
from chaos.faults import by_name
from roadscan.demo.server import S3Server

pytestmark = [pytest.mark.s3, pytest.mark.slow]

KINDS = ["kill_after_write", "pause", "ack_lost", "captive", "uploading", "avif"]


@pytest.fixture(scope="module")
def made(s3: S3Server) -> Iterator[World]:
    """A store with a survey, and what an undisturbed night makes of it."""
    with world() as made:
        yield made


@pytest.mark.parametrize(("seed", "name"), list(enumerate(KINDS)))
def test_a_night_that_a_fault_befalls_ends_as_one_without(made: World, seed: int, name: str) -> None:
    (kind,) = by_name([name])
    outcome = befall(made, kind, seed)
    assert outcome.good, outcome
