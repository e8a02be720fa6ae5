"""Which packages can still be had, asked of the index in parallel and within a deadline. Installs nothing.

What pip is configured with counts here as well: index, further indexes, and folders of files. An index that does not
answer in time leaves a package unknown, never missing.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from tfx_pedigree.bounded_parse import parse_json, read_bounded
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.secrets import masked

# Together with all that is looked at beside it, an answer within two seconds.
DEADLINE = 1.2
_AT_ONCE = 24
_LARGEST = 16 << 20
_BLOCK = 64 << 10
_HEADERS = {"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.1", "Accept-Encoding": "gzip"}
_PAGE = "index.html"
_NAME = b'"filename"'
_NOT_YANKED = re.compile(rb'"yanked"\s*:\s*false')
_SEPARATORS = re.compile(r"[-_.]+")
_SDIST = re.compile(r"\.(tar\.gz|zip|tar\.bz2)$")
_PLACES = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")


class Availability(str, Enum):
    FOUND = "found"
    YANKED = "yanked"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Sources:
    """Addresses of indexes, and folders with files of packages. Addresses may hold a password: never print them."""

    indexes: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(map(masked, (*self.indexes, *self.folders)))


def sources(environ: Mapping[str, str] = os.environ, files: Iterable[str] = _PLACES) -> Sources:
    """As pip would take them: the environment outranks the files; pip's own index where nothing is named."""
    told = _pip_is_told(environ, files)
    index = told.get("index-url") or _default_index()
    named = [] if told.get("no-index", "").lower() in ("1", "true", "yes", "on") else [index]
    named += told.get("extra-index-url", "").split()
    every = [one for one in (*named, *told.get("find-links", "").split()) if one]
    folders = [_as_path(one) for one in every if _as_path(one) is not None]
    return Sources(
        tuple(one for one in every if one.lower().startswith(("https://", "http://"))),
        tuple(str(one) for one in folders),
    )


def variables_of_uv(environ: Mapping[str, str] = os.environ, files: Iterable[str] = _PLACES) -> dict[str, str]:
    """uv does not read what pip is configured with: its indexes and folders beside those of uv's own configuration, all
    of them looked through for a version, as pip does."""
    told = _pip_is_told(environ, files)
    indexes = [*told.get("index-url", "").split(), *told.get("extra-index-url", "").split()]
    found = {}
    if indexes:
        found["UV_EXTRA_INDEX_URL"] = " ".join([*environ.get("UV_EXTRA_INDEX_URL", "").split(), *indexes])
        found["UV_INDEX_STRATEGY"] = environ.get("UV_INDEX_STRATEGY") or "unsafe-best-match"
    if folders := told.get("find-links", "").split():
        own = environ.get("UV_FIND_LINKS")
        found["UV_FIND_LINKS"] = ",".join([*([own] if own else []), *folders])
    return found


def _pip_is_told(environ: Mapping[str, str], files: Iterable[str]) -> dict[str, str]:
    told: dict[str, str] = {}
    for file in (*files, *([environ["PIP_CONFIG_FILE"]] if environ.get("PIP_CONFIG_FILE") else [])):
        told |= _from_file(Path(file).expanduser())
    for key in ("index-url", "extra-index-url", "find-links", "no-index"):
        if environ.get(f"PIP_{key.replace('-', '_').upper()}"):
            told[key] = environ[f"PIP_{key.replace('-', '_').upper()}"]
    return told


