"""A token as its owner holds it: `ped_<id>_<secret>`. The registry keeps the secret's SHA-256 and never the secret.

The secret is random (238 bits), so a slow hash would protect nothing that is not protected.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
from dataclasses import dataclass, field

from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import InvalidInputError

_ID_LETTERS, _ID_LENGTH = string.digits + string.ascii_lowercase, 12
_LETTERS, _LENGTH = string.digits + string.ascii_uppercase + string.ascii_lowercase, 40
_ID = re.compile(rf"[0-9a-z]{{{_ID_LENGTH}}}")
_TOKEN = re.compile(rf"ped_([0-9a-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{{_LENGTH}}})")


@dataclass(frozen=True)
class TokenText:
    id: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> TokenText:
        return cls(_random(_ID_LETTERS, _ID_LENGTH), _random(_LETTERS, _LENGTH))

    @classmethod
    def parse(cls, text: str) -> TokenText | None:
        """None where the text is no token, whatever else it is."""
        found = _TOKEN.fullmatch(text)
        return cls(found[1], found[2]) if found else None

    @property
    def text(self) -> str:
        return f"ped_{self.id}_{self.secret}"

    @property
    def digest(self) -> str:
        return digest_of(self.secret.encode())

    def has(self, digest: str) -> bool:
        """Takes as long for a secret that is nearly right as for any other."""
        return hmac.compare_digest(self.digest.encode(), digest.encode())


def check_token_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise InvalidInputError(
            f"{text[:20]!r} is not the id of a token. An id has {_ID_LENGTH} small letters and digits: "
            "see `pedigree tokens list`."
        )
    return text


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))
