r"""File names as other programs wrote them -> keys below a root.

Labels and tables are written on one machine and read on another: names come with backslashes, with folders of a disk
that is not here, as addresses, with ``%20`` for a space, or decomposed as macOS stores them.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

#: What file servers and archivers put among the files of others.
_STRANGERS = ("@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information")


def is_hidden(key: str) -> bool:
    """Whether a file, or a folder that it lies in, is one that no person put there: a thumbnail, or a rest of a copy.

    >>> is_hidden(".thumbnails/1.jpg"), is_hidden("night/._1.jpg"), is_hidden("night/1.jpg")
    (True, True, False)
    """
    return any(part.startswith(".") or part in _STRANGERS for part in key.split("/"))


def to_key(uri: str, root: str, prefix: str | None) -> str:
    r"""The key of an image below the images' root, from a file name as some other program wrote it.

    Args:
        uri: a relative name, an absolute path or an address; with slashes of either kind.
        root: the images' root.
        prefix: what to cut from the front, instead of the root.

    >>> to_key("s3://b/night/a/1.jpg", "s3://b/night", None)
    'a/1.jpg'
    >>> to_key(r"D:\cam\1.jpg", "/data", "D:/cam")
    '1.jpg'
    """
    name = uri.replace("\\", "/")
    for start in (prefix, root):
        folder = (start or "").replace("\\", "/").rstrip("/") + "/"
        if start and name.startswith(folder):
            return name.removeprefix(folder)
    return name.removeprefix("./")


class FileNames:
    r"""The files below a root, to be found by the names that others gave them.

    A file is found by its key, or by the longest end of the written name that is the end of one key alone; a part of
    the written name may be left over in front where at least a folder and the file's name are the same. Less is a
    guess, which `hint` offers and `find` does not take. A name without suffix stands for the file of that stem.

    Args:
        keys: of the files.
        root: their root, a folder or ``s3://`` prefix.
        prefix: what to cut from the front of written names.

    >>> names = FileNames(["images/train/a 1.jpg", "images/val/b.jpg"], "/data")
    >>> names.find("/home/me/roads/images/train/a%201.jpg"), names.find(r"val\b.jpg", "images"), names.find("/x/b.jpg")
    ('images/train/a 1.jpg', 'images/val/b.jpg', None)
    """

    def __init__(self, keys: Iterable[str], root: str, prefix: str | None = None) -> None:
        self._keys, self._root, self._prefix = frozenset(keys), root, prefix
        self._by_name: dict[str, list[str]] = {}
        for key in sorted(self._keys):
            name = posixpath.basename(key)
            for spelling in dict.fromkeys((name, posixpath.splitext(name)[0])):
                self._by_name.setdefault(spelling, []).append(key)

    def find(self, written: str, folder: str = "") -> str | None:
        """The key that a name means, below a folder or the root; None where there is none, or several might be."""
        name = self._plain(written)
        for spelling in dict.fromkeys((name, unquote(name))):
            for key in (posixpath.join(folder, spelling), spelling):
                if posixpath.normpath(key) in self._keys:
                    return posixpath.normpath(key)
            parts = _parts(spelling)
            best, same = self._nearest(parts, folder)
            if len(best) == 1 and (same == len(parts) or same > 1):
                return best[0]
        return None

    def hint(self, written: str, folder: str = "") -> str:
        """What to do about a name that was not found; empty where nothing is like it."""
        name = self._plain(written)
        parts = _parts(unquote(name))
        best, same = self._nearest(parts, folder)
        if len(best) > 1:
            return f"{len(best)} files might be meant, such as {best[0]} and {best[1]}"
        if not best:
            return ""
        return f"{best[0]} has this name: set 'path_prefix: {'/'.join(name.split('/')[:-same])}' if it is meant"

    def joined(self, written: str, folder: str = "") -> str:
        """The key that a name would have as it is written, whether or not there is such a file."""
        return posixpath.normpath(posixpath.join(folder, self._plain(written)))

    def _plain(self, written: str) -> str:
        return unicodedata.normalize("NFC", to_key(written.strip(), self._root, self._prefix))

    def _nearest(self, parts: list[str], folder: str) -> tuple[list[str], int]:
        """The keys below a folder that end as the name does for most parts, and how many parts those are."""
        inside = f"{folder}/" if folder else ""
        found: dict[int, list[str]] = {}
        for key in self._by_name.get(parts[-1], ()) if parts else ():
            if key.startswith(inside):
                found.setdefault(_same_end(key.split("/")[:-1], parts[:-1]) + 1, []).append(key)
        most = max(found, default=0)
        return found.get(most, []), most


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".", "..")]


def _same_end(one: list[str], other: list[str]) -> int:
    """How many parts are the same, counted from the end."""
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return count
