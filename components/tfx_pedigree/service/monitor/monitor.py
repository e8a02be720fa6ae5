"""One pass over all watches: what is due is asked for, and what is answered is observed.

The registry is the only memory. A pass that is killed at any moment is repeated by the next one: what it had observed
is not asked for again, and nothing is observed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime

from tfx_pedigree.errors import PedigreeError, UnavailableError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import LARGEST_PAGE, NewObservation, Reference, RegistryApi, Version, every
from tfx_pedigree.service.monitor.asking import Answer, ask
from tfx_pedigree.service.monitor.config import MonitorConfig, Query, Watch
from tfx_pedigree.service.monitor.windows import Window, champion_of, ended, unobserved

# A window, a version and a metric that were observed.
_Held = AbstractSet[tuple[Window, str, str]]
_MOST_PERIODS = 500
_MOST_PROBLEMS = 100


@dataclass(frozen=True)
class Recorded(JsonForm):
    """What a pass added to a version's series."""

    model: str
    version: str
    metrics: Mapping[str, float]
    examples: int | None
    began_at: datetime
    ended_at: datetime


@dataclass(frozen=True)
class Pass(JsonForm):
    """`problems` say what could not be asked or observed; all else was."""

    recorded: tuple[Recorded, ...]
    problems: tuple[str, ...]


class Monitor:
    def __init__(self, registry: RegistryApi, config: MonitorConfig, clock: Callable[[], datetime]) -> None:
        self._registry, self._config, self._clock = registry, config, clock
        self._complete: set[tuple[int, Window]] = set()

    def once(self) -> Pass:
        """A source that does not answer is asked no more in this pass, and the others are."""
        made, gone = _Made(), set[str]()
        for watch in self._config.watches:
            if watch.source in gone:
                continue
            try:
                self._look(watch, made)
            except UnavailableError as error:
                gone.add(watch.source)
                made.tell(f"{watch.model}: {error}")
            except PedigreeError as error:
                made.tell(f"{watch.model}: {error}")
        return Pass(tuple(made.recorded), tuple(made.problems))

    def _look(self, watch: Watch, made: _Made) -> None:
        now = self._clock()
        windows = ended(now, every=watch.every, delay=watch.delay, history=watch.history)
        if not windows:
            return
        held = self._held(watch, windows)
        periods = self._registry.reigns(watch.model, limit=_MOST_PERIODS)
        if watch.version_label is not None:
            for window in windows:
                self._look_by_label(_Due(watch, window), held, made)
            return
        observed = {(window, metric) for window, _, metric in held}
        for window, metrics in unobserved(windows, observed, watch.metrics):
            version = champion_of(window, periods)
            if version is not None:
                due = _Due(watch, window)
                self._observe(due, {version: self._asked(due, metrics, made)}, held, made)

    def _held(self, watch: Watch, windows: Sequence[Window]) -> _Held:
        """What was observed of this source within the windows: which window, version and metric."""
        since, until = windows[0].ended_at, windows[-1].ended_at
        found = every(
            lambda after: self._registry.observations(
                watch.model, since=since, until=until, limit=LARGEST_PAGE, after=after
            )
        )
        return {
            (Window(one.began_at, one.ended_at), one.version, one.metric)
            for one in found
            if one.source == watch.told_source
        }

    def _asked(self, due: _Due, metrics: Sequence[str], made: _Made) -> _Values:
        """Of the champion: each query must have one answer."""
        watch = due.watch
        values = {
            metric: value
            for metric in metrics
            if (value := self._number(due, watch.metrics[metric], metric, made)) is not None
        }
        examples = self._number(due, watch.examples, "examples", made) if watch.examples and values else None
        return _Values(values, examples)

    def _number(self, due: _Due, query: Query, what: str, made: _Made) -> float | None:
        watch = due.watch
        answers = ask(self._config.sources[watch.source], query, watch.model, due.window)
        if len(answers) > 1:
            made.tell(
                f"{watch.model}: {len(answers)} series were answered for {what}, where one is the champion's. Sum or "
                "choose them in the query, or name the label that tells versions apart as `version_label`."
            )
        return answers[0].value if len(answers) == 1 else None

    def _look_by_label(self, due: _Due, held: _Held, made: _Made) -> None:
        """Each series is that of the version which its label names. A pass before may have been killed between two
        versions, so that a window is asked for once by each process, though a part of it was observed."""
        watch, window = due.watch, due.window
        if (id(watch), window) in self._complete:
            return
        label, source = str(watch.version_label), self._config.sources[watch.source]
        found: dict[str, _Values] = {}
        for metric, query in sorted(watch.metrics.items()):
            for named, value in _by_label(ask(source, query, watch.model, window), label).items():
                found.setdefault(named, _Values({}, None)).metrics[metric] = value
        if watch.examples and found:
            for named, value in _by_label(ask(source, watch.examples, watch.model, window), label).items():
                if named in found:
                    found[named] = replace(found[named], examples=value)
        self._observe(due, found, held, made)
        if found:
            self._complete.add((id(watch), window))

    def _observe(self, due: _Due, found: Mapping[str, _Values], held: _Held, made: _Made) -> None:
        for named, values in sorted(found.items()):
            try:
                version = self._registry.get(Reference(due.watch.model, named))
                if version.created_at <= due.window.began_at:  # else a part of the window was before it
                    self._add(due, version, values, held, made)
            except UnavailableError:  # the registry itself is gone
                raise
            except PedigreeError as error:
                made.tell(f"{due.watch.model}@{named}: {error}")

    def _add(self, due: _Due, version: Version, values: _Values, held: _Held, made: _Made) -> None:
        watch, window, number = due.watch, due.window, version.version
        new = {name: one for name, one in values.metrics.items() if (window, number, name) not in held}
        if not new:
            return
        examples = None if values.examples is None else max(round(values.examples), 0)
        seen = NewObservation(new, window.began_at, window.ended_at, examples, watch.told_source)
        change = self._registry.observe(Reference(watch.model, number), seen)
        if change.changed:
            added = {name: new[name] for name in change.added}
            made.recorded.append(Recorded(watch.model, number, added, examples, window.began_at, window.ended_at))


@dataclass(frozen=True)
class _Due:
    watch: Watch
    window: Window


@dataclass(frozen=True)
class _Values:
    metrics: dict[str, float]
    examples: float | None


@dataclass
class _Made:
    recorded: list[Recorded] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def tell(self, problem: str) -> None:
        """Once, however often it is met."""
        if problem not in self.problems and len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


def _by_label(answers: Sequence[Answer], label: str) -> dict[str, float]:
    """What has no such label is nobody's; of several series with the same one, none can be told from the others."""
    found: dict[str, list[float]] = {}
    for one in answers:
        if one.labels.get(label):
            found.setdefault(one.labels[label], []).append(one.value)
    return {named: values[0] for named, values in found.items() if len(values) == 1}
