"""Plane geometry that knows neither drives nor assets: which points are near, which lines run side by side; metres."""
