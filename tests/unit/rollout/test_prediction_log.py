"""TensorFlow Serving's own log as a response log: read without TensorFlow, and hostile until it has passed."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pedigree_testing import digest
from tfx_pedigree.rollout.answers import Duel
from tfx_pedigree.rollout.pairing import LoggedAnswer, Pairs
from tfx_pedigree.rollout.plan import AnswerRule
from tfx_pedigree.rollout.prediction_log import logged_answer
from tfx_pedigree.rollout.response_log import MOST_AT_ONCE, LogPosition, ResponseLog
from tfx_pedigree.rollout.traffic.api import ServedVersion
from tfx_pedigree.versioning import tfrecord
from tfx_pedigree.versioning.wire_writing import number, run, single

MODEL = "penguin"
OLD, NEW = (ServedVersion(MODEL, digest(seed), f"1.0.{at}", at + 1) for at, seed in enumerate("ab"))


def spec(sequence: int, model: str = MODEL) -> bytes:
    return run(1, model) + run(2, number(1, sequence)) + run(3, "serving_default")


def floats(*values: float, shape: tuple[int, ...] | None = None) -> bytes:
    sizes = b"".join(run(2, number(1, size)) for size in (shape or (len(values),)))
    return number(1, 1) + run(2, sizes) + run(5, struct.pack(f"<{len(values)}f", *values))


def predicted(sequence: int, asked: float, *scores: float, model: str = MODEL, turned: bool = False) -> bytes:
    """One record; `turned`: the entries of its map in another order, as maps have none."""
    inputs = [run(2, run(1, name) + run(2, floats(asked))) for name in ("x", "y")]
    request = run(1, spec(sequence, model)) + b"".join(inputs[::-1] if turned else inputs)
    response = run(1, run(1, "scores") + run(2, floats(*scores, shape=(1, len(scores))))) + run(
        2, spec(sequence, model)
    )
    return run(6, run(1, request) + run(2, response))


def answer(record: bytes) -> LoggedAnswer:
    found = logged_answer(record, {MODEL})
    assert found is not None
    return found


def test_an_answer_is_the_versions_number_its_outputs_and_what_was_asked() -> None:
    one, other = answer(predicted(1, 0.5, 0.25, 0.75)), answer(predicted(2, 0.5, 0.5, turned=True))
    assert (one.version, one.outputs) == ("1", {"scores": [[0.25, 0.75]]})
    assert one.id == other.id != answer(predicted(1, 0.6, 0.25)).id


def test_answers_of_other_models_in_the_same_log_are_passed_over() -> None:
    assert logged_answer(predicted(2, 0.5, 0.9, model="another"), {MODEL}) is None


def test_classifications_and_regressions_are_as_the_rest_interface_gives_them() -> None:
    classes = run(1, run(1, run(1, run(1, "late") + single(2, 0.25)) + run(1, run(1, "early"))))
    log = run(2, run(1, run(1, spec(1))) + run(2, run(1, classes[2:]) + run(2, spec(1))))
    assert answer(log).outputs == {"results": [[["late", 0.25], ["early", 0.0]]]}
    log = run(3, run(1, run(1, spec(1))) + run(2, run(1, run(1, single(1, 0.5)) + run(1, b"")) + run(2, spec(1))))
    assert answer(log).outputs == {"results": [0.5, 0.0]}


def test_the_same_examples_are_the_same_question_in_any_order_of_their_features() -> None:
    def asked(*features: bytes) -> str | None:
        examples = run(1, run(1, run(1, b"".join(run(1, one) for one in features))))
        return answer(run(3, run(1, run(1, spec(1)) + run(2, examples)) + run(2, run(2, spec(1))))).id

    one, two = run(1, "a") + run(2, b""), run(1, "b") + run(2, b"")
    assert asked(one, two) == asked(two, one) != asked(one)


@pytest.mark.parametrize(
    "tensor",
    [
        floats(0.5, shape=(1 << 40,)),
        floats(0.5, 0.5, shape=(1,)),
        number(1, 1) + run(2, number(3, 1)) + run(5, b"1234"),
        number(1, 1) + run(5, b"123"),
        number(1, 20) + run(14, b""),
        number(1, 1) + run(4, b"12345"),
    ],
    ids=["no such size", "too many", "no rank", "half a value", "a resource", "half of its content"],
)
def test_an_output_that_is_no_tensor_holds_no_score(tensor: bytes) -> None:
    response = run(1, run(1, "scores") + run(2, tensor)) + run(2, spec(1))
    assert answer(run(6, run(1, b"") + run(2, response))).outputs == {}


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_bytes_that_are_no_record_of_it_are_none(junk: bytes, at: int, value: int) -> None:
    logged_answer(junk, {MODEL})
    whole = bytearray(predicted(1, 0.5, 0.25, 0.75))
    whole[at % len(whole)] = value
    logged_answer(bytes(whole), {MODEL})


def read(log: Path, position: LogPosition | None) -> tuple[list[Any], LogPosition]:
    found, after = ResponseLog(log, {MODEL}).read(position)
    return [one.outputs["scores"][0][0] for one in found], after


def test_a_log_is_read_on_over_what_is_damaged_too_large_or_not_whole_yet(tmp_path: Path) -> None:
    log = tmp_path / "log"
    records = [tfrecord.framed(predicted(1, 0.5, score)) for score in (0.0, 1.0, 2.0, 3.0, 4.0)]
    log.write_bytes(records[0] + records[1][:20])
    found, position = read(log, None)
    assert (found, position.offset) == ([], log.stat().st_size)
    with log.open("ab") as file:  # reading begins within a record, whose rest is passed over
        file.write(records[1][20:] + records[2])
    found, position = read(log, position)
    assert found == [2.0]
    large = tfrecord.framed(b"\0" * (MOST_AT_ONCE + 1000))
    with log.open("ab") as file:
        file.write(records[3][:-1] + b"\xff" + b"junk" + large + records[4] + records[0][:-1])
    found, position = read(log, position)
    again, position = read(log, position)
    assert found + again == [4.0]
    with log.open("ab") as file:
        file.write(records[0][-1:])
    assert read(log, position)[0] == [0.0]


def test_a_hostile_log_takes_no_long_look(tmp_path: Path) -> None:
    """Zeros look like heads everywhere; each look gets on, and none takes long."""
    log = tmp_path / "log"
    log.write_bytes(tfrecord.framed(b"x") + b"\0" * 400_000)
    offset, looks = 0, 0
    while offset < log.stat().st_size - 12:
        _, after = read(log, LogPosition(log.stat().st_ino, offset))
        assert after.offset > offset
        offset, looks = after.offset, looks + 1
    assert looks < 20


def test_answers_of_both_versions_are_paired(tmp_path: Path) -> None:
    log, pairs = tmp_path / "log", Pairs(AnswerRule(agreement=0.9), OLD, NEW)
    log.write_bytes(tfrecord.framed(predicted(9, 0.5, 0.1)))
    _, position = ResponseLog(log, {MODEL}).read(None)
    with log.open("ab") as file:
        for sequence, asked, score in ((1, 0.5, 0.25), (2, 0.5, 0.25), (2, 0.75, 0.5), (1, 0.75, 1.0)):
            file.write(tfrecord.framed(predicted(sequence, asked, score)))
    found = pairs.fed(ResponseLog(log, {MODEL}).read(position)[0])
    assert (found.agreed, found.disagreed) == (1, 1)
    assert found.duels == (Duel(0.5, 0.25), Duel(0.25, 1.0))


def test_a_score_that_is_no_number_stays_none() -> None:
    assert math.isnan(answer(predicted(1, 0.5, math.nan)).outputs["scores"][0][0])
    draw = random.Random(1)
    pairs = Pairs(AnswerRule(), OLD, NEW)
    logged = [answer(predicted(1 + at % 2, at, math.nan if at % 2 else draw.random())) for at in range(6)]
    assert [duel.candidate for duel in pairs.fed(logged).duels] == [None] * 3
