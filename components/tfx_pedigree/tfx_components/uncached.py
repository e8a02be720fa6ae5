"""Components that ask or tell a registry. Their answer depends on the moment, so it never comes out of a cache."""

from __future__ import annotations

import uuid
from typing import Any

from tfx.dsl.components.base import base_component

from tfx_pedigree.tfx_components import parameters


class UncachedComponent(base_component.BaseComponent):  # type: ignore[misc]
    """TFX switches caching for whole pipelines only, so what changes is a part of the key.

    `asked` is new each time that a pipeline is compiled, which the local runner does for each run. A pipeline that is
    compiled once and runs often has `run`, where Kubeflow and Vertex put the id of each run.
    """

    @property
    def exec_properties(self) -> dict[str, Any]:
        return {**super().exec_properties, parameters.ASKED: uuid.uuid4().hex}
