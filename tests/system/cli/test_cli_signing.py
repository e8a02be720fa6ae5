"""Signatures from the command line: docs/signatures.md played from its first command to its last, and the official
verifier's word on what comes out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree
from documents_testing import DOCS

from programs_testing import program
from signing_testing import make_key, public
from softhsm_testing import PIN, Token, make_token


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    return make_token(tmp_path_factory.mktemp("token"))


@pytest.fixture
def signed(pedigree: Pedigree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pedigree:
    """A model with a key, and nothing signed yet."""
    monkeypatch.chdir(tmp_path)
    make_key(tmp_path, "release")
    pedigree("register", "signed", MODELS / "keras")
    return pedigree


def test_page_about_signatures_runs_as_it_is_printed(
    pedigree: Pedigree, token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pin").write_text(f"{PIN}\n")
    text = (DOCS / "signatures.md").read_text().replace("/usr/lib/softhsm/libsofthsm2.so", token.module)
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


@pytest.mark.parametrize("name", ["signing", "p384"])
def test_key_in_a_token_signs_what_the_official_verifier_takes(
    signed: Pedigree, token: Token, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, name: str
) -> None:
    key = token.uri(f"object={name};type=private")
    signed("sign", "signed@1.0.0", "--key", key, "--output", "ours.sig", PEDIGREE_KEY_PASSWORD=PIN)
    signed("pull", "signed@1.0.0", "folder")
    public_key = Path(os.environ["SOFTHSM2_CONF"]).with_name(f"{name}.pub")
    verifying = [program("model_signing"), "verify", "key", "--signature", "ours.sig", "--public_key", public_key]
    done = subprocess.run([*verifying, "folder"], capture_output=True, text=True, check=False)
    assert done.stdout == "Verification succeeded\n"
    signed("trust", "add", "signed", public_key)
    signed("promote", "signed@1.0.0")


def test_the_key_is_found_by_its_id_and_with_the_module_and_public_key_from_elsewhere(
    signed: Pedigree, token: Token, tmp_path: Path
) -> None:
    environ = {"PEDIGREE_KEY_PASSWORD": PIN, "PKCS11_MODULE_PATH": token.module}
    signed("sign", "signed@1.0.0", "--key", "pkcs11:token=release;id=%03", **environ)
    signed(
        "sign",
        "signed@1.0.0",
        "--key",
        "pkcs11:token=release;object=twice;id=%04;manufacturer=SoftHSM%20project",
        **environ,
    )
    hidden = ("sign", "signed@1.0.0", "--key", token.uri("object=hidden"))
    assert "--public-key FILE" in signed(*hidden, code=2, **environ).err
    refused = signed(*hidden, "--public-key", "release.pub", code=2, **environ).err
    assert "does not fit the public key" in refused
    assert signed("sign", "signed@1.0.0", "--list", "--json").out.count('"digest"') == 2


_RELEASE = "object=signing"


@pytest.mark.parametrize(
    "case",
    [
        (_RELEASE, "release", "00000000", "The token 'release' refuses the PIN. It is read from"),
        (_RELEASE, "release", "1", "The token 'release' refuses the PIN."),
        (_RELEASE, "release", "", "asks for a PIN. Put it into the environment variable PEDIGREE_KEY_PASSWORD."),
        (_RELEASE, "other", PIN, "The address says token 'other', and no token of the module"),
        (_RELEASE, "twin", PIN, "2 tokens of the module"),
        ("object=none", "release", PIN, "has no private key 'none'. It has object="),
        ("object=twice", "release", PIN, "has 2 private keys 'twice'. It has object=twice;id=%0"),
        ("object=rsa", "release", PIN, "is of the kind RSA"),
        ("object=agreement", "release", PIN, "may not sign (CKA_SIGN is off)"),
        ("object=signing;type=public", "release", PIN, "names no private key"),
        ("type=private", "release", PIN, "names no private key"),
        ("object=signing;object=rsa", "release", PIN, "cannot be used at 'object'"),
        ("object=signing;colour=red", "release", PIN, "cannot be used at 'colour'"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_in_a_sentence(
    signed: Pedigree, token: Token, case: tuple[str, str, str, str]
) -> None:
    name, at, pin, said = case
    environ = {"PEDIGREE_KEY_PASSWORD": pin or None}
    told = signed("sign", "signed@1.0.0", "--key", token.uri(name, at), code=2, **environ).err
    assert said in " ".join(told.split())
    assert PIN not in told and "00000000" not in told
    signed("sign", "signed@1.0.0", "--key", token.uri(_RELEASE), PEDIGREE_KEY_PASSWORD=PIN)


def test_pins_stay_out_of_addresses_and_modules_are_modules(signed: Pedigree, token: Token) -> None:
    cases = {
        token.uri(_RELEASE, more=f"&pin-value={PIN}"): "Put it into PEDIGREE_KEY_PASSWORD",
        token.uri(_RELEASE, more="&pin-source=file:none"): "The PIN file none cannot be read",
        "pkcs11:object=signing": "set PKCS11_MODULE_PATH",
        "pkcs11:object=signing?module-path=/none.so": "/none.so cannot be loaded as a PKCS#11 module",
        "pkcs11:object=signing?module-path=release.pem": "cannot be loaded as a PKCS#11 module",
        "pkcs11:": "names no private key",
        "pkcs11:object=%00": "cannot be used at 'object'",
    }
    for key, said in cases.items():
        told = signed("sign", "signed@1.0.0", "--key", key, code=2, PKCS11_MODULE_PATH=None).err
        assert said in " ".join(told.split())
        assert PIN not in told
