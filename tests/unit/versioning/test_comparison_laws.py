"""What must hold for any two or three models."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from versioning_testing import descriptions, quick

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning import Bump, ModelDescription, Signature, TensorSpec, compare
from tfx_pedigree.versioning.interface import covers

SHAPES = st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(1, 2)), max_size=3).map(tuple))


@quick
@given(descriptions)
def test_model_compared_with_itself_is_a_patch(one: ModelDescription) -> None:
    change = compare(one, one)
    assert change.bump == Bump.PATCH
    assert "only the weights" in change.reasons[0]


@quick
@given(descriptions, descriptions)
def test_patch_exactly_if_the_descriptions_have_the_same_digest(one: ModelDescription, other: ModelDescription) -> None:
    assert (compare(one, other).bump == Bump.PATCH) == (one.digest == other.digest)


@quick
@given(descriptions, descriptions)
def test_patch_is_the_same_both_ways(one: ModelDescription, other: ModelDescription) -> None:
    assert (compare(one, other).bump == Bump.PATCH) == (compare(other, one).bump == Bump.PATCH)


@quick
@given(descriptions, descriptions)
def test_comparison_is_deterministic(one: ModelDescription, other: ModelDescription) -> None:
    again = ModelDescription.from_json(other.to_json())
    assert compare(one, other) == compare(one, again)


@quick
@given(descriptions, descriptions)
def test_every_reason_is_said_once_on_one_line(one: ModelDescription, other: ModelDescription) -> None:
    reasons = compare(one, other).reasons
    assert reasons
    assert len(set(reasons)) == len(reasons)
    assert all(reason.isprintable() for reason in reasons)


@quick
@given(descriptions, descriptions, descriptions)
def test_compatible_changes_compose(a: ModelDescription, b: ModelDescription, c: ModelDescription) -> None:
    b = dataclasses.replace(b, tags=a.tags, signatures={**b.signatures, **a.signatures})
    c = dataclasses.replace(c, tags=a.tags, signatures={**c.signatures, **b.signatures})
    assert compare(a, b).bump < Bump.MAJOR
    assert compare(b, c).bump < Bump.MAJOR
    assert compare(a, c).bump < Bump.MAJOR


@quick
@given(st.lists(SHAPES, min_size=3, max_size=3), st.sampled_from(["inputs", "outputs"]))
def test_compatible_reshapings_compose(shapes: list, side: str) -> None:
    a, b, c = (
        ModelDescription(
            signatures={"s": Signature(**{"inputs": {}, "outputs": {}, side: {"x": TensorSpec("int8", one)}})}
        )
        for one in shapes
    )
    if compare(a, b).bump < Bump.MAJOR and compare(b, c).bump < Bump.MAJOR:
        assert compare(a, c).bump < Bump.MAJOR


@quick
@given(SHAPES, SHAPES)
def test_what_is_widening_one_way_is_breaking_the_other_way(one: object, other: object) -> None:
    assume(one != other)
    old, new = (
        ModelDescription(signatures={"s": Signature({"x": TensorSpec("int8", shape)}, {})}) for shape in (one, other)
    )
    forth, back = compare(old, new).bump, compare(new, old).bump
    assert (forth == Bump.MINOR) == covers(other, one)
    assert Bump.MAJOR in (forth, back)


@quick
@given(descriptions, descriptions)
def test_one_more_difference_never_lowers_the_bump(one: ModelDescription, other: ModelDescription) -> None:
    before = compare(one, other).bump
    differently = dataclasses.replace(other, operations={**other.operations, "Extra": 1})
    assert compare(one, differently).bump == max(before, Bump.MINOR)

    old, new = Signature({}, {}), Signature({"extra": TensorSpec("qint8")}, {})
    one = dataclasses.replace(one, signatures={**one.signatures, "more": old})
    other = dataclasses.replace(other, signatures={**other.signatures, "more": new})
    assert compare(one, other).bump == Bump.MAJOR


@quick
@given(descriptions)
def test_opaque_models_are_not_guessed_at(one: ModelDescription) -> None:
    opaque = ModelDescription(kind="opaque")
    for old, new in ((one, opaque), (opaque, one), (opaque, opaque)):
        with pytest.raises(InvalidInputError, match="holds no SavedModel whose interface could be compared"):
            compare(old, new)


def test_bumps_are_ordered() -> None:
    assert Bump.PATCH < Bump.MINOR < Bump.MAJOR
    assert max(Bump) == Bump.MAJOR
