"""How signing in is configured; what could not work is refused at the start."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from authority_testing import Authority
from oidc_testing import SECRET
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.server import PublicUrl, ServerSettings
from tfx_pedigree.server.authentication import issuers_of
from tfx_pedigree.server.issuers import Issuer, load_issuers


def test_a_server_that_nobody_could_come_back_to_is_not_started(tmp_path: Path) -> None:
    file = tmp_path / "issuers.yaml"
    issuer = "issuer: https://issuer.example.com, principal: '{sub}'"
    file.write_text(f"issuers: [{{{issuer}, sign_in: {{name: team, client_id: x}}}}]")
    settings = ServerSettings("x", issuers=file)
    with pytest.raises(InvalidInputError, match="--public-url https://HOST"):
        issuers_of(settings)
    (found,) = issuers_of(replace(settings, public_url=PublicUrl.of("https://pedigree.example.com")))
    assert (found.audience, found.sign_in and found.sign_in.scopes) == (None, ("openid", "email"))


@pytest.mark.parametrize(
    "sign_in",
    [
        {"name": "Team", "client_id": "x"},
        {"name": "../x", "client_id": "x"},
        {"name": "team", "client_id": ""},
        {"name": "team", "client_id": "x", "scopes": ["email"]},
        {"name": "team", "client_id": "x", "scopes": ["openid", "a b"]},
        {"name": "team", "client_id": "x", "hours": 0},
        {"name": "team", "client_id": "x", "client_secret_file": "/nowhere/secret"},
        {"name": "team", "client_id": "x", "client_secret": "in the file"},
    ],
)
def test_a_sign_in_that_could_not_work_is_refused_at_the_start(tmp_path: Path, sign_in: dict[str, Any]) -> None:
    file = tmp_path / "issuers.yaml"
    file.write_text(json.dumps({"issuers": [{"issuer": "https://issuer.example.com", "sign_in": sign_in}]}))
    with pytest.raises(InvalidInputError):
        load_issuers(file)


def test_the_documents_own_issuers_are_read(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[4] / "docs/identity.md").read_text("utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.S | re.M)
    assert len(blocks) == 2
    for name in ("ca", "cluster-ca"):
        Authority.new(tmp_path / f"{name}.pem")
    (tmp_path / "client-secret").write_text(SECRET)
    found: list[Issuer] = []
    for block in blocks:
        (tmp_path / "issuers.yaml").write_text(block.replace("/etc/pedigree", str(tmp_path)))
        found += load_issuers(tmp_path / "issuers.yaml")
    (way,) = [one.sign_in for one in found if one.sign_in]
    assert (way.title, way.secret, way.hours) == ("Example", SECRET, 12)
    assert f"/sign-in/from/{way.name}`" in text


def test_each_issuer_and_each_sign_in_stands_once(tmp_path: Path) -> None:
    file = tmp_path / "issuers.yaml"
    one = {"issuer": "https://one.example.com", "sign_in": {"name": "team", "client_id": "x"}}
    for second in ({**one, "sign_in": None, "audience": "a"}, {**one, "issuer": "https://two.example.com"}):
        file.write_text(json.dumps({"issuers": [one, {k: v for k, v in second.items() if v is not None}]}))
        with pytest.raises(InvalidInputError, match="twice"):
            load_issuers(file)
