"""The one gate that every node passes before it enters the graph: secrets become `(hidden)` before they are hashed.

What is recorded stays for ever and is read by many, and a digest of a short secret gives it away as well. Hidden are
the credentials in addresses, whatever stands under a name that speaks of a secret, and what has the shape of a
well-known token, wherever it stands. A secret that looks like any other word, under a name that says nothing, is not
recognised.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfx_pedigree.digest import is_digest
from tfx_pedigree.lineage.graph import Node, NodeKind

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

_SHAPES = re.compile(
    "|".join(
        (
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            r"\bey[JI][A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?",  # JSON web tokens
            r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",  # AWS
            r"\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}",
            r"\bgl(?:pat|ptt|dt|rt|cbt|soat)-[A-Za-z0-9_.-]{16,}",  # GitLab
            r"\bxox[a-z]-[A-Za-z0-9-]{10,}",  # Slack
            r"\bAIza[A-Za-z0-9_-]{30,}|\bya29\.[A-Za-z0-9_-]{10,}|\bGOCSPX-[A-Za-z0-9_-]{16,}",  # Google
            r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/_-]+",
            r"\b(?:sk|rk|pk)[_-](?:live|test|proj|ant|svcacct)[_-][A-Za-z0-9_-]{12,}|\bsk-[A-Za-z0-9]{20,}",
            r"\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{30,}|\bdckr_pat_[A-Za-z0-9_-]{16,}",
        )
    )
)
# Up to the last @ before the path: passwords that were not escaped may hold one themselves.
_USERINFO = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")
# A slash in one ends the address for who reads it; after a colon that no port follows, it is a password all the same.
_UNESCAPED = re.compile(r"(?<=://)[^\s/?#@:\['\"<>]*:(?!\d{1,5}[/?#])[^\s@'\"<>]{1,200}@")
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

# What an environment has installed.
_PACKAGES = "packages"


def clean_node(node: Node) -> tuple[Node, int]:
    """The node without its secrets, and how many values were hidden; the same node where there were none.

    Cleaning what is clean changes nothing.
    """
    gate = _Gate()
    content = dict(node.content)
    packages = content.pop(_PACKAGES, None) if node.kind is NodeKind.ENVIRONMENT else None
    clean_content = gate.mapping(content)
    if packages is not None:
        clean_content[_PACKAGES] = gate.packages(packages)
    clean = Node(node.kind, clean_content, gate.facts(node.facts))
    return (clean, gate.hidden) if gate.hidden else (node, 0)


def clean_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """A table cleaned as a node's content is, for what is written or hashed before it comes to the graph."""
    return _Gate().mapping(values)


def clean_text(text: str) -> str:
    """The text without credentials in addresses and without anything in the shape of a secret."""
    if len(text) < 6 or is_digest(text):
        return text
    text = _SHAPES.sub(HIDDEN, text)
    if "://" in text:
        text = _SIGNED.sub(rf"\g<1>{HIDDEN}", _UNESCAPED.sub("", _USERINFO.sub("", text)))
    text = _HEADER.sub(rf"\g<1>{HIDDEN}", text)
    text = _SENT.sub(rf"\g<1>\g<2>{HIDDEN}", text)
    if "--" in text:
        text = _OPTION.sub(rf"\g<1>{HIDDEN}", text)
    return _ASSIGNED.sub(rf"\g<1>{HIDDEN}", text) if "=" in text or ":" in text else text


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


# There are few names, and each stands in every node of its kind.
_clean_name = functools.lru_cache(maxsize=10_000)(clean_text)


def _is_option(item: Any) -> bool:
    """Of a command line, with its value in the item that follows."""
    return isinstance(item, str) and item.startswith("-") and "=" not in item


class _Gate:
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
        """What follows `--password` in a list of arguments is one."""
        return [
            self.named(before, item) if _is_option(before) and not _is_option(item) else self.value(item)
            for before, item in zip((None, *values), values, strict=False)
        ]

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
            return self.value(value)
        if isinstance(value, int | float) and "token" in name.lower():
            return value
        self.hidden += 1
        return HIDDEN

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
