"""How soon a harmful canary has no share: `python benchmarks/rollout_harm.py [--runs 5]`.

A candidate that fails each request gets 10 % and 25 % behind a real HAProxy and a real Envoy, with three clients. The
real controller looks with its default period. *Shown*: from the look before, which saw no harm yet, until the share
is seen to be 0 in the load balancer, at the most. *From the first share*: since it was ordered, with the time that it
takes to see the harm at all.
"""

# ruff: noqa: E402  (the tests' helpers are found after the path is set)
from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / part) for part in ("", "unit/rollout")]

from balancer_testing import VERSIONS, Processes, Serving
from envoy_testing import Envoy
from haproxy_testing import Haproxy
from load_testing import Load
from traffic_conformance import prepared, settled

from pedigree_testing import description
from tfx_pedigree.registry import Candidate, Evidence, PromotionRequest, Registry, Verdict
from tfx_pedigree.rollout.controller import PERIOD_SECONDS, Controller
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.plan import Bake, Plan, Step, Strategy
from tfx_pedigree.rollout.state import Phase
from tfx_pedigree.rollout.traffic.api import WHOLE, TrafficManager, WantedRoutes

FIRST, SECOND = VERSIONS[0], VERSIONS[1]


def run(kind: type[Haproxy | Envoy], points: int, folder: Path) -> tuple[float, float, int]:
    """Seconds from the look before the harm, and from the first share, until there is none; and the looks since."""
    processes = Processes(folder)
    balancer = kind(Serving(folder / "models", processes), folder)
    balancer.serving.behaviour[SECOND.sequence] = {"failing": 1.0}
    try:
        balancer.serving.start(together=False)
        balancer.start()
        manager = balancer.bench().manager()
        prepared(manager, FIRST, balancer.bench())
        manager.apply(WantedRoutes.all_to(FIRST.digest), epoch=1)
        settled(manager, WantedRoutes.all_to(FIRST.digest), balancer.bench())
        with ordered(folder / "registry", points) as registry, Load(balancer.port):
            return watched(Controller(Ledger(registry), lambda _: manager, holder="here"), manager)
    finally:
        processes.stop()
        balancer.stop()


def ordered(folder: Path, points: int) -> Registry:
    registry = Registry.create(folder, actor="ada")
    for version in (FIRST, SECOND):
        registry.add(FIRST.model, Candidate(version.digest, description()))
    registry.promote(f"{FIRST.model}@1.0.0", PromotionRequest(expect="none"))
    passed = Evidence(SECOND.digest, FIRST.digest, Verdict.PASS, "measured")
    registry.attach_evidence(f"{FIRST.model}@1.0.1", passed)
    plan = Plan(Strategy.CANARY, (Step(points, Bake(10**6, 60)), Step(WHOLE)))
    Ledger(registry).start_rollout(FIRST.model, "1.0.1", "eu", plan, PromotionRequest())
    return registry


def watched(controller: Controller, manager: TrafficManager) -> tuple[float, float, int]:
    began, looks, before = None, 0, time.monotonic()
    for _ in range(600):
        started = time.monotonic()
        tick = controller.tick(FIRST.model)
        phase = tick.rollout.state.phase if tick.rollout else None
        if began is None and phase is Phase.STEPPING:
            began = time.monotonic()
        looks += began is not None
        if tick.judged.harm is not None and began is not None:
            while manager.observe().points(SECOND.digest):
                time.sleep(0.01)
            over = time.monotonic()
            return over - before, over - began, looks
        before = started
        time.sleep(max(0.0, PERIOD_SECONDS - (time.monotonic() - started)))
    raise SystemExit("no harm was seen within 600 looks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    table = Table(
        "", "share", "runs", "shown, s: median / most", "from the first share, s: median / most", "looks: most"
    )
    for kind in (Haproxy, Envoy):
        for points in (1000, 2500):
            found = []
            for _ in range(options.runs):
                with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/tmp"), prefix="rh-") as folder:  # noqa: S108
                    found.append(run(kind, points, Path(folder)))
            shown, whole = sorted(one[0] for one in found), sorted(one[1] for one in found)
            cells = [f"{one[len(one) // 2]:.2f} / {one[-1]:.2f}" for one in (shown, whole)]
            table.add_row(
                kind.__name__, f"{points / 100:g} %", str(options.runs), *cells, str(max(o[2] for o in found))
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
