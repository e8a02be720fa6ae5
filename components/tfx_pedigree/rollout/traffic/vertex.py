"""A Vertex AI endpoint: each version is a deployed model of it, and the traffic split gives them whole percents.

Files go to a bucket, a model of Vertex's registry names them, and that is deployed without a share. The split, the
epoch and the last resort change together, and only as they were read (`etag`). Which operation deploys a version is a
label of its model, so that a controller that starts again goes on with it.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import ConflictError, NotFoundError, UnavailableError
from tfx_pedigree.rollout.traffic.api import (
    Capabilities,
    Convergence,
    Counters,
    Drained,
    Fence,
    FencedError,
    ManagerContext,
    Prepared,
    Readiness,
    Receipt,
    RouteState,
    ServedVersion,
    Share,
    Split,
    TrafficManager,
    Verification,
    WantedRoutes,
    check_change,
    check_retirement,
    not_ready,
    wrong_share,
)
from tfx_pedigree.rollout.traffic.bringing import brought
from tfx_pedigree.rollout.traffic.vertex_client import Operation, TakenError, VertexService, short_operation
from tfx_pedigree.rollout.traffic.vertex_endpoint import (
    EPOCH,
    FALLBACK,
    STEP,
    EndpointState,
    model_prefix,
    read_endpoint,
    title_of,
)
from tfx_pedigree.store.drivers import Driver
from tfx_pedigree.text import short_digest

CAPABILITIES = Capabilities(step=STEP, split=Split.RANDOM, fence=Fence.EPOCH, counters=False, lease=False, drain=False)
_DEPLOY = "pedigree-deploy"
_REQUIRED = ("project", "location", "endpoint", "image", "storage")
_OPTIONAL = (
    *("machine_type", "min_replicas", "max_replicas", "service_account"),
    *("port", "predict_route", "health_route", "address"),
)
_NAMES = {
    "project": r"[a-z0-9][a-z0-9:.-]{0,62}",
    "location": r"[a-z]+(-[a-z]+)+[0-9]+",
    "endpoint": r"[a-z0-9][a-z0-9-]{0,62}",
    "image": r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,510}",
    "storage": r"gs://[a-z0-9][a-z0-9._-]+(/[A-Za-z0-9._-]+)*",
    "machine_type": r"[a-z0-9-]{1,62}",
    "service_account": r"[A-Za-z0-9._@:-]{1,254}",
    "predict_route": r"/[A-Za-z0-9._:/-]*",
    "health_route": r"/[A-Za-z0-9._:/-]*",
    "address": r"http://(127\.0\.0\.1|localhost):[0-9]{1,5}|[A-Za-z0-9.-]+(:[0-9]{1,5})?",
}
Put = Callable[[Path, str], None]


@dataclass(frozen=True)
class VertexSettings:
    service: VertexService
    image: str
    storage: str
    machine_type: str
    replicas: tuple[int, int]
    service_account: str
    port: int | None
    predict_route: str
    health_route: str

    def model_id(self, digest: str) -> str:
        """Another endpoint, image or route is another model: a model's container cannot be changed."""
        rest = [self.service.name, self.image, self.storage, self.port, self.predict_route, self.health_route]
        return f"{model_prefix(digest)}{digest_of(canonical_json(rest)).removeprefix('sha256:')[:12]}"

    def files(self, version: ServedVersion) -> str:
        return f"{self.storage}/{version.sequence}-{version.digest[-16:]}"


def read_settings(settings: ConfigNode) -> VertexSettings:
    found = settings.fields((*_REQUIRED, *_OPTIONAL), required=_REQUIRED)
    text = {key: _text(found[key]) if key in found else "" for key in _NAMES}
    for key, pattern in _NAMES.items():
        if key in found and not re.fullmatch(pattern, text[key]):
            raise found[key].must_be(f"as Vertex AI writes it (no match for {pattern})")
    number = {key: found[key].whole() for key in ("min_replicas", "max_replicas", "port") if key in found}
    least = number.get("min_replicas", 1)
    most = number.get("max_replicas", least)
    if not 1 <= least <= most <= 1000:
        raise settings.wrong("must have 1 <= min_replicas <= max_replicas <= 1000.")
    if not 1 <= number.get("port", 8080) <= 65535:
        raise found["port"].must_be("a port from 1 to 65535")
    address = text["address"] or f"{text['location']}-aiplatform.googleapis.com"
    service = VertexService(text["project"], text["location"], text["endpoint"], address)
    return VertexSettings(
        service,
        text["image"],
        text["storage"],
        text["machine_type"] or "n1-standard-2",
        (least, most),
        text["service_account"],
        number.get("port"),
        text["predict_route"],
        text["health_route"],
    )


