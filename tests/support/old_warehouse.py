"""Writes a warehouse as roadscan 0.1 did: release manifests that name every file, and one file of each drive."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


class OldWarehouse:
    """A warehouse of 0.1 in a folder; each `publish` is a release."""

    def __init__(self, root: Path) -> None:
        self.root, self.files, self.parent, self.number = root, {}, None, 0

    def write(self, table: str, rows: pa.Table, name: str, drive_id: str | None = None, folder: str = "") -> None:
        """Put a file into the next release, in place of the table's (and the drive's) others."""
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        data = buffer.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        path = "/".join(part for part in (table, folder, f"{name}-{digest[:16]}.parquet") if part)
        self._put(path, data)
        self.files = {
            key: file for key, file in self.files.items() if (file["table"], file["drive_id"]) != (table, drive_id)
        }
        entry = {"table": table, "path": path, "rows": rows.num_rows, "bytes": len(data)}
        self.files[path] = {**entry, "sha256": digest, "drive_id": drive_id}

    def publish(self, note: str, created_at: datetime) -> None:
        """Make the files a release."""
        self.number += 1
        files = sorted(self.files.values(), key=lambda file: (file["table"], file["path"]))
        told = {"number": self.number, "created_at": created_at.isoformat(), "note": note, "files": files}
        data = json.dumps({"format": "roadscan.release/1", **told, "parent": self.parent}, indent=1).encode()
        digest = hashlib.sha256(data).hexdigest()
        self.parent = f"releases/{self.number:08d}-{digest[:16]}.json"
        self._put(self.parent, data)
        pointer = {"release": self.number, "path": self.parent, "sha256": digest}
        self._put("current.json", json.dumps(pointer).encode())

    def _put(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
