"""Between longitude/latitude and local metres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pyproj import Geod, Transformer

from roadscan.arrays import Floats

#: WGS 84, the datum of every longitude and latitude in roadscan.
WGS84 = Geod(ellps="WGS84")


class LocalFrame:
    """East/north metres about an origin: a transverse Mercator projection with scale 1 on the origin's meridian.

    The scale error is below 1.3e-6 within 10 km of the meridian (x²/2R²), so 1 cm in 10 km. A country needs one frame
    a drive, not one frame for all.
    """

    def __init__(self, lon: float, lat: float) -> None:
        self.lon, self.lat = lon, lat
        # The very steps that PROJ finds between EPSG:4326 and such a projection, for which it searches its database.
        steps = f"unitconvert +xy_in=deg +xy_out=rad +step +proj=tmerc +lon_0={lon!r} +lat_0={lat!r} +k=1 +ellps=WGS84"
        self._forward = Transformer.from_pipeline(f"+proj=pipeline +step +proj={steps}")

    def to_xy(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Floats, Floats]:
        """East and north metres, same shape as the input degrees."""
        x, y = self._forward.transform(np.asarray(lon, float), np.asarray(lat, float))
        return np.asarray(x), np.asarray(y)

    def to_lonlat(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Degrees, same shape as the input metres."""
        lon, lat = self._forward.transform(np.asarray(x, float), np.asarray(y, float), direction="INVERSE")
        return np.asarray(lon), np.asarray(lat)

    def convergence_deg(self, lon: Floats, lat: Floats) -> Floats:
        """By how much this plane's north lies clockwise of true north: 0.24 degrees 100 km east of its origin at 15 N.

        So a direction on the plane has this added to be one from true north.
        """
        return np.asarray(np.degrees(np.arctan(np.tan(np.radians(lon - self.lon)) * np.sin(np.radians(lat)))))


def wrap_deg(angle_deg: npt.ArrayLike) -> Floats:
    """Angles wrapped to [-180, 180).

    >>> wrap_deg([190.0, -190.0, 0.0]).tolist()
    [-170.0, 170.0, 0.0]
    """
    return (np.asarray(angle_deg, float) + 180.0) % 360.0 - 180.0


def course_deg(x: Floats, y: Floats) -> Floats:
    """Direction of travel at each point of a track in metres, clockwise from north, in [0, 360).

    Central differences (one-sided at the ends). A point that does not move takes the last course before it, or the
    first after it. Fewer than two distinct points give NaN.
    """
    if len(x) < 2:
        return np.full(len(x), np.nan)
    dx, dy = np.gradient(x), np.gradient(y)
    course = np.degrees(np.arctan2(dx, dy)) % 360.0
    moving = np.flatnonzero(np.hypot(dx, dy) > 0.05)
    if len(moving) == 0:
        return np.full(len(x), np.nan)
    last = np.searchsorted(moving, np.arange(len(x)), side="right") - 1
    result: Floats = course[moving[np.maximum(last, 0)]]
    return result
