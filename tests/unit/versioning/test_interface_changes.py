"""Every kind of change of an interface: what it is called, and which part of the version it raises."""

from __future__ import annotations

import pytest
from versioning_testing import model

from tfx_pedigree.versioning import Bump, ModelDescription, Signature, TensorSpec, Variable, compare

S, N = "string", None
MAJOR, MINOR, PATCH = Bump.MAJOR, Bump.MINOR, Bump.PATCH
ONE = "signature `serving_default`: "


def spec(shape: object = (N, 3), dtype: str = "int64", kind: str = "dense") -> tuple[object, ...]:
    return dtype, shape, kind


INPUTS = [
    # old inputs, new inputs, optional before, optional now, bump, first reason
    ({"c": (S, ())}, {"c": ("int64", ())}, "", "", MAJOR, "input `c` changed from string to int64"),
    ({"c": spec(kind="dense")}, {"c": spec(kind="sparse")}, "", "", MAJOR, "input `c` changed from dense to sparse"),
    ({"c": spec(kind="ragged")}, {"c": spec()}, "", "", MAJOR, "input `c` changed from ragged to dense"),
    ({"c": spec(), "d": (S, ())}, {"c": spec()}, "", "", MAJOR, "input `d` was removed"),
    ({"c": spec(), "d": (S, ())}, {"c": spec()}, "d", "", MAJOR, "input `d` was removed"),
    ({"c": spec()}, {"d": spec()}, "", "", MAJOR, "input `c` was renamed to `d`"),
    ({"c": spec()}, {"d": (S, ())}, "", "", MAJOR, "input `c` was removed"),
    (
        {"c": spec(), "e": spec()},
        {"c": spec(), "d": (S, ()), "e": spec()},
        "",
        "",
        MAJOR,
        "input `d` was added without a default, so every request must give it",
    ),
    (
        {"c": spec(), "e": spec()},
        {"c": spec(), "d": (S, ()), "e": spec()},
        "",
        "d",
        MINOR,
        "input `d` was added with a default",
    ),
    ({"c": spec()}, {"c": spec()}, "c", "", MAJOR, "input `c` had a default and must be given from now on"),
    ({"c": spec()}, {"c": spec()}, "", "c", MINOR, "input `c` has a default now and may be left out"),
    ({"c": spec((N, 3))}, {"c": spec((N, 4))}, "", "", MAJOR, "input `c` changed shape from [?, 3] to [?, 4]"),
    ({"c": spec((N, 3))}, {"c": spec((N,))}, "", "", MAJOR, "input `c` changed shape from [?, 3] to [?]"),
    ({"c": spec((N, 3))}, {"c": spec((3, N))}, "", "", MAJOR, "input `c` changed shape from [?, 3] to [3, ?]"),
    ({"c": spec((N, 3))}, {"c": spec((N, N))}, "", "", MINOR, "input `c` accepts more: shape [?, 3] became [?, ?]"),
    ({"c": spec((N, 3))}, {"c": spec(N)}, "", "", MINOR, "input `c` accepts more: shape [?, 3] became of unknown rank"),
    ({"c": spec((N, N))}, {"c": spec((N, 3))}, "", "", MAJOR, "input `c` accepts less: shape [?, ?] became [?, 3]"),
    ({"c": spec(N)}, {"c": spec((N, 3))}, "", "", MAJOR, "input `c` accepts less: shape of unknown rank became [?, 3]"),
    ({"c": spec(())}, {"c": spec((1,))}, "", "", MAJOR, "input `c` changed shape from [] to [1]"),
]


@pytest.mark.parametrize(("old", "new", "before", "now", "bump", "said"), INPUTS)
def test_change_of_an_input(  # noqa: PLR0917
    old: object, new: object, before: str, now: str, bump: Bump, said: str
) -> None:
    change = compare(model(old, optional=tuple(before)), model(new, optional=tuple(now)))
    assert (change.bump, change.reasons[0]) == (bump, ONE + said)


