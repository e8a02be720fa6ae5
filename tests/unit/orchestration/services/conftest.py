"""Kubeflow and Vertex on loopback, and `pedigree` with a config that names one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking_testing import Asking
from cli_testing import Pedigree
from kubeflow_testing import Kubeflow, KubeflowServer
from vertex_testing import Vertex, VertexServer, write_identity


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a test is given, and nothing of whoever runs it."""
    for name in ("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("PEDIGREE_KUBEFLOW_TOKEN", raising=False)
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0.3")


@pytest.fixture
def kubeflow() -> Kubeflow:
    return Kubeflow()


@pytest.fixture
def kubeflow_server(kubeflow: Kubeflow) -> Iterator[KubeflowServer]:
    with KubeflowServer(kubeflow) as server:
        yield server


@pytest.fixture(scope="session")
def vertex_listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VertexServer, dict[str, str]]]:
    """A server, and the environment in which Google's client trusts it and has credentials of its own."""
    folder = tmp_path_factory.mktemp("vertex")
    server = VertexServer(*write_identity(folder))
    environment = {
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(folder / "roots.pem"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "account.json"),
    }
    # gRPC reads its roots once in a process.
    os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = environment["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]
    yield server, environment
    del os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]
    server.stop()


@pytest.fixture
def vertex_server(
    vertex_listening: tuple[VertexServer, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> VertexServer:
    server, environment = vertex_listening
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    server.service = Vertex()
    return server


@pytest.fixture
def ask_kubeflow(kubeflow_server: KubeflowServer, tmp_path: Path) -> Asking:
    return Asking(Pedigree(tmp_path / "registry"), tmp_path, "kubeflow", {"host": kubeflow_server.url})


@pytest.fixture
def ask_vertex(vertex_server: VertexServer, tmp_path: Path) -> Asking:
    service = {"endpoint": vertex_server.endpoint, "project": "flights", "location": "europe-west4"}
    return Asking(Pedigree(tmp_path / "registry"), tmp_path, "vertex", service)
