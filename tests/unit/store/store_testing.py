"""Small things that the tests of the store use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

FILES = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 4096,
    "assets/vocabulary.txt": "Zürich\nOslo\n".encode(),
}
SECRET = "wJalrXUtnFEMI-not-a-real-key"  # noqa: S105

MakeModel = Callable[..., Path]


def tree_of(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, to compare before with after."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in sorted(folder.rglob("*"))}


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def objects_in(store: Path) -> list[Path]:
    return sorted(path for path in (store / "objects").rglob("*") if path.is_file())