OUTPUTS = [
    ({"y": (S, ())}, {"y": ("int64", ())}, MAJOR, "output `y` changed from string to int64"),
    ({"y": spec()}, {"y": spec(kind="ragged")}, MAJOR, "output `y` changed from dense to ragged"),
    ({"y": spec(), "z": (S, ())}, {"y": spec()}, MAJOR, "output `z` was removed"),
    ({"y": spec()}, {"z": spec()}, MAJOR, "output `y` was renamed to `z`"),
    ({"y": spec(), "z": spec()}, {"y": spec(), "z": spec(), "q": (S, ())}, MINOR, "output `q` was added"),
    ({"y": spec((N, 3))}, {"y": spec((N, 4))}, MAJOR, "output `y` changed shape from [?, 3] to [?, 4]"),
    ({"y": spec((N, 3))}, {"y": spec((N, N))}, MAJOR, "output `y` promises less: shape [?, 3] became [?, ?]"),
    ({"y": spec((N, 3))}, {"y": spec(N)}, MAJOR, "output `y` promises less: shape [?, 3] became of unknown rank"),
    ({"y": spec((N, N))}, {"y": spec((N, 3))}, MINOR, "output `y` promises more: shape [?, ?] became [?, 3]"),
    ({"y": spec(N)}, {"y": spec((N, 3))}, MINOR, "output `y` promises more: shape of unknown rank became [?, 3]"),
    ({"y": spec((N, 3))}, {"y": spec((3, N))}, MAJOR, "output `y` changed shape from [?, 3] to [3, ?]"),
]


@pytest.mark.parametrize(("old", "new", "bump", "said"), OUTPUTS)
def test_change_of_an_output(old: object, new: object, bump: Bump, said: str) -> None:
    change = compare(model(outputs=old), model(outputs=new))
    assert (change.bump, change.reasons[0]) == (bump, ONE + said)


def test_second_output_says_what_it_does_to_rest_rows() -> None:
    change = compare(model(outputs={"y": spec()}), model(outputs={"y": spec(), "z": (S, ())}))
    assert change.bump == MINOR
    assert any("REST answers in row format name their outputs" in reason for reason in change.reasons)


def test_second_input_says_what_it_does_to_rest_rows() -> None:
    change = compare(model({"x": spec()}), model({"x": spec(), "z": (S, ())}, optional=("z",)))
    assert change.bump == MINOR
    assert any("REST requests to TensorFlow Serving in row format must name" in reason for reason in change.reasons)


def _signatures(**table: Signature) -> ModelDescription:
    return ModelDescription(signatures=table)


X = Signature({"x": TensorSpec("int64")}, {"y": TensorSpec("int64")}, method="predict")
Y = Signature({"x": TensorSpec("string")}, {"y": TensorSpec("int64")}, method="predict")


@pytest.mark.parametrize(
    ("old", "new", "bump", "reasons"),
    [
        (_signatures(a=X), _signatures(a=X, b=Y), MINOR, ("signature `b` was added",)),
        (_signatures(a=X, b=Y), _signatures(a=X), MAJOR, ("signature `b` was removed",)),
        (_signatures(a=X), _signatures(b=X), MAJOR, ("signature `a` was renamed to `b`",)),
        (_signatures(a=X), _signatures(b=Y), MAJOR, ("signature `a` was removed", "signature `b` was added")),
        (_signatures(), _signatures(a=X), MINOR, ("signature `a` was added",)),
        (
            _signatures(a=X, b=X),
            _signatures(a=Y, b=X),
            MAJOR,
            ("signature `a`: input `x` changed from int64 to string",),
        ),
        (
            _signatures(a=X),
            _signatures(a=Signature(X.inputs, X.outputs, method="classify")),
            MINOR,
            ("signature `a`: method name changed from `predict` to `classify`",),
        ),
        (
            ModelDescription(tags=("serve",)),
            ModelDescription(tags=("serve", "tpu")),
            MAJOR,
            ("the tags by which a server loads the graph changed from `serve` to `serve`, `tpu`",),
        ),
    ],
)
def test_change_of_signatures(
    old: ModelDescription, new: ModelDescription, bump: Bump, reasons: tuple[str, ...]
) -> None:
    change = compare(old, new)
    assert (change.bump, change.reasons) == (bump, reasons)


