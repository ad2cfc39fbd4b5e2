"""How good detections and registers are, in numbers; nothing here trains, reads images or writes tables."""

from roadscan.evaluate.assets import AssetScores, Score, score_assets, score_changes, seen_assets

__all__ = ["AssetScores", "Score", "score_assets", "score_changes", "seen_assets"]
