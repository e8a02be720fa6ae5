"""From the registry's answer to a Model artifact."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio

from tfx_pedigree.errors import DamagedError, NotFoundError
from tfx_pedigree.registry import Action, Version, check_model_name
from tfx_pedigree.service.runs.permissions import check_permissions
from tfx_pedigree.service.versions.reserving import find_champion
from tfx_pedigree.store import Store
from tfx_pedigree.tfx_components import artifacts, files, parameters
from tfx_pedigree.versioning.compare import label_of
from tfx_pedigree.versioning.description import LABEL_KEY

NEEDS = "needs"


class Executor(base_executor.BaseExecutor):  # type: ignore[misc]
    def Do(  # noqa: N802  TFX's name
        self, input_dict: dict[str, list[Any]], output_dict: dict[str, list[Any]], exec_properties: dict[str, Any]
    ) -> None:
        output = artifacts.single(output_dict, "model")
        name = check_model_name(parameters.text(exec_properties, parameters.MODEL_NAME))
        needs = [Action(one) for one in parameters.structure(exec_properties, NEEDS, [])]
        with parameters.open_workspace(exec_properties) as workspace:
            check_permissions(workspace.registry, name, needs)
            champion = find_champion(workspace.registry, name)
            if champion is not None:
                lay_out_champion(workspace.store, champion, output.uri)
        fileio.makedirs(output.uri)
        artifacts.set_properties(output, **properties_of(name, champion))


def lay_out_champion(store: Store, champion: Version, uri: str) -> None:
    try:
        files.lay_out(store, champion.digest, files.champion_folder(uri))
    except (DamagedError, NotFoundError) as error:
        raise DamagedError(
            f"{champion.name} is the champion, but its bytes cannot be used: {error} Nothing was changed, and nothing "
            "can be compared with it until they are whole. Store the same model again with "
            f"`pedigree register {champion.model} FOLDER`, or roll back with "
            f"`pedigree rollback {champion.model} --reason WHY`."
        ) from error


def properties_of(model: str, champion: Version | None) -> dict[str, str | int | None]:
    if champion is None:
        return {artifacts.MODEL: model, artifacts.ABSENT: 1}
    return {
        artifacts.MODEL: model,
        artifacts.ABSENT: 0,
        artifacts.VERSION: champion.version,
        artifacts.DIGEST: champion.digest,
        artifacts.SEQUENCE: champion.sequence,
        LABEL_KEY: label_of(champion.parameters),
    }
