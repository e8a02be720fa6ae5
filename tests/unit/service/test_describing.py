"""A model's description: what somebody wrote last, with all that was written before in the log."""

from __future__ import annotations

import pytest

from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import Action, Registry
from tfx_pedigree.service.event_words import told
from tfx_pedigree.service.versions.describing import LONGEST, describe_model, description_of

MODEL = "flight-delay"


@pytest.fixture
def described(registry: Registry) -> Registry:
    registry.note(MODEL, Action.RETRAIN, reason="makes the model", details={})
    return registry


def test_the_newest_counts_and_the_others_stay_in_the_log(described: Registry) -> None:
    assert description_of(described, MODEL) is None
    first = describe_model(described, MODEL, "# Delays\r\n\r\nOf flights.\n", reason="asked for")
    assert first.changed and first.description.text == "# Delays\n\nOf flights."
    assert not describe_model(described, MODEL, "# Delays\n\nOf flights.").changed
    describe_model(described, MODEL, "")
    found = description_of(described, MODEL)
    assert found is not None and (found.text, found.by) == ("", described.actor)
    assert not describe_model(described, MODEL, " ").changed
    events = described.history(MODEL, action="describe").items
    assert [told(one) for one in events] == [
        f"describe {MODEL}: the description was taken away",
        f"describe {MODEL}: # Delays",
    ]
    assert described.verify_audit().ok


def test_of_two_who_write_at_once_the_second_one_is_told(described: Registry) -> None:
    describe_model(described, MODEL, "one", expect=0)
    with pytest.raises(ConflictError, match="somebody else noted `describe`"):
        describe_model(described, MODEL, "two", expect=0)
    assert description_of(described, MODEL).text == "one"  # type: ignore[union-attr]


def test_no_model_is_made_by_a_typo_and_no_book_is_kept(described: Registry) -> None:
    with pytest.raises(NotFoundError, match="Did you mean flight-delay"):
        describe_model(described, "flight-dellay", "text")
    with pytest.raises(InvalidInputError, match="may have 20,000"):
        describe_model(described, MODEL, "x" * (LONGEST + 1))


def test_a_note_of_another_shape_is_no_description(described: Registry) -> None:
    described.note(MODEL, Action.DESCRIBE, reason=None, details={"text": ["no", "text"]})
    assert description_of(described, MODEL).text == ""  # type: ignore[union-attr]
    assert told(described.history(MODEL, limit=1).items[0]).startswith("describe flight-delay")
