"""Properties that XMP packets have, by the prefix of their namespace, as attributes or as elements of RDF.

A regular expression, not a parser of XML: a packet is found within a file without knowing where it lies, and one that
is cut, or written by hand, still says what it says.

Source: ISO 16684-1 (XMP), 7.4 and 7.5.
"""

from __future__ import annotations

import re


def properties(data: bytes, prefix: str) -> dict[str, str]:
    """The simple properties of a namespace among bytes, by name.

    >>> properties(b'<rdf:Description GPano:PoseRollDegrees="1.5"><GPano:A> b </GPano:A>', "GPano")
    {'PoseRollDegrees': '1.5', 'A': 'b'}
    """
    pattern = re.compile(rb"\b" + prefix.encode() + rb":(\w+)\s*(?:=\s*[\"']([^\"']*)[\"']|>([^<]*)</)")
    found = pattern.findall(data)
    return {name.decode(): (one or other).decode("utf-8", "replace").strip() for name, one, other in found}
