"""The configuration of a load balancer for a target, and the files that it reads when it starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.rollout.targets import ServingTarget
from tfx_pedigree.rollout.traffic.api import WHOLE, ManagerContext
from tfx_pedigree.rollout.traffic.files import write_whole
from tfx_pedigree.rollout.traffic.routed import RouteOrder

if TYPE_CHECKING:
    from tfx_pedigree.rollout.traffic.tensorflow_serving import ServingSettings


_SERVING = """\
# TensorFlow Serving's model config file for {model}, from `pedigree rollout template tensorflow-serving`. Pedigree
# writes this model's entry and leaves all others as they are. Start the server so that it looks at this file again and
# again, and may start with labels:
#
#   tensorflow_model_server --rest_api_port={port} --model_config_file={config} \\
#     --model_config_file_poll_wait_seconds=5 --allow_version_labels_for_unavailable_models=true
#
# Clients ask {address}/v1/models/{serves_as}/labels/stable:predict. Without the label the server answers with the
# highest version that is loaded, which may be one that is still being prepared.
model_config_list {{
}}
"""
_VERTEX = """\
# Once, before the first `pedigree deploy {model}`. Machines are paid for from the first deployed version on.
gcloud services enable aiplatform.googleapis.com --project={project}
gcloud ai endpoints create --project={project} --region={location} --endpoint-id={endpoint} --display-name={model}
# The controller's account needs roles/aiplatform.user in {project} and roles/storage.objectUser on {bucket};
# Vertex AI's own agent, or `service_account`, needs roles/storage.objectViewer there.
"""


@dataclass(frozen=True)
class Template:
    """`begin` makes the missing files that the load balancer reads when it starts, and says what it made."""

    text: str
    begin: Callable[[], str | None]


def template_of(target: ServingTarget, environ: Mapping[str, str]) -> Template:
    make = _KINDS.get(target.kind)
    if make is None:
        raise InvalidInputError(
            f"{target.file}: the target {target.name} is of the kind {target.kind}, which has no configuration to "
            f"write. Kinds that have one: {', '.join(_KINDS)}."
        )
    return make(target.settings, ManagerContext(target.model, lambda version, folder: None, environ, lambda: 0.0))


def _haproxy(settings: ConfigNode, context: ManagerContext) -> Template:
    from tfx_pedigree.rollout.traffic.haproxy import MapEntries, read_settings  # noqa: PLC0415  only what is asked for
    from tfx_pedigree.rollout.traffic.haproxy_template import haproxy_template  # noqa: PLC0415

    read = read_settings(settings, context)

    def begin() -> str | None:
        if read.map.exists():
            return None
        write_whole(read.map, MapEntries.first(read.places.first.name).file())
        return f"{read.map}: everything goes to {read.places.first.name} until a controller comes."

    return Template(haproxy_template(read, _listen(settings)), begin)


def _envoy(settings: ConfigNode, context: ManagerContext) -> Template:
    from tfx_pedigree.rollout.traffic.envoy import LINK, kept_values, read_settings, write_kept  # noqa: PLC0415
    from tfx_pedigree.rollout.traffic.envoy_template import envoy_template  # noqa: PLC0415

    read = read_settings(settings, context)
    first, second = (place.name for place in read.places.both)

    def begin() -> str | None:
        if os.path.lexists(read.runtime / LINK):
            return None
        write_kept(read, kept_values(read.places, RouteOrder({first: WHOLE, second: 0}, first, 0), 0))
        return f"{read.runtime}: everything goes to {first} until a controller comes."

    return Template(envoy_template(read, _listen(settings)), begin)


def _serving(settings: ConfigNode, context: ManagerContext) -> Template:
    from tfx_pedigree.rollout.traffic.tensorflow_serving import read_settings  # noqa: PLC0415

    read = read_settings(settings, context)
    text = serving_template(read)

    def begin() -> str | None:
        if read.config.exists():
            return None
        write_whole(read.config, text.encode())
        return f"{read.config}: a list without models."

    return Template(text, begin)


def serving_template(settings: ServingSettings) -> str:
    return _SERVING.format(
        model=settings.model,
        serves_as=settings.serves_as,
        address=settings.address,
        port=settings.address.rpartition(":")[2],
        config=settings.config,
    )


def _vertex(settings: ConfigNode, context: ManagerContext) -> Template:
    from tfx_pedigree.rollout.traffic.vertex import read_settings  # noqa: PLC0415

    read = read_settings(settings)
    text = _VERTEX.format(
        model=context.model,
        project=read.service.project,
        location=read.service.location,
        endpoint=read.service.endpoint,
        bucket="/".join(read.storage.split("/")[:3]),
    )
    return Template(text, lambda: None)


def _listen(settings: ConfigNode) -> str:
    """host:port, and nothing that would end a line of a configuration."""
    node = settings.table().get("listen")
    if node is None:
        raise settings.wrong("lacks `listen`: where clients connect, as host:port.")
    host, _, port = node.text().rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536 or not host or not set(host) <= _HOST:
        raise node.must_be("where clients connect, as host:port, such as 0.0.0.0:8500")
    return node.text()


_HOST = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-*")
_KINDS: dict[str, Callable[[ConfigNode, ManagerContext], Template]] = {
    "envoy": _envoy,
    "haproxy": _haproxy,
    "tensorflow-serving": _serving,
    "vertex": _vertex,
}
