"""A key in a token: an HSM, a smart card, or a cloud's key service behind a PKCS#11 module.

It is named by an address as RFC 7512 has it. The PIN never stands in the address, where other users of the computer
could read it in the list of processes.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes

from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.extras import not_installed
from tfx_pedigree.signing.keys import (
    PASSWORD,
    checked_key,
    digest_for,
    read_public_key,
    read_text,
    require_cryptography,
    signed_by,
)
from tfx_pedigree.text import listed, plain

if TYPE_CHECKING:
    import pkcs11
    from cryptography.hazmat.primitives.asymmetric import ec

SCHEME = "pkcs11:"
MODULE = "PKCS11_MODULE_PATH"
_TOKEN_PARTS = ("token", "manufacturer", "model", "serial", "slot-id")
_PARTS = (*_TOKEN_PARTS, "object", "id", "type", "module-path", "pin-source")
_EXAMPLE = "pkcs11:token=release;object=signing?module-path=/usr/lib/softhsm/libsofthsm2.so"


@dataclass(frozen=True)
class TokenAddress:
    """What the address says of the token and of the key; `key_id` is None where it names the key by its label alone."""

    token: Mapping[str, str]
    label: str | None
    key_id: bytes | None
    module: str
    pin: str | None

    @classmethod
    def parse(cls, uri: str, environ: Mapping[str, str] = os.environ) -> TokenAddress:
        path, _, query = uri.removeprefix(SCHEME).partition("?")
        parts: dict[str, str] = {}
        for text in filter(None, (*path.split(";"), *query.split("&"))):
            name, equals, value = text.partition("=")
            if name == "pin-value":
                raise InvalidInputError(
                    f"The key's address holds its PIN, and others can read it there. Put it into {PASSWORD}, or into a "
                    "file: pin-source=file:/path."
                )
            if name not in _PARTS or not equals or name in parts or "\0" in unquote(value):
                raise InvalidInputError(
                    f"The key's address cannot be used at {plain(name, 40)!r}. It may have {listed(_PARTS)}, each "
                    f"once: {_EXAMPLE}."
                )
            parts[name] = value
        if parts.get("type", "private") != "private" or not {"object", "id"} & parts.keys():
            raise InvalidInputError(f"The address names no private key. Give its object or its id: {_EXAMPLE}.")
        module = unquote(parts.get("module-path", "")) or environ.get(MODULE, "")
        if not module:
            raise InvalidInputError(
                "The address does not say which PKCS#11 module reaches the token. Add ?module-path=FILE, or set "
                f"{MODULE}."
            )
        return cls(
            {name: unquote(parts[name]) for name in _TOKEN_PARTS if name in parts},
            unquote(parts["object"]) if "object" in parts else None,
            unquote_to_bytes(parts["id"]) if "id" in parts else None,
            module,
            _pin(unquote(parts.get("pin-source", "")), environ),
        )

    @property
    def shown(self) -> str:
        """The key, for messages."""
        number = f"id {self.key_id.hex()}" if self.key_id is not None else ""
        return " with the ".join(filter(None, (repr(plain(self.label or "", 60)) if self.label else "", number)))


class TokenKey:
    """A private key that stays in its token. Where the token does not show the public key, `public_key` is its file."""

    certificates: Sequence[bytes] = ()

    def __init__(self, uri: str, public_key: Path | None = None) -> None:
        require_cryptography()
        self._at = TokenAddress.parse(uri)
        self._library = _module(self._at.module)
        with self._key() as (session, key):
            given = None if public_key is None else read_public_key(public_key)
            self.public_key: ec.EllipticCurvePublicKey = given or self._public(session, key)

    def sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature  # noqa: PLC0415  an extra
        from pkcs11 import Mechanism  # noqa: PLC0415

        with self._key() as (_, key):
            raw = bytes(key.sign(digest_for(self.public_key, data), mechanism=Mechanism.ECDSA))
        half = len(raw) // 2
        signature = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
        if not signed_by(self.public_key, signature, data):
            raise InvalidInputError(
                f"What the key {self._at.shown} signed does not fit the public key. Nothing was signed. Check the file "
                "of --public-key, or that the token's public key has the id of the private one."
            )
        return signature

    @contextlib.contextmanager
    def _key(self) -> Iterator[tuple[Any, Any]]:
        """In a session of its own: what is logged in is logged in for the whole process."""
        token = self._token()
        name = repr(plain(token.label.strip(), 60))
        with _told(f"The token {name}"), token.open(user_pin=self._pin_for(token, name)) as session:
            yield session, self._private(session, name)

    def _token(self) -> pkcs11.Token:
        import pkcs11  # noqa: PLC0415  an extra

        with _told(f"The PKCS#11 module {self._at.module}"):
            there: list[pkcs11.Token] = list(self._library.get_tokens(token_flags=pkcs11.TokenFlag.TOKEN_INITIALIZED))
        found = [one for one in there if self._at.token.items() <= _described(one).items()]
        if len(found) == 1:
            return found[0]
        wanted = listed([f"{name} {plain(value, 60)!r}" for name, value in self._at.token.items()]) or "no token's name"
        tokens = listed(
            [f"{plain(one.label.strip(), 60)!r} (serial={_described(one)['serial']})" for one in there[:10]]
        )
        seen = f"It has {tokens}" if there else "It has none: is the token there, and initialized"
        raise InvalidInputError(
            f"The address says {wanted}, and {len(found) or 'no'} token{'s' * (len(found) > 1)} of the module "
            f"{self._at.module} fit{'s' * (len(found) == 0)} that. {seen}{'.' if there else '?'}"
        )

    def _pin_for(self, token: pkcs11.Token, name: str) -> Any:
        import pkcs11  # noqa: PLC0415  an extra

        if pkcs11.TokenFlag.PROTECTED_AUTHENTICATION_PATH in token.flags:
            return pkcs11.PROTECTED_AUTH
        if self._at.pin is None and pkcs11.TokenFlag.LOGIN_REQUIRED in token.flags:
            raise InvalidInputError(
                f"The token {name} asks for a PIN. Put it into the environment variable {PASSWORD}."
            )
        return self._at.pin

    def _private(self, session: Any, token: str) -> Any:
        import pkcs11  # noqa: PLC0415  an extra

        kind = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
        wanted = {pkcs11.Attribute.LABEL: self._at.label, pkcs11.Attribute.ID: self._at.key_id}
        named = {key: value for key, value in wanted.items() if value is not None}
        found = list(session.get_objects({**kind, **named}))
        if len(found) != 1:
            every = found or list(session.get_objects(kind))
            there = listed([f"object={plain(one.label or '', 60)};id=%{one.id.hex('%')}" for one in every[:10]])
            raise InvalidInputError(
                f"The token {token} has {len(found) or 'no'} private key{'s' * (len(found) > 1)} {self._at.shown}. "
                f"{f'It has {there}.' if every else 'It has none at all that this PIN may see.'}"
            )
        [key] = found
        if key.key_type is not pkcs11.KeyType.EC:
            raise InvalidInputError(
                f"The key {self._at.shown} in the token {token} is of the kind {key.key_type.name}. Use one on the "
                "elliptic curve P-256, P-384 or P-521."
            )
        if not key[pkcs11.Attribute.SIGN]:
            raise InvalidInputError(
                f"The key {self._at.shown} in the token {token} may not sign (CKA_SIGN is off). Use one that may."
            )
        return key

    def _public(self, session: Any, key: Any) -> ec.EllipticCurvePublicKey:
        import pkcs11  # noqa: PLC0415  an extra
        from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415
        from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415

        kind, number = pkcs11.Attribute.CLASS, pkcs11.Attribute.ID
        found = list(session.get_objects({kind: pkcs11.ObjectClass.PUBLIC_KEY, number: key.id}))
        if len(found) != 1:
            raise InvalidInputError(
                f"The token has {len(found) or 'no'} public key{'s' * (len(found) > 1)} with the id of "
                f"{self._at.shown}. Give it as a file: --public-key FILE."
            )
        try:
            return checked_key(load_der_public_key(encode_ec_public_key(found[0])), f"The key {self._at.shown}")
        except (ValueError, TypeError):
            raise InvalidInputError(
                f"The public key of {self._at.shown} in the token cannot be read. Give it as a file: --public-key FILE."
            ) from None


def _module(path: str) -> Any:
    try:
        import pkcs11  # noqa: PLC0415  an extra
    except ImportError:
        raise not_installed("Keys in a token need the package python-pkcs11, which is", "pkcs11") from None
    try:
        return pkcs11.lib(path)
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise InvalidInputError(
            f"{plain(path, 200)} cannot be loaded as a PKCS#11 module: {plain(str(error), 200)}. Give the library of "
            "the token's maker: ?module-path=FILE."
        ) from None


def _described(token: pkcs11.Token) -> dict[str, str]:
    return {
        "token": token.label.strip(),
        "manufacturer": token.manufacturer_id.strip(),
        "model": token.model.strip(),
        "serial": token.serial.decode("utf-8", "replace").strip(),
        "slot-id": str(token.slot.slot_id),
    }


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """A PIN is tried once: each wrong one brings the token nearer to locking itself."""
    import pkcs11  # noqa: PLC0415  an extra

    try:
        yield
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        raise InvalidInputError(
            f"{what} refuses the PIN. It is read from pin-source in the address, or from {PASSWORD}. After some wrong "
            "ones a token locks itself."
        ) from None
    except pkcs11.PinLocked:
        raise InvalidInputError(
            f"{what} is locked after too many wrong PINs. Its security officer can unlock it."
        ) from None
    except pkcs11.PKCS11Error as error:
        said = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower()
        raise UnavailableError(
            f"{what} failed: {said}{f' ({plain(str(error), 200)})' if str(error) else ''}. Nothing was signed."
        ) from None


def _pin(source: str, environ: Mapping[str, str]) -> str | None:
    if source:
        return read_text(Path(source.removeprefix("file:")), "PIN").rstrip("\r\n")
    return environ.get(PASSWORD) or None
