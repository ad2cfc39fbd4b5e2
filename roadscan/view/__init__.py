"""A warehouse in a browser: a map of its register, and every asset's photographs.

    warehouse → releases → register ─┬→ filters → tiles (mvt, mercator), lists, ogc, finding ─┐
                         → roads ────┼────────────────────────────────────────────────────────┼→ site → guard → server
                         → details ──┴→ photographs ──────────────────────────────────────────┤     └→ export
              decisions that wait for the next register ←── deciding ←─────────────────────────┘

`static/` is the page: modules that a browser runs as they are, and MapLibre GL JS, built, with its licence.
"""

from roadscan.view.export import export_site
from roadscan.view.server import open_site, prepare, serve

__all__ = ["export_site", "open_site", "prepare", "serve"]
