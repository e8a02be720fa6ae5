"""What the tests of `versioning` share: strategies for descriptions, and the recorded SavedModels."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from tfx_pedigree.versioning import ModelDescription, Signature, TensorSpec, Variable

GOLDENS = Path(__file__).parents[2] / "goldens"
quick = settings(max_examples=40, deadline=None)
SAVED_MODELS = sorted(path.parent for path in GOLDENS.glob("saved_models/*/saved_model.pb"))

# What a registry can hold: no half characters, and no zero.
LETTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0")

# Few names and few values, so that two descriptions often have much in common.
_NAMES = st.sampled_from(["a", "b", "c"])
_DIMENSIONS = st.one_of(st.none(), st.integers(1, 2))
_SHAPES = st.one_of(st.none(), st.lists(_DIMENSIONS, max_size=2).map(tuple))
_SPECS = st.builds(
    TensorSpec,
    dtype=st.sampled_from(["int64", "string"]),
    shape=_SHAPES,
    kind=st.sampled_from(["dense", "dense", "dense", "sparse"]),
)
_TABLES = st.dictionaries(_NAMES, _SPECS, max_size=3)


@st.composite
def _signatures(draw: st.DrawFn) -> Signature:
    inputs = draw(_TABLES)
    optional = draw(st.sets(st.sampled_from(sorted(inputs)))) if inputs else set()
    return Signature(inputs, draw(_TABLES), frozenset(optional), draw(st.sampled_from(["", "predict"])))


_DIGESTS = st.one_of(st.none(), st.sampled_from(["sha256:" + 64 * digit for digit in "01"]))
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(LETTERS, max_size=5),
)
_VARIABLES = st.builds(
    Variable, dtype=st.sampled_from(["float32", "int64"]), shape=st.lists(st.integers(0, 3), max_size=2).map(tuple)
)

descriptions = st.builds(
    ModelDescription,
    tags=st.sampled_from([("serve",), ("serve",), ("serve", "tpu")]),
    signatures=st.dictionaries(_NAMES, _signatures(), max_size=2),
    variables=st.dictionaries(st.text(LETTERS, max_size=3), _VARIABLES, max_size=3),
    operations=st.dictionaries(st.sampled_from(["MatMul", "Relu", "Tanh"]), st.integers(1, 3), max_size=3),
    parameters=st.dictionaries(st.sampled_from(["rate", "epochs"]), _SCALARS, max_size=2),
    transform_digest=_DIGESTS,
    schema_digest=_DIGESTS,
)


def model(inputs: object = None, outputs: object = None, optional: tuple[str, ...] = (), **others: object):
    """A model with one signature; inputs and outputs are given as `{"x": ("int64", (None,))}`."""
    signature = Signature(_specs(inputs), _specs(outputs), frozenset(optional), "predict")
    return ModelDescription(tags=("serve",), signatures={"serving_default": signature}, **others)


def _specs(table: object) -> dict[str, TensorSpec]:
    given = {"x": ("int64", (None,))} if table is None else table
    return {name: TensorSpec(*spec) for name, spec in given.items()}
