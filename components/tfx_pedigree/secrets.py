"""The one gate that hides secrets: all that is recorded passes it first, and they become `(hidden)`.

What is recorded stays for ever and is read by many, and a digest of a short secret gives it away as well. Hidden are
the credentials in addresses and commands, whatever stands under a name that speaks of a secret, and what has the shape
of a well-known token, wherever it stands. A secret that looks like any other word, under a name that says nothing, is
not recognised.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfx_pedigree.digest import is_digest

HIDDEN = "(hidden)"

# Looked for in a name without its separators, so that `apiKey`, `API_KEY` and `my-api-key` are one.
_TELLING = (
    "password", "passwd", "passphrase", "pgpass", "secret", "credential", "authorization", "authtoken", "bearer",
    "cookie", "apikey", "accesskey", "privatekey", "accountkey", "signingkey", "encryptionkey", "sshkey",
    "connectionstring", "kubeconfig", "netrc",
)  # fmt: skip
# Telling only as whole words: `tokenizer`, `compass` and `author` are not.
_TELLING_WORDS = frozenset({"token", "pwd", "auth", "creds", "jwt"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Keys without a shape of their own, such as the 40 digits of Weights & Biases or the 32 of Twilio, are known by who
# gives them, or by being called a key, and by looking like one. A key that many may know is named after its use.
_GIVERS = ("wandb", "twilio", "datadog", "mailgun", "newrelic", "pagerduty", "clearml", "comet", "neptune", "sentry")
_NO_SECRET_KEY = frozenset({
    "public", "primary", "foreign", "cache", "partition", "sort", "join", "hash", "digest", "checksum", "commit", "sha",
    "md", "revision", "fingerprint", "node", "object", "storage", "feature", "dedup", "idempotency",
})  # fmt: skip
_BARE_KEY = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9A-F]{32}|[A-Za-z0-9_+/=-]{24,200}")

_SHAPES = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    "a JSON web token": r"\bey[JI][A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?",
    "an AWS access key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    "a Pedigree token": r"\bped_[0-9a-z]{12}_[0-9A-Za-z]{40}\b",
    "a GitHub token": r"\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}",
    "a GitLab token": r"\bgl(?:pat|ptt|dt|rt|cbt|soat)-[A-Za-z0-9_.-]{16,}",
    "a Slack token": r"\bxox[a-z]-[A-Za-z0-9-]{10,}",
    "a Google API key": r"\bAIza[A-Za-z0-9_-]{30,}",
    "a Google access token": r"\bya29\.[A-Za-z0-9_-]{10,}|\bGOCSPX-[A-Za-z0-9_-]{16,}",
    "a webhook's address": r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/_-]+|(?<=/api/webhooks/)\d+/[A-Za-z0-9_-]{16,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "a PyPI token": r"\bpypi-[A-Za-z0-9_-]{30,}",
    "an npm token": r"\bnpm_[A-Za-z0-9]{30,}",
    "a Docker token": r"\bdckr_pat_[A-Za-z0-9_-]{16,}",
    "a SendGrid key": r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "a Databricks token": r"\bdapi[0-9a-f]{32}(?:-\d+)?\b",
    "a Vault token": r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}",
    "an age key": r"\bAGE-SECRET-KEY-[A-Z0-9-]{20,}",
    "a Twilio key": r"\bSK[0-9a-f]{32}\b",
    "a Weights & Biases key": r"\bwandb_v\d+_[A-Za-z0-9_]{20,}|\blocal-[0-9a-f]{40}\b",
    "an API key": r"\b(?:sk|rk|pk)[_-](?:live|test|proj|ant|svcacct)[_-][A-Za-z0-9_-]{12,}|\bsk-[A-Za-z0-9]{20,}"
    r"|\bsk[_-][A-Za-z0-9_-]{32,}",
}
_ANY_TOKEN = re.compile("|".join(_SHAPES.values()))
_SHORTEST_TOKEN = 12
_FORTY = re.compile(r"(?<![A-Za-z0-9/+_.-])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=_-])")
# So many of the 39 neighbours differ in kind (small, large, digit, sign): 25 in an AWS secret, less in words and paths.
_LEAST_CHANGES = 18
_KIND = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/+", "a" * 26 + "A" * 26 + "0" * 10 + "//"
)
# Up to the last @ before the path: passwords that were not escaped may hold one themselves.
_USERINFO = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")
# A slash in one ends the address for who reads it; after a colon that no port follows, it is a password all the same.
_UNESCAPED = re.compile(r"(?<=://)[^\s/?#@:\['\"<>]*:(?!\d{1,5}[/?#])[^\s@'\"<>]{1,200}@")
# For messages: what follows the colon up to the last @ of the word, whatever it is, and the word before it stays.
_PASSWORD = re.compile(r"(?<=://)([^:/?#\s]*):[^\s]*(?=@)")
_SECRET_QUERY = re.compile(r"(?i)([?&][^=&\s]*(?:password|passwd|secret|token|credential|signature)[^=&\s]*=)[^&\s]+")
_SIGNED = re.compile(r"(?<=[?&])((?:x-(?:amz|goog)-(?:signature|credential)|sig|signature)=)[^&\s#]+", re.IGNORECASE)
_HEADER = re.compile(
    r"(\bauthorization\\*['\"]?\s*[=:]\s*\\*['\"]?)(?!\(hidden\))[^\s'\",;\\][^'\",;\r\n\\]*", re.IGNORECASE
)
_SENT = re.compile(r"\b(Bearer|Basic)(\s+)[A-Za-z0-9+/._~=-]{12,}", re.IGNORECASE)
_NAME = (
    "(?:password|passwd|passphrase|pwd|secret|token|credentials?|authorization|api[ _-]?key|"
    "(?:access|private|account|shared[ _-]?access|secret|signing|encryption)[ _-]?key(?:[ _-]?id)?|(?<=[_-])pass)"
)
# Quotes are escaped where JSON stands in JSON.
_VALUE = r"(?:\\+\"[^\"]*\"|\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;&'\"]+)"
_ASSIGNED = re.compile(rf"({_NAME}\\*['\"]?\s*(?:=|:(?!//))\s*)(?!\(hidden\)){_VALUE}", re.IGNORECASE)
_OPTION = re.compile(rf"(--[a-z0-9_-]{{0,40}}?{_NAME}\s+)(?!-|\(hidden\)){_VALUE}", re.IGNORECASE)
# What programs take by themselves: `mysql -pSECRET`, `curl -u NAME:SECRET`, `wandb login SECRET`, a line of a .netrc.
_COMMAND = re.compile(
    r"(\b(?:mysql|mariadb)[a-z_-]*\b[^\n;|&]{0,400}?\s-p)(?!\(hidden\))[^\s'\"]+"
    r"|(\bcurl\b[^\n;|&]{0,400}?\s(?:-u|-U|--user|--proxy-user)[ =]?['\"]?)(?!\(hidden\))[^\s:'\"-][^\s:'\"]*:[^\s'\"]+"
    r"|(\bwandb\s+login\s+(?:--\S+\s+){0,5})(?!-|\(hidden\))[A-Za-z0-9_-]{30,}"
    r"|(\bmachine\s+\S{1,200}\s+login\s+\S{1,200}\s+password\s+)(?!\(hidden\))\S+"
)
_COMMANDS = ("mysql", "mariadb", "curl", "wandb", "machine")
_TAKES_PASSWORD = re.compile(r"(?:.*/)?(?:mysql|mariadb)[a-z_-]*")
_TAKES_USER = re.compile(r"(?:.*/)?curl")


def clean_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """A table without its secrets. Cleaning what is clean changes nothing."""
    return Gate().mapping(values)


def hidden_names(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The names, as they may be shown, under which `clean_values` hides something."""
    return tuple(
        name
        for value, (name, clean) in zip(values.items(), clean_values(values).items(), strict=False)
        if value != (name, clean)
    )


