"""The description's JSON form: what goes in comes out, and what is not understood is refused by name."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from versioning_testing import descriptions, model, quick

from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning import ModelDescription, Signature, TensorSpec, Variable

FORMAT = "pedigree.model-description/1"
DIGEST = "sha256:" + 64 * "0"


@quick
@given(descriptions)
def test_json_form_loses_nothing(description: ModelDescription) -> None:
    assert ModelDescription.from_json(json.loads(json.dumps(description.to_json()))) == description


@quick
@given(descriptions)
def test_canonical_json_keeps_the_description_and_its_digest(description: ModelDescription) -> None:
    again = ModelDescription.from_json(json.loads(canonical_json(description.to_json())))
    assert again == description
    assert again.digest == description.digest


@quick
@given(descriptions, descriptions)
def test_digests_agree_exactly_if_the_json_forms_do(one: ModelDescription, other: ModelDescription) -> None:
    same = canonical_json(one.to_json()) == canonical_json(other.to_json())
    assert (one.digest == other.digest) == same


def test_order_of_names_does_not_matter() -> None:
    one = ModelDescription(operations={"A": 1, "B": 2}, tags=("serve", "a"))
    other = ModelDescription(operations={"B": 2, "A": 1}, tags=("a", "serve"))
    assert one == other
    assert json.dumps(one.to_json()) == json.dumps(other.to_json())


@pytest.mark.parametrize("version", ["2", "0", "10", "", "1.1", "\n"])
def test_unknown_format_version_is_refused(version: str) -> None:
    value = {**ModelDescription().to_json(), "format": f"pedigree.model-description/{version}"}
    with pytest.raises(InvalidInputError, match=r"reads 'pedigree.model-description/1'. Upgrade"):
        ModelDescription.from_json(value)


@pytest.mark.parametrize("value", [None, 3, "text", [], {}, {"format": "other"}, {"format": 1}, {"format": []}])
def test_what_is_no_description_is_refused(value: object) -> None:
    with pytest.raises(InvalidInputError, match=f"must be (an object|'{FORMAT}'), but is"):
        ModelDescription.from_json(value)


def _full() -> dict[str, Any]:
    return model(
        variables={"w": Variable("float32", (2,))},
        operations={"MatMul": 1},
        parameters={"rate": 0.1},
        schema_digest=DIGEST,
    ).to_json()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("kind",), "other", "Kind must be saved_model or opaque, but is 'other'"),
        (("kind",), 3, "`kind` must be a text, but is 3"),
        (("tags",), "serve", "`tags` must be a list, but is 'serve'"),
        (("tags",), [1], r"`tags\[0\]` must be a text, but is 1"),
        (("signatures",), [], "`signatures` must be an object, but is a list"),
        (("signatures", "serving_default"), 1, "`signatures.serving_default` must be an object, but is 1"),
        (("signatures", "serving_default", "method"), 1, "serving_default.method` must be a text"),
        (("signatures", "serving_default", "optional"), ["y"], "serving_default`.*the name of an input, but is 'y'"),
        (("signatures", "serving_default", "inputs", "x", "dtype"), 1, "inputs.x.dtype` must be a text"),
        (("signatures", "serving_default", "inputs", "x", "kind"), "odd", "inputs.x.kind` must be one of dense"),
        (("signatures", "serving_default", "inputs", "x", "kind"), [], "inputs.x.kind` must be one of dense"),
        (("signatures", "serving_default", "inputs", "x", "shape"), [-1], r"inputs.x.shape\[0\]` must be at least 0"),
        (("signatures", "serving_default", "inputs", "x", "shape"), [True], r"inputs.x.shape\[0\]`.*but is true"),
        (("signatures", "serving_default", "inputs", "x", "more"), 1, "inputs.x` has the unknown field `more`"),
        (("variables", "w", "shape"), [None], r"variables.w.shape\[0\]` must be a whole number"),
        (("variables", "w", "shape"), None, "variables.w.shape` must be a list, but is null"),
        (("operations", "MatMul"), 1.5, "operations.MatMul` must be a whole number"),
        (("operations", "MatMul"), -1, "operations.MatMul` must be at least 0"),
        (("parameters", "rate"), [0.1], "`parameters.rate` must be a text, .* or null, but is a list"),
        (("parameters", "rate"), float("nan"), "`parameters.rate` must be"),
        (("parameters", "rate"), 2**53 + 1, "parameter `rate` must be finite.*9007199254740993"),
        (("parameters", "rate"), 10**400, "`parameters.rate` must be .* but is a huge number"),
        (("parameters", "rate"), "\ud800", "`parameters.rate` holds half of a character"),
        (("transform_digest",), "abc", "Transform_digest must be null or 'sha256:'.*but is 'abc'"),
        (("schema_digest",), 1, "`schema_digest` must be a text"),
        (("extra",), 1, "has the unknown field `extra`"),
    ],
)
def test_wrong_field_is_named(path: tuple[str, ...], value: object, said: str) -> None:
    wrong = copy.deepcopy(_full())
    place = wrong
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(InvalidInputError, match=said):
        ModelDescription.from_json(wrong)


@pytest.mark.parametrize("name", [name for name in ModelDescription().to_json() if name != "format"])
def test_missing_field_is_named(name: str) -> None:
    wrong = _full()
    del wrong[name]
    with pytest.raises(InvalidInputError, match=f"lacks the field `{name}`"):
        ModelDescription.from_json(wrong)


def test_opaque_description_says_nothing_of_an_interface() -> None:
    with pytest.raises(InvalidInputError, match="opaque"):
        ModelDescription(kind="opaque", operations={"MatMul": 1})


def test_values_are_checked_however_they_are_made() -> None:
    with pytest.raises(InvalidInputError, match="Kind must be one of .* but is 'odd'"):
        TensorSpec("int64", (), "odd")
    with pytest.raises(InvalidInputError, match="name of an input"):
        Signature({}, {}, frozenset({"x"}))
    with pytest.raises(InvalidInputError, match="parameter `layers` must be .* but is a list"):
        ModelDescription(parameters={"layers": [4]})  # type: ignore[dict-item]
    with pytest.raises(InvalidInputError, match="character zero"):
        ModelDescription(variables={"a\0": Variable("int64", ())})
    with pytest.raises(InvalidInputError, match="character zero"):
        ModelDescription(parameters={"text": "a\0"})
