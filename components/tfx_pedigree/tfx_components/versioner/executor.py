"""From a Model artifact to a version in the registry and its record."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import Any

from absl import logging
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from tfx_pedigree.digest import is_digest
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.registry import Reference, Version, VersionQuestions, check_model_name
from tfx_pedigree.secrets import clean_values
from tfx_pedigree.service.versions.environment import environment
from tfx_pedigree.service.versions.reserving import find_champion, reserve_trained
from tfx_pedigree.service.versions.version_record import Making, flat_parameters
from tfx_pedigree.store import manifest_of
from tfx_pedigree.tfx_components import artifacts, files, parameters
from tfx_pedigree.tfx_components.modules import imported_digests
from tfx_pedigree.tfx_components.versioner import fingerprint
from tfx_pedigree.tfx_components.versioner.tracking import FROM_RUN, Tracked, read_tracked
from tfx_pedigree.versioning import Request
from tfx_pedigree.versioning.description import LABEL_KEY, Scalar
from tfx_pedigree.versioning.git_state import GitState

HYPERPARAMETERS = "hyperparameters"
TRAINING = "training"
GIT = "git"
MODULES = "modules"
MODULE_NAMES = "module_names"
IMAGE = "image"
VARIABLES = "variables"
BUMP = "bump"
PRE = "pre"
# Not `version`, which is the output.
VERSION_NUMBER = "version_number"
TEXTS = (
    HYPERPARAMETERS,
    TRAINING,
    GIT,
    LABEL_KEY,
    MODULES,
    MODULE_NAMES,
    IMAGE,
    VARIABLES,
    BUMP,
    PRE,
    VERSION_NUMBER,
    FROM_RUN,
)

# Reading the rows of larger splits would cost more than the rest of the component together.
LARGEST_SPLIT = 256 << 20

# Of the files that ExampleGen read, as it writes it on its artifact.
INPUT_FINGERPRINT = "input_fingerprint"

Artifacts = dict[str, list[Any]]


class Executor(base_executor.BaseExecutor):  # type: ignore[misc]
    def Do(  # noqa: N802  TFX's name
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        output = artifacts.single(output_dict, "version")
        name = check_model_name(parameters.text(exec_properties, parameters.MODEL_NAME))
        data = data_of(input_dict)
        tracked = read_tracked(input_dict, exec_properties)
        best = artifacts.optional_single(input_dict, "tuned_hyperparameters")
        making = Making(
            parameters=_hyperparameters(exec_properties, best, tracked),
            tracked_run=tracked.run.to_json() if tracked else None,
            training=parameters.table(exec_properties, TRAINING),
            data=data,
            code=_code(exec_properties),
            modules=modules_in(exec_properties),
            imported=imported_digests(parameters.table(exec_properties, MODULE_NAMES)),
            environment=environment(parameters.text(exec_properties, IMAGE), _variables(exec_properties)),
        )
        for module, digest in making.modules_as_built.items():
            logging.warning("%s was imported with other bytes than those (%s) of the pipeline's build.", module, digest)
        request = _request(exec_properties)
        folder = files.serving_folder(artifacts.single(input_dict, "model"))
        with parameters.open_workspace(exec_properties) as workspace, files.local_folder(folder) as local:
            registry = workspace.registry
            base = _base_model(registry, name, artifacts.optional_single(input_dict, "base_model"))
            making = replace(making, base_model=base)
            champion = _champion(registry, name, artifacts.optional_single(input_dict, "champion"))
            reserved = reserve_trained(
                registry, workspace.store_to_fill, name, local, making, request=request, champion=champion
            )
            if tracked is not None:
                tracked.tell(reserved.version, registry.url)
        files.write_json(output.uri, artifacts.MODEL_VERSION_FILE, reserved.record)
        artifacts.set_properties(output, **_properties(reserved.version))


def data_of(inputs: Artifacts) -> dict[str, Any]:
    """What the model was made from, with the digests under which others will find the same again."""
    found: dict[str, Any] = {}
    if inputs.get("examples"):
        found["examples"] = [_examples(one) for one in inputs["examples"]]
    schema = artifacts.optional_single(inputs, "schema")
    if schema is not None:
        found["schema"] = _schema(schema)
    transform = artifacts.optional_single(inputs, "transform_graph")
    if transform is not None:
        found["transform"] = _transform(transform)
    return found


def _examples(examples: Any) -> dict[str, Any]:
    splits = artifact_utils.decode_split_names(examples.split_names)
    return {
        "span": span_of(examples),
        "input_fingerprint": property_of(examples, INPUT_FINGERPRINT),
        "splits": {split: _split(examples, split) for split in splits},
    }


def span_of(examples: Any) -> str | None:
    """As ExampleGen counts it."""
    return property_of(examples, "span")


def property_of(artifact: Any, key: str) -> str | None:
    """As text: Kubeflow hands a number back as a float."""
    return parameters.text({key: artifact.get_custom_property(key)}, key) or None


def _split(examples: Any, split: str) -> dict[str, Any]:
    uri = artifact_utils.get_split_uri([examples], split)
    names = files.list_files(uri)
    size = sum(files.size_of(posixpath.join(uri, name)) for name in names)
    rows = None
    if size <= LARGEST_SPLIT:
        rows = fingerprint.fingerprint_rows(names, lambda name: files.open_binary(posixpath.join(uri, name)))
    return {"fingerprint": rows.fingerprint if rows else None, "rows": rows.count if rows else None, "bytes": size}


def _schema(schema: Any) -> dict[str, Any]:
    with files.local_folder(schema.uri) as folder:
        text = next(folder.glob("*.pbtxt")).read_text("utf-8")
        return {"digest": manifest_of(folder).digest, "structure": fingerprint.schema_structure(text)}


def _transform(transform: Any) -> dict[str, Any]:
    with files.local_folder(transform.uri) as folder:
        return {"digest": manifest_of(folder).digest, "structure": fingerprint.transform_structure(folder)}


def _champion(registry: VersionQuestions, name: str, model: Any | None) -> Version | None:
    """The one that this run evaluates against, else the one of this moment."""
    if model is None:
        return find_champion(registry, name)
    if artifacts.is_absent(model):
        return None
    return registry.get(Reference(name, model.get_string_custom_property(artifacts.DIGEST)))


def _base_model(registry: VersionQuestions, name: str, model: Any | None) -> dict[str, Any] | None:
    """What the training went on from; None also where a ChampionProvider says that there is no champion yet. `model`
    and `version` are named where it is a version of this registry."""
    if model is None or artifacts.is_absent(model):
        return None
    digest = files.digest_of_model(model)
    named = model.get_string_custom_property(artifacts.MODEL) or name
    try:
        version = registry.get(Reference(check_model_name(named), digest)).version
    except (NotFoundError, InvalidInputError):
        return {"digest": digest, "model": None, "version": None}
    return {"digest": digest, "model": named, "version": version}


def _tuned(best: Any | None) -> dict[str, Any]:
    """The values that a Tuner found best. KerasTuner writes them beside the space that it searched."""
    if best is None:
        return {}
    (name,) = files.list_files(best.uri)
    found = files.read_json(best.uri, name)
    values = found.get("values") if isinstance(found, dict) and "space" in found else found
    if not isinstance(values, dict):
        raise InvalidInputError(
            f"The hyperparameters in {best.uri} are no table of names and values. Connect the Tuner's output "
            "`best_hyperparameters`."
        )
    return values


def _hyperparameters(properties: dict[str, Any], best: Any | None, tracked: Tracked | None) -> dict[str, Scalar]:
    """What the run of a tracker says comes last: a tracker is a witness, and not always there."""
    given = {**parameters.table(properties, HYPERPARAMETERS), **_tuned(best)}
    found = {**(tracked.run.parameters if tracked else {}), **flat_parameters(clean_values(given))}
    label = parameters.text(properties, LABEL_KEY)
    return {**found, LABEL_KEY: label} if label else found


def _code(properties: dict[str, Any]) -> dict[str, Any] | None:
    state = parameters.structure(properties, GIT)
    return GitState.from_json(state, "the git state").to_json() if state else None


def modules_in(properties: dict[str, Any]) -> dict[str, str]:
    """Names of module files and the digests of what is in them."""
    found = parameters.table(properties, MODULES)
    for name, digest in found.items():
        if not isinstance(digest, str) or not is_digest(digest):
            raise InvalidInputError(
                f"The parameter `{MODULES}` gives {name} as {digest!r}, but it must give the digest of the file: "
                "'sha256:' and 64 hexadecimal digits."
            )
    return found


def _variables(properties: dict[str, Any]) -> tuple[str, ...]:
    found = parameters.structure(properties, VARIABLES, [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise InvalidInputError(f'The parameter `{VARIABLES}` must be a JSON list of names, such as ["TZ"].')
    return tuple(found)


def _request(properties: dict[str, Any]) -> Request:
    return Request.of(*(parameters.text(properties, key) or None for key in (BUMP, PRE, VERSION_NUMBER)))


def _properties(version: Version) -> dict[str, str | int | None]:
    return {
        artifacts.MODEL: version.model,
        artifacts.VERSION: version.version,
        artifacts.SEQUENCE: version.sequence,
        artifacts.DIGEST: version.digest,
        artifacts.BUMP: version.bump,
    }
