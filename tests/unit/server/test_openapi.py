"""What the server says of its API is true, and what was released stays."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from pedigree_testing import candidate
from server_testing import Switch
from tfx_pedigree.json_form.schema import Schemas
from tfx_pedigree.registry import Registry
from tfx_pedigree.server.openapi import document, page
from tfx_pedigree.wire import OPERATIONS, PREFIX

RELEASED = Path(__file__).parent / "goldens" / "released_routes.txt"


def test_it_is_a_valid_document() -> None:
    validate(document())


def test_every_operation_is_in_it_with_its_role_and_a_name_of_its_own() -> None:
    paths = document()["paths"]
    for operation in OPERATIONS:
        told = paths[PREFIX + operation.path][operation.method.lower()]
        assert told["x-least-role"] == str(operation.role)
        assert told["summary"]
    names = [told["operationId"] for ways in paths.values() for told in ways.values()]
    assert len(names) == len(set(names))


def routes() -> set[str]:
    """Each with its parameters: one that is needed stands there with a `!`."""
    found = set()
    for path, ways in document()["paths"].items():
        for method, told in ways.items():
            body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            names = [f"{one['name']}{'!' if one['required'] else ''}" for one in told["parameters"]]
            names += [f"{name}{'!' if name in body.get('required', ()) else ''}" for name in body.get("properties", ())]
            found.add(f"{method.upper()} {path} {' '.join(sorted(names))}".rstrip())
    return found


def test_released_routes_only_grow() -> None:
    """A route may be added, and a parameter that nobody has to give. PEDIGREE_UPDATE_GOLDENS=1 adds the new ones."""
    now = {line.rsplit(" /", 1)[0] + " /" + line.rsplit(" /", 1)[1].split(" ")[0]: line for line in routes()}
    if os.environ.get("PEDIGREE_UPDATE_GOLDENS"):
        RELEASED.write_text("\n".join(sorted(now.values())) + "\n")
    for released in RELEASED.read_text().splitlines():
        method, path, *names = released.split(" ")
        assert f"{method} {path}" in now, f"{method} {path} was released, and is gone"
        present = set(now[f"{method} {path}"].split(" ")[2:])
        gone = {name for name in names if name not in present and name.rstrip("!") not in present}
        assert not gone, f"{method} {path} has lost {gone}"
        demanded = {name for name in present if name.endswith("!")} - set(names)
        assert not demanded, f"{method} {path} demands {demanded}, which nobody gave before"


@pytest.fixture
def api(registry: Registry, switch: Switch) -> Iterator[httpx.Client]:
    registry.add("flight-delay", candidate("a", rate=0.1))
    ada = {"authorization": "Bearer ada"}
    with switch.registry(registry, "registry") as at, httpx.Client(base_url=at, headers=ada) as client:
        yield client


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_answers_are_as_the_document_says(api: httpx.Client) -> None:
    from jsonschema import Draft202012Validator

    told = document()
    for path, example in {
        "/api/v1/models": "/api/v1/models",
        "/api/v1/models/{name}": "/api/v1/models/flight-delay",
        "/api/v1/models/{model}/versions/{selector}": "/api/v1/models/flight-delay/versions/latest",
        "/api/v1/models/{model}/versions": "/api/v1/models/flight-delay/versions",
        "/api/v1/history": "/api/v1/history?model=flight-delay",
        "/api/v1/roles": "/api/v1/roles",
        "/api/v1/audit/anchor": "/api/v1/audit/anchor",
        "/api/v1/lineage/explain": "/api/v1/lineage/explain?version=flight-delay@latest",
        "/api/v1/lineage/upstream": "/api/v1/lineage/upstream?node=flight-delay@latest",
    }.items():
        responses = told["paths"][path]["get"]["responses"]
        schema = responses["200"]["content"]["application/json"]["schema"]
        whole: dict[str, Any] = {**schema, "components": told["components"]}
        answer = api.get(example)
        Draft202012Validator(whole).validate(answer.json())
        unchanged = api.get(example, headers={"if-none-match": answer.headers["etag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert "content" not in responses["304"]


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_the_page_is_for_everybody_and_loads_nothing(api: httpx.Client) -> None:
    answer = api.get("/api", headers={"authorization": ""})
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "src=" not in answer.text
    assert all(f"{PREFIX}{operation.path}" in answer.text for operation in OPERATIONS)
    assert json.loads(api.get(f"{PREFIX}/openapi.json").content) == json.loads(json.dumps(document()))
    assert page() == answer.text


def test_a_record_may_hold_itself_and_is_described_once() -> None:
    schemas = Schemas("#/x/")
    first = schemas.of(OPERATIONS[3].result)
    assert first == schemas.of(OPERATIONS[3].result)
    assert len(schemas.records) == len(set(schemas.records))
