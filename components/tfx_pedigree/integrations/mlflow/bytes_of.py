"""The bytes of a version at MLflow, brought into a folder."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.integrations.mlflow.rest import API, ARTIFACTS, MlflowServer, file_path
from tfx_pedigree.text import plain

_DEEPEST, _MOST_FILES = 32, 100_000
_BELOW = re.compile(r"[^/\x00-\x1f\\]{1,255}")


def download(server: MlflowServer, model: str, version: int, folder: Path, local: Path | None) -> Path:
    """The folder in which the files are. `local` is where a server on this computer keeps its artifacts: nothing
    else is read from this computer's disk, whatever the server says."""
    answer = server.get(f"{API}/model-versions/get-download-uri", name=model, version=version)
    uri = answer.get("artifact_uri")
    if not isinstance(uri, str):
        raise UnavailableError(f"{server.base} does not say where the bytes of {plain(model)} {version} are.")
    below = _below_the_server(server, uri)
    if below is None:
        return _on_this_disk(uri, local)
    path = ""
    for count, path in enumerate(_files(server, below, "", 0)):
        if count >= _MOST_FILES:
            raise UnavailableError(f"There are more than {_MOST_FILES:,} files at {plain(uri, 200)}.")
        out = folder / path
        out.parent.mkdir(parents=True, exist_ok=True)
        server.download(file_path(f"{below}/{path}"), functools.partial(_write, out))
    if not path:
        raise NotFoundError(f"There are no files at {plain(uri, 200)}.")
    return folder


def _below_the_server(server: MlflowServer, uri: str) -> str | None:
    """The path among the artifacts that the server hands out itself; None for what is elsewhere."""
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts":
        return unquote(parts.path).removeprefix(f"{ARTIFACTS}/").strip("/")
    if uri.startswith(f"{server.base}{ARTIFACTS}/"):
        return unquote(uri.removeprefix(f"{server.base}{ARTIFACTS}/")).strip("/")
    return None


def _files(server: MlflowServer, root: str, folder: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise UnavailableError(f"The files at {plain(root, 200)} lie more than {_DEEPEST} folders deep.")
    answer = server.get(ARTIFACTS, path=f"{root}/{folder}".strip("/"))
    found = answer.get("files")
    for one in found if isinstance(found, list) else []:
        name = one.get("path") if isinstance(one, dict) else None
        if not isinstance(name, str) or not _BELOW.fullmatch(name) or name in (".", ".."):
            raise UnavailableError(f"{server.base} lists {plain(str(name), 60)!r}, which is no name of a file.")
        path = f"{folder}/{name}".strip("/")
        if one.get("is_dir"):
            yield from _files(server, root, path, depth + 1)
        else:
            yield path


def _write(out: Path, pieces: Iterator[bytes]) -> None:
    with out.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def _on_this_disk(uri: str, local: Path | None) -> Path:
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        raise InvalidInputError(
            f"The bytes are at {plain(uri, 200)}, which the MLflow server does not hand out itself. Start it with "
            "`--serve-artifacts`, or import without bytes: --without-bytes."
        )
    path = Path(unquote(parts.path)).resolve()
    if local is None or not path.is_relative_to(local.resolve()) or ".." in PurePosixPath(parts.path).parts:
        raise InvalidInputError(
            f"The bytes are in {plain(str(path), 200)}, a folder of the MLflow server's computer. If that is this one, "
            "allow reading there: --artifacts FOLDER. Else import without bytes: --without-bytes."
        )
    if not path.is_dir():
        raise NotFoundError(f"There is no folder {plain(str(path), 200)}.")
    return path
