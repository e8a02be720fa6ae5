"""Where a registry is: a folder that holds everything, a database file, or a database server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfx_pedigree.db.engine import parse_address
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import is_unicode

FILE_NAME = "registry.db"


@dataclass(frozen=True)
class Location:
    """`beside` is where the store lies if the registry names none: only a registry in files has such a place."""

    database: str
    beside: str | None

    @classmethod
    def of(cls, address: str | Path) -> Location:
        text = str(address)
        if not is_unicode(text):
            raise InvalidInputError(
                f"The registry's address {text!a} holds bytes that are not text. Give a folder with another name."
            )
        if "://" in text:
            url = parse_address(text)
            if url.get_backend_name() == "sqlite" and url.database:
                return cls(text, _beside(Path(url.database)))
            return cls(text, None)
        path = Path(text).expanduser()
        if path.suffix in (".db", ".sqlite") or path.is_file():
            return cls(str(path), _beside(path))
        return cls(str(path / FILE_NAME), str(path / "store"))


def _beside(database: Path) -> str:
    return str(database.parent / "store")
