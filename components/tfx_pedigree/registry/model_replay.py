"""What the events of a model's chain add up to: the rows that must be there. Pure: it never looks at a row. `row_check`
compares with those that are. What many versions share (names of metrics, tags, a description's digest) is held once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from sys import intern
from typing import Any

from tfx_pedigree.digest import canonical_json, check_digest, digest_of
from tfx_pedigree.registry.approval_rules import Situation
from tfx_pedigree.registry.chain_replay import TELL_ONLY, ChainReplay, require
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.evidence import DECIDED
from tfx_pedigree.registry.model_rows import (
    AliasRow,
    Content,
    ModelRow,
    ObservationRow,
    RolloutRow,
    TrustedKeyRow,
    VersionRow,
)
from tfx_pedigree.registry.names import check_alias
from tfx_pedigree.registry.observations import NewObservation
from tfx_pedigree.registry.replay_approvals import ExpectedApprovals
from tfx_pedigree.states import State
from tfx_pedigree.verdict import Verdict
from tfx_pedigree.versioning import Bump, timestamp_tag
from tfx_pedigree.versioning.numbers import higher, parse_version

_NOT_A_NUMBER = ("NaN", "Infinity", "-Infinity")
_TICK = timedelta(microseconds=1)
_REGISTERED = (State.DEVELOPMENT, State.STAGING)
# action → the states between which it moves a version.
_WAYS: Mapping[str, tuple[Collection[State], Collection[State]]] = {
    "register": ((State.RESERVED,), (State.DEVELOPMENT,)),
    "promote": (_REGISTERED, (State.STAGING, State.PRODUCTION)),
    "replace": ((State.PRODUCTION,), (State.ARCHIVED,)),
    "rollback": ((State.ARCHIVED,), (State.PRODUCTION,)),
    "archive": (tuple(State), (State.ARCHIVED,)),
    "restore": ((State.ARCHIVED,), (State.DEVELOPMENT, State.RESERVED)),
}
# What rolls back only comes to its end, or gives way to a later order.
_ROLLOUT_ENDS = ("done", "rolled-back", "superseded")
_AFTER_ROLLING_BACK = ("rolling-back", "blocked", "rolled-back", "superseded")


@dataclass(frozen=True)
class ExpectedPeriod:
    """`back_to` holds more than one place where an old rollback's event does not say from which it came."""

    version: str
    began_at: datetime
    ended_at: datetime | None
    back_to: frozenset[int | None]


@dataclass(frozen=True)
class ExpectedEvidence:
    version: str
    digest: str
    verdict: Verdict
    reason: str
    champion: str | None
    decided: Mapping[str, Any] | None
    created_at: datetime
    created_by: str


@dataclass(frozen=True)
class ExpectedSignature:
    version: str
    digest: str
    created_at: datetime
    created_by: str


@dataclass
class ModelFacts:
    """Versions lack what their events do not hold word for word: `sealed` has its digest, None in an older event."""

    model: ModelRow | None = None
    versions: dict[str, VersionRow] = field(default_factory=dict)
    sealed: dict[str, str | None] = field(default_factory=dict)
    aliases: dict[str, AliasRow] = field(default_factory=dict)
    periods: list[ExpectedPeriod] = field(default_factory=list)
    evidence: list[ExpectedEvidence] = field(default_factory=list)
    rollouts: list[RolloutRow] = field(default_factory=list)
    signatures: list[ExpectedSignature] = field(default_factory=list)
    trusted: dict[str, TrustedKeyRow] = field(default_factory=dict)
    observations: list[ObservationRow] = field(default_factory=list)
    approvals: ExpectedApprovals = field(default_factory=ExpectedApprovals)


