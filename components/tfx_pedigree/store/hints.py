"""A guess whether a large file is already stored, from its size and its ends.

A hint decides only in which order work is done, never what is stored. A wrong or missing one costs time.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from tfx_pedigree.store.manifest import is_sha256
from tfx_pedigree.store.source import Opened

FOLDER = "hints"
_SAMPLE = 64 << 10


class Hints:
    def __init__(self, root: str) -> None:
        self._folder = Path(root, FOLDER)

    def name(self, opened: Opened) -> str:
        size = opened.file.size
        sample = (
            opened.sample(0, _SAMPLE)
            + opened.sample(size // 2, _SAMPLE)
            + opened.sample(max(0, size - _SAMPLE), _SAMPLE)
        )
        return f"{size:x}-{hashlib.sha256(sample).hexdigest()[:32]}"

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
