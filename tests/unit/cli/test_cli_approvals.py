"""`protect`, `request`, `approve`, `reject`, `requests`: what people type, and what they are told."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from cli_testing import Pedigree
from documents_testing import DOCS

from pedigree_testing import candidate
from tfx_pedigree.cli import exits
from tfx_pedigree.registry import Registry, Role

MODEL = "flight-delay"


@pytest.fixture
def admin(tmp_path: Path) -> Pedigree:
    """ada is admin; two reviewers; 1.0.0 is champion and 1.1.0 waits."""
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        registry.add(MODEL, candidate("a"))
        registry.promote(f"{MODEL}@1.0.0")
        registry.add(MODEL, candidate("b", features=3, rate=0.1))
        for name in ("rea", "ron"):
            registry.grant(name, Role.REVIEWER)
    return Pedigree(tmp_path / "registry", "ada")


def test_two_people_approve_and_the_last_one_may_promote(admin: Pedigree) -> None:
    assert "is not protected" in admin("protect", MODEL).out
    said = admin("protect", MODEL, "--approvals", "2")
    needs = "the approval of 2 people with the role reviewer or a higher one"
    assert said.out == f"{MODEL} is protected: a new champion needs {needs}.\n"
    refused = admin("promote", f"{MODEL}@2", "--no-verify", code=4)
    suggested = re.search(r"`pedigree (request .*?)`", refused.err)
    assert suggested is not None
    assert "Request 1 to promote" in admin(*shlex.split(suggested[1]), "--comment", "better").out
    assert "0 of 2" in admin("requests").out
    assert "1 of 2 approvals" in admin("approve", MODEL, "1", actor="rea").out
    assert "You have approved this already" in admin("approve", MODEL, "1", actor="rea").out
    assert "who filed it is never one" in admin("approve", MODEL, "1", code=6).err
    last = admin("approve", MODEL, "1", actor="ron")
    assert "pedigree promote" in last.err
    assert admin("promote", f"{MODEL}@2", "--no-verify", "--json").json["replaced"] == "1.0.0"
    assert admin("requests").out == "No request waits.\n"
    assert "promoted" in admin("requests", MODEL, "--all").out


def test_an_approval_counts_where_its_giver_may_not_promote_and_that_is_said(admin: Pedigree) -> None:
    admin("protect", MODEL, "--approvals", "1")
    admin("request", f"{MODEL}@2")
    refused = admin("approve", MODEL, "1", "--promote", actor="rea", code=6).err
    assert f"Your approval counts: the request 1 to promote {MODEL} 1.1.0 is approved. But rea may not" in refused
    assert admin("promote", f"{MODEL}@2", "--no-verify", "--json").json["replaced"] == "1.0.0"


def test_a_request_is_rejected_with_a_reason(admin: Pedigree) -> None:
    admin("protect", MODEL, "--approvals", "1", "--from", "releaser")
    admin("request", f"{MODEL}@2")
    assert "its model lets releaser approve" in admin("reject", MODEL, "1", "--reason", "x", actor="rea", code=6).err
    assert "is withdrawn." in admin("reject", MODEL, "1", "--reason", "a mistake").out
    assert "is withdrawn already" in admin("reject", MODEL, "1", "--reason", "a mistake").out
    assert "is not protected" in admin("protect", MODEL, "--off", "--reason", "small").out


@pytest.mark.parametrize("words", [("--off",), ("--off", "--approvals", "1"), ("--from", "reviewer")])
def test_options_that_do_not_go_together_are_refused(admin: Pedigree, words: tuple[str, ...]) -> None:
    assert "--" in admin("protect", MODEL, *words, code=exits.USAGE).err


def test_commands_of_the_page_run_as_they_stand(admin: Pedigree) -> None:
    version = admin("show", f"{MODEL}@2", "--json").json["version"]
    number = version["version"] if isinstance(version, dict) else version
    commands = re.findall(r"^\$ pedigree (.*)$", (DOCS / "approvals.md").read_text(), re.M)
    assert len(commands) > 5
    for command in commands:
        words = shlex.split(command.replace("1.1.0", number))
        admin(*words, *(["--no-verify"] if words[0] == "promote" else []))
