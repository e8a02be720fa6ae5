"""The times in production of a model, each with the event that began it, and where a rollback would lead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import Action, ChampionPeriod, Event, Registry, State, every

_PERIODS = 40
_PAGE = 100
# Of one kind of event, so many are looked through: a busy staging must not hide the promotions to production.
_LOOKED_THROUGH = 400
_PROMOTE, _ROLLBACK = "promote", Action.ROLLBACK.value


@dataclass(frozen=True)
class Reign(JsonForm):
    """A time in production with the event that began it. `named`: the rollback named the version, and did not just go
    back one step."""

    period: ChampionPeriod
    event: int | None
    action: str | None
    by: str | None
    reason: str | None
    named: bool = False

    @property
    def is_back(self) -> bool:
        return self.action == _ROLLBACK


def reigns(registry: Registry, model: str) -> tuple[Reign, ...]:
    """The newest first."""
    periods = registry.reigns(model, limit=_PERIODS)
    if not periods:
        return ()
    oldest = periods[-1].began_at
    told = [one for word in (_PROMOTE, _ROLLBACK) for one in _since(registry, model, word, oldest)]
    by = {one.at: one for one in told if one.to_state == State.PRODUCTION.value}
    return tuple(_reign(period, by.get(period.began_at)) for period in periods)


def _since(registry: Registry, model: str, action: str, oldest: datetime) -> Iterator[Event]:
    found = every(lambda after: registry.history(model, action=action, limit=_PAGE, after=after))
    for count, one in enumerate(found):
        if one.at < oldest or count == _LOOKED_THROUGH:
            return
        yield one


def _reign(period: ChampionPeriod, event: Event | None) -> Reign:
    if event is None:
        return Reign(period, None, None, None, None)
    named = event.details.get("named") is True
    return Reign(period, event.position, event.action, event.actor, event.reason, named)


def goes_back_to(newest_first: Sequence[Reign]) -> str | None:
    """Whom a rollback brings back, as the registry would choose: a promotion puts a champion on top of the one that it
    replaced, a rollback takes off what lies above the one that it brings back. None where the events say too little."""
    told = newest_first[::-1]
    under: list[int | None] = []
    for at, one in enumerate(told):
        before = at - 1 if at else None
        below = None if before is None else under[before]
        if one.is_back:
            place = _newest_of(told[:at], one.period.version) if one.named else below
            under.append(None if place is None else under[place])
        elif one.action is None or before is None:
            under.append(None)
        else:
            was_open = told[before].period.ended_at == one.period.began_at
            under.append(before if was_open else below)
    place = under[-1] if under else None
    return None if place is None else told[place].period.version


def _newest_of(told: Sequence[Reign], version: str) -> int | None:
    return next((at for at in range(len(told) - 1, -1, -1) if told[at].period.version == version), None)
