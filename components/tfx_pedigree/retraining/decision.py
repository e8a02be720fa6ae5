"""Whether to train again, on which spans, and why. Pure: what is known comes in, the decision goes out.

Laws, which the tests hold: no reason, no run. Spans are run in rising order, each only if it is newer than all that
were trained. What was answered by a finished run is no reason again: the same situation never leads to a second run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from tfx_pedigree.retraining.drift import MeasuredDrift, excesses
from tfx_pedigree.retraining.ledger import AttemptOutcome, Ledger
from tfx_pedigree.retraining.performance import Watched, judge
from tfx_pedigree.retraining.rules import Rules, in_words
from tfx_pedigree.retraining.spans import Spans
from tfx_pedigree.text import format_minute, plural

_SHOWN = 3


class ReasonKind(str, Enum):
    NEW_SPAN = "new-span"
    DRIFT = "drift"
    PERFORMANCE = "performance"
    AGE = "age"
    FORCE = "force"
    BACKFILL = "backfill"


@dataclass(frozen=True)
class Reason:
    kind: ReasonKind
    text: str


@dataclass(frozen=True)
class Planned:
    """One whole run of the pipeline."""

    span: int
    reasons: tuple[Reason, ...] = ()

    @classmethod
    def of(cls, span: int, kind: ReasonKind, text: str) -> Planned:
        return cls(span, (Reason(kind, text),))

    @property
    def text(self) -> str:
        return "; ".join(reason.text for reason in self.reasons)


@dataclass(frozen=True)
class Champion:
    """`trained_at` is when its version was made, not when it was promoted."""

    version: str
    spans: tuple[int, ...]
    trained_at: datetime
    digest: str = ""


@dataclass(frozen=True)
class Situation:
    now: datetime
    spans: Spans
    ledger: Ledger
    champion: Champion | None = None
    watched: Mapping[str, Watched] = field(default_factory=dict)

    @property
    def newest(self) -> int | None:
        return self.spans.whole[-1] if self.spans.whole else None


@dataclass(frozen=True)
class Decision:
    """`quiet` says why there is no more to do. `measure` is the span whose drift is still to be told: decide again with
    it. `steady` is the drift rule by which the newest span was found to be none. `stuck` says why nobody goes on
    without a person."""

    runs: tuple[Planned, ...] = ()
    quiet: tuple[str, ...] = ()
    measure: int | None = None
    steady: str | None = None
    stuck: str | None = None


def decide(
    situation: Situation, rules: Rules, *, force: str | None = None, measured: MeasuredDrift | None = None
) -> Decision:
    """`force` is somebody's reason: it outranks what waits and what is stuck."""
    quiet = [f"{situation.spans.unfinished}; it and the spans after it wait"] if situation.spans.unfinished else []
    submitted, newest = situation.ledger.submitted, situation.newest
    if submitted is not None and force is None:
        text = f"span {submitted.span} was submitted as {submitted.run} at {format_minute(submitted.at)}; it goes on"
        return Decision(quiet=(*quiet, text))
    if newest is None:
        return Decision(quiet=tuple(quiet))
    runs = _new_spans(situation, rules, quiet)
    if not runs and (reason := _age(situation, rules, quiet)):
        runs = [Planned(newest, (reason,))]
    drift = _drift(situation, rules, runs[0].span if runs else newest, measured)
    quiet += drift.quiet
    found = (*drift.reasons, *_declines(situation, rules, runs[0].span if runs else newest, quiet))
    if not runs and (force is not None or found):
        runs = [Planned(newest)]
    if runs:
        given = (Reason(ReasonKind.FORCE, force),) if force is not None else ()
        runs[0] = Planned(runs[0].span, (*given, *runs[0].reasons, *found))
        if force is None and (stuck := _stuck(situation, rules, runs[0].span)):
            return Decision(quiet=tuple(quiet), stuck=stuck)
    return Decision(tuple(runs), tuple(quiet), drift.measure, drift.steady)


def _new_spans(situation: Situation, rules: Rules, quiet: list[str]) -> list[Planned]:
    """All that came after the newest that was trained. Before the first version that would be the whole history, which
    is what a backfill is for: then the newest one, or the first that was tried, and what came after it."""
    ledger, whole = situation.ledger, situation.spans.whole
    done = ledger.newest_done
    if done is None:
        tried = [one.span for one in ledger.attempts if one.span is not None]
        first = min(tried, default=whole[-1])
        older = sum(span < first for span in whole)
        if older:
            command = f"`pedigree pipeline backfill --from {whole[0]} --to {whole[older - 1]}`"
            quiet.append(f"{plural(older, 'older span is', 'older spans are')} left to {command}")
        none = "no version was trained yet" if not ledger.trained else "no run has succeeded yet"
        return [_new(span, f"{none}{_again(ledger, span)}") for span in whole if span >= first]
    new = [span for span in whole if span > done]
    if not new:
        quiet.append(f"no span is newer than {done}, the newest that was trained on")
    elif not rules.new_span:
        begun = [found for span in new if (found := _interrupted(ledger, span))]
        if not begun:
            quiet.append(f"span {new[-1]} is new, which is no reason by itself (`new_span: false`)")
        return begun
    if rules.new_span:
        quiet += _passed_over(ledger, whole)
    return [_new(span, f"span {span} is new, {done} was the newest so far{_again(ledger, span)}") for span in new]


