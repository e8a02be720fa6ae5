"""Whether the registry tells the truth: the chains are whole, and the rows are what the events add up to.

An anchor notes where every chain ended at a moment. Kept outside (a git tag, another system) it also shows when
somebody who owns the database rewrote a whole chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import schema
from tfx_pedigree.db.inspection import UNREADABLE, any_text, schema_problems
from tfx_pedigree.errors import DamagedError, InvalidInputError
from tfx_pedigree.progress import Progress
from tfx_pedigree.registry import model_tables
from tfx_pedigree.registry.anchor import ANCHOR_FORMAT, Anchor, AuditReport
from tfx_pedigree.registry.audit_tables import registry_differences
from tfx_pedigree.registry.events import BEGINNING, REGISTRY_CHAIN, ChainCheck, Event, Head
from tfx_pedigree.registry.model_replay import ModelFacts, ModelReplay
from tfx_pedigree.registry.model_rows import VersionRow, read_row
from tfx_pedigree.registry.reading import all_chains
from tfx_pedigree.registry.registry_replay import RegistryReplay
from tfx_pedigree.registry.row_check import RowCheck
from tfx_pedigree.registry.search_tables import IndexCheck
from tfx_pedigree.text import plain

_BATCH = 1000


def take_anchor(connection: Connection, at: str) -> Anchor:
    with any_text(connection):
        try:
            heads = {row["name"]: {"length": row["length"], "hash": row["head"]} for row in all_chains(connection)}
            data = {"format": ANCHOR_FORMAT, "registry": _identity(connection), "at": at, "heads": heads}
            return Anchor.from_json(data)
        except UNREADABLE as error:
            raise DamagedError(
                f"The ends of the logs cannot be anchored: {plain(str(error), 200)} "
                "Look at what is wrong with `pedigree audit verify`."
            ) from error


def _identity(connection: Connection) -> str | None:
    return connection.execute(sa.select(schema.registry.c.registry_id)).scalars().first()


def verify(connection: Connection, anchor: Anchor | None, progress: Progress) -> AuditReport:
    """Reads every event once, in order. What it finds is told with the model and the place."""
    with any_text(connection):
        try:
            return _verify(connection, anchor, progress)
        except UNREADABLE as error:
            return AuditReport(0, 0, (f"*: the ends of the logs cannot be read: {plain(str(error), 200)}",))


def _verify(connection: Connection, anchor: Anchor | None, progress: Progress) -> AuditReport:
    wrong = list(schema_problems(connection))
    problems = [f"{REGISTRY_CHAIN}: {problem.text}" for problem in wrong]
    if any(problem.unreadable for problem in wrong):
        return AuditReport(0, 0, tuple(problems))
    ends = {row["name"]: row for row in all_chains(connection)}
    total, done = sum(row["length"] for row in ends.values()), 0
    if anchor is not None:
        problems += _check_registry(connection, anchor)
    # The registry's own chain is always due: with it would go what says who may do what.
    for name in sorted({REGISTRY_CHAIN, *ends}):
        if name not in ends:
            problems.append(f"{name}: the registry's own audit log is gone.")
        known = anchor.heads.get(name) if anchor else None
        for event, found in _verify_chain(connection, name, ends.get(name), known):
            problems += found
            done += event
            progress(min(done, total), total, name)
    problems += _orphans(connection, set(ends), anchor)
    return AuditReport(len(ends), done, tuple(problems))


def verify_model(connection: Connection, model: str) -> list[str]:
    """The problems of one model's chain and rows."""
    row = connection.execute(sa.select(schema.chains).where(schema.chains.c.name == model)).mappings().one()
    return [problem for _, found in _verify_chain(connection, model, row, None) for problem in found]


