"""Rows, one after the other, against what the events add up to: the audit's rows and those of a stranger's archive.

Where an event holds a value the row must have it; where it holds a digest the row must have that; what follows from
other values is computed again. Nothing else remains but the sizes and reasons of versions from before their digest was
kept, which are held to the form of their fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar, cast

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.model_replay import ModelFacts
from tfx_pedigree.registry.model_rows import (
    AliasRow,
    DescriptionRow,
    EvidenceRow,
    ModelRow,
    ObservationRow,
    PeriodRow,
    ProtectionRow,
    RequestRow,
    RolloutRow,
    Row,
    SignatureRow,
    TrustedKeyRow,
    VersionRow,
    seal,
)
from tfx_pedigree.registry.signatures import check_subject
from tfx_pedigree.signing import Bundle
from tfx_pedigree.text import format_timestamp, plain, short_digest
from tfx_pedigree.versioning import ModelDescription

T = TypeVar("T")

_KINDS = {
    "models": "model",
    "descriptions": "description",
    "model_versions": "version",
    "aliases": "alias",
    "trusted_keys": "trusted key",
}
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidInputError)


class RowCheck:
    """`accept` each row in the order of an archive, then ask what is `missing`. With `strange`, descriptions and
    evidence are also held to the form in which the registry writes them: their digests say only that nobody altered
    what a stranger wrote."""

    def __init__(self, model: str, facts: ModelFacts, *, strange: bool = False) -> None:
        self._name = model
        self._facts = facts
        self._strange = strange
        self._seen: set[tuple[str, object]] = set()
        self._parameters: dict[str, dict[str, Any]] = {}
        self._evidence = self._periods = self._rollouts = self._signatures = self._place = 0
        self._requests = self._protected = self._observations = 0
        self._described = {version.description_digest for version in facts.versions.values()}

    def accept(self, row: Row) -> Row:
        """The row with the events' own values. InvalidInputError, with what is wrong, where it is not as they say."""
        try:
            self._in_order(row)
            return _CHECKS[type(row)](self, row)
        except RowError as wrong:
            raise InvalidInputError(f"{self._name}: {wrong}") from None

    def pass_over(self, row: Mapping[str, Any]) -> None:
        """A row that cannot be read is wrong, and neither missing nor in the way of those after it."""
        table = row["table"]
        key = row.get("version") or row.get("name") or row.get("digest") or row.get("key")
        self._periods += table == PeriodRow.table
        self._evidence += table == EvidenceRow.table
        self._rollouts += table == RolloutRow.table
        self._signatures += table == SignatureRow.table
        self._requests += table == RequestRow.table
        self._observations += table == ObservationRow.table
        self._protected += table == ProtectionRow.table
        self._seen.add((_KINDS.get(table, ""), key))

    def missing(self) -> list[str]:
        """What the events tell of and no row showed."""
        facts = self._facts
        expected: list[tuple[str, object]] = [("model", self._name)] if facts.model else []
        expected += [("version", number) for number in facts.versions]
        expected += [("alias", name) for name in facts.aliases]
        expected += [("trusted key", key) for key in facts.trusted]
        expected += [("description", digest) for digest in sorted(self._described)]
        found = [
            f"{self._name}: the {kind} {_short(name)} is gone; the log tells of it."
            for kind, name in expected
            if (kind, name) not in self._seen
        ]
        for what, shown, told in (
            ("times in production", self._periods, len(facts.periods)),
            ("pieces of evidence", self._evidence, len(facts.evidence)),
            ("rollouts", self._rollouts, len(facts.rollouts)),
            ("signatures", self._signatures, len(facts.signatures)),
            ("requests to promote", self._requests, len(facts.approvals.requests)),
            ("observed values", self._observations, len(facts.observations)),
            ("protections", self._protected, int(facts.approvals.protection is not None)),
        ):
            if shown < told:
                found.append(f"{self._name}: of its {told} {what} only {shown} are there.")
        return found

    def _in_order(self, row: Row) -> None:
        """What a row names stands before it."""
        place = _ORDER.index(type(row))
        if place < self._place:
            raise RowError(f"a row of {row.table} stands after one of {_ORDER[self._place].table}.")
        self._place = place

    def _model(self, row: ModelRow) -> Row:
        said = _told(self._facts.model, "the model")
        self._once("model", row.name)
        return _same("the model", said, row)

    def _description(self, row: DescriptionRow) -> Row:
        name = f"the description {_short(row.digest)}"
        if row.digest not in self._described:
            raise RowError(f"{name} belongs to no version.")
        self._once("description", row.digest)
        if digest_of(row.content.encode()) != row.digest:
            raise RowError(f"{name} was altered: its content has another digest.")
        try:
            content = parse_json(row.content, "its content", canonical=True)
            if self._strange and ModelDescription.from_json(content).digest != row.digest:
                raise RowError(f"{name} is not written as the registry writes it.")
            self._parameters[row.digest] = dict(content["parameters"])
        except _UNREADABLE as error:
            raise RowError(f"{name} cannot be read: {plain(str(error), 200)}") from None
        return row

    def _version(self, row: VersionRow) -> Row:
        said = _told(self._facts.versions.get(row.version), f"version {_short(row.version)}")
        self._once("version", row.version)
        if ("description", said.description_digest) not in self._seen:
            raise RowError(f"version {row.version} has lost its description {_short(said.description_digest)}.")
        # Where the description itself is wrong, that has been said.
        parameters = self._parameters.get(said.description_digest, row.parameters)
        sealed = self._facts.sealed[row.version]
        if sealed is not None and sealed != seal(row.reasons, row.size, row.files):
            raise RowError(f"{row.version}: the reasons, the size or the number of files are not those of the log.")
        expected = replace(said, reasons=row.reasons, size=row.size, files=row.files, parameters=parameters)
        return _same(row.version, expected, row)

    def _period(self, row: PeriodRow) -> Row:
        said = _next(self._facts.periods, self._periods, f"the time in production of {_short(row.version)}")
        self._periods += 1
        if row.back_to not in said.back_to:
            raise RowError(
                f"where a rollback from {said.version} leads ({self._periods}. time in production) was altered."
            )
        expected = PeriodRow(said.began_at, said.ended_at, row.back_to, said.version)
        return _same(f"the {self._periods}. time in production:", expected, row)

    def _alias(self, row: AliasRow) -> Row:
        said = _told(self._facts.aliases.get(row.name), f"the alias {_short(row.name)}")
        self._once("alias", row.name)
        return _same(f"the alias {row.name}:", said, row)

    def _piece_of_evidence(self, row: EvidenceRow) -> Row:
        name = f"the evidence {_short(row.digest)}"
        said = _next(self._facts.evidence, self._evidence, name)
        self._evidence += 1
        expected = EvidenceRow(said.digest, row.content, said.created_at, said.created_by, said.version)
        _same(f"the {self._evidence}. evidence:", expected, row)
        if digest_of(row.content.encode()) != row.digest:
            raise RowError(f"{name} was altered: its content has another digest.")
        if self._strange:
            try:
                found = Evidence.from_text(row.content)
            except _UNREADABLE as error:
                raise RowError(f"{name} cannot be read: {plain(str(error), 200)}") from None
            told = (said.digest, said.verdict, said.reason, said.champion, self._facts.versions[said.version].digest)
            same = (found.digest, found.verdict, found.reason, found.champion, found.challenger) == told
            if not same or found.decided != said.decided:
                raise RowError(f"{name} does not say what its event says.")
        return row

    def _rollout(self, row: RolloutRow) -> Row:
        said = _next(self._facts.rollouts, self._rollouts, f"the rollout {row.number}")
        self._rollouts += 1
        return _same(f"the rollout {said.number}:", said, row)

    def _signature(self, row: SignatureRow) -> Row:
        name = f"the signature {_short(row.digest)}"
        said = _next(self._facts.signatures, self._signatures, name)
        self._signatures += 1
        expected = SignatureRow(said.digest, row.content, said.created_at, said.created_by, said.version)
        _same(f"the {self._signatures}. signature:", expected, row)
        if digest_of(row.content.encode()) != row.digest:
            raise RowError(f"{name} was altered: its content has another digest.")
        if self._strange:
            try:
                check_subject(
                    Bundle.from_text(row.content, name), self._facts.versions[said.version].digest, said.version
                )
            except _UNREADABLE as error:
                raise RowError(plain(str(error), 300)) from None
        return row

    def _trusted_key(self, row: TrustedKeyRow) -> Row:
        said = _told(self._facts.trusted.get(row.key), f"the trusted key {_short(row.key)}")
        self._once("trusted key", row.key)
        return _same(f"the trusted key {_short(row.key)}:", said, row)

    def _request(self, row: RequestRow) -> Row:
        said = _next(self._facts.approvals.requests, self._requests, f"the request {row.number}")
        self._requests += 1
        return _same(f"the request {said.number}:", said, row)

    def _observation(self, row: ObservationRow) -> Row:
        said = _next(facts := self._facts.observations, self._observations, "an observed value")
        self._observations += 1
        return _same(f"the {self._observations}. of {len(facts)} observed values:", said, row)

    def _protection(self, row: ProtectionRow) -> Row:
        self._protected += 1
        return _same("the protection:", _told(self._facts.approvals.protection, "the protection"), row)

    def _once(self, kind: str, name: str) -> None:
        if (kind, name) in self._seen:
            raise RowError(f"the {kind} {_short(name)} stands there twice.")
        self._seen.add((kind, name))