def _new(span: int, text: str) -> Planned:
    return Planned.of(span, ReasonKind.NEW_SPAN, text)


def _interrupted(ledger: Ledger, span: int) -> Planned | None:
    """What was begun for a reason and killed is begun again, though that reason may not be seen any more: somebody's
    words, or an age that the version of the killed run seems to have ended."""
    last = ledger.last(span)
    if last is None or last.outcome is not AttemptOutcome.STARTED:
        return None
    kind = next(iter(last.details.get("reasons") or ()), ReasonKind.NEW_SPAN)
    return Planned.of(span, ReasonKind(kind), f"the run on span {span} of {format_minute(last.at)} did not finish")


def _passed_over(ledger: Ledger, whole: tuple[int, ...]) -> list[str]:
    """Spans that came late, or whose run failed before somebody trained on a newer one, are for a backfill. What came
    before the first that was trained on was left out on purpose."""
    late = [span for span in whole if ledger.done[0] < span < ledger.done[-1] and not ledger.is_done(span)]
    if not late:
        return []
    command = f"`pedigree pipeline backfill --from {late[0]} --to {late[-1]}`"
    if len(late) == 1:
        return [f"span {late[0]} is older than {ledger.done[-1]} and was not trained on; {command} does it"]
    return [f"{len(late)} spans older than {ledger.done[-1]} were not trained on; {command} does it"]


def _again(ledger: Ledger, span: int) -> str:
    last = ledger.last(span)
    if last is None or last.outcome not in (AttemptOutcome.STARTED, AttemptOutcome.FAILED):
        return ""
    how = "failed" if last.outcome is AttemptOutcome.FAILED else "did not finish"
    return f"; its run of {format_minute(last.at)} {how}"


def _age(situation: Situation, rules: Rules, quiet: list[str]) -> Reason | None:
    champion = situation.champion
    if rules.max_age is None or champion is None:
        return None
    age, allowed = situation.now - champion.trained_at, in_words(rules.max_age)
    text = f"the champion {champion.version} was trained {in_words(age)} ago"
    if age <= rules.max_age:
        quiet.append(f"{text}, {allowed} are allowed")
        return None
    last = situation.ledger.last_trained
    if last is not None and situation.now - last <= rules.max_age:
        since = in_words(situation.now - last)
        quiet.append(f"{text}, but the last training was {since} ago and did not replace it")
        return None
    return Reason(ReasonKind.AGE, f"{text}, more than the {allowed} allowed")


@dataclass(frozen=True)
class _Drift:
    measure: int | None = None
    reasons: tuple[Reason, ...] = ()
    quiet: tuple[str, ...] = ()
    steady: str | None = None


def _drift(situation: Situation, rules: Rules, span: int, measured: MeasuredDrift | None) -> _Drift:
    """What is to be measured, or what was found. Of a span that was trained on already, drift says nothing new; and a
    span that was found not to have drifted is not measured every hour."""
    champion, ledger = situation.champion, situation.ledger
    if rules.drift is None or champion is None or ledger.is_done(span) or span in champion.spans:
        return _Drift()
    rule, of = rules.drift.digest, f"from the data of the champion {champion.version}"
    since = ledger.steady_since(span, champion.version, rule)
    if since is not None:
        return _Drift(quiet=(f"span {span} had not drifted {of} at {format_minute(since)}",), steady=rule)
    if measured is None or (measured.missing is None and measured.span != span):
        return _Drift(measure=span)
    if measured.missing is not None:
        return _Drift(quiet=(f"drift of span {span} was not measured: {measured.missing}",))
    found = excesses(measured, rules.drift)
    if not found:
        return _Drift(quiet=(f"span {span} has not drifted {of}",), steady=rule)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    text = "; ".join(map(str, found[:_SHOWN])) + more
    return _Drift(reasons=(Reason(ReasonKind.DRIFT, f"span {span} drifted {of}: {text}"),))


def _declines(situation: Situation, rules: Rules, span: int, quiet: list[str]) -> tuple[Reason, ...]:
    """What the champion lost while it served. To train again on data that were trained on would change nothing."""
    champion = situation.champion
    if champion is None:
        return ()
    findings = [
        judge(metric, rule, situation.watched.get(metric, Watched())) for metric, rule in rules.performance.items()
    ]
    quiet += [found.text for found in findings if not found.declined]
    declined = [found for found in findings if found.declined]
    if situation.ledger.is_done(span) or span in champion.spans:
        quiet += [f"{one.text}; but span {span} was trained on already, and there is no newer one" for one in declined]
        return ()
    return tuple(Reason(ReasonKind.PERFORMANCE, found.text) for found in declined)


def _stuck(situation: Situation, rules: Rules, span: int) -> str | None:
    tries = situation.ledger.tries(span)
    if tries < rules.attempts:
        return None
    return f"span {span} was started {tries} times and never succeeded; the policy allows {rules.attempts}"
