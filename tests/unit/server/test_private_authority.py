"""Issuers behind an authority of one's own: real TLS, trusted by the file that was named, and by nothing else."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from authority_testing import Authority
from oidc_testing import Provider
from tfx_pedigree.errors import InvalidInputError, UnauthenticatedError, UnavailableError
from tfx_pedigree.server import issuer_site
from tfx_pedigree.server.issuer_site import IssuerSite
from tfx_pedigree.server.issuers import Issuer
from tfx_pedigree.server.oidc import Issuers

AUDIENCE = "https://pedigree.example.com"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("own") / "own.pem")


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048, parameters={"kid": "one"}, private=True)


@pytest.fixture
def behind(own: Authority, key: RSAKey, tmp_path: Path) -> Iterator[Any]:
    """A provider behind TLS."""
    made: list[Provider] = []

    def provider(authority: Authority = own, **how: Any) -> Provider:
        made.append(Provider(key, context=authority.context(tmp_path, **how)))
        return made[-1]

    yield provider
    for one in made:
        one.close()


def token(provider: Provider, key: RSAKey | None = None) -> str:
    now = int(time.time())
    claims = {"iss": provider.address, "aud": AUDIENCE, "sub": "ci", "iat": now, "exp": now + 60}
    return provider.signed(claims, key)


def known(provider: Provider, authority: Path | None, **more: Any) -> Issuers:
    return Issuers([Issuer(provider.address, AUDIENCE, ca_file=str(authority) if authority else None, **more)])


def test_keys_behind_an_authority_of_ones_own_are_fetched_and_fetched_again_when_they_change(
    behind: Any, own: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = behind()
    issuers = known(provider, own.file)
    assert issuers.identity(token(provider)).principal == "ci"
    new = RSAKey.generate_key(2048, parameters={"kid": "two"}, private=True)
    provider.keys = [new]
    monkeypatch.setattr(issuer_site, "_ASK_AGAIN", -1.0)
    assert issuers.identity(token(provider, new)).principal == "ci"
    with pytest.raises(UnauthenticatedError):
        issuers.identity(token(provider))
    assert issuers.identity(token(provider, new)).principal == "ci"


def test_an_authority_that_was_not_named_is_not_trusted(
    behind: Any, own: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = behind()
    other = Authority.new(tmp_path / "other.pem")
    for authority in (None, other.file):
        with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED.*with `ca_file`"):
            known(provider, authority).identity(token(provider))
    # Nor does what this computer trusts otherwise count beside the file that was named.
    monkeypatch.setenv("SSL_CERT_FILE", str(own.file))
    with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
        known(provider, other.file).identity(token(provider))
    assert provider.asked == []


@pytest.mark.parametrize("how", [{"name": "elsewhere.example"}, {"days": -5}])
def test_a_certificate_for_another_name_or_time_is_not_trusted(
    behind: Any, own: Authority, how: dict[str, Any]
) -> None:
    provider = behind(**how)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        known(provider, own.file).identity(token(provider))
    assert provider.asked == []


def test_one_issuers_authority_is_no_other_ones(behind: Any, own: Authority, tmp_path: Path) -> None:
    other = Authority.new(tmp_path / "other.pem")
    first, second = behind(), behind(other)
    both = Issuers([Issuer(first.address, AUDIENCE, ca_file=str(own.file)), Issuer(second.address, AUDIENCE)])
    assert both.identity(token(first)).principal == "ci"
    with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
        both.identity(token(second))


def test_a_renewed_authority_is_read_from_its_file(behind: Any, own: Authority, tmp_path: Path) -> None:
    provider = behind()
    file = tmp_path / "ca.pem"
    file.write_bytes(Authority.new(tmp_path / "old.pem").file.read_bytes())
    issuers = known(provider, file)
    with pytest.raises(UnavailableError):
        issuers.identity(token(provider))
    file.write_bytes(own.file.read_bytes())
    with pytest.raises(UnavailableError):
        issuers.identity(token(provider))  # an issuer that was away a moment ago is not asked again at once
    assert known(provider, file).identity(token(provider)).principal == "ci"


@pytest.mark.parametrize(
    ("path", "answer", "why"),
    [
        ("/keys", (307, {"location": "https://localhost:1/keys"}, b""), "answered 307"),
        ("/keys", (200, {}, b'{"keys": [' + b" " * (300 << 10) + b"]}"), "more than 256 KiB"),
        ("/keys", (200, {"content-encoding": "gzip"}, b"\x1f\x8b"), "/keys"),
        ("/keys", (200, {}, b'{"keys": [' + b'{"kty": "oct", "k": "AAAA"},' * 200 + b"{}]}"), "at most 100 keys"),
        ("/.well-known/openid-configuration", (301, {"location": "https://localhost:1/"}, b""), "answered 301"),
    ],
)
def test_answers_are_bounded_and_lead_nowhere_else(
    behind: Any, own: Authority, path: str, answer: Any, why: str
) -> None:
    provider = behind()
    provider.answers[path] = answer
    with pytest.raises(UnavailableError, match=why):
        known(provider, own.file).identity(token(provider))
    assert provider.asked.count(path) == 1


def test_an_answer_that_comes_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_site, "_WITHIN", 0.3)
    ended = threading.Event()

    def drip(held: socket.socket) -> None:
        taken, _ = held.accept()
        with taken, contextlib.suppress(OSError):
            taken.recv(4096)
            taken.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n")
            while not ended.wait(0.05):
                taken.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as held:
        threading.Thread(target=drip, args=(held,), daemon=True).start()
        site = IssuerSite(Issuer(f"http://127.0.0.1:{held.getsockname()[1]}", AUDIENCE))
        with pytest.raises(UnavailableError, match="cannot be reached"):
            site.described()
        ended.set()


@pytest.mark.parametrize(
    "content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_an_authority_is_refused_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInputError, match="holds no certificates of an authority.*Give a file"):
        Issuer("https://issuer.example.com", AUDIENCE, ca_file=str(file))
