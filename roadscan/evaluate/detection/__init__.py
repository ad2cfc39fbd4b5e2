"""How good detections in images are: average precision, operating points, confidence intervals.

split.open_split ──► predict.predict (grid_masks) ──► ImageResult: truth and detections of an image

results.ImageResult ──► matching.match ──► Matches ──┬─► scores.score            (with the results, for confusion)
                                                     ├─► bootstrap.intervals, bootstrap.paired_deltas
                                                     ├─► operating_point.operating_point
                                                     └─► thresholds.thresholds_for_recall, thresholds.calibration

All of it, of one model: evaluation.evaluate; of several on the same images: compare.compare; to read: tables.
From ImageResult on it is NumPy alone; what this package exports needs no torch.
"""

from roadscan.evaluate.bootstrap import Delta, Deltas, Interval, Intervals
from roadscan.evaluate.detection.bootstrap import intervals, paired_deltas
from roadscan.evaluate.detection.matching import Matches, match
from roadscan.evaluate.detection.operating_point import OperatingPoint, operating_point
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.evaluate.detection.scores import ClassScores, Curves, MainScores, Scores, score
from roadscan.evaluate.detection.thresholds import (
    Calibration,
    RecallThreshold,
    RecallThresholds,
    calibration,
    thresholds_for_recall,
)

__all__ = [
    "Calibration",
    "ClassScores",
    "Curves",
    "Delta",
    "Deltas",
    "ImageResult",
    "Interval",
    "Intervals",
    "MainScores",
    "Matches",
    "Objects",
    "OperatingPoint",
    "RecallThreshold",
    "RecallThresholds",
    "Scores",
    "calibration",
    "intervals",
    "match",
    "operating_point",
    "paired_deltas",
    "score",
    "thresholds_for_recall",
]
