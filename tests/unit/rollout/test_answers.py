"""Answers that are compared: what is in the log is hostile, chance is no harm, and a 200 is no proof of health."""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_testing import CANDIDATE, MODEL, PLAN, STABLE, World, copied, make_registry

from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.registry import PromotionRequest
from tfx_pedigree.rollout.answers import Answered, AnswerTests, Duel
from tfx_pedigree.rollout.controller import Controller
from tfx_pedigree.rollout.judge import Increment, Tally, judge
from tfx_pedigree.rollout.pairing import LoggedAnswer, Pairs, score
from tfx_pedigree.rollout.plan import AnswerRule, Bake, JudgePlan, Limits, Plan, Rate, Step, Strategy
from tfx_pedigree.rollout.response_log import LONGEST_LINE, AnswerReader, LogPosition, ResponseLog
from tfx_pedigree.rollout.state import Phase, Rollout
from tfx_pedigree.rollout.traffic.api import WHOLE, ServedVersion

RULE = AnswerRule(agreement=0.98)
OLD, NEW = ServedVersion(MODEL, STABLE, "1.0.0", 1), ServedVersion(MODEL, CANDIDATE, "1.0.1", 2)
JUDGED = Plan(Strategy.CANARY, (Step(2500, shadow=True), Step(2500), Step(WHOLE)), JudgePlan(answers=RULE))


def reader(path: Path, rule: AnswerRule = RULE) -> AnswerReader:
    return AnswerReader(ResponseLog(path, {MODEL}), Pairs(rule, OLD, NEW))


def answered(path: Path, lines: list[bytes]) -> Answered:
    """What is made of a log with these lines."""
    path.write_bytes(b"")
    found = reader(path)
    _, position = found.read(None)
    path.write_bytes(b"".join(one + b"\n" for one in lines))
    return found.read(position)[0]


def outputs_of(path: Path, position: LogPosition | None) -> tuple[list[Any], LogPosition]:
    found, after = ResponseLog(path, {MODEL}).read(position)
    return [one.outputs for one in found], after


def line(version: Any, outputs: Any, request: Any = None) -> bytes:
    return json.dumps({"version": version, "id": request, "outputs": outputs}).encode()


def harm(tests: AnswerTests, plan: Plan = JUDGED) -> str | None:
    tally = replace(Tally.begin(plan.judge), answers=tests)
    return judge(plan, tally, points=2500, seconds=10).harm


def waits(tests: AnswerTests, plan: Plan = JUDGED) -> tuple[str, ...]:
    tally = replace(Tally.begin(plan.judge).after(Increment(1000), Increment(3000)), answers=tests)
    return judge(plan, tally, points=2500, seconds=10).waits_for


# The log


