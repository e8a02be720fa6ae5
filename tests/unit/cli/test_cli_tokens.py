"""`tokens`: made once, listed without a secret, revoked."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from cli_testing import Pedigree
from documents_testing import DOCS

from tfx_pedigree.cli import exits

_COMMAND = re.compile(r"^\$ pedigree (.*)$", re.M)


@pytest.fixture
def admin(tmp_path: Path) -> Pedigree:
    pedigree = Pedigree(tmp_path / "registry", "ada")
    pedigree("init")
    return pedigree


def test_only_the_token_itself_is_on_standard_output(admin: Pedigree) -> None:
    made = admin("tokens", "create", "laptop")
    assert re.fullmatch(r"ped_[0-9a-z]{12}_[0-9A-Za-z]{40}\n", made.out)
    assert "acts for ada (all that its owner may do) until" in made.err
    assert "shown only now" in made.err
    listed = admin("tokens", "list", "--json").json["items"][0]
    assert listed["id"] == made.out.split("_")[1]
    assert made.out.split("_")[2].strip() not in admin("tokens", "list").out + admin("history").out


def test_a_token_is_revoked_by_its_id(admin: Pedigree) -> None:
    made = admin("tokens", "create", "ci", "--for", "bob", "--role", "contributor", "--model", "m", "--json").json
    assert made["token"]["scope"] == {"role": "contributor", "models": ["m"]}
    assert "as soon as there is one" in made["warnings"][0]
    token = made["token"]["id"]
    assert admin("tokens", "revoke", token).out == f"The token {token} (ci) of bob is revoked now.\n"
    assert "revoked already; nothing changed" in admin("tokens", "revoke", token).out
    assert "revoked (UTC)" in admin("tokens", "list", "--all").out
    assert admin("tokens", "revoke", made["text"], code=exits.USAGE).err.count(made["text"]) == 0


def test_who_is_no_admin_has_only_tokens_of_his_own(admin: Pedigree, tmp_path: Path) -> None:
    bob = Pedigree(tmp_path / "registry", "bob")
    assert "There is no token" in bob("tokens", "list").out
    assert "needs admin" in bob("tokens", "list", "--all", code=6).err
    assert "exclude each other" in admin("tokens", "list", "--all", "--of", "bob", code=exits.USAGE).err


def test_commands_of_the_page_run_as_they_stand(admin: Pedigree) -> None:
    commands = _COMMAND.findall((DOCS / "identity.md").read_text())
    assert len(commands) > 3
    for command in commands:
        admin(*shlex.split(command))
