"""Every route that is no operation of the table (pages, forms, twins, bytes, metrics, MLflow's protocol) × every role ×
one's own model and another. A route that is not in the list here fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Route
from test_role_matrix import OTHER, OWN, PEOPLE, Person

from pedigree_testing import candidate
from server_testing import Switch
from tfx_pedigree.errors import UnauthenticatedError
from tfx_pedigree.registry import Candidate, Identity, Registry, Role
from tfx_pedigree.server import Server, ServerSettings, application
from tfx_pedigree.server.pages.deeds import DEEDS
from tfx_pedigree.wire import PREFIX

OPEN = {"/healthz", "/readyz", "/api", "/api/v1/openapi.json", "/", "/favicon.ico", "/static/{tag}/{name}"}
OF_REGISTRY = {"/metrics", "/models", "/approvals", "/rollouts", "/audit", "/lineage", "/lineage/impact"}
OF_REGISTRY |= {"/lineage/picture", "/events/{position:int}"}
# Bytes that belong to no version yet; a version itself is put where it is read.
NEW_BYTES = {"/api/v1/store/objects", "/api/v1/store/objects/{sha256}", "/api/v1/store/resembling/{hint}"}
# What a form on a page does, and who may.
LEAST = {
    "promote": Role.RELEASER,
    "stage": Role.REVIEWER,
    "request": Role.CONTRIBUTOR,
    "archive": Role.RELEASER,  # of the champion
    "restore": Role.REVIEWER,
    "alias": Role.REVIEWER,
    "tag": Role.CONTRIBUTOR,
    "describe": Role.CONTRIBUTOR,
    "bring-back": Role.RELEASER,
    "rollback": Role.RELEASER,
}
OTHER_FORMS = {"describe": Role.CONTRIBUTOR, "{ask}": Role.RELEASER, "{word}": Role.REVIEWER}
FORM = {"seen": "999999", "idempotency": "0" * 32, "reason": "so", "alias": "canary", "description": "words"}
MLFLOW = "/api/2.0/mlflow"


class Named:
    """The header says which of the people it is."""

    def identify(self, request: HTTPConnection) -> Identity:
        if "x-who" not in request.headers:
            raise UnauthenticatedError("Nobody is known.")
        return PEOPLE[request.headers["x-who"]].identity


@dataclass(frozen=True)
class Site:
    client: httpx.Client
    app: Starlette
    digests: dict[str, str]
    sha256: dict[str, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, switch: Switch) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("routes")
    with Registry.create(folder / "registry", actor="admin") as registry:
        digests, sha256 = {}, {}
        for model in (OWN, OTHER):
            (folder / model).mkdir()
            (folder / model / "weights").write_bytes(model.encode())
            manifest = registry.store.put(folder / model)
            digests[model], sha256[model] = manifest.digest, manifest.files[0].sha256
            registry.add(model, Candidate(manifest.digest, candidate("a").description))
            registry.add(model, candidate("b"))
            registry.promote(f"{model}@1")
        registry.revoke("*")
        for role in Role:
            registry.grant(f"{role}-of-own", role, OWN)
            registry.grant(f"{role}", role)
        registry.grant("group:team", Role.RELEASER, OWN)
    served = Registry.open(folder / "registry", actor="server")
    app = application(Server(ServerSettings(str(folder)), served, Named()))
    with switch.serving(app) as at, httpx.Client(base_url=at) as client:
        yield Site(client, app, digests, sha256)


def routes(app: Starlette) -> Iterator[tuple[str, str]]:
    for route in app.routes:
        assert isinstance(route, Route | Mount)
        for method in sorted((getattr(route, "methods", None) or {"MOUNT"}) - {"HEAD"}):
            yield method, route.path


def filled(site: Site, path: str, model: str) -> str:
    names = {"model": model, "version": "1.0.0", "pair": "1.0.0...1.0.1", "position:int": "1", "number:int": "1"}
    names |= {"document": "card.md", "ask": "abort", "word": "approve", "hint": f"1-{'0' * 32}"}
    names |= {"digest": site.digests[model], "sha256": site.sha256[model]}
    query = f"?of={model}@1.0.0" if path.startswith("/lineage") else ""
    for name, text in names.items():
        path = path.replace(f"{{{name}}}", text)
    return path + query


def asked(site: Site, method: str, path: str, who: str | None, **more: Any) -> httpx.Response:
    headers = {"x-who": who} if who else {}
    answer = site.client.request(method, path, headers=headers, follow_redirects=method == "GET", **more)
    assert answer.status_code < 500, (path, answer.text)
    return answer


def wrong(site: Site, method: str, path: str, least: Role, **more: Any) -> list[str]:
    """Who is refused and may, or may not and is let in. A form may be refused for what is wrong with it first."""
    found = []
    of_registry = path.removesuffix(".json") in OF_REGISTRY
    for name, person in PEOPLE.items():
        for model in (OWN, OTHER) if "{model}" in path or "{digest}" in path else (OWN,):
            answer = asked(site, method, filled(site, path, model), name, **more)
            refused = answer.status_code == 403
            if (
                refused
                if may(person, model, least, of_registry)
                else not (refused or (method == "POST" and answer.is_error))
            ):
                found.append(f"{method} {path}: {name} on {model}: {answer.status_code}")
    answer = asked(site, method, filled(site, path, OWN), None, **more)
    return (
        found if answer.status_code == 401 else [*found, f"{method} {path}: {answer.status_code} without a credential"]
    )


def may(person: Person, model: str, least: Role, of_registry: bool) -> bool:
    role = person.everywhere if of_registry else person.own if model == OWN else person.other
    return role is not None and role >= least


def test_who_may_look_and_who_may_not(site: Site) -> None:
    found = []
    for method, path in routes(site.app):
        if path in OPEN:
            assert asked(site, method, path.replace("{tag}/{name}", "x/pedigree.css"), None).status_code < 500
        elif method == "GET" and path not in NEW_BYTES and not path.endswith(("/{action}", "/{ask}", "/{word}")):
            assert path.removesuffix(".json") in OF_REGISTRY or "{model}" in path or "{digest}" in path, path
            found += wrong(site, method, path, Role.VIEWER)
    assert found == []


def test_who_may_send_a_form_and_who_may_not(site: Site) -> None:
    found = []
    for method, path in routes(site.app):
        if method != "POST" or path in NEW_BYTES:
            continue
        if "{action}" in path:
            on_model = "{version}" not in path
            for action in (one for one in LEAST if (one == "rollback") is on_model):
                found += wrong(site, method, path.replace("{action}", action), LEAST[action], data=FORM)
        else:
            least = OTHER_FORMS[path.rpartition("/")[2]]
            found += wrong(site, method, path, least, data=FORM)
    assert found == []
    assert set(LEAST) == set(DEEDS)


def test_who_may_bring_bytes_and_who_may_not(site: Site) -> None:
    """A role on any model is enough to add bytes: a version of them is another question."""
    for method, path in routes(site.app):
        if method != "PUT" and path not in NEW_BYTES:
            continue
        for name, person in PEOPLE.items():
            answer = asked(site, method, filled(site, path, OWN), name, content=b"x")
            least = max(person.own or 0, person.everywhere or 0, person.other or 0)
            assert (answer.status_code == 403) is (least < Role.CONTRIBUTOR), (name, answer.text)


@pytest.mark.parametrize(
    ("method", "path", "least", "said"),
    [
        ("GET", "registered-models/get?name={model}", Role.VIEWER, None),
        ("GET", "model-versions/get?name={model}&version=1", Role.VIEWER, None),
        ("GET", "model-versions/get-download-uri?name={model}&version=1", Role.VIEWER, None),
        ("GET", "registered-models/alias?name={model}&alias=champion", Role.VIEWER, None),
        ("POST", "registered-models/alias", Role.REVIEWER, {"alias": "probe", "version": "1"}),
        ("POST", "registered-models/alias", Role.RELEASER, {"alias": "champion", "version": "1"}),
        ("DELETE", "registered-models/alias", Role.REVIEWER, {"alias": "probe"}),
        ("POST", "model-versions/set-tag", Role.CONTRIBUTOR, {"version": "1", "key": "a", "value": "b"}),
        ("PATCH", "registered-models/update", Role.CONTRIBUTOR, {"description": "words"}),
    ],
)
def test_mlflows_protocol_asks_for_the_same_roles(
    site: Site, method: str, path: str, least: Role, said: dict[str, str] | None
) -> None:
    for name, person in PEOPLE.items():
        for model in (OWN, OTHER):
            more = {"json": {"name": model, **said}} if said else {}
            if said and "description" in said:  # what stands there already is nobody's change
                more["json"]["description"] += f" of {name}"
            answer = asked(site, method, f"{MLFLOW}/{path.replace('{model}', model)}", name, **more)
            assert (answer.status_code == 403) is not may(person, model, least, False), (name, model, answer.text)
    assert asked(site, method, f"{MLFLOW}/{path.replace('{model}', OWN)}", None, json=said or {}).status_code == 401


def test_nothing_else_is_served(site: Site) -> None:
    """What is mounted is the table of operations and MLflow's protocol, each with a test of its own."""
    assert {path for method, path in routes(site.app) if method == "MOUNT"} == {PREFIX, "/api/2.0", "/api/3.0/mlflow"}