@given(st.lists(st.binary(max_size=60)))
@settings(max_examples=60, deadline=None)
def test_lines_that_are_no_answers_count_as_none(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    assert answered(tmp_path_factory.getbasetemp() / "log", lines) == Answered()


@pytest.mark.parametrize(
    "bad",
    [
        b"[]",
        b"7",
        b"{}",
        b"\xff",
        b'{"version": "1.0.1"}',
        b'{"outputs": 1}',
        b'{"version": true, "outputs": 1}',
        b'{"version": ["1.0.1"], "outputs": 1}',
        b'{"version": "9.9.9", "outputs": 1}',
        b"[" * 5000,
        b'{"version": 2, "outputs": ' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"version": 2, "outputs": 1',
    ],
)
def test_what_is_not_whole_or_of_another_version_is_passed_over(tmp_path: Path, bad: bytes) -> None:
    assert answered(tmp_path / "log", [line("1.0.0", 0.5), bad]) == Answered()


def test_a_version_is_known_by_its_number_its_digest_or_its_sequence(tmp_path: Path) -> None:
    for name in ("1.0.1", CANDIDATE, "2", 2):
        assert answered(tmp_path / "log", [line("1.0.0", 0.5), line(name, 0.7)]).duels == (Duel(0.7, 0.5),)


@pytest.mark.parametrize(
    ("outputs", "path", "found"),
    [
        (0.5, None, 0.5),
        ({"a": [[0.25, 1]]}, None, 0.25),
        ({"label": "x", "p": 3}, None, 3.0),
        ({"p": None}, None, None),
        ({"predictions": [{"late": 0.1}]}, "predictions.0.late", 0.1),
        ({"predictions": []}, "predictions.0.late", None),
        (True, None, None),
        ("0.5", None, None),
        (math.nan, None, None),
        (10**400, None, None),
        ([], "99999999", None),
    ],
)
def test_the_score_is_the_number_that_the_plan_names_or_the_first_one(
    outputs: Any, path: str | None, found: float | None
) -> None:
    assert score(outputs, path) == found


def test_the_file_is_read_on_from_its_end_and_anew_where_it_was_replaced(tmp_path: Path) -> None:
    log = tmp_path / "responses.jsonl"
    log.write_bytes(line(1, "before") + b"\n")
    found, position = outputs_of(log, None)
    assert (found, position.offset) == ([], log.stat().st_size)
    with log.open("ab") as file:
        file.write(line(1, "one") + b"\n\n" + line(2, "two") + b"\n" + line(1, "half")[:20])
    found, position = outputs_of(log, position)
    assert found == ["one", "two"]
    with log.open("ab") as file:
        file.write(line(1, "half")[20:] + b"\n" + line(1, "x" * LONGEST_LINE) + b"\n" + line(1, "last") + b"\n")
    found, position = outputs_of(log, position)
    assert found == ["half", "last"]
    assert outputs_of(log, position) == ([], position)
    log.write_bytes(line(1, "new") + b"\n")
    assert outputs_of(log, position)[0] == ["new"], "it was cut"
    other = tmp_path / "other"
    other.write_bytes(line(1, "begun anew") + b"\n")
    other.replace(log)
    assert outputs_of(log, LogPosition(position.file, 4))[0] == ["begun anew"], "it was replaced"


def test_what_cannot_be_read_as_a_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe", Path("a\0b")):
        with pytest.raises(UnavailableError, match="The response log"):
            ResponseLog(path, {MODEL}).read(None)


def test_the_same_request_is_compared_once_and_never_by_its_scores(tmp_path: Path) -> None:
    """A copy and its original are no two draws: who is always a little higher is not distributed otherwise."""
    both = [line("1.0.0", {"p": 0.5}, "a"), line("1.0.1", {"p": 0.5}, "a"), line("1.0.1", {"p": 0.9}, "a")]
    assert answered(tmp_path / "log", both) == Answered(agreed=1)
    apart = [line("1.0.0", {"p": 0.5}, "a"), line("1.0.1", {"p": 0.6}, "b"), line("1.0.1", {"p": 0.7}, "a")]
    assert answered(tmp_path / "log", apart) == Answered(disagreed=1, duels=(Duel(0.6, 0.5),))


def test_what_waits_for_its_other_half_is_bounded() -> None:
    found = Pairs(RULE, OLD, NEW)
    found.fed(LoggedAnswer("1.0.0", f"r{number}", 0.5) for number in range(6000))
    assert len(found._waiting) == 5000
    assert sum(map(len, found._unused.values())) == 100


# The tests


def played(
    runs: int, duels: int, mine: Callable[[random.Random, float], float | None], plan: Plan = JUDGED
) -> Iterator[int | None]:
    """For each run after how many duels harm was shown, looked at each fifth time, with scores that drift."""
    for seed in range(runs):
        draw, tests, shown = random.Random(seed), AnswerTests(), None
        for start in range(0, duels, 5):
            drift = math.sin(start / 100)
            tests = tests.after(Answered(duels=tuple(Duel(mine(draw, drift), draw.gauss(drift, 1)) for _ in range(5))))
            if harm(tests, plan) is not None:
                shown = start + 5
                break
        yield shown


def test_chance_rolls_back_no_more_often_than_alpha_however_often_one_looks() -> None:
    tight = replace(JUDGED, judge=JudgePlan(alpha=0.2, answers=AnswerRule(shift=0.01)))
    runs = 60
    false = sum(shown is not None for shown in played(runs, 300, lambda draw, drift: draw.gauss(drift, 1), tight))
    assert false <= 0.2 * runs + 3 * math.sqrt(0.2 * 0.8 * runs)


@pytest.mark.parametrize(
    ("mine", "most"),
    [
        (lambda draw, drift: draw.gauss(drift + 1, 1), 300),
        (lambda draw, drift: draw.gauss(drift, 6), 600),
        (lambda draw, drift: 0.0, 900),
        (lambda draw, drift: None, 50),
    ],
    ids=["too high", "too wide", "always the same", "no number"],
)
def test_scores_of_a_harmful_model_are_seen_although_each_answer_is_a_200(mine: Any, most: int) -> None:
    for shown in played(4, most, mine):
        assert shown is not None


def test_answers_that_disagree_are_harm_and_enough_that_agree_are_health() -> None:
    assert "disagree on 20 of 100" in str(harm(AnswerTests().after(Answered(agreed=80, disagreed=20))))
    assert harm(AnswerTests().after(Answered(agreed=98, disagreed=2))) is None
    assert "proof that the answers agree" in waits(AnswerTests().after(Answered(agreed=20)))
    assert "proof that the answers agree" not in waits(AnswerTests().after(Answered(agreed=400)))


def test_health_is_shown_by_enough_pairs_and_by_no_log_never() -> None:
    assert "proof that the scores are distributed alike" in waits(AnswerTests())
    draw = random.Random(3)
    tests = AnswerTests().after(Answered(duels=tuple(Duel(draw.random(), draw.random()) for _ in range(1500))))
    assert "proof that the scores are distributed alike" not in waits(tests)
    assert harm(tests) is None


def test_labels_that_are_mostly_equal_are_decided_by_a_fair_coin() -> None:
    draw = random.Random(5)
    pairs = tuple(Duel(float(draw.random() < 0.1), float(draw.random() < 0.1)) for _ in range(1500))
    tests = AnswerTests().after(Answered(duels=pairs))
    assert harm(tests) is None
    assert "proof that the scores are distributed alike" not in waits(tests)


def test_a_plan_in_which_never_both_answer_cannot_compare_answers() -> None:
    with pytest.raises(InvalidInputError, match="a step in which both answer"):
        Plan(Strategy.BLUE_GREEN, (Step(WHOLE),), JudgePlan(answers=RULE))


# In a rollout


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_registry(tmp_path_factory.mktemp("template") / "registry")


LOOSE = AnswerRule(shift=0.3)
WATCHED = replace(
    PLAN,
    steps=(Step(5000, Bake(10, 1)), Step(WHOLE, Bake(10, 1))),
    judge=JudgePlan(errors=Rate(acceptable=0.4), answers=LOOSE),
    limits=Limits(prepare_seconds=600, step_seconds=50, obey_seconds=300),
)


@pytest.mark.parametrize(
    ("mine", "end", "why"),
    [
        (lambda draw: draw.random(), Phase.DONE, None),
        (lambda draw: 0.99 + draw.random() / 100, Phase.ROLLED_BACK, "Scores: the candidate's are distributed"),
        (None, Phase.ROLLED_BACK, "proof that the scores are distributed alike"),
    ],
    ids=["alike", "harmful", "no log"],
)
def test_a_rollout_is_judged_by_the_answers_although_no_request_fails(
    template: Path, tmp_path: Path, mine: Any, end: Phase, why: str | None
) -> None:
    world, draw, log = World(copied(template, tmp_path / "registry")), random.Random(1), tmp_path / "log.jsonl"
    log.touch()
    readers: dict[int, AnswerReader] = {}

    def read(rollout: Rollout, position: LogPosition | None) -> tuple[Answered, LogPosition | None]:
        found = readers.setdefault(rollout.number, reader(log, LOOSE))
        return found.read(position)

    with world.process() as (ledger, _):
        ledger.start_rollout(MODEL, "1.0.1", "eu", WATCHED, PromotionRequest())
        controller = Controller(ledger, world.open, holder="one", read_answers=read)
        for number in range(150):
            tick = controller.tick(MODEL)
            assert tick.rollout is not None
            if tick.rollout.state.phase.ended:
                break
            world.balancer.send(40, seed=number)
            world.clock.advance(seconds=1)
            if mine is not None:
                lines = [line(*one) for _ in range(20) for one in (("1.0.0", draw.random()), ("1.0.1", mine(draw)))]
                with log.open("ab") as file:
                    file.write(b"\n".join(lines) + b"\n")
        assert tick.rollout is not None
        assert tick.rollout.state.phase is end
        events = ledger.registry.history(MODEL, action="roll-out").items
        assert why is None or any(why in str(event.reason) for event in events)
        assert any("answers" in event.details.get("numbers", {}) for event in events)
