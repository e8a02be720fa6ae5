"""Whatever people do, and wherever it is cut off: no protected model gets a champion that was not approved."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import registry_processes as processes
from forking_testing import Ended, forking
from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.registry import Evidence, Identity, PromotionRequest, Registry, Role, State, Verdict

MODEL = processes.MODEL
PEOPLE = ("cy", "rea", "ron", "rel", "ada")
names, versions = st.sampled_from(PEOPLE), st.integers(1, 4)


@dataclass
class Filed:
    """A request in the story's own account. `seen` counts what would void it."""

    version: int
    by: str
    seen: tuple[int, int, int]
    expires: datetime
    approved: set[str] = field(default_factory=set)
    closed: bool = False


class Story(RuleBasedStateMachine):
    """Keeps a plain account of who approved what, and asks of each promotion whether it was allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.registry = Registry.create(Path(self.folder.name) / "r", actor="ada", clock=self.clock)
        with self.registry._database.engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA synchronous = OFF")  # type: ignore[union-attr]
        self.needed = 0
        self.protections = self.champions = 0
        self.evidence = dict.fromkeys(range(1, 5), 0)
        self.filed: dict[int, Filed] = {}

    def teardown(self) -> None:
        assert self.registry.verify_audit().problems == ()
        self.registry.close()
        self.folder.cleanup()

    @initialize()
    def first(self) -> None:
        roles = {"cy": Role.CONTRIBUTOR, "rea": Role.REVIEWER, "ron": Role.REVIEWER, "rel": Role.RELEASER}
        for name, role in roles.items():
            self.registry.grant(name, role)
        for seed in range(1, 5):
            self.registry.add(MODEL, candidate(seed))
        self.protect(2)

    def by(self, name: str) -> Registry:
        self.clock.advance(seconds=1)
        return self.registry.acting_as(Identity(name))

    def attempt(self, work: Callable[[], object]) -> bool:
        champion = self.registry.model(MODEL).champion
        try:
            work()
        except PedigreeError:
            assert self.registry.model(MODEL).champion == champion
            return False
        self.champions += self.registry.model(MODEL).champion != champion
        return True

    def seen(self, version: int) -> tuple[int, int, int]:
        return self.protections, self.champions, self.evidence[version]

    @rule(count=st.sampled_from([0, 1, 2, 2]))
    def protect(self, count: int) -> None:
        if count == 0:
            self.by("ada").unprotect(MODEL, reason="x")
            self.needed = 0
        elif self.by("ada").protect(MODEL, count).changed:
            self.needed, self.protections = count, self.protections + 1

    @rule(version=versions, name=names)
    def ask(self, version: int, name: str) -> None:
        self.clock.advance(seconds=1)
        try:
            change = self.by(name).request_promotion(f"{MODEL}@{version}")
        except PedigreeError:
            return
        if change.changed:
            found = change.request
            self.filed[found.number] = Filed(version, name, self.seen(version), found.expires_at)

    @rule(back=st.sampled_from([0, 0, 1]), name=names)
    def approve(self, back: int, name: str) -> None:
        number = len(self.filed) - back
        if number < 1:
            return
        if self.attempt(lambda: self.by(name).approve(MODEL, number)):
            self.filed[number].approved.add(name)

    @rule(
        version=versions,
        filer=st.sampled_from(["cy", "rea"]),
        approvers=st.lists(st.sampled_from(["rea", "ron", "rel"]), max_size=3, unique=True),
        between=st.sampled_from(["", "", "", "protect", "judge", "override", "roll back", "reject", "wait"]),
    )
    def campaign(self, version: int, filer: str, approvers: list[str], between: str) -> None:
        """From the request to the promotion, with something that may happen before it."""
        self.ask(version, filer)
        for name in approvers:
            self.approve(0, name)
        other = version % 4 + 1
        happens: dict[str, Callable[[], None]] = {
            "protect": lambda: self.protect(1 if self.needed == 2 else 2),
            "judge": lambda: self.judge(version, Verdict.PASS, len(self.filed)),
            "override": lambda: self.promote(other, "ada", override=True),
            "roll back": lambda: self.roll_back("rel"),
            "reject": lambda: self.reject("ron"),
            "wait": lambda: self.wait(8),
        }
        happens.get(between, lambda: None)()
        self.promote(version, "rel", override=False)

    @rule(name=names)
    def reject(self, name: str) -> None:
        number = len(self.filed)
        if number < 1:
            return
        if self.attempt(lambda: self.by(name).reject(MODEL, number, reason="x")):
            self.filed[number].closed = True

    @rule(version=versions, verdict=st.sampled_from([Verdict.PASS, Verdict.PASS, Verdict.FAIL]), again=st.integers())
    def judge(self, version: int, verdict: Verdict, again: int) -> None:
        champion = self.registry.model(MODEL).champion
        baseline = self.registry.get(f"{MODEL}@champion").digest if champion else None
        evidence = Evidence(digest(version), baseline, verdict, f"for the {again}. time")
        if self.attempt(lambda: self.by("cy").attach_evidence(f"{MODEL}@{version}", evidence)):
            self.evidence[version] += 1

    @rule(name=st.sampled_from(["rel", "ada"]), back=st.sampled_from([0, 0, 1]))
    def promote_what_was_asked_for(self, name: str, back: int) -> None:
        if len(self.filed) > back:
            self.promote(self.filed[len(self.filed) - back].version, name, override=False)

    @rule(version=versions, name=names, override=st.booleans())
    def promote(self, version: int, name: str, override: bool) -> None:
        before = self.seen(version)
        request = PromotionRequest(override=override, reason="x" if override else None)
        champion, now = self.registry.model(MODEL).champion, self.clock.time
        if not self.attempt(lambda: self.by(name).promote(f"{MODEL}@{version}", request)):
            return
        if self.registry.model(MODEL).champion == champion or not self.needed:
            return
        enough = [
            one
            for one in self.filed.values()
            if one.version == version
            and one.seen == before
            and not one.closed
            and now < one.expires
            and len(one.approved - {one.by}) >= self.needed
        ]
        assert enough or (override and name == "ada"), f"{name} promoted {version} and nobody approved it"
        for one in enough:
            one.closed = True

    @rule(name=names)
    def roll_back(self, name: str) -> None:
        self.attempt(lambda: self.by(name).rollback(MODEL, reason="x"))

    @rule(version=versions)
    def archive_or_restore(self, version: int) -> None:
        found = self.registry.get(f"{MODEL}@{version}")
        work = self.registry.restore if found.state is State.ARCHIVED else self.registry.archive
        self.clock.advance(seconds=1)
        self.attempt(lambda: work(f"{MODEL}@{version}", reason="x"))

    @rule(days=st.sampled_from([1, 6, 8]))
    def wait(self, days: int) -> None:
        self.clock.advance(days=days)


Story.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
test_every_story = Story.TestCase


@pytest.fixture(scope="module")
def fork() -> Iterator[Callable[..., Ended]]:
    with forking("registry_processes") as call:
        yield call


def test_killed_at_any_statement_nothing_is_half_approved(tmp_path: Path, fork: Callable[..., Ended]) -> None:
    address = str(tmp_path / "registry")
    with Registry.create(address, actor="ada") as registry:
        for seed in ("first", "second"):
            registry.add(MODEL, candidate(seed))
        registry.promote(f"{MODEL}@1.0.0")
        registry.grant("cy", Role.CONTRIBUTOR)
        registry.grant("rea", Role.REVIEWER)
        registry.protect(MODEL, 1)
        died = 0
        for number in range(1, 400, 6):
            ended = fork("kill_while_approving", address, number)
            assert registry.verify_audit().problems == ()
            requests = registry.approval_requests(MODEL, only_open=False).items
            champion = registry.model(MODEL).champion
            assert len(requests) <= 1
            assert champion == "1.0.0" or requests[0].status.value == "promoted"
            if ended.out.strip() or champion != "1.0.0":
                break
            assert ended.code == -signal.SIGKILL, ended.err
            died += 1
        assert died >= 6
        assert registry.approval_request(MODEL, 1).approvals[0].by == "rea"
