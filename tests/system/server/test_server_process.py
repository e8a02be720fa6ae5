"""`pedigree server` as a process: with TLS, from its first word to a graceful end."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_testing import Pedigree

from pedigree_testing import candidate
from tfx_pedigree import connect
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.registry import Registry
from tls_testing import server_process, write_certificate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a registry, and a certificate."""
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        registry.add("flight-delay", candidate("a"))
    write_certificate(tmp_path)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with server_process(folder, "--as", "ada") as found:
        yield found


def test_it_serves_over_tls_and_ends_when_it_is_told(
    folder: Path, server: tuple[subprocess.Popen[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, address = server
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0")
    assert address.startswith("https://")
    with connect(address) as stranger, pytest.raises(UnavailableError, match="is not trusted.*SSL_CERT_FILE"):
        stranger.registry.models()
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate.pem"))
    with connect(address) as workspace:
        assert workspace.registry.actor == "ada"
        assert workspace.registry.get("flight-delay@latest").version == "1.0.0"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--as", "ada", "--workers", "2"), "an SQLite file, which one process serves"),
        (("--as", "ada", "--host", "0.0.0.0"), "listens only on this computer"),  # noqa: S104
        (("--as", "ada", "--key", "key.pem"), "give --certificate and --key"),
    ],
)
def test_what_could_not_be_served_is_refused_in_a_sentence(folder: Path, more: tuple[str, ...], told: str) -> None:
    said = Pedigree(folder / "registry")("--json", "server", "--port", "0", *more, code=2, PEDIGREE_ACTOR=None)
    assert told in said.error["message"]
