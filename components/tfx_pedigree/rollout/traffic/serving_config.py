"""TensorFlow Serving's model config file: the entry of one model is replaced, those of all others stay as they are.

The server takes the whole list each time it reads the file, and unloads what is no longer in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tfx_pedigree.errors import ConflictError

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#[^\n]*|[{}]|[^{}"\'#]+|.', re.DOTALL)
_NAME = re.compile(r'\bname\s*:\s*["\']([^"\']*)["\']')
_LIST = re.compile(r"\bmodel_config_list\s*:?\s*$")
_ENTRY = re.compile(r"\bconfig\s*:?\s*$")


@dataclass(frozen=True)
class ModelEntry:
    name: str
    base_path: str
    versions: tuple[int, ...]
    labels: Mapping[str, int]

    def text(self) -> str:
        versions = " ".join(f"versions: {number}" for number in self.versions)
        labels = "".join(
            f"\n    version_labels {{ key: {_quoted(key)} value: {number} }}" for key, number in self.labels.items()
        )
        return (
            f"  config {{\n"
            f"    name: {_quoted(self.name)}\n"
            f"    base_path: {_quoted(self.base_path)}\n"
            f'    model_platform: "tensorflow"\n'
            f"    model_version_policy {{ specific {{ {versions} }} }}{labels}\n"
            f"  }}\n"
        )


def _quoted(text: str) -> str:
    """As protobuf's text format has it: what is no plain letter is written as the bytes of its UTF-8."""
    plain = {'"': '\\"', "\\": "\\\\"}
    return (
        '"'
        + "".join(plain.get(c, c) if " " <= c <= "~" else "".join(f"\\{byte:03o}" for byte in c.encode()) for c in text)
        + '"'
    )


def with_entry(text: str, entry: ModelEntry | None, name: str) -> str:
    """The file with the model's entry replaced, added, or removed where `entry` is None. Comments stay in entries."""
    others = [block for block in entries(text) if _name_of(block) != name]
    rows = [f"  config {{{block}}}\n" for block in others]
    if entry is not None:
        rows.append(entry.text())
    return f"model_config_list {{\n{''.join(rows)}}}\n"


def entries(text: str) -> Iterator[str]:
    """What is inside the braces of each `config { … }` in the list. Anything else at the top is refused: it would be
    lost."""
    depth, block, before, closed = 0, "", "", False
    for part in _TOKEN.findall(text):
        if part == "{":
            expected = (_LIST, _ENTRY)[depth] if depth < 2 else None
            if expected is not None and not expected.search(before):
                raise _strange(before)
            depth += 1
            block, before = ("" if depth == 2 else block + part), ""
        elif part == "}":
            depth -= 1
            if depth < 0 or (depth == 0 and before.strip()):
                raise _strange(before or "}")
            closed = closed or depth == 0
            if depth == 1:
                yield block
            block, before = block + part, ""
        else:
            block += part
            before += "" if part.startswith("#") else part
            if closed and depth == 0 and before.strip():
                raise _strange(before)
    if depth or before.strip():
        raise _strange(before or "{")


def _name_of(block: str) -> str | None:
    found = _NAME.search(block)
    return found[1] if found else None


def _strange(found: str) -> ConflictError:
    return ConflictError(
        f"The model config file has {found.strip()[-40:]!r}, where only `model_config_list {{ config {{ … }} }}` can "
        "be kept. Move anything else out of it."
    )
