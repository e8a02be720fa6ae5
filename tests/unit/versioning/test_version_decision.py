"""What the user asked for wins, what the content says is kept beside it, and nothing is guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from versioning_testing import descriptions, model, quick

from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.versioning import Bump, Decision, ModelDescription, Request, compare, decide, parse_version

OLD = model({"x": ("int64", (None,))})
BROKEN = model({"x": ("string", (None,))})
OPAQUE = ModelDescription(kind="opaque")
BREAK = "signature `serving_default`: input `x` changed from int64 to string"


def test_first_version_needs_no_comparison() -> None:
    for new in (OLD, OPAQUE):
        assert decide(None, None, new, Request()) == Decision("1.0.0", None, ("first version of this model",))
    assert decide(None, None, OLD, Request(bump=Bump.MINOR)).version == "1.0.0"
    assert decide(None, None, OLD, Request(pre="rc")).version == "1.0.0-rc.1"


def test_first_version_can_be_given() -> None:
    decision = decide(None, None, OLD, Request.of(version="v0.3.0"))
    assert decision == Decision("0.3.0", None, ("first version of this model", "the user gave the version 0.3.0"))


def test_bump_is_derived_from_the_content() -> None:
    assert decide("1.2.0", OLD, BROKEN, Request()) == Decision("2.0.0", Bump.MAJOR, (BREAK,))
    assert decide("1.2.0", OLD, OLD, Request()).version == "1.2.1"
    assert decide("1.2.0", OLD, OLD, Request(pre="rc")).version == "1.2.1-rc.1"


def test_another_label_is_a_major_change_and_its_reason_says_so() -> None:
    late, cancelled = ({"label_key": label, "units": 8} for label in ("late", "cancelled"))
    reason = "what it predicts changed from `late` to `cancelled`"
    old, new = replace(OLD, parameters=late), replace(OLD, parameters=cancelled)
    assert decide("1.2.0", old, new, Request()) == Decision("2.0.0", Bump.MAJOR, (reason,))
    assert decide("1.2.0", old, new, Request(pre="rc")).version == "2.0.0-rc.1"
    others = replace(new, parameters={**cancelled, "units": 9})
    assert compare(old, others).reasons == (reason, "hyperparameters: changed `units` from 8 to 9")
    assert compare(OLD, new).bump is Bump.MINOR  # what it predicted before is not known


def test_users_bump_wins_and_the_content_is_kept_as_a_reason() -> None:
    decision = decide("1.2.0", OLD, BROKEN, Request.of(bump="Patch"))
    assert (decision.version, decision.bump) == ("1.2.1", Bump.PATCH)
    assert decision.reasons == ("the user gave the bump PATCH", "by its content it is MAJOR", BREAK)


def test_users_version_wins_if_it_is_higher() -> None:
    decision = decide("1.2.0", OLD, BROKEN, Request(version="7.0.0"))
    assert (decision.version, decision.bump) == ("7.0.0", None)
    assert decision.reasons == ("the user gave the version 7.0.0", "by its content it is MAJOR", BREAK)
    with pytest.raises(ConflictError, match=r"1.2.0 cannot be given: it is not higher than 1.2.0"):
        decide("1.2.0", OLD, BROKEN, Request(version="1.2.0"))


def test_opaque_model_needs_a_bump_from_the_user() -> None:
    with pytest.raises(InvalidInputError) as refused:
        decide("1.0.0", OLD, OPAQUE, Request())
    assert str(refused.value) == (
        "The new model holds no SavedModel whose interface could be compared with 1.0.0; say --bump major, minor or "
        "patch, or give a description with --description."
    )
    decision = decide("1.0.0", OLD, OPAQUE, Request(bump=Bump.MINOR))
    assert decision.version == "1.1.0"
    assert decision.reasons[1] == "the content could not be compared with the version before"


@pytest.mark.parametrize("predecessor", [None, OPAQUE])
def test_predecessor_that_cannot_be_compared_with_needs_a_bump_too(predecessor: ModelDescription | None) -> None:
    with pytest.raises(InvalidInputError, match=r"^1.0.0 h.*; say --bump major, minor or patch"):
        decide("1.0.0", predecessor, OLD, Request())
    assert decide("1.0.0", predecessor, OLD, Request(version="1.1.0")).version == "1.1.0"


def test_request_says_one_thing() -> None:
    with pytest.raises(InvalidInputError, match="Give only the version"):
        Request(bump=Bump.MINOR, version="1.2.0")
    with pytest.raises(InvalidInputError, match="Give only the version"):
        Request.of(pre="rc", version="1.2.0")
    with pytest.raises(InvalidInputError, match="'huge' is no bump"):
        Request.of(bump="huge")
    with pytest.raises(InvalidInputError, match="not a semantic version"):
        Request(version="1.2")
    with pytest.raises(InvalidInputError, match="cannot name a pre-release"):
        Request(pre="rc.1")


def test_empty_words_ask_for_nothing() -> None:
    assert Request.of("", "", "") == Request()


@quick
@given(descriptions, descriptions, st.sampled_from(["1.0.0", "1.4.2", "2.0.0-rc.1"]))
def test_derived_number_is_higher_and_has_the_reasons_of_the_comparison(
    old: ModelDescription, new: ModelDescription, highest: str
) -> None:
    decision = decide(highest, old, new, Request())
    assert parse_version(decision.version) > parse_version(highest)
    assert (decision.bump, decision.reasons) == (compare(old, new).bump, compare(old, new).reasons)
