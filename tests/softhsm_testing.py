"""A token of SoftHSM with keys in it: a real PKCS#11 module, whose keys lie in a folder."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pkcs11
from pkcs11.util.ec import encode_named_curve_parameters

from programs_testing import PROGRAMS, program
from signing_testing import make_key

PIN = "83254917"


@dataclass(frozen=True)
class Token:
    module: str

    def uri(self, name: str, at: str = "release", more: str = "") -> str:
        return f"pkcs11:token={at};{name}?module-path={self.module}{more}"


def make_token(folder: Path) -> Token:
    """SoftHSM reads its settings once in a process, and finds its tokens then: all are made before."""
    [module] = PROGRAMS.glob("softhsm.d/usr/lib/softhsm/libsofthsm2.so")
    (folder / "tokens").mkdir()
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    for label in ("release", "twin", "twin"):
        _util(module, "--init-token", "--free", "--label", label, "--so-pin", "1" * 8, "--pin", PIN)
    keys = {"signing": "secp256r1", "p384": "secp384r1", "twice": "secp256r1", "again": "secp256r1"}
    for number, (name, curve) in enumerate(keys.items(), 1):
        pem = folder / f"{name}.p8"
        _run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", str(make_key(folder, name, curve)), "-out", str(pem))
        label = "twice" if name == "again" else name
        _util(module, "--import", str(pem), "--token", "release", "--label", label, "--id", f"0{number}", "--pin", PIN)
    token = pkcs11.lib(str(module)).get_token(token_label="release")  # noqa: S106  its name
    with token.open(rw=True, user_pin=PIN) as session:
        session.generate_keypair(pkcs11.KeyType.RSA, 2048, label="rsa", id=b"\x10", store=True)
        curve = session.create_domain_parameters(
            pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")},
            local=True,
        )
        curve.generate_keypair(
            label="agreement", id=b"\x11", store=True, private_template={pkcs11.Attribute.SIGN: False}
        )
        curve.generate_keypair(label="hidden", id=b"\x12", store=True)
        [public] = session.get_objects(
            {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY, pkcs11.Attribute.ID: b"\x12"}
        )
        public.destroy()
    return Token(str(module))


def _util(module: Path, *words: str) -> None:
    _run(program("softhsm2-util"), "--module", str(module), *words)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