def test_inputs_that_changed_alike_are_said_together() -> None:
    old = model(dict.fromkeys("abcdef", (S, ())))
    new = model(dict.fromkeys("abcdef", ("int64", ())))
    assert compare(old, new).reasons == (ONE + "inputs `a`, `b`, `c` and 3 more changed from string to int64",)


def test_renaming_is_only_said_where_one_pair_fits() -> None:
    change = compare(model({"a": (S, ()), "b": (S, ())}), model({"c": (S, ()), "d": (S, ())}))
    assert change.reasons == (
        ONE + "inputs `a` and `b` were removed",
        ONE + "inputs `c` and `d` were added without a default, so every request must give it",
    )


def test_most_severe_reason_comes_first() -> None:
    old = model({"a": (S, ()), "b": spec((N, 3))}, operations={"Relu": 1})
    new = model({"a": ("int64", ()), "b": spec((N, N))}, operations={"Tanh": 1})
    change = compare(old, new)
    assert change.reasons == (
        ONE + "input `a` changed from string to int64",
        ONE + "input `b` accepts more: shape [?, 3] became [?, ?]",
        "operations changed in number: `Relu` 1 to 0 and `Tanh` 0 to 1",
    )


ZERO, FIVE = "sha256:" + 64 * "0", "sha256:" + 64 * "5"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"operations": {"Relu": 2}}, {"operations": {"Relu": 3}}, "operations changed in number: `Relu` 2 to 3"),
        (
            {"variables": {"w": Variable("float32", (3, 4)), "v": Variable("int64", ())}},
            {"variables": {"w": Variable("float32", (3, 5)), "u": Variable("int64", ())}},
            "variables: changed `w` from float32 [3, 4] to float32 [3, 5]; "
            "removed `v` (was int64 []); added `u` (int64 [])",
        ),
        (
            {"parameters": {"rate": 0.1, "old": True}},
            {"parameters": {"rate": 0.01, "new": "x"}},
            'hyperparameters: changed `rate` from 0.1 to 0.01; removed `old` (was true); added `new` ("x")',
        ),
        ({"parameters": {"n": 1}}, {"parameters": {"n": True}}, "hyperparameters: changed `n` from 1 to true"),
        (
            {"transform_digest": ZERO},
            {"transform_digest": FIVE},
            "the transform graph changed from sha256:00000000 to sha256:55555555",
        ),
        (
            {"schema_digest": ZERO},
            {"schema_digest": FIVE},
            "the feature schema changed from sha256:00000000 to sha256:55555555",
        ),
        (
            {},
            {"schema_digest": FIVE},
            "the feature schema is recorded now (sha256:55555555); whether it changed is not known",
        ),
        (
            {"transform_digest": ZERO},
            {},
            "the transform graph is no longer recorded (it was sha256:00000000); whether it changed is not known",
        ),
    ],
)
def test_model_that_was_made_differently_is_minor(old: dict, new: dict, said: str) -> None:
    change = compare(model(**old), model(**new))
    assert (change.bump, change.reasons) == (MINOR, (said,))


def test_one_and_one_point_nought_are_the_same_parameter() -> None:
    assert compare(model(parameters={"rate": 1}), model(parameters={"rate": 1.0})).bump == PATCH


def test_long_lists_are_summarised() -> None:
    names = [f"layer_{index:02}/kernel" for index in range(15)]
    change = compare(model(), model(variables={name: Variable("float32", (1,)) for name in names}))
    (said,) = change.reasons
    assert said.endswith("`layer_02/kernel` (float32 [1]) and 12 more")
    assert len(said) < 200


def test_names_from_a_file_cannot_write_to_a_terminal() -> None:
    nasty = "x\x1b[2J\n" + 200 * "y"
    change = compare(model({"x": (S, ()), nasty: (S, ())}), model({"x": (S, ())}))
    (said,) = change.reasons
    assert said.isprintable()
    assert len(said) < 160
