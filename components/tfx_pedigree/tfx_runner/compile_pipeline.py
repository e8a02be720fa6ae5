"""Compiles the pipeline that a config names, in a process of its own: what `pedigree pipeline compile` starts.

Reads an order with `images` and `result`, and writes to the file `result` what TFX's compiler made of the pipeline, and
what only this process can know: the defaults of runtime parameters, which the compiler drops, and the artifact types
that cannot be imported. Ends with the exit code of docs/cli.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.service.versions.environment import IMAGE_VARIABLE
from tfx_pedigree.text import did_you_mean, listed
from tfx_pedigree.tfx_runner.local_run import quiet
from tfx_pedigree.tfx_runner.order import Order, carry_out, function, refusal_in

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


def main() -> int:
    return carry_out(_compile)


def _compile(order: Order) -> None:
    try:
        with quiet(Path(order["log"])):  # TensorFlow and pip write wherever they like
            found = compiled(order)
    except (Exception, SystemExit) as error:
        if refusal_in(error) is not None:
            raise
        # Of anything else, whose it is and of which kind.
        raise InvalidInputError(f"{order['create']} could not be compiled: {type(error).__name__}: {error}") from error
    Path(order["result"]).write_text(json.dumps(found), "utf-8")


def compiled(order: Mapping[str, Any]) -> dict[str, Any]:
    """`job` is a PipelineJob with schema 2.1, for both services: with the older one, TFX's executor does not read what
    its driver has found."""
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (  # noqa: PLC0415  belongs where the noise goes
        KubeflowV2DagRunner,
        KubeflowV2DagRunnerConfig,
    )

    with _image_told(order["images"]):
        pipeline = _made(order["create"], order["settings"])
    images = _images(order["images"], [node.id for node in pipeline.components])
    config = KubeflowV2DagRunnerConfig(default_image=images, use_pipeline_spec_2_1=True)
    job = KubeflowV2DagRunner(config).run(pipeline, write_out=False)
    return {"job": job, "defaults": _defaults(pipeline), "unimportable": sorted(_unimportable(pipeline))}


@contextlib.contextmanager
def _image_told(images: Mapping[str, str]) -> Iterator[None]:
    """Where `add_pedigree` looks for it: no container can tell which image it is."""
    before = os.environ.get(IMAGE_VARIABLE)
    os.environ[IMAGE_VARIABLE] = images.get("Versioner") or images.get("default") or ""
    try:
        yield
    finally:
        os.environ.pop(IMAGE_VARIABLE)
        if before is not None:
            os.environ[IMAGE_VARIABLE] = before


def _made(create: str, settings: dict[str, Any]) -> Any:
    from tfx.orchestration.pipeline import Pipeline  # noqa: PLC0415

    found = function(create)(settings)
    if not isinstance(found, Pipeline):
        what = "nothing" if found is None else f"a {type(found).__name__}"
        raise InvalidInputError(f"{create} returns {what}, but it must return a pipeline of TFX (tfx.dsl.Pipeline).")
    name = found.pipeline_info.pipeline_name
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{create} names its pipeline {name!r}, which neither service takes. Give it small letters, digits and "
            "dashes, beginning with a letter or digit, 128 at the most."
        )
    return found


def _images(images: Mapping[str, str], tasks: Sequence[str]) -> dict[str, str]:
    from tfx.orchestration.kubeflow.v2 import pipeline_builder  # noqa: PLC0415

    for key in images:
        if key not in (*tasks, "default"):
            hint = did_you_mean(key, tasks, f"It has {listed(tasks)}.")
            raise InvalidInputError(f"`target.image` names the task `{key}`, which the pipeline does not have. {hint}")
    return {pipeline_builder.DEFAULT_IMAGE_PATH_KEY if key == "default" else key: one for key, one in images.items()}


def _defaults(pipeline: Any) -> dict[str, Any]:
    from tfx.orchestration.data_types import RuntimeParameter  # noqa: PLC0415

    found: dict[str, Any] = {}
    values = [value for node in pipeline.components for value in node.exec_properties.values()]
    for one in values:
        if not isinstance(one, RuntimeParameter) or one.default is None:
            continue
        if found.setdefault(one.name, one.default) != one.default:
            raise InvalidInputError(
                f"The runtime parameter `{one.name}` has two defaults, {found[one.name]!r} and {one.default!r}. "
                "Make it once and hand it to both components."
            )
    return found


def _unimportable(pipeline: Any) -> Iterator[str]:
    """Types that a container could not make again: it imports them by their TYPE_NAME."""
    from tfx.orchestration.kubeflow.v2 import compiler_utils  # noqa: PLC0415
    from tfx.utils import import_utils  # noqa: PLC0415

    for node in pipeline.components:
        for channel in (*node.inputs.values(), *node.outputs.values()):
            name = channel.type.TYPE_NAME
            if f"tfx.{channel.type.__name__}" in compiler_utils.TITLE_TO_CLASS_PATH:
                continue
            try:
                same = import_utils.import_class_by_path(name) is channel.type
            except (ImportError, AttributeError, ValueError):
                same = False
            if not same:
                yield name


if __name__ == "__main__":
    sys.exit(main())
