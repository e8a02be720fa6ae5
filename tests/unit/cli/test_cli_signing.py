"""Signatures from the command line: docs/signatures.md played from its first command to its last, and the official
verifier's word on what comes out."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree
from documents_testing import DOCS

from programs_testing import program
from signing_testing import make_key, public


@pytest.fixture
def signed(pedigree: Pedigree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pedigree:
    """A model with a key, and nothing signed yet."""
    monkeypatch.chdir(tmp_path)
    make_key(tmp_path, "release")
    pedigree("register", "signed", MODELS / "keras")
    return pedigree


def test_page_about_signatures_runs_as_it_is_printed(
    pedigree: Pedigree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "signatures.md").read_text()
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.S | re.M):
        for line in block.splitlines():
            command, *words = shlex.split(line.removeprefix("$ "))
            if command == "pedigree":
                pedigree(*words)
            else:
                subprocess.run((command, *words), check=True, capture_output=True)
    (verifying,) = re.findall(r"^model_signing (.*)$", text, re.M)
    done = subprocess.run(
        [program("model_signing"), *shlex.split(verifying)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "Verification succeeded\n"


def test_official_verifier_refuses_a_changed_file_and_pedigree_takes_its_signatures(
    signed: Pedigree, tmp_path: Path
) -> None:
    signed("pull", "signed@1.0.0", "folder")
    official = [program("model_signing"), "sign", "key", "--signature", "theirs.sig", "--private_key", "release.pem"]
    subprocess.run([*official, "folder"], check=True, capture_output=True)
    trusted = ("--trusted", "release.pub")
    said = signed("verify", "signed@1.0.0", "--signature", "theirs.sig", *trusted).out
    assert said.startswith("signed 1.0.0: signed, all ")
    signed("register", "signed", MODELS / "keras_wider")
    refusal = signed("verify", "signed@latest", "--signature", "theirs.sig", *trusted, code=2).err
    assert "The signature is not that of signed" in refusal
    signed("sign", "signed@1.0.0", "--key", "release.pem", "--output", "ours.sig")
    changed = next(path for path in (tmp_path / "folder").rglob("*") if path.is_file())
    changed.chmod(0o644)
    changed.write_bytes(b"other")
    verifying = [program("model_signing"), "verify", "key", "--signature", "ours.sig", "--public_key", "release.pub"]
    assert subprocess.run([*verifying, "folder"], capture_output=True, check=False).returncode != 0


def test_pull_keeps_unsigned_bytes_away_from_who_asks_for_a_signature(signed: Pedigree, tmp_path: Path) -> None:
    for option in (("--signed",), ("--trusted", "release.pub")):
        refusal = signed("pull", "signed@1.0.0", "folder", *option, code=4).err
        assert "signed 1.0.0 is not signed, and was not laid out." in refusal
        assert not (tmp_path / "folder").exists()
    other = make_key(tmp_path, "other")
    signed("sign", "signed@1.0.0", "--key", other)
    assert "but by no trusted key" in signed("pull", "signed@1.0.0", "folder", "--signed", code=4).err
    assert "but by no trusted key" in signed("pull", "signed@1.0.0", "folder", "--trusted", "release.pub", code=4).err
    assert signed("pull", "signed@1.0.0", "folder", "--json", "--trusted", public(other)).json["signature"] == str(
        tmp_path / "folder.sig"
    )


def test_model_that_trusts_keys_asks_for_a_signature_where_bytes_are_laid_out(signed: Pedigree, tmp_path: Path) -> None:
    signed("pull", "signed@1.0.0", "before")
    signed("promote", "signed@1.0.0")
    signed("trust", "add", "signed", "release.pub")
    signed("register", "signed", MODELS / "keras_wider")
    refusal = signed("pull", "signed@1.1.0", "folder", code=4).err
    assert "signed 1.1.0 is not signed, and was not laid out." in refusal
    assert "--unsigned" in refusal
    assert not (tmp_path / "folder").exists()
    signed("pull", "signed@champion", "champion")
    signed("pull", "signed@1.1.0", "folder", "--unsigned")
    signed("sign", "signed@1.1.0", "--key", "release.pem")
    signed("pull", "signed@1.1.0", "later")
    assert (tmp_path / "later.sig").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sign", "signed@1.0.0"), "Name the key that signs"),
        (("sign", "signed@1.0.0", "--key", "a", "--key-command", "b", "--public-key", "c"), "Name the key that signs"),
        (("sign", "signed@1.0.0", "--key-command", "b"), "belong together"),
        (("sign", "signed@1.0.0", "--key", "nowhere.pem"), "cannot be read: No such file"),
        (("sign", "signed@1.0.0", "--key", "release.pub"), "is no private key"),
        (("trust", "add", "signed", "release.pem"), "is a private key, which belongs to nobody else"),
        (("verify", "--signature", "x"), "checked against one version"),
        (("verify", "signed@1.0.0", "--trusted", "release.pub"), "checked against one version"),
    ],
)
def test_wrong_words_are_refused_with_what_is_missing(signed: Pedigree, words: tuple[str, ...], says: str) -> None:
    assert says in signed(*words, code=2).err
    assert signed("sign", "signed@1.0.0", "--list", "--json").json["items"] == []


def test_no_key_no_check(signed: Pedigree) -> None:
    signed("sign", "signed@1.0.0", "--key", "release.pem", "--output", "it.sig")
    refusal = signed("verify", "signed@1.0.0", "--signature", "it.sig", code=2).err
    assert "`pedigree trust add signed FILE`" in refusal
    signed("trust", "add", "signed", "release.pub")
    assert signed("verify", "signed@1.0.0", "--signature", "it.sig", "--json").json["files"] > 0
    assert signed("promote", "signed@1.0.0").out == "signed 1.0.0 is champion now.\n"


def test_signatures_travel_with_an_archive(signed: Pedigree, tmp_path: Path) -> None:
    signed("trust", "add", "signed", "release.pub")
    signed("sign", "signed@1.0.0", "--key", "release.pem")
    signed("export", "signed", "it.tar")
    elsewhere = Pedigree(tmp_path / "elsewhere", "mia")
    elsewhere("init")
    elsewhere("import", "it.tar")
    (one,) = elsewhere("sign", "signed@1.0.0", "--list", "--json").json["items"]
    assert one["key"] is not None
    elsewhere("promote", "signed@1.0.0")
    elsewhere("audit", "verify")
