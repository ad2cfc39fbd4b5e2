"""An explanation to what the command line prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.table import Table

from roadscan.inventory.explain.explanation import DriveEvidence, Explanation
from roadscan.inventory.explain.replay import Outlook
from roadscan.printing import Terminal, cell


def render_explanation(made: Explanation, console: Terminal) -> None:
    """Print the asset, the reasons for its state, what each drive told, and what would change it."""

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    for line in _heading(made):
        say(line)
    say("\nwhy")
    for reason in made.reasons:
        say(f"  {reason}")
    if made.drives:
        console.print("\ndrives", _drives(made.drives), sep="\n")
        console.print("observations that point to it", _observations(made.drives), sep="\n")
        missed = [drive for drive in made.drives if not drive.seen]
        if missed:
            console.print("frames that should show it", _frames(missed), sep="\n")
    if made.outlooks:
        say("what would change it")
        for outlook in made.outlooks:
            say(f"  {in_words(outlook, made.drives[-1].state)}")
    for note in made.notes:
        say(f"note: {note}")
    say("with " + ", ".join(f"{name} {value:g}" for name, value in made.parameters.items()))


def in_words(outlook: Outlook, now: str) -> str:
    """What more drives would make of an asset whose state is `now`, in one line.

    >>> in_words(Outlook(1, False, 0, 6, "suspect", 0.4567), "confirmed")
    '1 more drive that misses it (in 6 opportunities): suspect, 0.457'
    >>> in_words(Outlook(3, True, 5, 6, "confirmed", 0.99), "confirmed")
    '3 more drives that see it (in 5 of 6 opportunities): still confirmed, 0.990'
    """
    many = outlook.drives > 1
    verb = ("see" if outlook.seen else "miss") + ("" if many else "s" if outlook.seen else "es")
    often = f"{outlook.hits} of {outlook.opportunities}" if outlook.seen else f"{outlook.opportunities}"
    return (
        f"{outlook.drives} more drive{'s' if many else ''} that {verb} it (in {often} opportunities): "
        f"{'still ' if outlook.state == now else ''}{outlook.state}, {outlook.probability:.3f}"
    )


def _heading(made: Explanation) -> list[str]:
    asset, existence = made.asset, made.asset["existence"]
    stands = "" if existence is None else f", {existence:.3f} likely to stand"
    lines = [f"{asset['asset_id']}  {asset['class']}  {asset['state']}{stands}  (release {made.release})"]
    if made.alias:
        lines.append(
            f"  asked for as {made.asked}, part of it since {_day(made.alias['since'])}: {made.alias['reason']}"
        )
    length = "" if asset["length_m"] is None else f", {asset['length_m']:.0f} m long"
    side = f", {asset['side']}" if asset["side"] else ""
    lines.append(f"  at {asset['lon']:.6f}, {asset['lat']:.6f} ± {asset['pos_sigma_m']:.1f} m{side}{length}{_km(made)}")
    lines.append(
        f"  {asset['n_observations']} frames on {asset['n_nights']} nights, from {_day(asset['first_seen'])} to "
        f"{_day(asset['last_seen'])}, mean score {asset['score']:.2f}"
    )
    return [*lines, f"  best view: {asset['evidence_uri']}"] if asset["evidence_uri"] else lines


def _km(made: Explanation) -> str:
    route, section, km_m = (made.asset[name] for name in ("route_code", "section_code", "km_m"))
    return "" if km_m is None else f", route {route} section {section} km {km_m // 1000}+{km_m % 1000:03d}"


def _table(*names: str, figures: Sequence[str], last: str | None = None) -> Table:
    """Names, which go on in the next line where there is no room, figures, which are never cut, and perhaps a word."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    if last:
        table.add_column(last, overflow="fold")
    return table


def _drives(drives: Sequence[DriveEvidence]) -> Table:
    figures = ("end", "seen", "log-\nlikeli-\nhood", "stands", "± m", "from\nasset m", "score")
    table = _table("drive", figures=figures, last="state")
    for drive in drives:
        other = [change for change in drive.changes if change != drive.state]
        changed = f" ({', '.join(other)})" if other else ""
        table.add_row(
            cell(drive.drive_id), _day(drive.looked_at), f"{drive.hits} of {drive.opportunities}",
            f"{drive.log_likelihood_ratio:+.2f}", f"{drive.probability:.3f}", _figure(drive.pos_sigma_m, ".1f"),
            _figure(drive.from_asset_m, ".1f"), _figure(drive.score, ".2f"), f"{drive.state}{changed}",
        )  # fmt: skip
    return table


def _observations(drives: Sequence[DriveEvidence]) -> Table:
    figures = ("distance\nm", "off-\nbearing °", "beside\nm", "range m", "score")
    table = _table("drive", "observation", figures=figures)
    for drive in drives:
        for one in drive.observations:
            range_m = "" if one.range_m is None else f"{one.range_m:.1f} ± {_figure(one.range_sigma_m, '.1f')}"
            table.add_row(
                cell(drive.drive_id), cell(one.observation_id), f"{one.distance_m:.1f}",
                _figure(one.off_bearing_deg, "+.1f"), f"{one.beside_m:.1f}", range_m, f"{one.score:.2f}",
            )  # fmt: skip
        more = drive.pointing - len(drive.observations)
        if more:
            table.add_row(cell(drive.drive_id), f"{more} more" if drive.seen else f"{more}, taken to show another")
    return table


def _frames(missed: Sequence[DriveEvidence]) -> Table:
    table = _table("drive", "frame", figures=("distance m", "off axis °"), last="image")
    for drive in missed:
        for one in drive.frames:
            away = f"{one.distance_m:.1f}", f"{one.off_axis_deg:+.1f}"
            table.add_row(cell(drive.drive_id), cell(one.frame_id), *away, cell(one.image_uri or ""))
    return table


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
