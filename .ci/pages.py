"""The generated parts of the documentation: this script writes them; with ``--check`` it fails where one is stale."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from roadscan.manual.tables import config_tables, schema_tables

ROOT = Path(__file__).resolve().parents[1]
#: By page: the name of the part, which stands between ``<!-- name -->`` and ``<!-- /name -->``, and what makes it.
PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "jobs/README.md": ("configs", config_tables),
    "roadscan/README.md": ("schemas", schema_tables),
}


def replaced(page: str, name: str, text: str) -> str:
    """A page with another text in one of its parts."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"no {begin.strip()} … {end} in the page")
    return f"{before}{begin}\n{text}\n\n{end}{after}"


def main() -> int:
    """Write the pages, or compare them; the exit code."""
    stale = []
    for path, (name, make) in PARTS.items():
        page = (ROOT / path).read_text(encoding="utf-8")
        new = replaced(page, name, make())
        if new != page:
            stale.append(path)
            if "--check" not in sys.argv:
                (ROOT / path).write_text(new, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"stale: {', '.join(stale)}; run 'make docs'", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