def clean_text(text: str) -> str:
    """The text without credentials in addresses and without anything in the shape of a secret."""
    if len(text) < 6 or is_digest(text):
        return text
    text = _ANY_TOKEN.sub(HIDDEN, text)
    if len(text) >= 40:
        text = _FORTY.sub(lambda found: HIDDEN if _is_random(found[0]) else found[0], text)
    if "://" in text:
        text = _USERINFO.sub("", _UNESCAPED.sub("", _USERINFO.sub("", text)))
        text = _SIGNED.sub(rf"\g<1>{HIDDEN}", text)
    text = _HEADER.sub(rf"\g<1>{HIDDEN}", text)
    text = _SENT.sub(rf"\g<1>\g<2>{HIDDEN}", text)
    if any(command in text for command in _COMMANDS):
        text = _without_arguments(text)
    if "--" in text:
        text = _OPTION.sub(rf"\g<1>{HIDDEN}", text)
    return _ASSIGNED.sub(rf"\g<1>{HIDDEN}", text) if "=" in text or ":" in text else text


def masked(text: str) -> str:
    """For messages, where an address is to be recognised: its user stays. Nothing of a password or a token does."""
    text = _without_passwords(text)
    return _ANY_TOKEN.sub(HIDDEN, text) if len(text) >= _SHORTEST_TOKEN else text


def has_password(address: str) -> bool:
    """An empty password is none."""
    opened = address.replace(":@", "@")
    return _without_passwords(opened) != opened


def without_password(address: str) -> str:
    """The address as it may be written down, without its user as well."""
    return clean_text(re.sub(rf"{_PASSWORD.pattern}@", "", address))


def _without_passwords(text: str) -> str:
    return _SECRET_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***", text))


def kind_of_secret(text: str) -> str | None:
    """What the text holds, if it has the shape of a well-known token: "a GitHub token"."""
    return next((kind for kind, shape in _SHAPES.items() if re.search(shape, text)), None)


