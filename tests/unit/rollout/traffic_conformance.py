"""What every traffic manager must hold. A backend's test derives from `TrafficConformance` and gives a `Bench`.

Where a backend cannot do something, its capabilities say so, and the test then demands that it says so honestly.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Protocol

import pytest
from dying_testing import DeathError, Deaths, Effect

from tfx_pedigree.errors import ConflictError, UnavailableError
from tfx_pedigree.rollout.traffic.api import (
    WHOLE,
    Convergence,
    Fence,
    FencedError,
    Readiness,
    ServedVersion,
    Share,
    Split,
    TrafficManager,
    WantedRoutes,
)


class Bench(Protocol):
    """A backend under test. `versions` are three that it can load, and one that it cannot."""

    versions: tuple[ServedVersion, ServedVersion, ServedVersion]
    broken: ServedVersion

    def manager(self) -> TrafficManager:
        """A new manager on the same backend, as a controller opens one that starts again."""
        ...

    def send(self, count: int) -> dict[str, int] | None:
        """Sends requests through the backend; who answered how many. None where it moves no requests of ours."""
        ...

    def wait(self, seconds: float) -> None: ...


def prepared(manager: TrafficManager, version: ServedVersion, bench: Bench, tries: int = 200) -> None:
    for _ in range(tries):
        found = manager.prepare(version)
        if found.readiness is Readiness.READY:
            return
        assert found.readiness is not Readiness.FAILED, found.reason
        bench.wait(0.05)
    raise AssertionError(f"{version.version} was not ready after {tries} looks")


def settled(manager: TrafficManager, wanted: WantedRoutes, bench: Bench, tries: int = 200) -> None:
    for _ in range(tries):
        found = manager.verify(wanted)
        if found.convergence is Convergence.CONVERGED:
            return
        bench.wait(0.05)
    raise AssertionError(f"not converged: {found}")


class TrafficConformance:
    """`bench` is a fixture of the deriving class."""

    lease_seconds = 1.0
    requests = 2000
    # What changes something outside: owner and name. `dying` says in which acts a death is tried; real programs take
    # seconds for some of them.
    effects: tuple[Effect, ...] = ()
    dying = ("come", "share", "back", "go")

    @pytest.fixture
    def serving(self, bench: Bench) -> TrafficManager:
        """The first version has everything."""
        manager, first = bench.manager(), bench.versions[0]
        prepared(manager, first, bench)
        manager.apply(WantedRoutes.all_to(first.digest), epoch=1)
        settled(manager, WantedRoutes.all_to(first.digest), bench)
        return manager

    @pytest.fixture
    def both(self, bench: Bench, serving: TrafficManager) -> TrafficManager:
        prepared(serving, bench.versions[1], bench)
        return serving

    def forget_second(self, bench: Bench) -> None:
        """Before each death: what a backend keeps of a version that was retired would be found there."""

    def _shares(self, manager: TrafficManager, bench: Bench, points: int, lease: float | None = 60.0) -> WantedRoutes:
        if manager.capabilities().split is Split.NONE:
            points = WHOLE if points * 2 >= WHOLE else 0
        return WantedRoutes.two(bench.versions[0].digest, bench.versions[1].digest, points, lease)

    def test_the_first_version_is_served_and_named_by_its_digest(self, bench: Bench, serving: TrafficManager) -> None:
        state = serving.observe()
        assert state.serving == bench.versions[0].digest
        assert state.points(bench.versions[0].digest) == WHOLE

    def test_a_version_that_is_prepared_takes_no_traffic(self, bench: Bench, both: TrafficManager) -> None:
        arm = both.observe().arm(bench.versions[1].digest)
        assert arm is not None
        assert (arm.readiness, arm.points) == (Readiness.READY, 0)
        sent = bench.send(200)
        assert sent is None or sent.get(bench.versions[1].digest, 0) == 0

    def test_preparing_again_changes_nothing(self, bench: Bench, both: TrafficManager) -> None:
        before = both.observe()
        assert bench.manager().prepare(bench.versions[1]).readiness is Readiness.READY
        assert [(a.place, a.digest, a.points) for a in both.observe().arms] == [
            (a.place, a.digest, a.points) for a in before.arms
        ]

    def test_a_version_that_does_not_load_is_said_to_have_failed(self, bench: Bench, serving: TrafficManager) -> None:
        for _ in range(200):
            found = serving.prepare(bench.broken)
            if found.readiness is Readiness.FAILED:
                break
            bench.wait(0.05)
        assert found.readiness is Readiness.FAILED
        assert found.reason
        assert serving.observe().serving == bench.versions[0].digest

    @pytest.mark.parametrize("points", [100, 2500, 5000, 10_000, 0])
    def test_shares_are_given_as_they_were_wanted(self, bench: Bench, both: TrafficManager, points: int) -> None:
        wanted = self._shares(both, bench, points)
        receipt = both.apply(wanted, epoch=1)
        settled(both, wanted, bench)
        step = both.capabilities().step
        second = bench.versions[1].digest
        assert abs({s.digest: s.points for s in receipt.realised}[second] - wanted.points(second)) < max(step, 1)
        assert sum(s.points for s in receipt.realised) == WHOLE
        sent = bench.send(self.requests)
        if sent is not None:
            expected = self.requests * wanted.points(second) / WHOLE
            assert abs(sent.get(second, 0) - expected) <= 5 * (expected * (1 - expected / self.requests)) ** 0.5
            assert sum(sent.values()) == self.requests  # nobody was left without an answer

    def test_applying_again_changes_nothing(self, bench: Bench, both: TrafficManager) -> None:
        wanted = self._shares(both, bench, 5000)
        both.apply(wanted, epoch=1)
        settled(both, wanted, bench)
        bench.manager().apply(wanted, epoch=1)
        settled(both, wanted, bench)

    def test_a_new_manager_sees_what_was_applied(self, bench: Bench, both: TrafficManager) -> None:
        wanted = self._shares(both, bench, 5000)
        both.apply(wanted, epoch=1)
        settled(both, wanted, bench)
        settled(bench.manager(), wanted, bench)

    def test_other_shares_are_seen_to_have_diverged(self, bench: Bench, both: TrafficManager) -> None:
        wanted = self._shares(both, bench, 0)
        both.apply(wanted, epoch=1)
        settled(both, wanted, bench)
        found = both.verify(self._shares(both, bench, 5000))
        assert found.convergence is not Convergence.CONVERGED
        assert found.detail

    def test_a_version_that_is_not_ready_takes_no_traffic(self, bench: Bench, serving: TrafficManager) -> None:
        absent = bench.versions[2].digest
        wanted = WantedRoutes((Share(bench.versions[0].digest, 0), Share(absent, WHOLE)), absent)
        with pytest.raises(ConflictError, match="Prepare"):
            serving.apply(wanted, epoch=1)
        assert serving.observe().serving == bench.versions[0].digest

    def test_a_controller_that_was_replaced_changes_nothing(self, bench: Bench, both: TrafficManager) -> None:
        old, new = bench.manager(), bench.manager()
        seen = old.observe().etag
        new.apply(self._shares(new, bench, 0), epoch=7)
        settled(new, self._shares(new, bench, 0), bench)
        moved = self._shares(new, bench, WHOLE)
        if both.capabilities().fence is Fence.EPOCH:
            with pytest.raises(FencedError):
                old.apply(moved, epoch=6)
        elif both.capabilities().fence is Fence.ETAG:
            new.apply(self._shares(new, bench, 5000), epoch=7)
            with pytest.raises(FencedError):
                old.apply(moved, epoch=6, expect=seen)
        assert both.observe().points(bench.versions[1].digest) < WHOLE

    def test_without_a_controller_the_lease_ends_and_the_fallback_has_everything(
        self, bench: Bench, both: TrafficManager
    ) -> None:
        if not both.capabilities().lease:
            assert both.observe().lease_left is None
            return
        wanted = self._shares(both, bench, 5000, self.lease_seconds)
        both.apply(wanted, epoch=1)
        settled(both, wanted, bench)
        bench.wait(2.5 * self.lease_seconds)
        assert bench.manager().observe().points(bench.versions[1].digest) == 0
        sent = bench.send(200)
        assert sent is None or sent.get(bench.versions[1].digest, 0) == 0

    def test_a_lease_that_is_renewed_holds(self, bench: Bench, both: TrafficManager) -> None:
        if not both.capabilities().lease:
            return
        wanted = self._shares(both, bench, 5000, self.lease_seconds)
        for _ in range(6):
            both.apply(wanted, epoch=1)
            bench.wait(self.lease_seconds / 2)
        both.apply(wanted, epoch=1)
        settled(both, wanted, bench)

    def test_shares_of_the_fallback_alone_need_no_lease(self, bench: Bench, both: TrafficManager) -> None:
        second = bench.versions[1].digest
        wanted = WantedRoutes.all_to(second, bench.versions[0].digest)
        both.apply(wanted, epoch=1)
        settled(both, wanted, bench)
        if both.capabilities().lease:
            bench.wait(2.5 * self.lease_seconds)
        settled(both, wanted, bench)

    def test_what_serves_or_would_serve_is_not_unloaded(self, bench: Bench, both: TrafficManager) -> None:
        first, second = bench.versions[0].digest, bench.versions[1].digest
        wanted = self._shares(both, bench, 5000)
        both.apply(wanted, epoch=1)
        settled(both, wanted, bench)
        with pytest.raises(ConflictError):
            both.retire(first)
        if wanted.points(second):
            with pytest.raises(ConflictError):
                both.retire(second)

    def test_what_has_no_share_is_drained_and_unloaded(self, bench: Bench, both: TrafficManager) -> None:
        second = bench.versions[1].digest
        wanted = self._shares(both, bench, 0)
        both.apply(wanted, epoch=1)
        settled(both, wanted, bench)
        _until(bench, lambda: both.drain(second).done)
        both.retire(second)
        both.retire(second)
        _until(bench, lambda: both.observe().arm(second) is None)
        assert both.observe().serving == bench.versions[0].digest

    def test_a_third_version_takes_the_place_of_one_without_a_share(self, bench: Bench, both: TrafficManager) -> None:
        second, third = bench.versions[1:]
        both.apply(WantedRoutes.all_to(second.digest, bench.versions[0].digest), epoch=1)
        settled(both, WantedRoutes.all_to(second.digest), bench)
        prepared(both, third, bench)
        assert both.observe().serving == second.digest

    def test_a_death_at_any_effect_and_another_in_the_recovery_change_nothing_in_the_end(
        self, bench: Bench, serving: TrafficManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A controller's acts, each begun again by the next one until it is done: a version comes, gets a share, gives
        it back, and goes."""
        first, second = bench.versions[0], bench.versions[1]
        shared = self._shares(serving, bench, 5000)
        back = WantedRoutes.all_to(first.digest, second.digest)
        deaths, epochs = Deaths(self.effects, monkeypatch), itertools.count(2)

        def moved(wanted: WantedRoutes) -> Callable[[TrafficManager], None]:
            def move(manager: TrafficManager) -> None:
                epoch = next(epochs)
                _until(bench, lambda: _in_place(manager, wanted, epoch))

            return move

        def go(manager: TrafficManager) -> None:
            manager.retire(second.digest)
            _until(bench, lambda: _gone(manager, second.digest))

        acts: dict[str, Callable[[TrafficManager], None]] = {
            "come": lambda manager: prepared(manager, second, bench),
            "share": moved(shared),
            "back": moved(back),
            "go": go,
        }
        tried = 0
        for dying in self.dying:
            for point in itertools.count():
                died = False
                self.forget_second(bench)
                for name, act in acts.items():
                    # The second death comes soon after the first.
                    points = (point, point * 5 % 7) if name == dying else ()
                    died |= _lived_through(bench, deaths, act, points)
                found = bench.manager().observe()
                assert (found.serving, found.arm(second.digest)) == (first.digest, None)
                tried += died
                if not died:
                    break
        assert tried >= 2 * len(self.dying), "what changes something is not wrapped"

    def test_counters_only_grow_and_count_each_version_by_itself(self, bench: Bench, both: TrafficManager) -> None:
        wanted = self._shares(both, bench, 5000)
        both.apply(wanted, epoch=1)
        settled(both, wanted, bench)
        before = {v.digest: both.counters(v.digest) for v in bench.versions[:2]}
        sent = bench.send(400)
        if not both.capabilities().counters:
            assert all(found is None for found in before.values())
            return
        assert sent is not None
        for version in bench.versions[:2]:
            old, count = before[version.digest], sent.get(version.digest, 0)

            def counted(digest: str = version.digest, least: int = count + (old.requests if old else 0)) -> bool:
                found = both.counters(digest)
                return found is not None and found.requests >= least

            _until(bench, counted)
            new = both.counters(version.digest)
            assert new is not None
            assert new.requests - (old.requests if old else 0) <= count + count // 10 + 5
            assert old is None or new.process == old.process
            assert new.failures - (old.failures if old else 0) <= count // 20

    def test_nothing_is_counted_for_a_version_that_never_served(self, bench: Bench, serving: TrafficManager) -> None:
        found = serving.counters(bench.versions[2].digest)
        assert found is None or found.requests == 0


