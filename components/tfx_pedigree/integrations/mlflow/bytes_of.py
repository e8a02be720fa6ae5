"""The bytes of a version at MLflow, brought into a folder."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.integrations.mlflow.records import Source
from tfx_pedigree.integrations.mlflow.rest import ARTIFACTS, MlflowServer, file_path
from tfx_pedigree.secrets import masked
from tfx_pedigree.store.drivers import Driver
from tfx_pedigree.text import plain

_DEEPEST, _MOST_FILES = 32, 100_000
_BELOW = re.compile(r"[^/\x00-\x1f\\]{1,255}")


def download(source: Source, model: str, version: int, folder: Path, root: str | None) -> Path:
    """The folder in which the files are. `root` is where MLflow keeps its artifacts: nothing else is read, whatever the
    registry says, but what its own server hands out."""
    uri = source.uri_of(model, version)
    if not isinstance(uri, str):
        raise UnavailableError(f"{source.base} does not say where the bytes of {plain(model)} {version} are.")
    if isinstance(source, MlflowServer) and (below := _below_the_server(source, uri)) is not None:
        return _handed_out(source, below, folder)
    place = _permitted(uri, root)
    return _from_bucket(place, folder) if "://" in place else _on_this_disk(place)


def _handed_out(server: MlflowServer, below: str, folder: Path) -> Path:
    names = _at_most(_files(server, below, "", 0), below)
    for path in names:
        server.download(file_path(f"{below}/{path}"), functools.partial(_write, _made(folder / path)))
    return folder


def _at_most(names: Iterator[str], where: str) -> list[str]:
    found = list(itertools.islice(names, _MOST_FILES + 1))
    if len(found) > _MOST_FILES:
        raise UnavailableError(f"There are more than {_MOST_FILES:,} files at {plain(where, 200)}.")
    if not found:
        raise NotFoundError(f"There are no files at {plain(where, 200)}.")
    return found


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


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
        path = f"{folder}/{_name(server.base, name)}".strip("/")
        if one.get("is_dir"):
            yield from _files(server, root, path, depth + 1)
        else:
            yield path


def _write(out: Path, pieces: Iterator[bytes]) -> None:
    with out.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def _name(where: str, name: Any) -> str:
    if not isinstance(name, str) or not _BELOW.fullmatch(name) or name in (".", ".."):
        raise UnavailableError(f"{plain(where, 200)} lists {plain(str(name), 60)!r}, which is no name of a file.")
    return name


def _permitted(uri: str, root: str | None) -> str:
    """A folder, or the address of a bucket, if it is `root` or lies below."""
    parts = urlsplit(uri)
    at_root = parts.scheme == "mlflow-artifacts"
    path = unquote(parts.path)
    if root is None or ".." in PurePosixPath(path).parts:
        raise _not_permitted(uri, at_root)
    top = unquote(urlsplit(root).path) if root.startswith("file:") else root.rstrip("/")
    if at_root:
        return f"{top}/{path.strip('/')}"
    if "://" in top or parts.scheme not in ("", "file"):
        if uri.rstrip("/") != top and not uri.startswith(f"{top}/"):
            raise _not_permitted(uri, at_root)
        return uri
    if not Path(path).resolve().is_relative_to(Path(top).resolve()):
        raise _not_permitted(uri, at_root)
    return path


def _not_permitted(uri: str, at_root: bool) -> InvalidInputError:
    where = plain(masked(uri), 200)
    otherwise = "Else import without bytes: --without-bytes."
    if at_root:
        return InvalidInputError(
            f"The bytes are at {where}, below the artifacts of MLflow's server. Say where it keeps them, a folder or "
            f"the address of a bucket: --artifacts PLACE. {otherwise}"
        )
    return InvalidInputError(
        f"The bytes are at {where}, which MLflow's server does not hand out itself. If they can be read from this "
        f"computer, allow it with the folder or bucket that holds them: --artifacts PLACE. {otherwise}"
    )


def _on_this_disk(place: str) -> Path:
    path = Path(place).resolve()
    if not path.is_dir():
        raise NotFoundError(f"There is no folder {plain(str(path), 200)}.")
    return path


def _from_bucket(place: str, folder: Path) -> Path:
    driver = Driver(place, {})
    top = f"{driver.root}/"
    for key in _at_most(driver.attempt(lambda: iter(driver.fs.find(driver.root))), place):
        path = "/".join(_name(place, one) for one in key.removeprefix(top).split("/"))
        driver.attempt(functools.partial(driver.fs.get_file, key, str(_made(folder / path))))
    return folder
