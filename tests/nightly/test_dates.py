from __future__ import annotations

from datetime import date

import pytest

from roadscan.errors import ConfigError
from roadscan.nightly.dates import Nights, nights_of

TODAY = date(2026, 11, 5)


def day(number: int) -> date:
    return date(2026, 11, number)


def test_without_a_date_it_is_today() -> None:
    assert nights_of(None, None, None, today=TODAY) == Nights(TODAY, TODAY, back_fill=False)


def test_a_night_takes_its_own_drives_and_the_late_ones() -> None:
    night = nights_of(day(3), None, None, today=TODAY)
    assert [night.night_of(began) for began in (None, day(1), day(3), day(4))] == [day(3), day(3), day(3), None]


def test_a_back_fill_gives_each_drive_to_its_own_date() -> None:
    nights = nights_of(None, day(2), day(4), today=TODAY)
    assert nights.among([day(4), None, day(1), day(2), day(5), day(4)]) == [day(2), day(4)]
    assert [nights.night_of(began) for began in (None, day(1), day(2), day(4), day(5))] == [
        None,
        None,
        day(2),
        day(4),
        None,
    ]


def test_a_back_fill_without_an_end_goes_to_today() -> None:
    assert nights_of(None, day(4), None, today=TODAY) == Nights(day(4), TODAY, back_fill=True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((day(1), day(1), None), "--date: got it with --from or --to"),
        ((None, None, day(1)), "--to 2026-11-01: got no --from"),
        ((None, day(3), day(2)), "--from 2026-11-03: expected a date not after --to 2026-11-02"),
        ((day(6), None, None), "2026-11-06 has not come; today is 2026-11-05"),
        ((None, day(3), day(6)), "2026-11-06 has not come"),
    ],
)
def test_a_mistake_gives_one_line(given: tuple[date | None, date | None, date | None], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        nights_of(*given, today=TODAY)