class ModelReplay(ChainReplay):
    """`facts` after all events fed so far."""

    def __init__(self, model: str) -> None:
        moves = {**dict.fromkeys(("replace", "archive", "restore"), self._move), "rollback": self._rollback}
        moves |= {"register": self._register, "promote": self._promote}
        others = {"set-alias": self._set_alias, "remove-alias": self._remove_alias}
        others |= dict.fromkeys(TELL_ONLY, self._tells_only)
        writes = {"annotate": self._annotate, "attach-evidence": self._attach_evidence, "sign": self._sign}
        writes |= {"roll-out": self._roll_out, "observe": self._observe}
        others |= {"trust-key": self._trust_key, "distrust-key": self._distrust_key}
        writes |= {"protect": self._protection, "unprotect": self._protection}
        writes |= dict.fromkeys(("request-promotion", "approve", "reject"), self._asked)
        super().__init__(model, {"create-model": self._create, "reserve": self._reserve, **moves, **writes, **others})
        self.facts = ModelFacts()
        self._newest_evidence: dict[str, ExpectedEvidence] = {}
        # What there is once: the bytes of a version, a piece of evidence of one.
        self._once: set[tuple[str, ...]] = set()
        self._champion: str | None = None
        self._registered: str | None = None  # the newest one that is
        self._replaced: tuple[int, str] | None = None
        self._phase: str | None = None  # of the newest rollout

    def _create(self, event: Event) -> None:
        require(event.position == 1)
        # The registry notes the new model in its own chain first, a microsecond before it begins the model's.
        self.facts.model = ModelRow(self.chain, "", event.at - _TICK, event.actor, 0, None)

    def _reserve(self, event: Event) -> None:
        model, d = self._model, event.details
        number, digest = _subject(event), check_digest(d["digest"])
        follows = d["predecessor"]
        require(str(parse_version(number)) == number and number not in self.facts.versions)
        require(d["sequence"] == model.last_sequence + 1 and follows in self._bases())
        require(follows is None or higher(follows, number) == number)
        require(d["timestamp_tag"] == timestamp_tag(event.at, digest) and event.to_state == State.RESERVED)
        self._add_once(digest)
        self.facts.versions[number] = VersionRow(
            sequence=model.last_sequence + 1,
            version=number,
            timestamp_tag=d["timestamp_tag"],
            digest=digest,
            state=State.RESERVED,
            withdrawn=False,
            bump=None if d["bump"] is None else Bump(d["bump"]).value,
            reasons=(),
            predecessor=follows,
            description_digest=intern(check_digest(d["description"])),
            metrics={},
            parameters={},
            tags={},
            size=None,
            files=None,
            refusal=None,
            created_at=event.at,
            created_by=event.actor,
            registered_at=None,
        )
        highest = model.highest_version
        self.facts.sealed[number] = check_digest(d["facts"]) if "facts" in d else None
        self.facts.model = replace(
            model, last_sequence=model.last_sequence + 1, highest_version=higher(highest, number)
        )

    def _bases(self) -> set[str | None]:
        """What a new version may follow: the champion, else the newest one that is registered, else the newest one.
        Older releases always took the highest."""
        if self._champion is not None:
            return {self._champion, self._model.highest_version}
        newest = next(reversed(self.facts.versions), None)  # they stand in the order of their sequence
        return {self._registered, newest, self._model.highest_version} - {None} or {None}

    def _register(self, event: Event) -> None:
        require(not self._version(event).withdrawn)
        metrics, tags = _metrics(event), _tags(event)
        self._move(event)
        self._change(event, metrics=metrics, tags=tags, registered_at=event.at)
        number, versions = _subject(event), self.facts.versions
        if self._registered is None or versions[number].sequence > versions[self._registered].sequence:
            self._registered = number

    def _annotate(self, event: Event) -> None:
        version = self._version(event)
        tags = {key: text for key, text in {**version.tags, **_tags(event)}.items() if text}
        self._change(event, metrics={**version.metrics, **_metrics(event)}, tags=tags)

    def _attach_evidence(self, event: Event) -> None:
        d = event.details
        verdict, reason, champion = Verdict(d["verdict"]), event.reason, d["champion"]
        require(isinstance(reason, str) and (champion is None or bool(check_digest(champion))))
        digest, number = check_digest(d["evidence"]), _subject(event)
        self._add_once(number, digest)
        self._change(event, refusal=None if verdict is Verdict.PASS else f"{verdict.value}: {reason}")
        decided = d.get(DECIDED)
        found = ExpectedEvidence(number, digest, verdict, str(reason), champion, decided, event.at, event.actor)
        self.facts.evidence.append(found)
        self._newest_evidence[number] = found

    def _sign(self, event: Event) -> None:
        digest, number, key = (
            check_digest(event.details["signature"]),
            self._version(event).version,
            event.details["key"],
        )
        require(key is None or key in self.facts.trusted)
        self._add_once(number, digest)
        self.facts.signatures.append(ExpectedSignature(number, digest, event.at, event.actor))

    def _observe(self, event: Event) -> None:
        version, seen = self._version(event), NewObservation.from_json(event.details, "the event")
        require(version.registered_at is not None)
        seen.check_against(version.created_at, event.at)
        for metric, value in seen.metrics.items():
            self._add_once(version.version, metric, seen.source, str(seen.began_at), str(seen.ended_at))
            row = ObservationRow(
                metric=metric,
                value=value,
                examples=seen.examples,
                began_at=seen.began_at,
                ended_at=seen.ended_at,
                source=seen.source,
                created_at=event.at,
                created_by=event.actor,
                version=version.version,
            )
            self.facts.observations.append(row)

    def _trust_key(self, event: Event) -> None:
        key, pem = check_digest(event.details["key"]), event.details["pem"]
        require(key not in self.facts.trusted and digest_of(pem.encode()) == key)
        self.facts.trusted[key] = TrustedKeyRow(key, pem, event.at, event.actor)

    def _distrust_key(self, event: Event) -> None:
        del self.facts.trusted[event.details["key"]]

    def _add_once(self, *key: str) -> None:
        require(key not in self._once)
        self._once.add(key)

    def _set_alias(self, event: Event) -> None:
        alias = check_alias(event.details["alias"])
        self.facts.aliases[alias] = AliasRow(alias, event.at, event.actor, self._version(event).version)

    def _remove_alias(self, event: Event) -> None:
        del self.facts.aliases[event.details["alias"]]

    def _promote(self, event: Event) -> None:
        evidence = self._newest_evidence.get(_subject(event))
        require(event.details["evidence"] == (evidence.digest if evidence else None))
        if event.to_state != State.PRODUCTION:
            self._move(event)
            return
        require(evidence is None or evidence.verdict is Verdict.PASS or event.details["override"] is True)
        signed = {signature.version for signature in self.facts.signatures}
        require(not self.facts.trusted or _subject(event) in signed)
        # Where a champion is replaced, that was told first, and a microsecond before.
        at = event.at - _TICK if self._replaced_before(event) else event.at
        self.facts.approvals.promote(event, _subject(event), self._situation(event), at)
        back_to: frozenset[int | None] = frozenset([None])
        if self.facts.periods:
            newest = self.facts.periods[-1]
            back_to = frozenset([len(self.facts.periods) - 1]) if newest.ended_at is None else newest.back_to
        self._enter_production(event, back_to)

    def _rollback(self, event: Event) -> None:
        number, periods, named = _subject(event), self.facts.periods, event.details.get("named")
        require(not self._version(event).withdrawn)
        places: set[int] = set()
        if named is not False:
            places.add(max(place for place, one in enumerate(periods) if one.version == number))
        if named is not True:
            places |= {place for place in periods[-1].back_to if place is not None and periods[place].version == number}
        require(bool(places))
        self._enter_production(event, frozenset().union(*(periods[place].back_to for place in places)))

    def _enter_production(self, event: Event, back_to: frozenset[int | None]) -> None:
        require(event.details["replaces"] == self._replaced_before(event))
        require(self._champion is None)
        self._move(event)
        self._champion = _subject(event)
        self._end_period(event.at)
        self.facts.periods.append(ExpectedPeriod(_subject(event), event.at, None, back_to))

    def _replaced_before(self, event: Event) -> str | None:
        return self._replaced[1] if self._replaced and self._replaced[0] == event.position - 1 else None

    def _situation(self, event: Event) -> Situation:
        """As it was when whoever caused the event decided."""
        champion, evidence = self._champion or self._replaced_before(event), self._newest_evidence.get(_subject(event))
        return Situation(
            self._version(event).state,
            self.facts.versions[champion].digest if champion else None,
            self.facts.periods[-1].began_at if self.facts.periods else None,
            evidence.digest if evidence else None,
            None,
        )

    def _protection(self, event: Event) -> None:
        require(self.facts.model is not None)
        known = self.facts.approvals
        (known.protect if event.action == "protect" else known.unprotect)(event)

    def _asked(self, event: Event) -> None:
        known = self.facts.approvals
        steps = {"request-promotion": known.file, "approve": known.approve, "reject": known.reject}
        steps[event.action](event, _subject(event), self._situation(event))

    def _roll_out(self, event: Event) -> None:
        d, phase = event.details, event.to_state
        number, state = d["rollout"], Content(canonical_json(d["state"]).decode())
        require(self._version(event).registered_at is not None and d["state"]["phase"] == phase)
        open_ = [row for row in self.facts.rollouts if row.closed_at is None]
        closed_at = event.at if phase in _ROLLOUT_ENDS else None
        if "order" in d:
            require(number == len(self.facts.rollouts) + 1 and not open_ and event.from_state is None)
            content = Content(canonical_json(d["order"]).decode())
            row = RolloutRow(number, content, state, event.at, event.actor, closed_at, _subject(event))
            self.facts.rollouts.append(row)
            self._phase = phase
            return
        require([row.number for row in open_] == [number] and open_[0].version == _subject(event))
        require(event.from_state == self._phase)
        require(event.from_state != "rolling-back" or phase in _AFTER_ROLLING_BACK)
        self.facts.rollouts[number - 1] = replace(open_[0], state=state, closed_at=closed_at)
        self._phase = phase

    def _move(self, event: Event) -> None:
        version = self._version(event)
        before, after = State(event.from_state), State(event.to_state)
        sources, targets = _WAYS[event.action]
        require(version.state is before and before in sources and after in targets)
        if event.action == "restore":
            require((after is State.RESERVED) == (version.registered_at is None))
        if before is State.PRODUCTION:
            self._champion = None
        if event.action == "replace":
            self._replaced = (event.position, version.version)
        if event.action == "archive":
            require(not version.withdrawn)
            if before is State.PRODUCTION:
                self._end_period(event.at)
        self._change(event, state=after, withdrawn=event.action == "archive")

    def _end_period(self, when: datetime) -> None:
        if self.facts.periods and self.facts.periods[-1].ended_at is None:
            self.facts.periods[-1] = replace(self.facts.periods[-1], ended_at=when)

    def _tells_only(self, event: Event) -> None:
        """An event that tells of no change to the model's versions."""
        require(self.facts.model is not None)

    @property
    def _model(self) -> ModelRow:
        require(self.facts.model is not None)
        assert self.facts.model is not None  # noqa: S101  required just above
        return self.facts.model

    def _version(self, event: Event) -> VersionRow:
        return self.facts.versions[_subject(event)]

    def _change(self, event: Event, **values: Any) -> None:
        self.facts.versions[_subject(event)] = replace(self._version(event), **values)


def _subject(event: Event) -> str:
    if event.subject is None:
        raise ValueError("an event about a version must name it")
    return event.subject


def _metrics(event: Event) -> dict[str, float | str]:
    """As the registry writes them: numbers, or the words for those that are none."""
    found: dict[str, float | str] = {}
    for name, value in event.details["metrics"].items():
        require(bool(name) and not isinstance(value, bool))
        require(value in _NOT_A_NUMBER if isinstance(value, str) else isinstance(value, int | float))
        found[intern(name)] = value if isinstance(value, str) else float(value)
    return found


def _tags(event: Event) -> dict[str, str]:
    tags = dict(event.details["tags"])
    require(all(key and isinstance(text, str) for key, text in tags.items()))
    return {intern(key): intern(text) for key, text in tags.items()}
