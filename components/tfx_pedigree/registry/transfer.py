"""One model with its whole history and its bytes as one archive (docs/registry.md describes it), and back again.

An archive is trusted no more than a stranger's: every byte is hashed before it gets its name, the chain is checked, and
after the rows are in, the audit must find them true, or the transaction is undone and the registry is as it was.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

from tfx_pedigree.digest import digest_of, parse_json
from tfx_pedigree.errors import ConflictError, DamagedError, InvalidInputError, NotFoundError
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import audit, model_tables
from tfx_pedigree.registry.events import ChainCheck, Event, Head
from tfx_pedigree.registry.model_rows import Row, VersionRow, read_row
from tfx_pedigree.registry.names import check_model_name
from tfx_pedigree.registry.registry import Registry
from tfx_pedigree.registry.replay import ModelReplay
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.row_check import RowCheck

FORMAT = "pedigree.export/1"
HEADER, EVENTS, ROWS = "pedigree-export.json", "events.jsonl", "rows.jsonl"
_MEMBER = re.compile(r"(manifests|objects)/([0-9a-f]{64})")
_HEADER_LIMIT = 1 << 20
_TABLE_LIMIT = 1 << 31


@dataclass(frozen=True)
class ExportReport:
    model: str
    path: str
    versions: int
    events: int
    objects: int
    size: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ImportReport:
    """`added` is how many events are new here: 0 means that everything was here already."""

    model: str
    versions: int
    events: int
    added: int
    objects: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Attachment(Protocol):
    """Something of a room above this one that travels with a model, as one more table of the archive."""

    @property
    def name(self) -> str: ...

    def read(self, registry: Registry, model: str) -> bytes:
        """What belongs to the model, for the archive."""

    def check(self, content: bytes) -> None:
        """InvalidInputError or DamagedError for what `read` has not written. Nothing of the archive is here yet."""

    def write(self, registry: Registry, content: bytes, source: str) -> None:
        """Adds what is not here yet, after the model itself."""


# Export


def export_model(
    registry: Registry,
    model: str,
    path: str | Path,
    progress: Progress = silent,
    attachments: Sequence[Attachment] = (),
) -> ExportReport:
    """The file appears whole or not at all; an existing one is not overwritten."""
    target = Path(path)
    if target.exists():
        raise ConflictError(f"{target} exists already. Choose another name, or remove it first.")
    if not target.parent.is_dir():
        raise InvalidInputError(f"{target} cannot be written: the folder {target.parent} does not exist.")
    with registry.reading(model) as connection:
        events = list(audit.read_chain(connection, model))
        rows = list(model_tables.read(connection, model))
    digests = [row["digest"] for row in rows if row["table"] == "model_versions"]
    attached = {attachment.name: attachment.read(registry, model) for attachment in attachments}
    header = {
        "format": FORMAT,
        "model": model,
        "versions": len(digests),
        "events": len(events),
        "head": events[-1].hash,
        "attachments": {name: digest_of(content) for name, content in attached.items()},
    }
    with _appearing(target) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, HEADER, json.dumps(header, indent=2).encode())
        _add(tar, EVENTS, _lines(event.to_json() for event in events))
        _add(tar, ROWS, _lines(rows))
        for name, content in attached.items():
            _add(tar, f"{name}.jsonl", content)
        objects = _add_bytes(tar, registry, digests, progress)
    return ExportReport(model, str(target), len(digests), len(events), objects, target.stat().st_size)


def _add_bytes(tar: tarfile.TarFile, registry: Registry, digests: list[str], progress: Progress) -> int:
    manifests = [registry.store.manifest(digest) for digest in digests]
    entries = {entry.sha256: (manifest, entry) for manifest in manifests for entry in manifest.files}
    done, total = 0, sum(entry.size for _, entry in entries.values())
    for manifest in manifests:
        _add(tar, f"manifests/{_hex(manifest.digest)}", manifest.to_json())
    for sha256, (manifest, entry) in entries.items():
        progress(done, total, entry.path)
        with registry.store.open_file(manifest.digest, entry.path) as stream:
            _add(tar, f"objects/{_hex(sha256)}", stream, entry.size)
        done += entry.size
    progress(total, total, "")
    return len(entries)


def _add(tar: tarfile.TarFile, name: str, content: bytes | IO[bytes], size: int | None = None) -> None:
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    member = tarfile.TarInfo(name)
    member.size = len(content) if isinstance(content, bytes) else size or 0
    member.mode = 0o644
    tar.addfile(member, stream)


@contextlib.contextmanager
def _appearing(target: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name only when all of it is on disk."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(name, target)
    except FileExistsError:
        raise ConflictError(f"{target} was made by somebody else meanwhile and was left as it is.") from None
    finally:
        Path(name).unlink()


# Import


@dataclass(frozen=True)
class _Archive:
    model: str
    events: list[Event]
    rows: list[Row]
    attached: dict[str, bytes]


def import_model(
    registry: Registry, path: str | Path, progress: Progress = silent, attachments: Sequence[Attachment] = ()
) -> ImportReport:
    """Brings a model with its history. What is here already stays; a history that differs is refused whole, and so is
    an archive that holds more than the given attachments understand."""
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"There is no file {source} to import.")
    registry.require(Action.IMPORT)
    try:
        with tarfile.open(source, mode="r:") as tar:
            archive = _read_tables(tar, source)
            taking = _check_attached(archive, attachments, source)
            added = _new_events(registry, archive)
            objects = _store_bytes(registry, tar, source, progress)
    except tarfile.TarError as error:
        raise InvalidInputError(f"{source} is not an archive of `pedigree export`: {error}.") from error
    _check_bytes_complete(registry, archive, source)
    if added:
        _write_rows(registry, archive, added)
    for attachment in taking:
        attachment.write(registry, archive.attached[attachment.name], source.name)
    versions = sum(isinstance(row, VersionRow) for row in archive.rows)
    return ImportReport(archive.model, versions, len(archive.events), added, objects)


def _read_tables(tar: tarfile.TarFile, source: Path) -> _Archive:
    try:
        header = parse_json(_next(tar, HEADER, _HEADER_LIMIT))
        if header["format"] != FORMAT:
            raise InvalidInputError(
                f"{source} has the format {header['format']!r}; this release reads {FORMAT!r}. "
                "Install the release that wrote it, or a newer one."
            )
        model = check_model_name(header["model"])
        events = [Event.from_json(parse_json(line)) for line in _next(tar, EVENTS, _TABLE_LIMIT).splitlines()]
        head = Head(int(header["events"]), str(header["head"]))
        replay = _replay(model, head, events, source)
        rows = list(_read_rows(replay, _next(tar, ROWS, _TABLE_LIMIT), source))
        digests = {str(name): str(digest) for name, digest in header.get("attachments", {}).items()}
        attached = {name: _next(tar, f"{name}.jsonl", _TABLE_LIMIT) for name in digests}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(f"{source} is not an archive of `pedigree export`: {error!r}.") from error
    if altered := [name for name in digests if digest_of(attached[name]) != digests[name]]:
        raise DamagedError(
            f"{source} was altered: its {altered[0]} has another digest. Nothing was imported; export it again."
        )
    return _Archive(model, events, rows, attached)


def _replay(model: str, head: Head, events: list[Event], source: Path) -> ModelReplay:
    check, replay = ChainCheck(model), ModelReplay(model)
    for event in events:
        problem = check.feed(event)
        if event.chain != model:
            problem = f"an event belongs to {event.chain}"
        if problem is None:
            replay.feed(event)
            problem = next(iter(replay.problems), None)
        if problem:
            raise DamagedError(f"{source} was altered: {problem} Nothing was imported; export it again.")
    if problem := check.finish(head):
        raise DamagedError(f"{source} was altered: {problem} Nothing was imported; export it again.")
    return replay


def _read_rows(replay: ModelReplay, content: bytes, source: Path) -> Iterator[Row]:
    check = RowCheck(replay.chain, replay.facts, strange=True)
    for number, line in enumerate(content.splitlines(), start=1):
        where = f"{source}: line {number} of {ROWS}"
        try:
            yield check.accept(read_row(parse_json(line), "the row"))
        except InvalidInputError as error:
            raise DamagedError(f"{where}: {error} Nothing was imported; export it again.") from error
    if missing := check.missing():
        raise DamagedError(f"{source} was altered: {missing[0]} Nothing was imported; export it again.")


def _check_attached(archive: _Archive, attachments: Sequence[Attachment], source: Path) -> list[Attachment]:
    known = {attachment.name: attachment for attachment in attachments}
    if unknown := sorted(archive.attached.keys() - known.keys()):
        raise InvalidInputError(
            f"{source} also holds {', '.join(unknown)}, which would be lost here. "
            "Nothing was imported; use `pedigree import`, or a newer release of it."
        )
    for name, content in archive.attached.items():
        known[name].check(content)
    return [known[name] for name in archive.attached]


def _next(tar: tarfile.TarFile, name: str, limit: int) -> bytes:
    member = tar.next()
    if member is None or member.name != name or not member.isreg():
        raise ValueError(f"{name} is missing")
    if member.size > limit:
        raise ValueError(f"{name} is too large")
    stream = tar.extractfile(member)
    return stream.read() if stream else b""


def _new_events(registry: Registry, archive: _Archive) -> int:
    """How many events of the archive are not here; refuses a history that is not a continuation of ours."""
    with registry.reading(None) as connection:
        here = list(audit.read_chain(connection, archive.model))
    common = min(len(here), len(archive.events))
    if any(here[i].hash != archive.events[i].hash for i in range(common)):
        raise ConflictError(
            f"{archive.model} exists here with another history. Import it into another registry, "
            "or export from the one that is right."
        )
    return max(0, len(archive.events) - len(here))


def _store_bytes(registry: Registry, tar: tarfile.TarFile, source: Path, progress: Progress) -> int:
    """Objects before the manifests that name them, so that an interrupted import leaves a store that verifies."""
    manifests: list[bytes] = []
    objects, size = 0, source.stat().st_size
    while (member := tar.next()) is not None:
        match = _MEMBER.fullmatch(member.name)
        stream = tar.extractfile(member) if match and member.isreg() else None
        if match is None or stream is None:
            raise InvalidInputError(
                f"{source} holds {member.name!r}, which no export writes. Nothing more was imported."
            )
        progress(min(member.offset_data, size), size, member.name)
        if match[1] == "manifests":
            manifests.append(stream.read(_TABLE_LIMIT))
        else:
            registry.store.put_object(cast(BinaryIO, stream), match[2], member.size)
            objects += 1
    for content in manifests:
        registry.store.put_manifest(content)
    progress(size, size, "")
    return objects


def _check_bytes_complete(registry: Registry, archive: _Archive, source: Path) -> None:
    for row in archive.rows:
        if isinstance(row, VersionRow) and not registry.store.has(row.digest):
            raise DamagedError(
                f"{source} lacks the bytes of {archive.model} {row.version}. "
                "Its history was not imported; export it again."
            )


def _write_rows(registry: Registry, archive: _Archive, added: int) -> None:
    """`added` events at the archive's end were new when the reading began; what was written here since is not lost."""
    with registry.importing(archive.model) as write:
        connection = write.connection
        if model_tables.count_events(connection, archive.model) != len(archive.events) - added:
            raise ConflictError(
                f"{archive.model} was changed here while its archive was read. Its history was not imported; nothing "
                "is lost. Run the import again."
            )
        model_tables.remove(connection, archive.model)
        model_tables.insert(connection, archive.rows, archive.events)
        problems = audit.verify_model(connection, archive.model)
        if problems:
            raise DamagedError(f"The archive does not agree with its own log: {problems[0]} Nothing was imported.")
        told = {"head": archive.events[-1].hash, "events": len(archive.events), "added": added}
        write.log("import-model", details={"model": archive.model, **told})


def _lines(items: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for item in items)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
