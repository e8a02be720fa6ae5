"""Who may say who somebody is: the issuers that a server is configured with."""

from __future__ import annotations

import re
import ssl
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tfx_pedigree.bounded_parse import parse_yaml, read_bounded
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.json_form import Bounds, JsonForm, read
from tfx_pedigree.registry import RolesCap
from tfx_pedigree.server.addresses import check_address
from tfx_pedigree.text import plain

CLAIM = re.compile(r"\{([A-Za-z0-9_./:-]{1,100})\}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_LARGEST_SECRET = 4096


@dataclass(frozen=True)
class SignInWith(JsonForm):
    """How people sign in there with a browser. `name` stands in addresses, `label` on the page. A client without a
    secret is a public one. A session lasts so many `hours` at the most: what the issuer takes away counts then."""

    name: str
    client_id: str
    client_secret_file: str | None = None
    label: str | None = None
    scopes: tuple[str, ...] = ("openid", "email")
    hours: Annotated[int, Bounds(1, 168)] = 12

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInputError(
                f"{plain(self.name)!r} cannot name a way to sign in: it stands in an address. Use a-z, 0-9 and -."
            )
        if not self.client_id or not self.client_id.isprintable():
            raise InvalidInputError(f"The sign-in {self.name} needs the `client_id` that its issuer gave this server.")
        if "openid" not in self.scopes or not all(map(_SCOPE.fullmatch, self.scopes)):
            raise InvalidInputError(f"The `scopes` of the sign-in {self.name} must be words, and `openid` one of them.")
        _ = self.secret  # a server that could let nobody in is not started

    @property
    def secret(self) -> str | None:
        """As the file holds it now, so that it can be changed while the server runs."""
        if self.client_secret_file is None:
            return None
        try:
            found = read_bounded(Path(self.client_secret_file), _LARGEST_SECRET).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(
                f"The client secret of the sign-in {self.name} cannot be read from {self.client_secret_file}: "
                f"{getattr(error, 'strerror', None) or 'it is no text'}."
            ) from None
        if not found:
            raise InvalidInputError(f"{self.client_secret_file}, the secret of the sign-in {self.name}, is empty.")
        return found

    @property
    def title(self) -> str:
        return self.label or self.name


@dataclass(frozen=True)
class Issuer(JsonForm):
    """`principal` is a text with names of claims in braces. `require` are claims that must be just that, `groups` is
    the claim that lists groups, `scope` the most that its word allows, `jwks` where the keys are, if discovery does
    not say it, `ca_file` the only authority that its certificates may come from. JWTs are taken for an `audience`,
    browsers are sent there with `sign_in`."""

    issuer: str
    audience: str | None = None
    principal: str = "{sub}"
    groups: str | None = None
    require: Mapping[str, str] = field(default_factory=dict)
    scope: RolesCap | None = None
    jwks: str | None = None
    ca_file: str | None = None
    sign_in: SignInWith | None = None

    def __post_init__(self) -> None:
        for address in (self.issuer, self.jwks):
            if address is not None:
                check_address(address)
        serves = self.audience if self.audience is not None else self.sign_in
        if not serves or not CLAIM.search(self.principal):
            raise InvalidInputError(
                f"The issuer {self.issuer} needs an `audience` or `sign_in`, and a `principal` that names a claim, "
                "such as {sub}."
            )
        if self.ca_file is not None:
            _check_authority(self.issuer, self.ca_file)


def _check_authority(issuer: str, file: str) -> None:
    try:
        ssl.create_default_context(cafile=file)
    except (OSError, ValueError) as error:  # a wrong file is an SSLError, which is an OSError
        raise InvalidInputError(
            f"The `ca_file` of the issuer {issuer}, {file}, holds no certificates of an authority: "
            f"{plain(str(error), 150)}. Give a file with PEM certificates."
        ) from None


def load_issuers(file: Path) -> tuple[Issuer, ...]:
    """Of a YAML file with a list under `issuers`."""
    try:
        found = parse_yaml(read_bounded(file), str(file))
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {file} with issuers.") from None
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from None
    if not isinstance(found, Mapping) or set(found) != {"issuers"}:
        raise InvalidInputError(f"{file} must hold `issuers`, a list of issuers, and nothing else.")
    issuers: tuple[Issuer, ...] = read(tuple[Issuer, ...], found["issuers"], f"{file}: `issuers`")
    named = [one.issuer for one in issuers] + [one.sign_in.name for one in issuers if one.sign_in]
    for name, times in Counter(named).items():
        if times > 1:
            raise InvalidInputError(
                f"{file} names {plain(name, 100)} twice. Each issuer, and each sign-in, stands there once."
            )
    return issuers