def _text(node: ConfigNode) -> str:
    """Ids that Vertex gives are numbers."""
    return str(node.value) if type(node.value) is int else node.text()


def open_vertex(settings: ConfigNode, context: ManagerContext) -> VertexTraffic:
    return VertexTraffic(read_settings(settings), context, put_folder)


def put_folder(folder: Path, url: str) -> None:
    """Again after a crash: the same names get the same bytes. Whole is what a model of Vertex's registry names."""
    driver = Driver(url, {})
    driver.attempt(lambda: driver.fs.put(f"{folder}/", f"{driver.root}/", recursive=True))


class VertexTraffic(TrafficManager):
    def __init__(self, settings: VertexSettings, context: ManagerContext, put: Put) -> None:
        self._settings = settings
        self._service = settings.service
        self._context = context
        self._put = put
        # What this process began. After a crash it is begun again, and Vertex refuses the second of the same id.
        self._uploads: dict[str, str] = {}
        self._undeploys: dict[str, str] = {}

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def prepare(self, version: ServedVersion) -> Prepared:
        state = self._read()
        if state.holding(version.digest):
            return Prepared(Readiness.READY)
        deployed = str(version.sequence)
        if any(one.id == deployed for one in state.deployed):
            raise ConflictError(
                f"{self._service.title} has another deployed model with the id {deployed}, which {version.version} "
                "would get. Undeploy it first: gcloud ai endpoints undeploy-model."
            )
        made = self._model(version)
        return made if isinstance(made, Prepared) else self._deploy(version, made)

    def observe(self) -> RouteState:
        return self._read().routes()

    def apply(self, wanted: WantedRoutes, *, epoch: int, expect: str | None = None) -> Receipt:
        state = self._read()
        check_change(self._context.model, state, epoch, expect)
        if wanted.mirror:
            raise ConflictError("Vertex AI cannot mirror requests.")
        ids = {share.digest: self._id(state, share.digest) for share in wanted.shares if self._takes(share, wanted)}
        percents = {ids[s.digest]: s.points // STEP for s in wanted.shares if s.points and s.digest != wanted.fallback}
        percents[ids[wanted.fallback]] = 100 - sum(percents.values())
        split = {one: percent for one, percent in percents.items() if percent}
        labels = {**state.labels, EPOCH: str(epoch), FALLBACK: ids[wanted.fallback]}
        etag = state.etag
        if (split, labels) != ({one: n for one, n in state.percents.items() if n}, state.labels):
            etag = self._change(state, split, labels)
        given = {digest: percents.get(one, 0) * STEP for digest, one in ids.items()}
        return Receipt(tuple(Share(s.digest, given.get(s.digest, 0)) for s in wanted.shares), etag)

    def verify(self, wanted: WantedRoutes) -> Verification:
        routes = self._read().routes()
        detail = wrong_share(routes, wanted, STEP)
        if detail is not None:
            return Verification(Convergence.DIVERGED, routes, detail)
        if routes.fallback != wanted.fallback:
            detail = f"The last resort that the endpoint's labels name is not {short_digest(wanted.fallback)}."
            return Verification(Convergence.DIVERGED, routes, detail)
        return Verification(Convergence.CONVERGED, routes)

    def drain(self, digest: str) -> Drained:
        """Vertex does not tell how many requests a deployed model still answers."""
        return Drained(None)

    def retire(self, digest: str) -> None:
        state = self._read()
        check_retirement(state.routes(), digest)
        found = [one.id for one in state.deployed if one.digest == digest]
        for one in found:
            self._undeploy(one)
        if not found:
            self._give_up(digest)

    def counters(self, digest: str) -> Counters | None:
        return None

    def _read(self) -> EndpointState:
        return read_endpoint(self._service.get_endpoint(), self._service.endpoint, self._service.title)

    def _takes(self, share: Share, wanted: WantedRoutes) -> bool:
        return share.points > 0 or share.digest == wanted.fallback

    def _id(self, state: EndpointState, digest: str) -> str:
        found = state.holding(digest)
        if found is None:
            raise not_ready(digest, None)
        return found.id

    def _change(self, state: EndpointState, split: dict[str, int], labels: dict[str, str]) -> str:
        try:
            found = self._service.update_endpoint(state.etag, split, labels)
        except ConflictError as error:
            # With which status an older etag is refused, Google does not say.
            if self._read().etag != state.etag:
                raise self._fenced() from error
            raise
        after = read_endpoint(found, self._service.endpoint, self._service.title)
        if {one: n for one, n in after.percents.items() if n} != split:
            raise UnavailableError(f"{self._service.title} is answered with another split than the one that was set.")
        return after.etag

    def _fenced(self) -> FencedError:
        return FencedError(f"The traffic of {self._context.model} was changed since it was observed.")

    def _model(self, version: ServedVersion) -> Any | Prepared:
        """The model in Vertex's registry, or how far it is."""
        name = self._settings.model_id(version.digest)
        going = self._operation(self._uploads, name)
        if going is not None and not going.done:
            return Prepared(Readiness.LOADING, "Vertex AI registers the model")
        found = self._service.get_model(name)
        if found is not None:
            self._check_model(found, version)
            return found
        if going is not None and going.error:
            return Prepared(Readiness.FAILED, f"Vertex AI does not take the model: {going.error}")
        bringing = brought(Path(name), lambda: self._bring(version))
        if bringing is not None:
            return bringing
        try:
            self._uploads[name] = self._service.upload_model(name, self._new_model(version))
        except TakenError as error:
            return Prepared(Readiness.LOADING, str(error))
        return Prepared(Readiness.LOADING, "Vertex AI registers the model")

    def _bring(self, version: ServedVersion) -> None:
        with tempfile.TemporaryDirectory() as draft:
            folder = Path(draft) / str(version.sequence)
            self._context.materialise(version, folder)
            self._put(folder, self._settings.files(version))

    def _check_model(self, found: Any, version: ServedVersion) -> None:
        expected = (title_of(version.digest), self._settings.files(version), self._settings.image)
        if (found.display_name, found.artifact_uri.rstrip("/"), found.container_spec.image_uri) != expected:
            raise ConflictError(
                f"The model {self._settings.model_id(version.digest)} in Vertex AI's registry is not what was made of "
                f"{version.version}. Delete it: gcloud ai models delete."
            )

    def _new_model(self, version: ServedVersion) -> Any:
        settings = self._settings
        container: dict[str, Any] = {"image_uri": settings.image}
        if settings.port:
            container["ports"] = [{"container_port": settings.port}]
        routes = {"predict_route": settings.predict_route, "health_route": settings.health_route}
        container |= {key: value for key, value in routes.items() if value}
        return self._service.types.Model(
            display_name=title_of(version.digest), artifact_uri=settings.files(version), container_spec=container
        )

    def _deploy(self, version: ServedVersion, model: Any) -> Prepared:
        noted = model.labels.get(_DEPLOY)
        if noted:
            going = self._service.operation(self._service.operation_name(noted))
            if not going.done:
                return Prepared(Readiness.LOADING, "Vertex AI deploys it")
            if going.error:
                return Prepared(Readiness.FAILED, going.error)
            if self._read().holding(version.digest):  # it ended since the first look
                return Prepared(Readiness.READY)
        least, most = self._settings.replicas
        deployed = self._service.types.DeployedModel(
            id=str(version.sequence),
            model=f"{self._service.parent}/models/{self._settings.model_id(version.digest)}",
            display_name=title_of(version.digest),
            service_account=self._settings.service_account,
            dedicated_resources={
                "machine_spec": {"machine_type": self._settings.machine_type},
                "min_replica_count": least,
                "max_replica_count": most,
            },
        )
        try:
            name = self._service.deploy(deployed)
        except TakenError as error:
            return Prepared(Readiness.LOADING, str(error))
        self._note(version.digest, model, {**model.labels, _DEPLOY: short_operation(name)})
        return Prepared(Readiness.LOADING, "Vertex AI deploys it")

    def _undeploy(self, deployed: str) -> None:
        going = self._operation(self._undeploys, deployed)
        if going is not None and going.error:
            raise UnavailableError(f"The deployed model {deployed} was not undeployed: {going.error}")
        if going is None or going.done:
            with contextlib.suppress(NotFoundError):  # a process before this one began it, and it is done
                self._undeploys[deployed] = self._service.undeploy(deployed)

    def _give_up(self, digest: str) -> None:
        """What is being deployed cannot be undeployed yet, and what failed may be tried again."""
        model = self._service.get_model(self._settings.model_id(digest))
        noted = model.labels.get(_DEPLOY) if model is not None else None
        if model is None or not noted:
            return
        if not self._service.operation(self._service.operation_name(noted)).done:
            raise UnavailableError(f"{short_digest(digest)} is still being deployed, and is undeployed after that.")
        self._note(digest, model, {key: value for key, value in model.labels.items() if key != _DEPLOY})

    def _note(self, digest: str, model: Any, labels: dict[str, str]) -> None:
        self._service.label_model(self._settings.model_id(digest), model.etag, labels)

    def _operation(self, begun: dict[str, str], key: str) -> Operation | None:
        """How far what this process began is; what has ended is forgotten."""
        name = begun.get(key)
        found = self._service.operation(name) if name else None
        if found is not None and found.done:
            del begun[key]
        return found
