"""Why an asset is what it is, from what a release holds: read → replay, pointing → reasons → explanation → render."""

from roadscan.inventory.explain.explanation import Explanation, explain_asset
from roadscan.inventory.explain.render import render_explanation

__all__ = ["Explanation", "explain_asset", "render_explanation"]