def _lived_through(
    bench: Bench, deaths: Deaths, act: Callable[[TrafficManager], None], points: tuple[int, ...]
) -> bool:
    """Whether it died. After each death a new manager begins the act again; the last one lives."""
    died = False
    for point in (*points, None):
        deaths.arm(point)
        try:
            act(bench.manager())
            break
        except DeathError:
            died = True
        deaths.arm(None)
        found = bench.manager().observe()
        assert sum(arm.points for arm in found.arms) == WHOLE, "a death left a part of a change"
    deaths.arm(None)
    return died


def _in_place(manager: TrafficManager, wanted: WantedRoutes, epoch: int) -> bool:
    """A look of a controller: what a backend cannot do yet is tried again."""
    try:
        manager.apply(wanted, epoch=epoch)
    except FencedError:
        raise
    except ConflictError:
        return False
    return manager.verify(wanted).convergence is Convergence.CONVERGED


def _gone(manager: TrafficManager, digest: str) -> bool:
    try:
        manager.retire(digest)
    except UnavailableError:  # what is on its way out, or still being deployed
        return False
    return manager.observe().arm(digest) is None


def _until(bench: Bench, true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    for _ in range(10_000):
        if true():
            return
        assert time.monotonic() < end, "it did not come true in time"
        bench.wait(0.05)
