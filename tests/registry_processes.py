"""What the processes of the concurrency tests do. Each has done nothing before but import this."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from typing import Any

import sqlalchemy as sa

from pedigree_testing import candidate
from tfx_pedigree.db import schema, statement
from tfx_pedigree.errors import ConflictError, StaleEvidenceError
from tfx_pedigree.registry import Facts, Identity, PromotionRequest, Registry, State

MODEL = "flight-delay"
_signs: list[Event] = []


def register_many(address: str, worker: int, count: int) -> list[int]:
    """Registers so many versions; gives their sequence numbers."""
    with Registry.open(address, actor="ada") as registry:
        return [registry.add(MODEL, candidate((worker, number))).version.sequence for number in range(count)]


def promote_once(address: str, version: str, expect: str, start_at: float) -> bool:
    """True if this process won the round."""
    with Registry.open(address, actor="ada") as registry:
        time.sleep(max(0.0, start_at - time.time()))
        try:
            registry.promote(f"{MODEL}@{version}", PromotionRequest(expect=expect))
        except StaleEvidenceError:
            return False
        return True


def follow_signs(looking: Event, enough: Event) -> None:
    """In each process of the pool: by these it tells that it looks, and is told that it may stop."""
    _signs.extend((looking, enough))


def count_champions(address: str) -> tuple[int, set[int]]:
    """Looks all the time until told; how often, and how many champions were seen at one look."""
    (looking, enough), deadline, looks, seen = _signs, time.time() + 120, 0, set()
    with Registry.open(address, actor="ada") as registry:
        query = sa.select(sa.func.count()).where(schema.model_versions.c.state == "production")
        open_reigns = sa.select(sa.func.count()).where(schema.reigns.c.ended_at.is_(None))
        while not enough.is_set() and time.time() < deadline:
            with registry.transactions.reading(MODEL) as connection:
                seen |= {connection.execute(query).scalar_one(), connection.execute(open_reigns).scalar_one()}
            looks += 1
            looking.set()
    return looks, seen


def busy_until_killed(address: str, seed: int) -> None:
    """Does everything at random until it is killed, at any point of any operation."""
    chance = random.Random(seed)
    with Registry.open(address, actor="ada") as registry:
        print("ready", flush=True)
        number = 0
        while True:
            number += 1
            version = registry.add(MODEL, candidate((seed, number)), facts=Facts({"auc": chance.random()})).version
            reference = f"{MODEL}@{version.version}"
            act = chance.choice(["promote", "stage", "rollback", "archive", "alias", "annotate"])
            try:
                if act == "promote":
                    registry.promote(reference)
                elif act == "stage":
                    registry.promote(reference, PromotionRequest(State.STAGING))
                elif act == "rollback":
                    registry.rollback(MODEL, reason="by chance")
                elif act == "archive":
                    registry.archive(reference, reason="by chance")
                elif act == "alias":
                    registry.set_alias("canary", reference)
                else:
                    registry.annotate(reference, Facts(tags={"seen": "yes"}))
            except ConflictError:
                pass


def kill_at_statement(address: str, number: int) -> None:
    """Registers and promotes; dies at the so-manyth statement or commit that reaches the database."""

    def work(registry: Registry) -> None:
        registry.add(MODEL, candidate("new"), facts=Facts({"auc": 0.9}))
        registry.promote(f"{MODEL}@1.0.2")

    _die_at(address, number, work)


def kill_while_approving(address: str, number: int) -> None:
    """Files a request, approves it as somebody else, and promotes; dies as above."""

    def work(registry: Registry) -> None:
        asked = registry.acting_as(Identity("cy")).request_promotion(f"{MODEL}@2").request
        registry.acting_as(Identity("rea")).approve(MODEL, asked.number)
        registry.promote(f"{MODEL}@2")

    _die_at(address, number, work)


def _die_at(address: str, number: int, work: Callable[[Registry], None]) -> None:
    count = 0

    def maybe_die(*_: object) -> None:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    send = statement._send

    def counted(*arguments: Any) -> Any:
        maybe_die()
        cursor = send(*arguments)
        maybe_die()
        return cursor

    with Registry.open(address, actor="ada") as registry:
        engine = registry._database.engine
        for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
            sa.event.listen(engine, moment, maybe_die)
        statement._send = counted
        work(registry)
    print(count)


if __name__ == "__main__":
    threading.Timer(60, os._exit, args=(9,)).start()
    busy_until_killed(sys.argv[1], int(sys.argv[2]))
