"""Files: what a version consists of, one by one and as an archive, and the documents about it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Generator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tfx_pedigree.comparison import Origin, render
from tfx_pedigree.errors import NotFoundError, PedigreeError
from tfx_pedigree.integrations import bill_of_materials, card_as_html, card_as_markdown, card_of, spdx_document
from tfx_pedigree.json_form import JsonForm, to_json
from tfx_pedigree.registry import Registry, Version
from tfx_pedigree.server.context import Server
from tfx_pedigree.server.pages.view import Asked, Moved, View, of_version
from tfx_pedigree.server.streams import send_pieces, start
from tfx_pedigree.service.judging.gate import kept_comparison
from tfx_pedigree.service.versions.dossier import gather
from tfx_pedigree.service.versions.looking_up import newest_evidence
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.store import FileEntry
from tfx_pedigree.wire import PREFIX, problem_of
from tfx_pedigree.wire.store import READ_PATH

_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class File(JsonForm):
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class FilesPage(JsonForm):
    version: Version
    files: tuple[File, ...]


def page(asked: Asked) -> View | Moved:
    model, selector = asked.path("model"), asked.path("version")
    version = asked.registry.get(f"{model}@{selector}")
    if version.version != selector:
        return Moved(f"{of_version(model, version.version)}/files")
    files = _entries(asked.workspace, version)
    made = FilesPage(version, tuple(File(one.path, one.size, one.sha256) for one in files))
    objects = PREFIX + READ_PATH.replace("{digest}", version.digest)
    extra = {
        "documents": DOCUMENTS,
        "judged": bool(asked.registry.evidence_by_version(model, (version.version,))),
        "at": of_version(model, version.version),
        "object_at": lambda sha256: objects.replace("{sha256}", sha256),
        "total": sum(one.size for one in files),
    }
    return View("files.html", f"Files of {version.name}", made, ("pull", f"{model}@{version.version}", "FOLDER"), extra)


def _entries(workspace: Workspace, version: Version) -> tuple[FileEntry, ...]:
    return workspace.store.manifest(version.digest).files


# Documents about a version, each made anew from what is on file


def _bill(workspace: Workspace, exact: str) -> str:
    return _text(bill_of_materials(gather(workspace, exact)))


def _spdx(workspace: Workspace, exact: str) -> str:
    return _text(spdx_document(gather(workspace, exact)))


def _card(workspace: Workspace, exact: str) -> str:
    return card_as_markdown(card_of(gather(workspace, exact)))


def _card_page(workspace: Workspace, exact: str) -> str:
    return card_as_html(card_of(gather(workspace, exact)))


def _evidence(workspace: Workspace, exact: str) -> str:
    return _text(newest_evidence(workspace.registry, exact)[1].to_json())


def _comparison(workspace: Workspace, exact: str) -> str:
    return kept_comparison(newest_evidence(workspace.registry, exact)[1]).to_text()


def _report(workspace: Workspace, exact: str) -> str:
    version, evidence = newest_evidence(workspace.registry, exact)
    told = workspace.registry.history(version.model, version.version, action="attach-evidence", limit=1).items
    return render(kept_comparison(evidence), Origin(told[0].at if told else None))


def _text(value: object) -> str:
    return json.dumps(to_json(value), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Document:
    label: str
    media: str
    judged: bool
    make: Callable[[Workspace, str], str]


DOCUMENTS: dict[str, Document] = {
    "bom.json": Document("Bill of materials (CycloneDX 1.6)", "application/json", False, _bill),
    "spdx.json": Document("Bill of materials (SPDX 3.0)", "application/ld+json", False, _spdx),
    "card.md": Document("Model card (Markdown)", "text/markdown; charset=utf-8", False, _card),
    "card.html": Document("Model card, as one file", "text/html; charset=utf-8", False, _card_page),
    "evidence.json": Document("Evidence", "application/json", True, _evidence),
    "comparison.json": Document("Comparison", "application/json", True, _comparison),
    "report.html": Document("The comparison's report, as one file", "text/html; charset=utf-8", True, _report),
}


def document(asked: Asked) -> Response:
    """To be kept, not to be shown: what a browser would show runs under no policy of ours."""
    name, model = asked.path("document"), asked.path("model")
    found = DOCUMENTS.get(name)
    if found is None:
        raise NotFoundError(f"There is no document {name[:40]!r} of a version. There are {', '.join(DOCUMENTS)}.")
    version = asked.registry.get(f"{model}@{asked.path('version')}")
    text = found.make(asked.workspace, f"{model}@{version.version}")
    return Response(text.encode(), 200, _attached(f"{model}-{version.version}-{name}"), found.media)


def _attached(name: str) -> dict[str, str]:
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name)
    return {
        "content-disposition": f'attachment; filename="{safe}"',
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-cache",
        "content-security-policy": "sandbox; default-src 'none'",
    }


# All files as one


class Archive(Response):
    """A tar of the version's files, made while it is sent: nothing is held, and its bytes are the same each time."""

    def __init__(self, server: Server, request: Request) -> None:
        super().__init__()
        self._server, self._request = server, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            version, pieces = await self._server.bytes.run(self._open)
            first = await self._server.bytes.run(next, pieces, b"")
        except PedigreeError as error:
            await Response(str(error), problem_of(error).status, media_type="text/plain")(scope, receive, send)
            return
        name = f"{version.model}-{version.version}.tar"
        await start(send, 200, {"content-type": "application/x-tar", **_attached(name)})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        await send_pieces(self._server, pieces, first, receive, send)

    def _open(self) -> tuple[Version, Generator[bytes, None, None]]:
        registry: Registry = self._server.acting(self._request)
        path = self._request.path_params
        version = registry.get(f"{path['model']}@{path['version']}")
        return version, tar_pieces(Workspace(registry), version)


def tar_pieces(workspace: Workspace, version: Version) -> Generator[bytes, None, None]:
    store = workspace.store
    for entry in _entries(workspace, version):
        head = tarfile.TarInfo(entry.path)
        head.size, head.mode = entry.size, 0o644
        yield head.tobuf(tarfile.PAX_FORMAT)
        if entry.size:  # nothing empty is sent: it would be the end
            yield from store.object_pieces(entry.sha256)
        if padding := -entry.size % _BLOCK:
            yield b"\0" * padding
    yield b"\0" * (2 * _BLOCK)
