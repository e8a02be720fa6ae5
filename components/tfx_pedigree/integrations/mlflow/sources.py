"""Where MLflow says that a version's bytes are."""

from __future__ import annotations

import re

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Reference
from tfx_pedigree.text import plain

_MODELS = re.compile(r"models:/{1,3}([^/@\s]{1,63})(?:/([0-9]{1,9})|@([a-z][a-z0-9-]{0,62}))")
_BELOW = re.compile(r"/([^/\s]{1,63})/([0-9]{1,9})/?")


def version_named(source: str, here: str) -> Reference:
    """The version of this registry that `source` means, by its name or by its address below `here`."""
    match = _MODELS.fullmatch(source) or (
        _BELOW.fullmatch(source.removeprefix(here)) if source.startswith(here) else None
    )
    if match is None:
        raise InvalidInputError(
            f"The source {plain(source, 100)!r} is not a version of this registry (models:/NAME/VERSION), and the "
            "server fetches nothing from elsewhere. Register the model's files: `pedigree register MODEL FOLDER`."
        )
    model, *selectors = match.groups()
    return Reference.parse(f"{model}@{next(filter(None, selectors))}")
