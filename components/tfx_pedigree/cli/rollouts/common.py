"""What the commands of rollouts share: the desk that is opened, and how a rollout is told to people."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App
from tfx_pedigree.text import visible

if TYPE_CHECKING:
    from tfx_pedigree.rollout.controller import Tick
    from tfx_pedigree.rollout.state import Rollout
    from tfx_pedigree.service.rollouts.desk import RolloutDesk

F = TypeVar("F", bound=Callable[..., Any])


@contextlib.contextmanager
def desk_of(app: App) -> Iterator[RolloutDesk]:
    from tfx_pedigree.service.rollouts.desk import RolloutDesk

    with app.open() as workspace:
        yield RolloutDesk(workspace, app.settings.file)


def target_option(command: F) -> F:
    text = "Where it is served; left out, the only target of the model."
    return click.option("--target", metavar="NAME", help=text)(command)


def percent(points: int) -> str:
    return f"{points / 100:g} %"


def sentence(rollout: Rollout) -> str:
    """`penguin 1.2.0 has 25 % (step 2 of 4): stepping.`"""
    state, name = rollout.state, f"{rollout.model} {rollout.candidate.version}"
    if rollout.is_deployment:
        return f"The deployment of {name} to {rollout.order.target} is {state.phase}."
    where = f" (step {state.step + 1} of {len(rollout.order.plan.steps)})" if rollout.current_step else ""
    shadow = " of copies" if rollout.current_step and rollout.current_step.shadow else ""
    points = rollout.current_step.points if shadow and rollout.current_step else rollout.share
    paused = ", paused" if state.paused else ""
    return f"{name} has {percent(points)}{shadow}{where}: {state.phase}{paused}."


class Teller:
    """Tells of a rollout that is being driven: once for each decision, and once for each new note. How it ended is told
    by the caller where `ends` is False."""

    def __init__(self, *, ends: bool = True) -> None:
        self._ends = ends
        self._said: set[str] = set()

    def __call__(self, tick: Tick) -> None:
        if tick.rollout is not None and (tick.decided or not self._said):
            name, state = tick.rollout.name, tick.rollout.state
            if self._ends or not state.phase.ended:
                self._say(f"{state.revision}/{name}", sentence(tick.rollout))
            if tick.decided and state.reason:
                self._say(f"{name} {state.reason}", f"  {state.reason}")
        if tick.held_by is not None:
            self._say(f"held {tick.held_by}", f"Another controller drives it ({tick.held_by}); this one looks on.")
        for note in tick.notes:
            self._say(f"{tick.model} {note}", f"{tick.model}: {note}")

    def _say(self, key: str, text: str) -> None:
        if key not in self._said:
            self._said.add(key)
            output.note(visible(text))
