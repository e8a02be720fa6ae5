"""A guess whether a large file is already stored, from its size and its ends.

A hint decides only in which order work is done, never what is stored. A wrong or missing one costs time.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.store.manifest import is_sha256
from tfx_pedigree.text import plain

FOLDER = "hints"
_SAMPLE = 64 << 10
_NAME = re.compile("[0-9a-f]{1,16}-[0-9a-f]{32}")


def hint_of(size: int, sample: Callable[[int, int], bytes]) -> str:
    """`sample` gives so many bytes from a place on."""
    ends = b"".join(sample(place, _SAMPLE) for place in (0, size // 2, max(0, size - _SAMPLE)))
    return f"{size:x}-{hashlib.sha256(ends).hexdigest()[:32]}"


def check_hint(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{plain(name, 60)!r} is no hint: those are a size and 32 digits of a digest.")
    return name


class Hints:
    def __init__(self, root: str) -> None:
        self._folder = Path(root, FOLDER)

    def read(self, name: str) -> str:
        """The SHA-256 of the object that a file of this name was last time; "" if there was none."""
        try:
            text = (self._folder / name).read_text("ascii")
        except (OSError, ValueError):
            return ""
        return text if is_sha256(text) else ""

    def write(self, name: str, sha256: str) -> None:
        with contextlib.suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            (self._folder / name).write_text(sha256, "ascii")

    def all(self) -> Iterator[tuple[str, str]]:
        """Keys of the hint files with what they name."""
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(self._folder.iterdir()):
                yield f"{FOLDER}/{path.name}", self.read(path.name)
