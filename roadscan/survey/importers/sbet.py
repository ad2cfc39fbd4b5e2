"""SBET and SMRMSG, what Applanix' POSPac makes of a drive: where the vehicle was, and how sure that is.

Neither says what it is, nor its week. Source: POSPac MMS user guide, as open readers have it (PDAL, charts): records of
17 and of 10 doubles, little-endian; time in seconds of the GPS week, latitude and longitude in radians, ellipsoidal
height in metres, three velocities, roll, pitch, platform heading and wander angle in radians, the rest of no use here;
and time, north, east and down in metres, three velocities, roll, pitch and heading in minutes of arc.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from roadscan.arrays import Floats
from roadscan.errors import NotFound, SurveyError
from roadscan.storage import open_store
from roadscan.survey.dates import GPS_WEEK_S
from roadscan.survey.importers.fixes import LogForm
from roadscan.survey.importers.sources import read_file, split_uri

FIELDS, SIGMA_FIELDS = 17, 10
LONGEST_S = 2 * GPS_WEEK_S  # into its week; a file goes on counting over the end of one
HIGHEST_M = 20_000.0
MOST_LATITUDE, MOST_LONGITUDE = np.pi / 2, 2 * np.pi
PROBES = 64  # records that are looked at


@dataclass(frozen=True)
class Trajectory:
    """The records of an SBET, (n,) each; time in seconds since 1970, degrees, metres; NaN where nothing is told."""

    time_s: Floats
    lon: Floats
    lat: Floats
    told: dict[str, Floats]


def order_of(data: bytes) -> str | None:
    """Of bytes that can be an SBET "<" or ">", as their numbers are little- or big-endian; else None."""
    count = len(data) // (FIELDS * 8)
    if count < 2:
        return None
    rows = np.unique(np.linspace(0, count - 1, PROBES).astype(int))
    for order in "<>":
        found = np.frombuffer(data, f"{order}f8", count * FIELDS).reshape(count, FIELDS)[rows]
        with np.errstate(invalid="ignore"):
            usual = (found == 0) | ((np.abs(found) > 1e-30) & (np.abs(found) < 1e7))  # text is 1e-80, or 1e170
            time_s, lat, lon, height_m = found[:, :4].T
            placed = (
                (time_s >= 0)
                & (time_s < LONGEST_S)
                & (np.abs(lat) <= 90)
                & (np.abs(lon) <= 360)
                & (np.abs(height_m) < HIGHEST_M)
            )
        if np.mean(placed & usual.all(axis=1)) > 0.5:
            return order
    return None


def read_sbet(data: bytes, order: str, uri: str, form: LogForm, notes: Counter[str]) -> Trajectory:
    """An SBET, and the SMRMSG that belongs to it.

    The true heading is the platform's less the wander angle. `pos_sigma_m` is that of north and east together. The
    lever arm from the trajectory's reference point to the camera is left out: positions are that point's.

    Args:
        data: the file.
        order: by `order_of`.
        uri: its address.
        form: its week, and where its SMRMSG is.
        notes: counts what is left out.

    Raises:
        SurveyError: its week is not known, its angles are degrees, or the SMRMSG is missing or none.
    """
    if form.week_s is None:
        raise SurveyError(
            f"track: {uri} is an SBET, which says seconds of a GPS week and not of which; set log_date to a day of it, "
            "such as that of the drive in UTC"
        )
    count, cut = divmod(len(data), FIELDS * 8)
    if cut:
        notes["records of the trajectory that are cut short"] += 1
    if order == ">":
        notes["records of the trajectory that are big-endian, which no POSPac writes"] += count
    rows = np.frombuffer(data, f"{order}f8", count * FIELDS).reshape(count, FIELDS)
    with np.errstate(invalid="ignore"):
        degrees = np.abs(rows[:, 1]) > MOST_LATITUDE
        if np.mean(degrees) > 0.5:
            raise SurveyError(
                f"track: {uri} has latitudes such as {rows[np.argmax(degrees), 1]:.6g}; expected radians, as of SBET. "
                "If they are degrees, write them as CSV with captured_at, lon, lat, heading_deg, pitch_deg and roll_deg"
            )
        good = (
            np.isfinite(rows[:, [0, 1, 2, 3, 7, 8, 9, 10]]).all(axis=1)
            & ~degrees
            & (np.abs(rows[:, 2]) <= MOST_LONGITUDE)
            & (rows[:, 0] >= 0)
            & (rows[:, 0] < LONGEST_S)
            & ~((rows[:, 1] == 0) & (rows[:, 2] == 0))
        )
    if lost := count - int(good.sum()):
        notes["records of the trajectory without a position"] += lost
    rows = rows[good].astype(float)
    into_s = _continued(rows[:, 0])
    told = {
        "altitude_m": rows[:, 3],
        "roll_deg": np.degrees(rows[:, 7]),
        "pitch_deg": np.degrees(rows[:, 8]),
        "heading_deg": np.degrees(rows[:, 9] - rows[:, 10]) % 360,
        **_sigmas(into_s, uri, form, notes),
    }
    lon = (np.degrees(rows[:, 2]) + 180) % 360 - 180
    return Trajectory(into_s + form.week_s, lon, np.degrees(rows[:, 1]), told)


def _continued(into_s: Floats) -> Floats:
    """Seconds of the week, of the next week's counted on."""
    return into_s + GPS_WEEK_S * np.cumsum(np.diff(into_s, prepend=into_s[:1]) < -GPS_WEEK_S / 2)


def _sigmas(into_s: Floats, uri: str, form: LogForm, notes: Counter[str]) -> dict[str, Floats]:
    """How sure each record is, between those of the SMRMSG; beyond its ends that is not known."""
    folder, name = split_uri(uri)
    beside = name.lower().startswith("sbet") and "smrmsg" + name[4:]
    address = form.sigmas or (f"{folder}/{beside}" if beside and open_store(folder).exists(beside) else None)
    if address is None:
        notes["trajectories without an SMRMSG, so that nothing says how sure they are"] += 1
        return {}
    try:
        data = read_file(address)
    except NotFound:
        raise SurveyError(f"log_sigmas: {address} does not exist; expected the SMRMSG of {uri}") from None
    count = len(data) // (SIGMA_FIELDS * 8)
    rows = np.frombuffer(data, "<f8", count * SIGMA_FIELDS).reshape(count, SIGMA_FIELDS)
    with np.errstate(invalid="ignore"):
        # No trajectory is off by 100 m, or its heading by 10 degrees: other doubles are another file.
        good = (
            (rows >= 0).all(axis=1) & (rows[:, 0] < LONGEST_S) & (rows[:, 1:3] < 100).all(axis=1) & (rows[:, 9] < 600)
        )
    if count == 0 or np.mean(good) < 0.5:
        raise SurveyError(f"log_sigmas: {address} is no SMRMSG: expected records of ten little-endian doubles")
    rows = rows[good & (rows[:, [1, 2, 9]] > 0).all(axis=1)]
    if not len(rows):
        notes["SMRMSG files that say 0 throughout, which is unknown"] += 1
        return {}
    at = _continued(rows[:, 0])
    by_time = np.argsort(at, kind="stable")

    def between(values: Floats) -> Floats:
        return np.interp(into_s, at[by_time], values[by_time], left=np.nan, right=np.nan)

    return {
        "pos_sigma_m": between(np.hypot(rows[:, 1], rows[:, 2])),
        "heading_sigma_deg": between(rows[:, 9] / 60),
    }
