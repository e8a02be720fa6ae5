"""Load on a server of one's own: so many clients ask and write for so long, and what that took is printed.

    python benchmarks/load.py --server https://pedigree.example.com [--token ped_…] [--clients 16] [--seconds 30]
                              [--mix read | mixed | write | get=8,search=1,note=1] [--model NAME] [--rate N]
                              [--server https://other-replica.example.com] [--json FILE]

The token is that of PEDIGREE_TOKEN where none is given; it needs the role contributor on the model that is written to,
`load-test` by default, and only viewer for `--mix read`. Nothing is asked but of the addresses that are given: with
several, the clients are spread over them. Writes go to that model alone: they are notes, registered versions without
bytes, and aliases. With --rate, all clients together begin at most so many requests a second. It ends after --seconds
(an hour at the most), and with 1 where a request failed. A request is sent once: what the client's own retries would
hide is counted here.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import statistics
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tfx_pedigree import connect
from tfx_pedigree.errors import ConflictError, NotFoundError, PedigreeError
from tfx_pedigree.registry import Action, Candidate, RegistryApi
from tfx_pedigree.versioning import ModelDescription

MIXES = {
    "read": {"get": 8, "versions": 1, "search": 1, "history": 1},
    "mixed": {"get": 16, "versions": 2, "search": 2, "history": 2, "note": 1, "register": 1, "alias": 1},
    "write": {"note": 2, "register": 2, "alias": 1},
}
MOST_CLIENTS, MOST_SECONDS = 1000, 3600
_fresh = itertools.count()


def register(registry: RegistryApi, model: str) -> object:
    digest = hashlib.sha256(uuid.uuid4().bytes).hexdigest()
    return registry.add(model, Candidate(f"sha256:{digest}", ModelDescription()))


OPERATIONS: dict[str, Callable[[RegistryApi, str], object]] = {
    "get": lambda registry, model: registry.get(f"{model}@latest"),
    "versions": lambda registry, model: registry.versions(model, limit=20),
    "search": lambda registry, model: registry.search(model, ["created>2020-01-01"], limit=20),
    "history": lambda registry, model: registry.history(model, limit=20),
    "models": lambda registry, model: registry.models(limit=25),
    "note": lambda registry, model: registry.note(model, Action.RETRAIN, reason="load", details={"span": next(_fresh)}),
    "register": register,
    "alias": lambda registry, model: registry.set_alias("load", f"{model}@latest"),
}
CHANGES = {"note", "register", "alias"}


@dataclass
class Taken:
    """Seconds of each answered request, by operation, and refusals by what they said."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: Taken) -> None:
        for name, some in other.seconds.items():
            self.seconds.setdefault(name, []).extend(some)
        self.errors.update(other.errors)


class Pace:
    """When the next request may begin."""

    def __init__(self, rate: float | None) -> None:
        self._step = 1 / rate if rate else 0.0
        self._next, self._lock = time.monotonic(), threading.Lock()

    def wait(self) -> None:
        if not self._step:
            return
        with self._lock:
            at = self._next = max(self._next + self._step, time.monotonic())
        time.sleep(max(0.0, at - time.monotonic()))


def work(registry: RegistryApi, model: str, mix: dict[str, int], pace: Pace, until: float) -> Taken:
    taken, chance = Taken(), random.Random()
    names, weights = list(mix), list(mix.values())
    while time.monotonic() < until:
        pace.wait()
        (name,) = chance.choices(names, weights)
        began = time.perf_counter()
        try:
            OPERATIONS[name](registry, model)
        except ConflictError as error:
            # Two moved the same thing at once, and one of them was told: an answer, not a failure.
            taken.seconds.setdefault(f"{name}, refused ({error.kind})", []).append(time.perf_counter() - began)
        except PedigreeError as error:
            taken.errors[f"{name}: {str(error)[:160]}"] += 1
        else:
            taken.seconds.setdefault(name, []).append(time.perf_counter() - began)
    return taken


def mix_of(text: str) -> dict[str, int]:
    if text in MIXES:
        return MIXES[text]
    try:
        found = {name: int(weight) for name, weight in (part.split("=") for part in text.split(","))}
    except ValueError:
        found = {}
    if not found or not found.keys() <= OPERATIONS.keys() or any(weight < 1 for weight in found.values()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no mix: give {', '.join(MIXES)}, or weights such as get=8,note=1 of {', '.join(OPERATIONS)}"
        )
    return found


def bounded(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text)
        if not 1 <= number <= most:
            raise argparse.ArgumentTypeError(f"from 1 to {most}")
        return number

    return read


def report(taken: Taken, seconds: float) -> dict[str, dict[str, float]]:
    found = {}
    sys.stdout.write(f"{'':<32}{'requests':>9} {'/s':>8}   {'p50':>8} {'p90':>8} {'p99':>8} {'most':>8}  ms\n")
    rows = dict(sorted(taken.seconds.items()))
    every = [one for some in rows.values() for one in some]
    for name, some in [*rows.items(), *([("all", every)] if every else [])]:
        parts = statistics.quantiles(some, n=100, method="inclusive") if len(some) > 1 else some * 99
        shown = [1000 * one for one in (parts[49], parts[89], parts[98], max(some))]
        sys.stdout.write(f"{name:<32}{len(some):>9} {len(some) / seconds:>8.1f}   ")
        sys.stdout.write(" ".join(f"{one:>8.1f}" for one in shown) + "\n")
        found[name] = {"requests": len(some), **dict(zip(("p50", "p90", "p99", "most"), shown, strict=True))}
    failed = sum(taken.errors.values())
    sys.stdout.write(f"{failed} of {len(every) + failed} requests failed\n")
    sys.stdout.writelines(f"  {times} x {what}\n" for what, times in taken.errors.most_common(10))
    return found


def begin(registry: RegistryApi, model: str, *, writes: bool) -> None:
    """Makes sure that there is a version to ask for."""
    try:
        registry.get(f"{model}@latest")
    except NotFoundError as error:
        if not writes:
            raise NotFoundError(f"{error} Name one that is there with --model, or take a mix that writes.") from error
        register(registry, model)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", required=True, metavar="URL")
    parser.add_argument("--token")
    parser.add_argument("--clients", type=bounded(MOST_CLIENTS), default=16)
    parser.add_argument("--seconds", type=bounded(MOST_SECONDS), default=30)
    parser.add_argument("--mix", type=mix_of, default="read")
    parser.add_argument("--model", default="load-test")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["PEDIGREE_PATIENCE"] = "0"
    wheres = list(itertools.islice(itertools.cycle(options.server), options.clients))
    clients = [connect(where, token=options.token).registry for where in wheres]
    try:
        begin(clients[0], options.model, writes=not options.mix.keys().isdisjoint(CHANGES))
    except PedigreeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    taken, pace, began = Taken(), Pace(options.rate), time.monotonic()
    with ThreadPoolExecutor(options.clients) as pool:
        until = began + options.seconds
        for one in pool.map(lambda far: work(far, options.model, options.mix, pace, until), clients):
            taken.add(one)
    found = report(taken, time.monotonic() - began)
    if options.json:
        options.json.write_text(json.dumps({"operations": found, "errors": taken.errors}, indent=1))
    return 1 if taken.errors else 0


if __name__ == "__main__":
    sys.exit(main())