class RowError(Exception):
    """What is wrong with a row."""


_CHECKS: dict[type[Row], Callable[[RowCheck, Any], Row]] = {
    ModelRow: RowCheck._model,
    DescriptionRow: RowCheck._description,
    VersionRow: RowCheck._version,
    PeriodRow: RowCheck._period,
    AliasRow: RowCheck._alias,
    EvidenceRow: RowCheck._piece_of_evidence,
    RolloutRow: RowCheck._rollout,
    SignatureRow: RowCheck._signature,
    RequestRow: RowCheck._request,
    ObservationRow: RowCheck._observation,
    TrustedKeyRow: RowCheck._trusted_key,
    ProtectionRow: RowCheck._protection,
}


_ORDER = tuple(_CHECKS)


def _told(said: T | None, what: str) -> T:
    if said is None:
        raise RowError(f"{what} stands in no event.")
    return said


def _next(told: Sequence[T], place: int, what: str) -> T:
    return _told(told[place] if place < len(told) else None, what)


def _same(name: str, expected: T, row: object) -> T:
    for each in fields(cast("Any", expected)):
        said, is_ = getattr(expected, each.name), getattr(row, each.name)
        if said != is_ or (isinstance(said, dict) and _truths(said) != _truths(is_)):
            what = each.name.replace("_", " ")
            raise RowError(f"{name} {what} is {_text(is_)}, but the log says {_text(said)}.")
    return expected


def _truths(values: Mapping[str, Any]) -> set[str]:
    """Python takes 1 and true for equal."""
    return {key for key, value in values.items() if isinstance(value, bool)}


def _short(name: object) -> str:
    text = str(name)
    return short_digest(text) if text.startswith("sha256:") else plain(text, 80)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return format_timestamp(value)
    return plain(str(value.value) if isinstance(value, Enum) else repr(value), 120)
