"""Which paths a version may hold: those that mean one file, inside the tree, on every disk."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.store.failures import shown

MAX_PATH_BYTES = 1024
MAX_NAME_BYTES = 255

_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_path(path: str) -> str:
    """Returns `path`, or refuses it: absolute, not normal, or not writable on another system."""
    fault = _fault(path)
    if fault:
        raise InvalidInputError(
            f"The file name '{shown(path)}' cannot stand in a version: {fault}. Rename the file and store it again."
        )
    return path


def _fault(path: str) -> str | None:
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "it is not UTF-8"
    parts = path.split("/")
    faults = {
        "it is empty": not path,
        f"it is longer than {MAX_PATH_BYTES} bytes": len(encoded) > MAX_PATH_BYTES,
        "it is absolute": path.startswith("/"),
        "it begins with a drive letter": _DRIVE.match(path),
        "it holds a backslash": "\\" in path,
        "it holds a control character": _CONTROL.search(path),
        "it holds an empty part, '.' or '..'": {"", ".", ".."} & set(parts),
        f"one of its parts is longer than {MAX_NAME_BYTES} bytes": max(map(len, encoded.split(b"/"))) > MAX_NAME_BYTES,
    }
    return next((fault for fault, present in faults.items() if present), None)


def folded(path: str) -> str:
    """Equal for two paths that are the same file on a disk that ignores case or normalises Unicode."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def check_tree(paths: Iterable[str]) -> None:
    """Refuses a set of paths that cannot all exist side by side on every disk."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        name = folded(check_path(path))
        if files.get(name) == path:
            raise InvalidInputError(f"'{shown(path)}' is listed twice. A version holds each file once.")
        _claim(files, name, path)
        folder = path.rpartition("/")[0]
        while folder and folders.get(folded(folder)) != folder:
            _claim(folders, folded(folder), folder)
            folder = folder.rpartition("/")[0]
    for name in sorted(files.keys() & folders.keys()):
        raise InvalidInputError(
            f"The file '{shown(files[name])}' and the folder '{shown(folders[name])}' cannot exist side "
            "by side. "
            "Rename one of them."
        )


def _claim(names: dict[str, str], name: str, path: str) -> None:
    other = names.setdefault(name, path)
    if other != path:
        raise InvalidInputError(
            f"'{shown(other)}' and '{shown(path)}' would be one name on a disk that ignores case or "
            "normalises "
            "Unicode, so this model could not be laid out there. Rename one of them."
        )
