"""A model on its way in. Everything in an archive is a stranger's until it has been shown to be what it says.

The tables come first and are read whole: each event must follow from those before it, each row must be what the events
add up to, each edge of the lineage must lead to a node. Only then are bytes taken, of which the manifests say how many
there are, and only when all are there are rows written, in one transaction.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO, ClassVar, cast

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import PREFIX
from tfx_pedigree.errors import DamagedError, InvalidInputError, NotFoundError
from tfx_pedigree.json_form import Bounds, JsonForm, Layout
from tfx_pedigree.lineage import transfer as lineage
from tfx_pedigree.lineage.recording import Ready
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import Action, Registry, transfer
from tfx_pedigree.registry.events import ChainCheck, Event, Head
from tfx_pedigree.registry.model_replay import ModelReplay
from tfx_pedigree.registry.model_rows import Row, VersionRow, read_row
from tfx_pedigree.registry.names import check_actor, check_model_name
from tfx_pedigree.registry.row_check import RowCheck
from tfx_pedigree.service.archive import limits
from tfx_pedigree.service.archive.limits import EVENTS, HEADER, LINEAGE, ROWS
from tfx_pedigree.service.archive.tar_stream import Member, TarReader
from tfx_pedigree.store import Manifest, Store
from tfx_pedigree.store.manifest import MAX_MANIFEST_BYTES
from tfx_pedigree.store.parallel import Meter
from tfx_pedigree.text import format_timestamp, plain

_MEMBER = re.compile(r"(manifests|objects)/([0-9a-f]{64})")
_REMEDY = "Nothing was imported; export it again."


@dataclass(frozen=True)
class ImportReport(JsonForm):
    """`added` is how many events are new here: 0 means that everything was here already."""

    model: str
    versions: int
    events: int
    added: int
    objects: int


@dataclass(frozen=True)
class _Header(JsonForm):
    JSON: ClassVar[Layout] = Layout(format=limits.FORMAT)

    model: str
    versions: Annotated[int, Bounds(0, 2**31 - 1)]
    events: Annotated[int, Bounds(0, 2**31 - 1)]
    head: str
    attachments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Lines:
    """Events as the text that was checked, which takes less memory than what it means."""

    lines: list[bytes]

    def __iter__(self) -> Iterator[Event]:
        return (_event(line) for line in self.lines)


def import_from_file(registry: Registry, path: Path, progress: Progress = silent) -> ImportReport:
    """From a file, or whatever else can be read from its first byte to its last."""
    if not path.exists():
        raise NotFoundError(f"There is no file {path} to import.")
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        return import_model(registry, file, str(path), progress)


def import_model(registry: Registry, stream: BinaryIO, name: str, progress: Progress = silent) -> ImportReport:
    """Brings a model with its history. What is here already stays; a history that differs is refused whole. `name` is
    what refusals call the stream."""
    registry.require(Action.IMPORT)
    tar = TarReader(stream, name)
    header = _read_header(tar)
    replay, lines, hashes = _read_events(tar, header, name, registry.transactions.clock())
    rows = list(_read_rows(tar, replay, header, name))
    ready = _read_lineage(tar, header, name)
    history = transfer.History(header.model, hashes, _Lines(lines), rows)
    with registry.transactions.reading(None) as connection:
        added = transfer.count_new(connection, history)
    digests = [row.digest for row in rows if isinstance(row, VersionRow)]
    objects = _store_bytes(registry.store_to_fill, tar, digests, name, progress)
    with registry.transactions.importing(header.model) as write:
        if added:
            transfer.write(write, history, added)
        lineage.write(write, ready, Path(name).name)
    return ImportReport(header.model, len(digests), len(hashes), added, objects)


def _read_header(tar: TarReader) -> _Header:
    content = _next(tar, HEADER).whole(limits.MOST_HEADER)
    try:
        data = parse_json(content, "its header")
        found = data.get("format") if isinstance(data, dict) else None
        if isinstance(found, str) and found != limits.FORMAT and found.startswith("pedigree.export/"):
            raise InvalidInputError(
                f"its format is {plain(found, 60)!r} and this release reads {limits.FORMAT!r}; install the release "
                "that wrote it, or a newer one"
            )
        header = _Header.from_json(data, "its header")
        check_model_name(header.model)
    except InvalidInputError as error:
        raise tar.refusal(str(error).rstrip(".")) from None
    if unknown := sorted(header.attachments.keys() - {"lineage"}):
        raise InvalidInputError(
            f"The archive also holds {plain(unknown[0], 60)}, which would be lost here. "
            "Nothing was imported; use a newer release."
        )
    return header


def _read_events(
    tar: TarReader, header: _Header, name: str, now: datetime
) -> tuple[ModelReplay, list[bytes], list[str]]:
    check, replay = ChainCheck(header.model), ModelReplay(header.model)
    lines: list[bytes] = []
    hashes: list[str] = []
    for number, line in enumerate(_next(tar, EVENTS).lines(limits.MOST_EVENTS, limits.MOST_LINE), start=1):
        with _placed(name, EVENTS, number):
            event = _event(line)
            _check_event(check, replay, event)
        lines.append(line)
        hashes.append(event.hash)
    if problem := check.finish(Head(header.events, header.head)):
        raise DamagedError(f"{name} was altered: {problem} {_REMEDY}")
    if not lines:
        raise tar.refusal(f"it holds no event of {header.model}, so there is nothing in it")
    if replay.last_at is not None and replay.last_at > now + limits.AHEAD:
        raise DamagedError(
            f"{name}: the last event is of {format_timestamp(replay.last_at)}, which is more than a day from now: "
            "nothing could follow it. Nothing was imported; check the clocks here and where it was exported."
        )
    return replay, lines, hashes


def _event(line: bytes) -> Event:
    return Event.from_json(parse_json(line, "the event", canonical=True), "the event")


def _check_event(check: ChainCheck, replay: ModelReplay, event: Event) -> None:
    check_actor(event.actor)
    if problem := check.feed(event):
        raise InvalidInputError(problem)
    if event.chain != replay.chain:
        raise InvalidInputError(f"it belongs to {plain(event.chain, 80)}.")
    replay.feed(event)
    if replay.problems:
        raise InvalidInputError(replay.problems[0])


def _read_rows(tar: TarReader, replay: ModelReplay, header: _Header, name: str) -> Iterator[Row]:
    check = RowCheck(replay.chain, replay.facts, strange=True)
    for number, line in enumerate(_next(tar, ROWS).lines(limits.MOST_ROWS, limits.MOST_LINE), start=1):
        with _placed(name, ROWS, number):
            row = check.accept(read_row(parse_json(line, "the row", canonical=True), "the row"))
        yield row
    missing = check.missing()
    if not missing and header.versions != len(replay.facts.versions):
        missing = [f"{HEADER} tells of {header.versions} versions, the log of {len(replay.facts.versions)}."]
    if missing:
        raise DamagedError(f"{name} was altered: {missing[0]} {_REMEDY}")


def _read_lineage(tar: TarReader, header: _Header, name: str) -> Ready:
    incoming, sha = lineage.Incoming(), hashlib.sha256()
    if "lineage" in header.attachments:
        for number, line in enumerate(_next(tar, LINEAGE).lines(limits.MOST_LINEAGE, limits.MOST_LINE), start=1):
            sha.update(line + b"\n")
            with _placed(name, LINEAGE, number):
                incoming.add(parse_json(line, "the row", canonical=True))
        if PREFIX + sha.hexdigest() != header.attachments["lineage"]:
            raise DamagedError(f"{name} was altered: {LINEAGE} has another digest. {_REMEDY}")
    try:
        return incoming.finish()
    except InvalidInputError as error:
        raise DamagedError(f"{name}: {LINEAGE}: {error} {_REMEDY}") from error


def _next(tar: TarReader, name: str) -> Member:
    member = tar.next()
    if member is None or member.name != name:
        raise tar.refusal(f"{name} is missing")
    return member


@contextlib.contextmanager
def _placed(name: str, table: str, number: int) -> Iterator[None]:
    """A refusal names the file, the line and the cause."""
    try:
        yield
    except InvalidInputError as error:
        raise DamagedError(f"{name}: line {number} of {table}: {error} {_REMEDY}") from error


# Bytes


def _store_bytes(store: Store, tar: TarReader, digests: list[str], name: str, progress: Progress) -> int:
    """Objects before the manifests that name them, so that an interrupted import leaves a store that verifies."""
    manifests, member = _read_manifests(tar, digests, name)
    wanted = {entry.sha256: entry for manifest in manifests for entry in manifest.files}
    objects, meter = len(wanted), Meter(progress, sum(entry.size for entry in wanted.values()))
    while member is not None:
        match = _MEMBER.fullmatch(member.name)
        entry = wanted.pop(match[2], None) if match and match[1] == "objects" else None
        if entry is None:
            raise tar.refusal(f"it holds {plain(member.name, 100)!r}, which no export writes there")
        if member.size != entry.size:
            raise DamagedError(
                f"{name}: {member.name} has {member.size} bytes, its manifest says {entry.size}. {_REMEDY}"
            )
        step = meter.step(entry.path)
        store.put_object(cast("BinaryIO", member), entry.sha256, entry.size, progress=_steps(step))
        member = tar.next()
    if wanted:
        raise DamagedError(f"{name} lacks the bytes of {next(iter(wanted.values())).path}. {_REMEDY}")
    for manifest in manifests:
        store.put_manifest(manifest)
    meter.finish("")
    return objects


def _read_manifests(tar: TarReader, digests: list[str], name: str) -> tuple[list[Manifest], Member | None]:
    """Those of all versions, and the first member after them."""
    missing, found, size = set(digests), [], 0
    while (member := tar.next()) is not None and (match := _MEMBER.fullmatch(member.name)):
        if match[1] == "objects":
            break
        if PREFIX + match[2] not in missing:
            raise tar.refusal(f"{member.name} belongs to no version, or stands there twice")
        size += member.size
        if size > limits.MOST_MANIFESTS:
            raise tar.refusal(f"its manifests have more than {limits.MOST_MANIFESTS} bytes")
        with _placed_member(name, member):
            manifest = Manifest.from_json(member.whole(MAX_MANIFEST_BYTES))
            if manifest.digest != PREFIX + match[2]:
                raise InvalidInputError("its content has another digest.")
        missing.remove(manifest.digest)
        found.append(manifest)
    if missing:
        raise DamagedError(f"{name} lacks the bytes of {len(missing)} versions, {min(missing)[:19]}… first. {_REMEDY}")
    return found, member


@contextlib.contextmanager
def _placed_member(name: str, member: Member) -> Iterator[None]:
    try:
        yield
    except InvalidInputError as error:
        raise DamagedError(f"{name}: {member.name}: {error} {_REMEDY}") from error


def _steps(step: Callable[[int], None]) -> Progress:
    """One object's progress, which counts from its beginning, as part of all."""
    before = 0

    def tell(done: int, total: int, what: str) -> None:
        nonlocal before
        step(done - before)
        before = done

    return tell
