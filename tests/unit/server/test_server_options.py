"""Every option of `pedigree server` reaches the server, and every setting is read where it matters."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli_testing import Pedigree

from pedigree_testing import Clock, candidate
from server_testing import NamedByToken, Switch, in_own_loop
from tfx_pedigree import server as server_room
from tfx_pedigree.cli.server import server as command
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Due, NewWebhook, Outcome, Registry
from tfx_pedigree.server import (
    PublicUrl,
    RolloutDriver,
    Server,
    ServerSettings,
    TrustedProxy,
    application,
    running,
    webhooks,
)
from tfx_pedigree.server.webhooks import Teller

SETTINGS = (ServerSettings, TrustedProxy, RolloutDriver)
PUBLIC = PublicUrl("https://pedigree.example.com", "pedigree.example.com")

# By option: what is given, and what it becomes in the settings.
OPTIONS: dict[str, tuple[tuple[str, ...], Callable[[ServerSettings], Any], Any]] = {
    "host": (("--host", "0.0.0.0"), lambda told: told.host, "0.0.0.0"),  # noqa: S104
    "port": (("--port", "0"), lambda told: told.port, 0),
    "workers": (("--workers", "4"), lambda told: told.workers, 4),
    "allow_host": (("--allow-host", "A.example"), lambda told: "a.example" in told.allowed_hosts, True),
    "public_url": (("--public-url", "https://Pedigree.example.com/"), lambda told: told.public_url, PUBLIC),
    "certificate": (("--certificate", __file__, "--key", __file__), lambda told: told.scheme, "https"),
    "key": (("--certificate", __file__, "--key", __file__), lambda told: told.key, Path(__file__)),
    "issuers": (("--issuers", __file__), lambda told: told.issuers, Path(__file__)),
    "proxies": (("--proxy", "10.0.0.0/8"), lambda told: told.proxy, TrustedProxy(("10.0.0.0/8",), None)),
    "proxy_header": (
        ("--proxy", "10.0.0.7", "--proxy-header", "X-Forwarded-User"),
        lambda told: told.proxy,
        TrustedProxy(("10.0.0.7",), "x-forwarded-user"),
    ),
    "presigned": (("--presigned",), lambda told: told.presigned, True),
    "everybody": (("--as", "ada"), lambda told: told.everybody, "ada"),
    "controller": (
        ("--controller", "--config", "rollouts.yaml", "--actor", "robot"),
        lambda told: told.controller and RolloutDriver(told.controller.actor, Path(told.controller.config.name)),
        RolloutDriver("robot", Path("rollouts.yaml")),
    ),
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[ServerSettings]:
    """With what a server would have been started."""
    found: list[ServerSettings] = []
    monkeypatch.setattr(running, "serve", lambda settings, _: found.append(settings))
    return found


def test_every_option_has_its_line_in_the_table() -> None:
    assert {one.name for one in command.params} - {"help", "registry", "store", "actor", "config", "json", "quiet"} == (
        OPTIONS.keys()
    )


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_reaches_the_settings(
    tmp_path: Path, told: list[ServerSettings], monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rollouts.yaml").write_text("{}")
    words, found, expected = OPTIONS[option]
    assert found(ServerSettings("x")) != expected or option == "port"
    Pedigree(tmp_path / "registry")("server", *words)
    assert found(told[0]) == expected


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (("--host", "0.0.0.0"), True),  # noqa: S104
        (("--host", "0.0.0.0", "--public-url", "http://localhost:8321"), True),  # noqa: S104
        (("--host", "0.0.0.0", "--public-url", "https://pedigree.example.com"), False),  # noqa: S104
        (("--host", "0.0.0.0", "--proxy", "10.0.0.7"), False),  # noqa: S104
        (("--host", "0.0.0.0", "--certificate", __file__, "--key", __file__), False),  # noqa: S104
        (("--host", "localhost"), False),
        ((), False),
    ],
)
def test_who_serves_tokens_in_the_clear_is_told(
    tmp_path: Path, told: list[ServerSettings], words: tuple[str, ...], warned: bool
) -> None:
    said = Pedigree(tmp_path / "registry")("server", *words)
    assert ("can read its token" in said.err) is warned


def reads(tree: ast.AST) -> Iterator[str]:
    """Names that are read of something that is called settings, or one of its parts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if name.lstrip("_") in ("settings", "proxy", "driver", "controller"):
                yield node.attr


