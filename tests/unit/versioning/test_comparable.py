"""Which champions cannot be put to the new model's examples, told from the interfaces alone."""

from __future__ import annotations

import pytest

from tfx_pedigree.versioning import ModelDescription, Signature, TensorSpec
from tfx_pedigree.versioning.comparable import why_not_comparable

TEXT, FLOAT = TensorSpec("string", (None,)), TensorSpec("float32", (None, 1))


def model(
    inputs: dict[str, TensorSpec], outputs: dict[str, TensorSpec], name: str = "serving_default"
) -> ModelDescription:
    return ModelDescription(signatures={name: Signature(inputs, outputs)})


BASE = model({"examples": TEXT}, {"score": FLOAT})


@pytest.mark.parametrize(
    ("champion", "challenger"),
    [
        (BASE, BASE),
        (BASE, model({"examples": TEXT}, {"output_0": FLOAT})),
        (model({"a": FLOAT}, {"score": FLOAT}), model({"a": FLOAT, "b": FLOAT}, {"score": FLOAT})),
        (model({"a": FLOAT, "b": FLOAT}, {"score": FLOAT}), model({"a": FLOAT}, {"score": FLOAT})),
        (BASE, model({"examples": TEXT}, {"score": FLOAT, "more": FLOAT})),
        (BASE, model({"examples": TensorSpec("string", (8,))}, {"score": TensorSpec("float32", (8, 1))})),
        (BASE, ModelDescription()),
        (ModelDescription(kind="opaque"), ModelDescription(kind="opaque")),
    ],
)
def test_what_may_work_is_tried(champion: ModelDescription, challenger: ModelDescription) -> None:
    assert why_not_comparable(champion, challenger) is None


@pytest.mark.parametrize(
    ("champion", "words"),
    [
        (model({"examples": FLOAT}, {"score": FLOAT}), "input 'examples' is float32"),
        (model({"examples": TEXT}, {"score": TEXT}), "output 'score' is string"),
        (
            model({"examples": TEXT}, {"score": TensorSpec("float32", (None, 3))}),
            r"output 'score' is float32 \[\?, 3\]",
        ),
        (model({"examples": TEXT}, {"score": FLOAT, "other": FLOAT}), "output 'other' is not among"),
        (model({"examples": TEXT}, {"score": FLOAT}, "look"), "no signature 'serving_default'"),
        (ModelDescription(kind="opaque"), "no SavedModel"),
    ],
)
def test_what_is_certain_is_said_in_words(champion: ModelDescription, words: str) -> None:
    reason = why_not_comparable(champion, BASE)
    assert reason is not None
    import re

    assert re.search(words, reason)
    assert not reason.endswith(".")


def test_the_signature_that_is_evaluated_counts_and_no_other() -> None:
    other = ModelDescription(signatures={**BASE.signatures, "look": Signature({"x": FLOAT}, {"y": FLOAT})})
    changed = ModelDescription(signatures={**BASE.signatures, "look": Signature({"x": TEXT}, {"y": FLOAT})})
    assert why_not_comparable(other, changed) is None
    assert why_not_comparable(other, changed, signature="look") is not None


@pytest.mark.parametrize(("before", "now", "differs"), [("a", "b", True), ("a", "a", False), (None, "b", False)])
def test_another_label_is_another_question(before: str | None, now: str, differs: bool) -> None:
    assert (why_not_comparable(BASE, BASE, champion_label=before, label=now) is not None) is differs