def _verify_chain(
    connection: Connection, name: str, end: RowMapping | None, known: Head | None
) -> Iterator[tuple[int, list[str]]]:
    """Counts of events read, with the problems found among them; the last one carries what the rows have to say."""
    check = ChainCheck(name)
    replay = RegistryReplay(name) if name == REGISTRY_CHAIN else ModelReplay(name)
    whole = True
    try:
        for events in _batches(connection, name):
            problems = [found for event in events for found in _check_event(check, event, known)]
            for event in events:
                replay.feed(event)
            whole = whole and not problems
            yield len(events), problems
    except UNREADABLE as error:
        yield 0, [f"{name}: the log cannot be read after event {check.length}: {plain(str(error), 200)}"]
        return
    head = Head(end["length"], end["head"]) if end else Head(0, BEGINNING)
    problems = [problem] if (problem := check.finish(head)) else []
    if known and known.length > check.length:
        problems.append(f"{name}: the anchor knows {known.length} events, the registry holds {check.length}.")
    if end and end["last_at"] != replay.last_at:
        problems.append(f"{name}: the time of the last event is not the one that is noted with the log's end.")
    # Rows are compared with the events only where the events can be believed.
    if whole and not problems:
        problems += [*replay.problems, *_compare_rows(connection, name, replay)]
    yield 0, problems


def _check_event(check: ChainCheck, event: Event, known: Head | None) -> Iterator[str]:
    problem = check.feed(event)
    if problem:
        yield problem
    if known and event.position == known.length and event.hash != known.hash:
        yield f"{event.chain}: event {event.position} is not the one that was anchored: history was rewritten."


def _compare_rows(connection: Connection, name: str, replay: ModelReplay | RegistryReplay) -> list[str]:
    found: list[str] = []
    try:
        if isinstance(replay, RegistryReplay):
            found += registry_differences(connection, replay.facts)
        else:
            found += _model_differences(connection, name, replay.facts)
    except UNREADABLE as error:
        found.append(f"{name}: its rows cannot be read: {plain(str(error), 200)}")
    return found


def _model_differences(connection: Connection, name: str, facts: ModelFacts) -> Iterator[str]:
    check, indexes, whole = RowCheck(name, facts), IndexCheck(connection, name), True
    for data in model_tables.read(connection, name):
        try:
            row = read_row(data, f"{name}: a row of {data['table']}{_key(data)}")
        except InvalidInputError as error:
            whole = False
            check.pass_over(data)
            yield str(error)
            continue
        try:
            row = check.accept(row)
        except InvalidInputError as error:
            whole = False
            yield str(error)
            continue
        if isinstance(row, VersionRow):
            indexes.feed(row)
    yield from check.missing()
    if whole:  # else what is wrong with a version would be told again
        for kind in indexes.wrong():
            yield f"{name}: the search index over {kind} does not agree with the versions."


def _key(row: Mapping[str, Any]) -> str:
    """Which row it is, for people."""
    named = row.get("version") or row.get("name") or row.get("digest")
    return f" ({plain(named, 80)})" if isinstance(named, str) else ""


def read_chain(connection: Connection, chain: str) -> Iterator[Event]:
    for events in _batches(connection, chain):
        yield from events


def _batches(connection: Connection, chain: str) -> Iterator[list[Event]]:
    e, last = schema.events, 0
    while True:
        query = sa.select(e).where(e.c.chain == chain, e.c.position > last).order_by(e.c.position).limit(_BATCH)
        rows = connection.execute(query).mappings().all()
        if not rows:
            return
        last = rows[-1]["position"]
        yield [Event.from_row(dict(row)) for row in rows]


def _check_registry(connection: Connection, anchor: Anchor) -> list[str]:
    registry = _identity(connection)
    if registry == anchor.registry:
        return []
    return [f"The anchor was taken of the registry {anchor.registry}, this one is {registry}."]


def _orphans(connection: Connection, chains: set[str], anchor: Anchor | None) -> list[str]:
    """Models without a log, and logs that an anchor knows but the registry does not."""
    names = set(connection.execute(sa.select(schema.models.c.name)).scalars())
    problems = [f"{name}: the model has no audit log." for name in sorted(names - chains)]
    logs = chains - {REGISTRY_CHAIN}
    problems += [f"{name}: the audit log belongs to no model." for name in sorted(logs - names)]
    if anchor is not None:
        problems += [
            f"{name}: its audit log is gone; the anchor knows it." for name in sorted(set(anchor.heads) - chains)
        ]
    return problems
