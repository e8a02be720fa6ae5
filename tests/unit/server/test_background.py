"""What a server does beside answering goes on, whatever goes wrong in one round, and ends with the server."""

from __future__ import annotations

import asyncio
import logging

import pytest

from server_testing import in_own_loop
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.server import background


@pytest.mark.parametrize("error", [UnavailableError("The registry is away."), RuntimeError("a mistake of ours")])
def test_a_round_that_fails_is_logged_and_the_next_one_goes_on(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "PAUSE", 0.0)
    rounds: list[int] = []

    async def run() -> None:
        done = asyncio.Event()

        async def one_round() -> float:
            rounds.append(len(rounds))
            if len(rounds) == 1:
                raise error
            done.set()
            return 60.0

        async with background.repeating("Nothing was swept", one_round):
            await asyncio.wait_for(done.wait(), 60)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1  # this one

    with caplog.at_level(logging.WARNING):
        in_own_loop(run())
    assert rounds == [0, 1]
    assert caplog.messages[0].startswith("Nothing was swept: ")
    assert (str(error) in caplog.text) and ("Traceback" in caplog.text) is isinstance(error, RuntimeError)


def test_the_first_round_can_wait() -> None:
    async def run() -> None:
        rounds: list[int] = []

        async def one_round() -> float:
            rounds.append(1)
            return 0.0

        async with background.repeating("Nothing was swept", one_round, after=3600):
            await asyncio.sleep(0.05)
        assert rounds == []

    in_own_loop(run())
