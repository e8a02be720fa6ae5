"""version.json (`pedigree.model-version/1`), as docs/components.md describes it.

It holds no time but the version's own, so that a repeated run writes the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tfx_pedigree.comparison import Earlier, Past, earlier_to_json
from tfx_pedigree.digest import plain_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Version
from tfx_pedigree.secrets import clean_text, clean_values
from tfx_pedigree.versioning import ModelDescription
from tfx_pedigree.versioning.description import Scalar

FORMAT = "pedigree.model-version/1"
# Tags of a registered version.
SPAN = "span"
DATA = "data"
COMMIT = "commit"
DIRTY = "+dirty"


@dataclass(frozen=True)
class Making:
    """How the version was made, what stood in production then, and what was decided about the model before. `modules`
    are as the pipeline was built, `imported` those of them that the run is known to have imported."""

    champion: Mapping[str, Any] | None = None
    past: Past = field(default_factory=Past)
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    base_model: Mapping[str, Any] | None = None
    tracked_run: Mapping[str, Any] | None = None
    code: Mapping[str, Any] | None = None
    modules: Mapping[str, str] = field(default_factory=dict)
    imported: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def modules_as_built(self) -> dict[str, str]:
        """Those of which the run imported something else."""
        return {name: digest for name, digest in self.modules.items() if self.imported.get(name, digest) != digest}

    def without_secrets(self) -> Making:
        """What people put into a pipeline may hold one. The parameters were cleaned before the registry got them."""
        variables = {key: clean_values(self.environment.get(key) or {}) for key in ("variables", "variables_set_later")}
        image = clean_text(self.environment.get("image") or "") or None
        return replace(
            self,
            training=clean_values(self.training),
            code=clean_values(self.code) if self.code else None,
            environment={**self.environment, **variables, "image": image},
        )


def record_of(version: Version, description: ModelDescription, making: Making) -> dict[str, Any]:
    making = making.without_secrets()
    found: dict[str, Any] = plain_json(
        {
            "format": FORMAT,
            "model": version.model,
            "version": version.version,
            "sequence": version.sequence,
            "digest": version.digest,
            "timestamp_tag": version.timestamp_tag,
            "bump": version.bump,
            "reasons": version.reasons,
            "predecessor": version.predecessor,
            "size": version.size,
            "files": version.files,
            "description_digest": version.description_digest,
            "description": description.to_json(),
            "champion": making.champion,
            "past": making.past.to_json(),
            "parameters": making.parameters,
            "training": making.training,
            "data": making.data,
            "base_model": making.base_model,
            "tracked_run": making.tracked_run,
            "code": making.code,
            "modules": {name: making.imported.get(name, digest) for name, digest in making.modules.items()},
            "modules_as_built": making.modules_as_built,
            "environment": making.environment,
        }
    )
    return found


def champion_record(
    version: Version, description: ModelDescription, judged_on: Earlier | None = None
) -> dict[str, Any]:
    """What a comparison needs to know of the champion: the fields of its own version.json that the registry keeps, and
    the slices that it was judged on."""
    tags = version.tags
    code = (
        {"commit": tags[COMMIT].removesuffix(DIRTY), "dirty": tags[COMMIT].endswith(DIRTY)} if COMMIT in tags else None
    )
    train = {"fingerprint": tags.get(DATA)}
    examples = [{"span": tags.get(SPAN), "splits": {"train": train}}] if SPAN in tags or DATA in tags else []
    return {
        "version": version.version,
        "digest": version.digest,
        "size": version.size,
        "parameters": dict(version.parameters),
        "description": description.to_json(),
        "data": {"examples": examples},
        "code": code,
        "slices": earlier_to_json(judged_on or {}),
    }


def tags_of(record: Mapping[str, Any]) -> dict[str, str]:
    """What the registry keeps of a record beside the description: enough to search by, and for `champion_record`."""
    data, code = record.get("data") or {}, record.get("code") or {}
    examples = data.get("examples") or ()
    prints = [one["splits"]["train"]["fingerprint"] for one in examples if "train" in one.get("splits", {})]
    commit = code.get("commit") or ""
    tags = {
        SPAN: ",".join(dict.fromkeys(one["span"] for one in examples if one.get("span"))),
        DATA: prints[0] if len(prints) == 1 else "",
        COMMIT: commit + DIRTY if commit and code.get("dirty") else commit,
    }
    return {key: text for key, text in tags.items() if text}


def check_record(data: Any, source: str = "version.json", model: str | None = None) -> dict[str, Any]:
    """What a later component relies on is there, and the version is one of `model`."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InvalidInputError(f"{source} is no record of a version: its `format` must be {FORMAT!r}.")
    if missing := [name for name in ("model", "version", "digest", "champion") if name not in data]:
        raise InvalidInputError(f"{source} lacks {', '.join(missing)}. Run the Versioner again.")
    if model is not None and data["model"] != model:
        raise InvalidInputError(
            f"The version {data['version']} is one of {data['model']}, but model_name is {model}. "
            "Give both the same name."
        )
    return data


def flat_parameters(values: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Hyperparameters as a model description can hold them: nested names joined by dots, lists as JSON."""
    found: dict[str, Scalar] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat_parameters(value, f"{name}.")
        elif isinstance(value, list | tuple):
            found[name] = json.dumps(plain_json(value), sort_keys=True)
        else:
            found[name] = plain_json(value)
    return found
