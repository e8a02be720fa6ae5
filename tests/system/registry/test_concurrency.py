"""Many processes at one registry, and processes that die in the middle. Real ones, on both databases."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

import registry_processes as processes
from forking_testing import Ended, forking
from pedigree_testing import candidate
from tfx_pedigree.registry import Registry, State

PROCESSES = 8
MODEL = processes.MODEL


@pytest.fixture(scope="module")
def signs() -> tuple[Event, Event]:
    """A reader looks; it has looked enough."""
    context = multiprocessing.get_context("spawn")
    return context.Event(), context.Event()


@pytest.fixture(scope="module")
def pool(signs: tuple[Event, Event]) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES + 1, context, processes.follow_signs, signs) as executor:
        yield executor


def test_many_processes_register_and_get_consecutive_numbers(
    registry: Registry, address: str, pool: ProcessPoolExecutor
) -> None:
    jobs = [pool.submit(processes.register_many, address, worker, 25) for worker in range(PROCESSES)]
    numbers = [number for job in jobs for number in job.result()]
    assert sorted(numbers) == list(range(1, 25 * PROCESSES + 1))
    report = registry.verify_audit()
    assert report.ok, report.problems
    assert registry.get(f"{MODEL}@latest").version == f"1.0.{25 * PROCESSES - 1}"


def test_one_promotion_wins_each_round_and_no_reader_sees_two_champions_or_none(
    registry: Registry, address: str, pool: ProcessPoolExecutor, signs: tuple[Event, Event]
) -> None:
    rounds, (looking, enough) = 4, signs
    for number in range(PROCESSES * rounds + 1):
        registry.add(MODEL, candidate(number))
    registry.promote(f"{MODEL}@1.0.0")
    looking.clear()
    enough.clear()
    reader = pool.submit(processes.count_champions, address)
    try:
        assert looking.wait(60)
        for played in range(rounds):
            champion = registry.get(f"{MODEL}@champion").version
            versions = [f"1.0.{played * PROCESSES + worker + 1}" for worker in range(PROCESSES)]
            start_at = time.time() + 0.5
            jobs = [pool.submit(processes.promote_once, address, v, champion, start_at) for v in versions]
            won = [version for version, job in zip(versions, jobs, strict=True) if job.result()]
            assert len(won) == 1, f"{won} all became champion"
            assert registry.get(f"{MODEL}@champion").version == won[0]
    finally:
        enough.set()
    looks, seen = reader.result()
    assert looks > 20
    assert seen == {1}
    assert registry.verify_audit().problems == ()


def test_killed_at_random_points_the_registry_verifies_and_goes_on(registry: Registry, address: str) -> None:
    chance = random.Random(20261120)
    for seed in range(6):
        process = _start_busy(address, seed)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.05, 0.4))
        process.kill()
        process.wait()
        process.stdout.close()
        report = registry.verify_audit()
        assert report.ok, report.problems
    assert registry.add(MODEL, candidate("after")).version.state is State.DEVELOPMENT


@pytest.fixture(scope="module")
def fork() -> Iterator[Callable[..., Ended]]:
    with forking("registry_processes") as call:
        yield call


def test_killed_at_any_statement_an_operation_happened_whole_or_not_at_all(
    registry: Registry, address: str, fork: Callable[..., Ended]
) -> None:
    """A registration and a promotion of some thirty statements, killed at each of a third of them."""
    registry.add(MODEL, candidate("first"))
    registry.add(MODEL, candidate("second"))
    registry.promote(f"{MODEL}@1.0.0")
    died = 0
    for number in range(1, 200, 5):
        ended = fork("kill_at_statement", address, number)
        report = registry.verify_audit()
        assert report.ok, (number, report.problems)
        states = {v.version: v.state for v in registry.versions(MODEL).items}
        assert list(states.values()).count(State.PRODUCTION) == 1
        assert states.get("1.0.2") in (None, State.DEVELOPMENT, State.PRODUCTION)
        if ended.out.strip():
            break
        assert ended.code == -signal.SIGKILL, ended.err
        died += 1
    assert died >= 4
    assert registry.get(f"{MODEL}@champion").version == "1.0.2", "run again often enough, it is done, and done once"


def _start_busy(address: str, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(Path(processes.__file__)), address, str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": os.pathsep.join(sys.path)})
