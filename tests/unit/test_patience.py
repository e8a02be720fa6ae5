"""How long somebody who does not answer is waited for: bounded, growing, and as the environment says."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.retry_policy import DEFAULT_SECONDS, RetryPolicy


@given(st.floats(0, 3600))
def test_waits_together_are_as_long_as_was_said(seconds: float) -> None:
    waits = list(RetryPolicy(seconds).waits())

    assert sum(waits) == pytest.approx(seconds)
    assert max(waits, default=0) <= 20
    assert len(waits) < 400


def test_trouble_that_passes_is_waited_out_and_one_that_lasts_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    answers = iter([OSError("away"), OSError("away"), "there"])

    def ask() -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    assert RetryPolicy(1).calls(ask, OSError) == "there"

    answers = iter([OSError("wrong password"), "never asked for"])
    with pytest.raises(OSError, match="wrong password"):
        RetryPolicy(1).calls(ask, OSError, lambda error: "password" in str(error))
    assert next(answers) == "never asked for"


def test_no_patience_is_one_try() -> None:
    asked = []

    def ask() -> None:
        asked.append(1)
        raise OSError

    with pytest.raises(OSError):
        RetryPolicy(0).calls(ask, OSError)
    assert len(asked) == 1


def test_patience_comes_from_the_environment() -> None:
    assert RetryPolicy.from_environment({}).seconds == DEFAULT_SECONDS
    assert RetryPolicy.from_environment({"PEDIGREE_PATIENCE": "90"}).seconds == 90
    for wrong in ("soon", "-1", "nan", "1e9"):
        with pytest.raises(InvalidInputError, match="PEDIGREE_PATIENCE"):
            RetryPolicy.from_environment({"PEDIGREE_PATIENCE": wrong})
