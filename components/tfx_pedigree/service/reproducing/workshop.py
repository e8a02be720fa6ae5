"""The folder in which a version is made again. Each part of it is whole and marked so, or is thrown away and made anew:
a reproduction may die at any moment, and the next call goes on behind the last part that was whole."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json, read_bounded
from tfx_pedigree.errors import ConflictError, InvalidInputError, UnavailableError
from tfx_pedigree.retraining.lock import held

FORMAT = "pedigree.reproduction/1"
_MARK, _LOCK = "reproduction.json", "lock"


@dataclass(frozen=True)
class Workshop:
    folder: Path

    @contextlib.contextmanager
    def claimed(self, what: str, order: dict[str, Any]) -> Iterator[tuple[int, ...]]:
        """`order` is what is to be made: a folder that holds the parts of anything else is refused, and so is one that
        is no such folder. Gives the descriptors that keep others out, for the processes that are started."""
        told = {"format": FORMAT, **order}
        self._refuse_strangers(told)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"The folder {self.folder} cannot be made: {error.strerror}.") from error
        with held(self.folder / _LOCK, what) as descriptor:
            self._refuse_strangers(told)
            _write(self.folder / _MARK, json.dumps(told, indent=2, sort_keys=True))
            yield (descriptor,)

    def part(self, name: str, make: Callable[[Path], None]) -> Path:
        """Made now, unless it is there and whole."""
        place = self.folder / name
        if not self.has(name):
            self.throw_away(name)
            make(place)
            _write(self._done(name), "")
        return place

    def has(self, name: str) -> bool:
        return self._done(name).is_file()

    def throw_away(self, name: str) -> None:
        self._done(name).unlink(missing_ok=True)
        place = self.folder / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def _done(self, name: str) -> Path:
        return self.folder / f"{name}.done"

    def _refuse_strangers(self, told: dict[str, Any]) -> None:
        mark = self.folder / _MARK
        if not mark.is_file():
            if self.folder.exists() and (not self.folder.is_dir() or any(map(_is_strange, self.folder.iterdir()))):
                raise ConflictError(
                    f"{self.folder} is there already and is no reproduction. Give another folder with --into."
                )
            return
        try:
            there = parse_json(read_bounded(mark), str(mark))
        except InvalidInputError:
            there = None
        if there != told:
            raise ConflictError(
                f"{self.folder} holds the reproduction of something else. Remove it, or give another folder: --into."
            )


def _is_strange(path: Path) -> bool:
    """Not what a call leaves that dies before its mark is written."""
    return path.name != _LOCK and not path.name.startswith(f".{_MARK}.")


def _write(file: Path, text: str) -> None:
    """There whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)