def test_every_setting_is_read_somewhere() -> None:
    """In the server's own code; what only a property of the settings reads counts if that property is read."""
    folder = Path(server_room.__file__).parent
    trees = {path.name: ast.parse(path.read_text("utf-8")) for path in folder.glob("*.py")}
    read = {name for file, tree in trees.items() if file != "settings.py" for name in reads(tree)}
    for function in ast.walk(trees["settings.py"]):
        if isinstance(function, ast.FunctionDef) and (function.name in read or function.name == "_known"):
            read |= {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    declared = {field.name for kind in SETTINGS for field in dataclasses.fields(kind)}
    assert declared - read == set()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--public-url", "http://pedigree.example.com"), "is not encrypted.*https://"),
        (("--public-url", "pedigree.example.com"), "is no address of a server. Write https://HOST"),
        (("--public-url", "ftp://pedigree.example.com"), "is no address"),
        (("--public-url", ""), "is no address"),
        (("--public-url", "https://x:99999"), "is no address"),
        (("--public-url", "https://x/?a=1"), "holds more than a host"),
        (("--public-url", "https://x/#a"), "holds more than a host"),
        (("--public-url", "https://x/pedigree"), "holds more than a host"),
        (("--public-url", "https://ada:hunter2@x"), "holds a user or a password"),
        (("--proxy", "proxy.example"), "as an address or a network"),
        (("--proxy-header", "x-forwarded-user"), "Say where it is with --proxy"),
        (("--proxy", "10.0.0.7", "--proxy-header", "x forwarded"), "no header in which a proxy names people"),
        (("--proxy", "10.0.0.7", "--proxy-header", "Cookie"), "no header in which a proxy names people"),
        (("--as", "ada", "--proxy", "10.0.0.7"), "Leave out one of them"),
        (("--as", "ada", "--issuers", __file__), "Leave out one of them"),
        (("--as", "ada", "--host", "0.0.0.0"), "only on this computer"),  # noqa: S104
        (("--certificate", __file__), "give --certificate and --key"),
        (("--certificate", "none.pem", "--key", "none.pem"), "There is no file none.pem"),
        (("--controller",), "with --config"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_opened(
    tmp_path: Path, told: list[ServerSettings], words: tuple[str, ...], said: str
) -> None:
    """There is no registry here: whoever opened it first would say that."""
    refused = Pedigree(tmp_path / "none")("--json", "server", *words, code=2)
    message = refused.error["message"]
    assert pytest.raises(AssertionError, match=said).matches(AssertionError(message)), message
    assert "hunter2" not in message
    assert not told


def test_http_is_good_enough_for_this_computer_only() -> None:
    for text, host in (
        ("http://localhost:8321", "localhost"),
        ("http://[::1]:1/", "[::1]"),
        ("http://127.0.0.2", "127.0.0.2"),
    ):
        found = PublicUrl.of(text)
        assert (str(found), found.host) == (text.rstrip("/"), host)


# What the public address does


def served(registry: Registry, address: str, **options: Any) -> Server:
    return Server(ServerSettings(address, public_url=PUBLIC, **options), registry, NamedByToken())


def test_its_host_is_one_of_the_servers_names_and_the_document_says_where_the_server_is(
    registry: Registry, address: str, switch: Switch
) -> None:
    with switch.serving(application(served(registry, address))) as at:
        answer = httpx.get(f"{at}/api/v1/openapi.json", headers={"host": "pedigree.example.com"})
        assert json.loads(answer.content)["servers"] == [{"url": "https://pedigree.example.com"}]
        stranger = httpx.get(f"{at}/api/v1/openapi.json", headers={"host": "evil.example"})
        assert (stranger.status_code, "--public-url" in stranger.json()["detail"]) == (421, True)


def test_what_webhooks_are_told_leads_to_the_events_page(
    registry: Registry, address: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    links: list[str | None] = []

    def send(due: Due, source: str, now: object, link: str | None) -> Outcome:
        links.append(link)
        return Outcome(taken=True)

    monkeypatch.setattr(webhooks, "send", send)
    registry.add_webhook(NewWebhook("team", "https://x.example", "whsec_" + "c2VjcmV0" * 5))
    clock.advance(seconds=1)
    registry.add("flight-delay", candidate("a"))
    server = served(registry, address)
    in_own_loop(Teller(server).round())
    for pool in (server.questions, server.changes, server.bytes):
        pool.close()
    event = registry.history("flight-delay", limit=1).items[0]
    assert f"https://pedigree.example.com/models/flight-delay/events/{event.position}" in links


def test_a_header_is_nobodys_name_unless_it_was_given_as_such() -> None:
    assert TrustedProxy(("10.0.0.0/8",)).header is None
    with pytest.raises(InvalidInputError):
        TrustedProxy(("10.0.0.0/8",), "")
