"""The register tile by tile, so that memory and time do not grow with the country.

    each drive's tables → partition → execute or ray: `build` of each tile → stitch: one register

`execute` builds in this process or in several, `ray` on a cluster; both give the same.
"""
