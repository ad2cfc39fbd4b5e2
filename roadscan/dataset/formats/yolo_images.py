"""The images of each split of a YOLO dataset: folders and lists that its YAML file names, also where it was moved."""

from __future__ import annotations

import posixpath
import unicodedata
from typing import Any

from roadscan.dataset.assemble import Labelling
from roadscan.dataset.draft import Problem
from roadscan.dataset.files import Files
from roadscan.dataset.images import SUFFIXES
from roadscan.errors import DatasetError
from roadscan.filenames import FileNames, to_key
from roadscan.storage import DiskStore, check_key


class SplitImages:
    """Finds the images of a split, by what the YAML file and its lists say.

    Args:
        files: the root, the folder of the YAML file.
        tree: what the YAML file says, as text.
        prefix: what to cut from names that were written elsewhere.
        where: address of the YAML file.
        found: what is wrong is noted there.
    """

    def __init__(self, files: Files, tree: dict[str, Any], prefix: str | None, where: str, found: Labelling) -> None:
        self._files, self._where, self._prefix, self._found = files, where, prefix, found
        path = tree.get("path")
        self._path = _slashes(path) if isinstance(path, str) and path else "."
        self._bases = [".", *([self._path] if not _is_elsewhere(self._path) else [])][::-1]
        self._names: FileNames | None = None

    def of_split(self, split: str, entries: list[str]) -> list[str] | None:
        """Keys of a split's images, each once, in order; None for a test split that is named and not there."""
        keys: list[str] = []
        for entry in entries:
            found = self._list(entry) if entry.lower().endswith(".txt") else self._folder(entry)
            if not found and split == "test":
                text = f"test: there are no images in {entry!r}, so there is no test split"
                self._found.warnings.append(Problem("missing split", self._where, text))
                return None
            if not found:
                raise DatasetError(f"{self._where}: {self._no_images(entry)}")
            keys += found
        return list(dict.fromkeys(keys))

    def _folder(self, entry: str) -> list[str]:
        places = [key for base in self._bases if (key := self._inside(entry, base)) is not None]
        for key in places:
            found = [one for one in self._files.keys(key) if one.lower().endswith(SUFFIXES)]
            if found:
                return found
        return self._moved_folder(entry) if not places else []

    def _moved_folder(self, entry: str) -> list[str]:
        """The images of the folder that a path of another machine ends with."""
        parts = [part for part in _slashes(entry).split("/") if part not in ("", ".", "..")]
        keys = [one for one in self._files.keys("") if one.lower().endswith(SUFFIXES)]
        for start in range(1, len(parts) - 1):
            folder = "/".join(parts[start:])
            found = [key for key in keys if key.startswith(f"{folder}/")]
            if found:
                text = f"{entry!r} is not below {self._files.store.uri}; its {folder!r} is taken, which is"
                self._found.warnings.append(Problem("path elsewhere", self._where, text))
                return found
        raise DatasetError(f"{self._where}: {entry!r} leads out of {self._files.store.uri}; expected a path below it")

    def _list(self, entry: str) -> list[str]:
        """Images that a .txt file names: ``./`` is the file's own folder, other paths start at the root."""
        places = [key for base in self._bases if (key := self._inside(entry, base)) is not None]
        if not places:
            raise DatasetError(
                f"{self._where}: {entry!r} leads out of {self._files.store.uri}; expected a path below it"
            )
        data = [(key, text) for key in places if (text := self._files.read_if_there(key)) is not None]
        if not data:
            raise DatasetError(f"{self._where}: there is no file {entry!r}; expected a list of images")
        list_key, text = data[0]
        keys = []
        for number, line in enumerate(text_of(text).splitlines(), 1):
            if line.strip():
                key = self._listed(line.strip(), posixpath.dirname(list_key) or ".")
                where = f"{list_key}:{number}"
                if key:
                    keys.append(key)
                else:
                    hint = self._all_names().hint(line)
                    problem = f"{line.strip()!r} leads out of the dataset{f'; {hint}' if hint else ''}"
                    self._found.errors.append(Problem("missing image", where, problem))
        return keys

    def _listed(self, line: str, folder: str) -> str | None:
        cut = to_key(line, self._files.store.uri, self._prefix)
        base = folder if line.startswith("./") else self._bases[0]
        return self._inside(cut, base) or self._all_names().find(line)

    def _inside(self, path: str, base: str) -> str | None:
        """The key of a path, ``""`` for the root itself; None if it leads out of the root."""
        path, store = _slashes(path), self._files.store
        if _is_elsewhere(path):
            root = f"{store.uri}/" if isinstance(store, DiskStore) else None
            if root is None or not f"{path}/".startswith(root):
                return None
            path, base = path[len(root) :] or ".", "."
        joined = posixpath.normpath(posixpath.join(base, path))
        if joined.startswith("../") and path.startswith("../"):
            joined = posixpath.normpath(path[3:])
        if joined == ".":
            return ""
        return None if joined == ".." or joined.startswith("../") else check_key(unicodedata.normalize("NFC", joined))

    def _all_names(self) -> FileNames:
        if self._names is None:
            keys = [key for key in self._files.keys("") if key.lower().endswith(SUFFIXES)]
            self._names = FileNames(keys, self._files.store.uri, self._prefix)
        return self._names

    def _no_images(self, entry: str) -> str:
        """What is there instead of images that are not."""
        odd = sorted(key for key in self._files.decomposed if key.lower().endswith(SUFFIXES))
        if odd:
            return (
                f"the names of {len(odd)} images, such as {odd[0]!r}, are not in Unicode normalisation form C, as a "
                "Mac writes them; rename them, and their labels, so that they are"
            )
        keys = [key for key in self._files.keys("") if key.lower().endswith(SUFFIXES)]
        folders = sorted({posixpath.dirname(key) or "." for key in keys})
        there = (
            f"images are in {', '.join(folders[:4])}" if folders else f"there are no {', '.join(SUFFIXES)} files at all"
        )
        path = f" below path {self._path!r}, or beside the YAML file" if self._path != "." else ""
        return f"there are no images in {entry!r}{path}; {there}"


def _is_elsewhere(path: str) -> bool:
    return posixpath.isabs(path) or "://" in path or path[1:3] == ":/"


def _slashes(path: str) -> str:
    return path.replace("\\", "/")


def text_of(data: bytes) -> str:
    """A text file's bytes -> its text, without a byte order mark."""
    return data.decode("utf-8-sig", errors="replace")
