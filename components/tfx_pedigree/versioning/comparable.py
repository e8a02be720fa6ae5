"""Whether two models can be put to the same examples, told from their interfaces. Pure.

Only what is certain counts. A champion that needs a feature which the new data may or may not have is put to the test.
"""

from __future__ import annotations

from collections.abc import Mapping

from tfx_pedigree.versioning.description import ModelDescription, Signature, TensorSpec
from tfx_pedigree.versioning.interface import covers

# In this order TFMA looks for what to call, where nobody named a signature.
DEFAULTS = ("predict", "serving_default")


def why_not_comparable(
    champion: ModelDescription,
    challenger: ModelDescription,
    *,
    signature: str | None = None,
    champion_label: str | None = None,
    label: str | None = None,
) -> str | None:
    """A reason without a full stop, to stand behind "the champion cannot be compared"; None if nothing is certain."""
    if champion_label and label and champion_label != label:
        return f"it predicts '{champion_label}', and the examples are labelled with '{label}'"
    name = signature or next((one for one in DEFAULTS if one in challenger.signatures), None)
    if name is None or name not in challenger.signatures:
        return None
    if champion.is_opaque:
        return "it is no SavedModel"
    if name not in champion.signatures:
        return f"it has no signature '{name}'"
    old, new = champion.signatures[name], challenger.signatures[name]
    return _inputs(name, old, new) or _outputs(name, old, new)


def _inputs(signature: str, old: Signature, new: Signature) -> str | None:
    return _differing(f"signature '{signature}': its input", old.inputs, new.inputs)


def _outputs(signature: str, old: Signature, new: Signature) -> str | None:
    where = f"signature '{signature}': its output"
    if len(old.outputs) == len(new.outputs) == 1:
        # TFMA takes the only output for the prediction, whatever its name.
        (name, before), now = next(iter(old.outputs.items())), next(iter(new.outputs.values()))
        return _differing(where, {name: before}, {name: now})
    if missing := sorted(set(old.outputs) - set(new.outputs)):
        return f"{where} '{missing[0]}' is not among those of the new model"
    return _differing(where, old.outputs, new.outputs)


def _differing(where: str, old: Mapping[str, TensorSpec], new: Mapping[str, TensorSpec]) -> str | None:
    for name in old:
        if name in new and not _alike(old[name], new[name]):
            return f"{where} '{name}' is {old[name]}, and that of the new model is {new[name]}"
    return None


def _alike(old: TensorSpec, new: TensorSpec) -> bool:
    same_kind = (old.dtype, old.kind) == (new.dtype, new.kind)
    return same_kind and (covers(old.shape, new.shape) or covers(new.shape, old.shape))
