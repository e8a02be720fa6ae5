"""`rollout.yaml`: what is left out is what the documents promise, and a mistake is refused with its line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.json_form import read, to_json
from tfx_pedigree.rollout import spec_file
from tfx_pedigree.rollout.plan import (
    Bake,
    Direction,
    Plan,
    Step,
    Strategy,
    Undecided,
    Validation,
    canary,
    check_capabilities,
)
from tfx_pedigree.rollout.spec_file import load_plan, parse_plan
from tfx_pedigree.rollout.traffic.api import WHOLE, Capabilities, Fence, Split


def plan(text: str) -> Plan:
    return parse_plan(text, "rollout.yaml")


def test_without_anything_it_is_the_documents_canary_and_their_blue_green() -> None:
    assert [step.points for step in plan("").steps] == list(range(1000, WHOLE + 1, 1000))
    assert plan("") == canary()
    assert [step.points for step in plan("strategy: blue-green").steps] == [WHOLE]


def test_the_example_in_the_module_is_a_plan() -> None:
    text = "\n".join(line[4:] for line in (spec_file.__doc__ or "").splitlines() if line.startswith("    "))
    found = plan(text)
    assert found.steps[1] == Step(2500, Bake(500, 300))
    assert found.judge.slow_than_ms == 200
    assert found.judge.slow.acceptable == 0.05
    assert found.judge.metrics[0].direction is Direction.HIGHER
    assert found.validation is not None
    assert found.validation.agreement == 0.99
    assert (found.keep_seconds, found.lease_seconds, found.limits.step_seconds) == (600, 15, 86400)
    assert found.undecided is Undecided.ROLL_BACK
    assert read(Plan, to_json(found), "the plan") == found


def test_steps_may_have_bakes_of_their_own_and_begin_in_the_shadow() -> None:
    found = plan("bake: {requests: 7}\nsteps: [{shadow: 20 %, time: 1h}, {share: 0.5 %, requests: 9}, 100]")
    assert found.steps == (Step(2000, Bake(7, 3600), True), Step(50, Bake(9, 60)), Step(WHOLE, Bake(7, 60)))


@pytest.mark.parametrize("requests", ["/etc/shadow", "../r.jsonl", "a/b", "~/r", ".", "..", "", "r\n", "r\0"])
@pytest.mark.parametrize("where", ["file", "server"])
def test_recorded_requests_are_a_file_of_the_target_and_no_path(requests: str, where: str) -> None:
    """Whoever orders a rollout would else have the controller read, and send, any file of its host."""
    with pytest.raises(InvalidInputError, match="requests"):
        if where == "file":
            plan(json.dumps({"validate": {"requests": requests, "path": "/predict"}}))
        else:
            told = to_json(replace(canary(), validation=Validation("r.jsonl", "/predict")))
            told["validation"]["requests"] = requests
            read(Plan, told, "the plan")


@pytest.mark.parametrize("path", ["@example.com/x", ":80@example.com", ".example.com/", "", "/a b", "/a\r\nX: y", "/é"])
def test_a_plans_path_leads_to_no_other_server(path: str) -> None:
    told = to_json(replace(canary(), validation=Validation("r.jsonl", "/predict")))
    told["validation"]["path"] = path
    with pytest.raises(InvalidInputError, match="a path on the model's server"):
        read(Plan, told, "the plan")


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": [{"shadow": 10}] * 101 + [{"share": 100}]},
        {"judge": {"metrics": [{"name": "a", "higher_is_better": True, "query": "up"}] * 21}},
        {"judge": {"metrics": [{"name": "a", "higher_is_better": True, "query": "u" * 5000}]}},
        {"judge": {"metrics": [{"name": "a", "higher_is_better": True, "query": "up", "window": "1ms"}]}},
        {"judge": {"answers": {"score": "s" * 300}}},
        {"validate": {"requests": "r.jsonl", "path": "/p", "tolerance": -1}},
    ],
)
def test_what_a_controller_has_to_do_for_a_plan_has_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        plan(json.dumps(wrong))


def test_a_place_is_named_once_in_a_refusal() -> None:
    with pytest.raises(InvalidInputError, match=r"^rollout\.yaml, line 1: `judge\.alpha`"):
        plan("judge: {alpha: 0}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [10 %, 5 %]", "more than the step before"),
        ("steps: []", "needs a step"),
        ("steps: [0]", "line 1: `steps[0]` is 0, but must be a share above 0 %"),
        ("steps: [10.001 %]", "in steps of 0.01 %"),
        ("steps: [{share: 10, shadow: 10}]", "either `share` or `shadow`"),
        ("steps: [{share: 10}, {shadow: 20}, {share: 30}]", "comes before the steps"),
        ("\nstrategy: canari", "line 2: `strategy` is 'canari'"),
        ("strategy: deploy", "pedigree deploy MODEL"),
        ("step: [10]", "Did you mean `steps`"),
        ("bake: {requests: -1}", "whole number from 0 on"),
        ("bake: {time: 5}", "a length of time such as"),
        ("keep: 400d", "at most 366 d"),
        ("lease: 0", "between 1s and 1h"),
        ("judge: {alpha: 0}", "a chance between"),
        ("judge: {errors: {margin: 0.5}}", "times the stable version's rate"),
        ("judge: {errors: {harm: 3}}", "must be greater than `harm`"),
        ("judge: {slow: {margin: 2}}", "lacks `than`"),
        ("judge: {metrics: [{name: auc}]}", "lacks `higher_is_better`"),
        ("validate: {requests: x, path: predict}", "beginning with /"),
        ("undecided: advance", "must be roll-back or pause"),
        ("[1]", "must be a table"),
    ],
)
def test_a_mistake_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=r"rollout\.yaml") as refused:
        plan(text)
    assert message in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_plan(tmp_path / "none.yaml")
    (tmp_path / "raw.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match="UTF-8"):
        load_plan(tmp_path / "raw.yaml")


def can(**values: object) -> Capabilities:
    usual = {"step": 1, "split": Split.RANDOM, "fence": Fence.EPOCH, "counters": True, "lease": True, "drain": True}
    return Capabilities(**{**usual, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "capabilities", "message"),
    [
        ("steps: [{shadow: 10}, {share: 100}]", can(), "cannot mirror"),
        ("", can(split=Split.NONE, step=WHOLE), "Use the strategy blue-green"),
        ("steps: [0.5 %, 100 %]", can(step=100), "in steps of 1 %"),
        ("strategy: blue-green", can(counters=False), "counts nothing"),
        ("judge: {answers: {}}", can(), "names no response log. Add `responses:`"),
        ("validate: {requests: r.jsonl, path: /p}", can(), "names no folder of recorded requests. Add `requests:`"),
    ],
)
def test_a_plan_that_the_backend_cannot_carry_out_is_refused_before_it_starts(
    text: str, capabilities: Capabilities, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        check_capabilities(plan(text), capabilities, "eu")


def test_a_plan_that_the_backend_can_carry_out_passes() -> None:
    check_capabilities(canary(), can(), "eu")
    check_capabilities(plan("validate: {requests: r.jsonl, path: /p}"), can(), "eu", has=["requests"])
    check_capabilities(plan("strategy: blue-green"), can(split=Split.NONE, step=WHOLE), "eu")
    assert plan("").strategy is Strategy.CANARY


def test_the_example_of_the_documents_is_a_plan() -> None:
    page = (Path(__file__).parents[3] / "docs" / "rollout-design.md").read_text()
    example = page.partition("## The plan\n\n```yaml\n")[2].partition("```")[0]
    assert plan(example).steps[0] == Step(1000, Bake(500, 300))
