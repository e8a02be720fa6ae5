"""A server that was started with a controller carries out what is ordered, and stops with the server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pedigree_testing import candidate, digest
from server_testing import in_own_loop
from tfx_pedigree.registry import PromotionRequest, Registry
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.state import Phase
from tfx_pedigree.rollout.traffic.api import WHOLE, ManagerContext
from tfx_pedigree.rollout.traffic.memory import MemoryBalancer, MemoryTraffic
from tfx_pedigree.server import RolloutDriver, ServerSettings, create_app

MODEL = "penguin"
BALANCER = MemoryBalancer()


def made(settings: Mapping[str, Any], context: ManagerContext) -> MemoryTraffic:
    return MemoryTraffic(BALANCER)


async def served(settings: ServerSettings, seconds: float, ledger: Ledger) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        end = time.monotonic() + seconds
        while time.monotonic() < end and ledger.current(MODEL) is not None:
            await asyncio.sleep(0.05)


def test_what_is_ordered_is_carried_out_by_the_server(tmp_path: Path) -> None:
    config = tmp_path / "pedigree.yaml"
    config.write_text(f"serving: {{eu: {{model: {MODEL}, kind: python, factory: 'test_server_controller:made'}}}}")
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        registry.add(MODEL, candidate("a"))
        registry.promote(f"{MODEL}@1.0.0", PromotionRequest(expect="none"))
        ledger = Ledger(registry)
        ledger.deploy(MODEL, "eu")
        settings = ServerSettings(str(tmp_path / "registry"))
        in_own_loop(served(settings, 0.3, ledger))
        assert ledger.newest(MODEL).state.phase is Phase.PREPARING  # nobody was asked to drive it
        settings = ServerSettings(str(tmp_path / "registry"), controller=RolloutDriver("ada", config))
        in_own_loop(served(settings, 20, ledger))
        assert ledger.newest(MODEL).state.phase is Phase.DONE
        assert [(share.digest, share.points) for share in BALANCER.shares()] == [(digest("a"), WHOLE)]
        assert [one.name for one in threading.enumerate() if one.name == "rollouts"] == []
        assert ledger.holder(MODEL) is None