def _from_file(file: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
        return {
            key: value
            for part in ("global", "install")
            if parser.has_section(part)
            for key, value in parser.items(part)
        }
    except (configparser.Error, OSError, UnicodeDecodeError):
        return {}


def _default_index() -> str:
    """What pip itself asks. It is not importable everywhere, and then nothing can be asked."""
    try:
        from pip._internal.models.index import PyPI  # noqa: PLC0415  only who asks an index needs it
    except ImportError:
        return ""
    return str(PyPI.simple_url)


def _as_path(address: str) -> Path | None:
    if address.startswith("file://"):
        return Path(unquote(urlsplit(address).path))
    return None if "://" in address else Path(address).expanduser()


def ask(packages: Mapping[str, str], where: Sources, deadline: float = DEADLINE) -> dict[str, Availability]:
    """For each package whether this very version can be had now."""
    found = {name: _in_folders(name, version, where.folders) for name, version in packages.items()}
    open_ = {name: version for name, version in packages.items() if found[name] is not Availability.FOUND}
    if not where.indexes:
        return found
    asking = _Asking(where.indexes, time.monotonic() + deadline)
    for name, said in asking.all_of(open_).items():
        found[name] = said
    return found


def _in_folders(name: str, version: str, folders: Iterable[str]) -> Availability:
    """A folder of files, or an index in folders. UNKNOWN where there is none that can be read."""
    said = Availability.UNKNOWN
    for folder in folders:
        for place in (Path(folder), Path(folder) / name):
            try:
                names = os.listdir(place)  # noqa: PTH208  as quick as it gets: it is asked once for each package
            except OSError:
                continue
            if any(_is_file_of(one, name, version) for one in names):
                return Availability.FOUND
            said = Availability.MISSING
            if place.name == name and _PAGE in names:
                with contextlib.suppress(OSError):
                    said = _read(read_bounded(place / _PAGE, _LARGEST), "html", name, version)
            if said in (Availability.FOUND, Availability.YANKED):
                return said
    return said


class _Asking:
    """One pool of connections to each index, and one moment at which everybody stops."""

    def __init__(self, indexes: tuple[str, ...], until: float) -> None:
        self._indexes, self._until = indexes, until
        self._pools: dict[str, urllib3.PoolManager] = {}
        for index in indexes:
            with contextlib.suppress(OSError, ValueError, urllib3.exceptions.HTTPError):  # a certificate, or a proxy
                self._pools[index] = _pool(index)
        self._over = threading.Event()

    def all_of(self, packages: Mapping[str, str]) -> dict[str, Availability]:
        pool = ThreadPoolExecutor(_AT_ONCE)
        tasks = {pool.submit(self._one, name, version): name for name, version in packages.items()}
        done, _ = wait(tasks, timeout=self._left)
        self._over.set()
        pool.shutdown(wait=False, cancel_futures=True)
        found = dict.fromkeys(packages, Availability.UNKNOWN)
        return {**found, **{tasks[task]: task.result() for task in done}}

    @property
    def _left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def _one(self, name: str, version: str) -> Availability:
        """The best that any index says; of one that does not answer, nothing is known."""
        said = [self._at(index, name, version) for index in self._indexes]
        for one in (Availability.FOUND, Availability.YANKED, Availability.UNKNOWN):
            if one in said:
                return one
        return Availability.MISSING

    def _at(self, index: str, name: str, version: str) -> Availability:
        if self._over.is_set() or not self._left or index not in self._pools:
            return Availability.UNKNOWN
        address, headers = _without_user(f"{index.rstrip('/')}/{name}/")
        limit = urllib3.Timeout(total=max(0.05, self._left))
        try:
            answer = self._pools[index].request(
                "GET", address, headers={**_HEADERS, **headers}, timeout=limit, preload_content=False, redirect=3
            )
            try:
                if answer.status == 404:
                    return Availability.MISSING
                body = self._body(answer) if answer.status == 200 else None
            finally:
                answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return Availability.UNKNOWN
        if body is None:
            return Availability.UNKNOWN
        return _read(body, str(answer.headers.get("Content-Type", "")), name, version)

    def _body(self, answer: Any) -> bytes | None:
        """None for one that is too large or comes too slowly."""
        whole = bytearray()
        while block := answer.read(_BLOCK, decode_content=True):
            whole += block
            if len(whole) > _LARGEST or self._over.is_set() or not self._left:
                return None
        return bytes(whole)


def _pool(index: str) -> urllib3.PoolManager:
    """Connections to an index, by way of the proxy that the environment names, as pip would go."""
    options: dict[str, Any] = {"maxsize": _AT_ONCE, "retries": False}
    parts = urlsplit(index)
    if parts.scheme == "https":
        # Read once: a context for each connection takes longer than the asking.
        options["ssl_context"] = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or None)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _without_user(address: str) -> tuple[str, dict[str, str]]:
    """Name and password of an index go into a header."""
    parts = urlsplit(address)
    if not parts.username:
        return address, {}
    user, password = unquote(parts.username), unquote(parts.password or "")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, urllib3.util.make_headers(basic_auth=f"{user}:{password}")


def _read(body: bytes, kind: str, name: str, version: str) -> Availability:
    if "json" in kind and _plainly_found(body, name, version):
        return Availability.FOUND
    try:
        files = _from_json(body) if "json" in kind else _from_html(body)
    except InvalidInputError:
        return Availability.UNKNOWN
    yanked = [gone for file, gone in files if _is_file_of(file, name, version)]
    if not yanked:
        return Availability.MISSING
    return Availability.YANKED if all(yanked) else Availability.FOUND


def _plainly_found(body: bytes, name: str, version: str) -> bool:
    """Without taking the answer apart, which is most of what asking costs: a file of this version is named, and between
    the files before and behind it nothing is taken back. False says nothing."""
    for match in re.finditer(rb'"filename"\s*:\s*"([^"\\]*%s[^"\\]*)"' % re.escape(version.encode()), body):
        if _is_file_of(match[1].decode("utf-8", "replace"), name, version):
            # Whether an object has its "yanked" before or behind its name, it stands in here.
            behind = body.find(_NAME, match.end())
            around = body[max(0, body.rfind(_NAME, 0, match.start())) : behind if behind > 0 else None]
            if around.count(b'"yanked"') == len(_NOT_YANKED.findall(around)):
                return True
    return False


def _from_json(body: bytes) -> list[tuple[str, bool]]:
    whole = parse_json(body, "The index's answer")
    files = whole.get("files") if isinstance(whole, dict) else None
    if not isinstance(files, list):
        raise InvalidInputError("The index's answer names no files.")
    named = (one for one in files if isinstance(one, dict) and isinstance(one.get("filename"), str))
    return [(one["filename"], one.get("yanked", False) not in (False, None)) for one in named]


def _from_html(body: bytes) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            told = dict(attrs)
            if tag == "a" and told.get("href"):
                path = urlsplit(str(told["href"])).path
                found.append((unquote(path.rpartition("/")[2]), "data-yanked" in told))

    Links(convert_charrefs=True).feed(body.decode("utf-8", "replace"))
    return found


def _is_file_of(file: str, name: str, version: str) -> bool:
    """Of a wheel the first two parts, of a source archive all but its ending; spelt in either way."""
    if file.endswith(".whl"):
        parts = file.split("-")
        return len(parts) >= 5 and _plain(parts[0]) == name and _same_version(parts[1], version)
    stem, archive = _SDIST.subn("", file)
    head, _, tail = stem.rpartition("-")
    return bool(archive) and _plain(head) == name and _same_version(tail, version)


def _plain(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def _same_version(a: str, b: str) -> bool:
    return a.replace("_", "-").lower() == b.replace("_", "-").lower()
