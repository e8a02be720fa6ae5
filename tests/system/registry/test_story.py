"""Any story that people can tell with the registry: hypothesis makes them up, and some laws hold at every line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.db import schema
from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.registry import Evidence, Facts, PromotionRequest, Registry, State, Verdict

MODEL = "m"
seeds = st.integers(0, 7)
numbers = st.sampled_from([f"1.0.{n}" for n in range(6)])


class Story(RuleBasedStateMachine):
    """Keeps its own plain account of champions beside the registry's, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.registry = Registry.create(Path(self.folder.name) / "r", actor="ada", clock=self.clock)
        with self.registry._database.engine.connect() as connection:
            # The story is about rules, not power cuts.
            connection.connection.driver_connection.execute("PRAGMA synchronous = OFF")  # type: ignore[union-attr]
        self.reigns: list[str] = []
        self.stack: list[str] = []

    def teardown(self) -> None:
        self.registry.close()
        self.folder.cleanup()

    @initialize()
    def first(self) -> None:
        self.registry.add(MODEL, candidate("first"))

    @rule(seed=seeds, reserve=st.booleans())
    def train(self, seed: int, reserve: bool) -> None:
        self.clock.advance(seconds=1)
        if reserve:
            self.registry.reserve(MODEL, candidate(seed))
        else:
            self.registry.add(MODEL, candidate(seed), facts=Facts({"auc": seed / 10}))

    @rule(seed=seeds, champion=st.none() | seeds, verdict=st.sampled_from(Verdict))
    def judge(self, seed: int, champion: int | None, verdict: Verdict) -> None:
        baseline = None if champion is None else digest(champion)
        self.attempt(
            lambda: self.registry.attach_evidence(
                f"{MODEL}@{digest(seed)}", Evidence(digest(seed), baseline, verdict, "by chance")
            )
        )

    @rule(number=numbers, to=st.sampled_from([State.STAGING, State.PRODUCTION]), expect=st.none() | numbers)
    def promote(self, number: str, to: State, expect: str | None) -> None:
        before = self.champion()
        request = PromotionRequest(to, expect)
        if self.attempt(lambda: self.registry.promote(f"{MODEL}@{number}", request)) and to is State.PRODUCTION:
            assert expect in (None, before) or before == number
            if before != number:
                if before is not None:
                    self.stack.append(before)
                self.reigns.append(number)

    @rule()
    def rollback(self) -> None:
        if self.attempt(lambda: self.registry.rollback(MODEL, reason="by chance")):
            assert self.champion() == self.stack[-1], "a rollback leads to the champion before"
            self.reigns.append(self.stack.pop())

    @rule(number=numbers)
    def archive(self, number: str) -> None:
        self.attempt(lambda: self.registry.archive(f"{MODEL}@{number}", reason="by chance"))

    @rule(number=numbers)
    def restore(self, number: str) -> None:
        self.attempt(lambda: self.registry.restore(f"{MODEL}@{number}"))

    @rule(number=numbers)
    def alias(self, number: str) -> None:
        if self.attempt(lambda: self.registry.set_alias("canary", f"{MODEL}@{number}")):
            assert self.registry.get(f"{MODEL}@canary").version == number

    def attempt(self, operation: object) -> bool:
        """True if it was done. A refusal must leave everything as it was, the log included."""
        before = self.registry.anchor().heads
        try:
            operation()  # type: ignore[operator]
        except PedigreeError:
            assert self.registry.anchor().heads == before
            return False
        return True

    def champion(self) -> str | None:
        return self.registry.model(MODEL).champion

    @invariant()
    def the_audit_agrees(self) -> None:
        report = self.registry.verify_audit()
        assert report.ok, report.problems

    @invariant()
    def there_is_one_champion_at_the_most_and_it_reigns(self) -> None:
        with self.registry.transactions.reading(MODEL) as connection:
            query = sa.select(schema.model_versions.c.version).where(schema.model_versions.c.state == "production")
            in_production = list(connection.execute(query).scalars())
        reigning = [reign.version for reign in self.registry.reigns(MODEL) if reign.ended_at is None]
        assert in_production == reigning
        assert len(in_production) <= 1

    @invariant()
    def every_reign_of_the_story_is_in_the_books(self) -> None:
        told = [reign.version for reign in reversed(self.registry.reigns(MODEL, limit=1000))]
        assert told == self.reigns


Story.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
test_every_story = Story.TestCase