def _is_random(text: str) -> bool:
    """Forty letters, digits and signs are an AWS secret, or a digest (of one case), or a path, or a long name."""
    kinds = text.translate(_KIND)
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    return changes >= _LEAST_CHANGES and {"a", "A", "0"} <= set(kinds)


def _without_arguments(text: str) -> str:
    """Again and again, for of two options of one command only the first is found at a time."""
    for _ in range(8):
        clean = _COMMAND.sub(lambda found: f"{next(filter(None, found.groups()))}{HIDDEN}", text)
        if clean == text:
            break
        text = clean
    return text


@functools.lru_cache(maxsize=10_000)
def speaks_of_a_secret(name: str) -> bool:
    """Whether a name (of a parameter, a variable, a fact) says that its value is a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words:
        return False
    joined = "".join(words)
    return (
        any(telling in joined for telling in _TELLING)
        or not _TELLING_WORDS.isdisjoint(words)
        or words[-1] == "pass"
        or joined.endswith("token")
    )


@functools.lru_cache(maxsize=10_000)
def _names_a_key(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or not _NO_SECRET_KEY.isdisjoint(words):
        return False
    return words[-1] in ("key", "keys") or any(giver in "".join(words) for giver in _GIVERS)


def _is_bare_key(text: str) -> bool:
    """Digits and letters in no order that a person would write."""
    if not _BARE_KEY.fullmatch(text) or len(set(text)) < 10:
        return False
    kinds = text.translate(_KIND)
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    return "0" in kinds and changes * 4 >= len(text)


# There are few names, and each stands in every node of its kind.
_clean_name = functools.lru_cache(maxsize=10_000)(clean_text)


def _is_option(item: Any) -> bool:
    """Of a command line, with its value in the item that follows."""
    return isinstance(item, str) and item.startswith("-") and "=" not in item


class Gate:
    """Counts what it hides."""

    def __init__(self) -> None:
        self.hidden = 0

    def mapping(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """Where a name and its value stand side by side, as in a container's variables, that name tells."""
        said = {str(name).lower(): value for name, value in values.items()}
        told = next((said[name] for name in ("name", "key") if isinstance(said.get(name), str)), "")
        return {
            self.name(str(name)): self.named(told if told and str(name).lower() == "value" else str(name), value)
            for name, value in values.items()
        }

    def sequence(self, values: Sequence[Any]) -> list[Any]:
        """What follows `--password` in a list of arguments is one, and what programs take in their own way."""
        return [
            self.named(before, item) if _is_option(before) and not _is_option(item) else self.value(item)
            for before, item in zip((None, *values), self._arguments(values), strict=False)
        ]

    def _arguments(self, values: Sequence[Any]) -> Sequence[Any]:
        told = [value if isinstance(value, str) else "" for value in values]
        if any(map(_TAKES_PASSWORD.fullmatch, told)):
            return [
                self._hide(one, "-p") if text.startswith("-p") else one for one, text in zip(values, told, strict=True)
            ]
        if any(map(_TAKES_USER.fullmatch, told)):
            follows = (None, *told)
            users = ("-u", "-U", "--user", "--proxy-user")
            return [
                self._hide(one)
                if before in users and ":" in text
                else self._hide(one, text[:2])
                if text[:2] in users and ":" in text
                else one
                for before, one, text in zip(follows, values, told, strict=False)
            ]
        return values

    def _hide(self, value: str, kept: str = "") -> str:
        if value in (kept, kept + HIDDEN):
            return value
        self.hidden += 1
        return kept + HIDDEN

    def packages(self, packages: Any) -> Any:
        """Names of packages, such as `azure-keyvault-secrets`, say nothing of the version that stands under them."""
        if not isinstance(packages, Mapping):
            return self.value(packages)
        return {self.name(str(name)): self.value(version) for name, version in packages.items()}

    def facts(self, facts: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {
            self.name(name): tuple(self.named(name, str(value)) for value in values) for name, values in facts.items()
        }

    def name(self, name: str) -> str:
        clean = _clean_name(name)
        self.hidden += clean != name
        return clean

    def named(self, name: str, value: Any) -> Any:
        """What is true, false or nothing is no secret under any name; nor is a number of tokens."""
        if value is None or isinstance(value, bool) or value in ("", HIDDEN) or not speaks_of_a_secret(name):
            return self._unless_key(name, value)
        if isinstance(value, int | float) and "token" in name.lower():
            return value
        self.hidden += 1
        return HIDDEN

    def _unless_key(self, name: str, value: Any) -> Any:
        if isinstance(value, str) and _is_bare_key(value) and _names_a_key(name):
            return self._hide(value)
        return self.value(value)

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self.mapping(value)
        if isinstance(value, list | tuple):
            return self.sequence(value)
        return value

    def text(self, text: str) -> str:
        clean = clean_text(text)
        self.hidden += clean != text
        return clean
