"""Text from elsewhere is read within limits of time and memory, or refused in a sentence that says where it is."""

from __future__ import annotations

import ast
import json
import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import tfx_pedigree
from tfx_pedigree import bounded_parse
from tfx_pedigree.bounded_parse import (
    DEEPEST,
    LARGEST_JSON,
    LARGEST_TOML,
    LARGEST_YAML,
    LONGEST_NUMBER,
    MOST_VALUES,
    MOST_YAML_VALUES,
    compose_yaml,
    parse_json,
    parse_toml,
    parse_yaml,
    parse_yaml_documents,
    yaml_scalar,
)
from tfx_pedigree.errors import InvalidInputError

DOCUMENT = Path(__file__).parents[2] / "docs" / "limits.md"

# Each level has nine times as many values as the one before.
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{new}: &{new} {{<<: [{','.join([f'*{old}'] * 9)}]}}\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

JSON_REFUSALS = {
    '{"a": 1,\n "a": 2}': "it, line 2: the key `a` stands there twice.",
    "[1,\n NaN]": "it, line 2: NaN is no number in JSON.",
    "[-Infinity]": "it, line 1: -Infinity is no number in JSON.",
    "[1e999]": "it, line 1: the number 1e999 is larger than a number can be.",
    "1" + "0" * 5000: "it, line 1: a number has 5001 digits; 400 are read at the most.",
    '{"a":\n "\\ud800"}': "it, line 2: it holds half of a character",
    '"\ud800"': "it, line 1: it holds half of a character",
    '{"\\udfff": 1}': "it, line 1: it holds half of a character",
    '{"a":': "it, line 1: this is not JSON: expecting value.",
    "\n\n{a: 1}": "it, line 3: this is not JSON: expecting property name",
    "": "it, line 1: this is not JSON",
    "\n[" * 3000: f"it, line {DEEPEST + 2}: it is nested more than {DEEPEST} deep.",
    "[" * 3000 + "]" * 3000: "it, line 1: it is nested more than 64 deep.",
    '{"a":' * 100_000: "it, line 1: it is nested more than 64 deep.",
}
YAML_REFUSALS = {
    "a: 1\nb: {c: 1,\n  c: 2}": "it, line 3: the key `c` stands there twice.",
    "[" * 3000: "it, line 1: it is nested more than 64 deep.",
    "- " * 3000: "it, line 1: it is nested more than 64 deep.",
    ALIASES: "it, line 5: it holds more than 50,000 values, aliases counted as what they stand for.",
    MERGES: "it, line 6: it holds more than 50,000 values, aliases counted as what they stand for.",
    "a: &a\n  [*a]": "it, line 2: `*a` stands within what it names.",
    "a: .inf": "it, line 1: .inf is no number that can be used here.",
    "a: .nan": "it, line 1: .nan is no number that can be used here.",
    "a: 1.0e+999": "it, line 1: 1.0e+999 is larger than a number can be.",
    "\na: 1" + "0" * 5000: "it, line 2: a number has 5001 digits; 400 are read at the most.",
    "a: 1" + ":59" * 50_000: "it, line 1: a number has 150001 digits",
    "a: 2026-99-99": "it, line 1: '2026-99-99' is no timestamp.",
    "a: !!bool perhaps": "it, line 1: 'perhaps' is no bool.",
    'a:\n  "\\ud800"': "it, line 2: it holds half of a character",
    '"\\UFFFFFFFF"': "it: this is not YAML",
    "a: \x00": "it: the character U+0000 may not stand in YAML.",
    "%YAML 1." + "1" * 5000 + "\n---\na": "it: this is not YAML",
    "a: !!python/name:os.system x": "it, line 1: this is not YAML: could not determine a constructor",
    "? [1]\n: 2": "it, line 1: this is not YAML: found unhashable key.",
    "a\n---\nb": "it, line 2: this is not YAML",
    "[a": "it, line 1: this is not YAML",
}
TOML_REFUSALS = {
    "a = " + "[" * 3000: "it: it is nested more than 64 deep",
    "a = " + "{a=" * 3000: "it: it is nested more than 64 deep",
    "\n" + "a." * 30_000 + "b = 1": "it, line 2: a name with more than 64 dots is not read.",
    "a = 1" + "0" * 5000: "it: it is nested more than 64 deep, or a number is too long.",
    "[a]\n[a]": "it: this is not TOML",
}


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        *((parse_json, text, message) for text, message in JSON_REFUSALS.items()),
        *((parse_yaml, text, message) for text, message in YAML_REFUSALS.items()),
        *((parse_toml, text, message) for text, message in TOML_REFUSALS.items()),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, str) else None,
)
def test_what_cannot_be_used_is_refused_at_once_with_its_line_and_cause(
    parse: Callable[[str, str], Any], text: str, message: str
) -> None:
    began = time.process_time()
    with pytest.raises(InvalidInputError) as caught:
        parse(text, "it")
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 400
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_json, " " * (LARGEST_JSON + 1)),
        (parse_json, b" " * (LARGEST_JSON + 1)),
        (parse_json, "[" + "[]," * MOST_VALUES + "[]]"),
        (parse_json, "[" + "{}," * MOST_VALUES + "{}]"),
        (parse_yaml, " " * (LARGEST_YAML + 1)),
        (parse_yaml, "[" + "a," * MOST_YAML_VALUES + "a]"),
        (parse_toml, " " * (LARGEST_TOML + 1)),
    ],
    ids=["JSON", "JSON bytes", "lists", "tables", "YAML", "YAML values", "TOML"],
)
@pytest.mark.system
def test_what_is_too_large_takes_little_memory_to_refuse(parse: Callable[[Any, str], Any], text: str | bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError, match=r"is larger than \d+ MiB|holds more than [\d,]+ values"):
            parse(text, "it")
        assert tracemalloc.get_traced_memory()[1] < 150 << 20
    finally:
        tracemalloc.stop()


def test_commas_within_texts_are_no_values() -> None:
    text = "," * MOST_VALUES
    assert parse_json(json.dumps([text]), "it") == [text]


def test_a_format_may_take_more() -> None:
    assert parse_json("[Infinity]", "it", words=True) == [float("inf")]
    whole = 2**53
    assert parse_json(f"[{whole}, 1]", "it") == [whole, 1]
    found = parse_json(f"[{whole}, 1]", "it", canonical=True)
    assert [type(one) for one in found] == [float, int]


def test_deepest_and_longest_that_are_allowed_are_read() -> None:
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert json.dumps(parse_json(deep, "it")) == deep
    assert json.dumps(parse_yaml(deep, "it")) == deep
    assert parse_json("1" * LONGEST_NUMBER, "it") == int("1" * LONGEST_NUMBER)


def test_aliases_and_merges_of_people_are_read() -> None:
    text = "base: &base {a: 1, b: [x]}\nmine:\n  <<: *base\n  a: 2\nagain: *base\n"
    assert parse_yaml(text, "it") == yaml.safe_load(text)
    assert parse_yaml_documents("a: 1\n---\nb: 2\n", "it") == [{"a": 1}, {"b": 2}]
    assert parse_yaml_documents("", "it") == []
    assert parse_yaml("", "it") is None


def test_leaves_of_composed_yaml_have_their_values() -> None:
    root: Any = compose_yaml("[1, 007, .inf, 'x', 2026-01-31]", "it")
    assert [str(yaml_scalar(one, "it")) for one in root.value] == ["1", "7", "inf", "x", "2026-01-31"]


NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_json_can_hold_is_read_as_json_reads_it(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert parse_json(text, "it") == value
        assert parse_json(text.encode(), "it") == value


@given(st.text() | st.text('[]{}",:\\&*!|>-?%@ \nau08.#~<=').filter(bool))
def test_no_text_at_all_fails_in_another_way(text: str) -> None:
    for parse in (parse_json, parse_yaml, parse_yaml_documents, parse_toml):
        try:
            parse(text, "it")
        except InvalidInputError as error:
            assert str(error).startswith("it")


@given(st.binary())
def test_no_bytes_at_all_fail_in_another_way(data: bytes) -> None:
    for parse in (parse_json, parse_yaml, parse_toml):
        try:
            parse(data, "it")
        except InvalidInputError as error:
            assert str(error).startswith("it")


def test_documented_limits_are_those_that_hold() -> None:
    told = DOCUMENT.read_text()
    for words in (
        f"JSON of {LARGEST_JSON >> 20} MiB",
        f"YAML of {LARGEST_YAML >> 20} MiB",
        f"TOML of {LARGEST_TOML >> 20} MiB",
        f"{MOST_VALUES:,} values",
        f"{MOST_YAML_VALUES:,} values",
        f"{DEEPEST} deep",
        f"{LONGEST_NUMBER} digits",
    ):
        assert words in told, words


# Who else may parse, and why.
OTHERS = {
    "bounded_parse.py": "the loader",
    "digest.py": "rows of our own database, which the audit log covers, millions at a time",
    "extras.py": "what pip or uv noted of this installation, beside our own code",
    "lineage/storage.py": "rows of our own database, put together by its own query",
    "mlmd/client_process.py": "lines between our own two processes, however long",
    "server/forms.py": "what the request itself has written a moment before",
    "tfx_runner/order.py": "what our own parent process sends",
}
PARSERS = {
    "json": {"load", "loads", "JSONDecoder"},
    "yaml": {"load", "load_all", "safe_load", "safe_load_all", "full_load", "compose", "compose_all", "parse", "scan"},
    "toml": {"load", "loads"},
    "tomllib": {"load", "loads"},
    "tomli": {"load", "loads"},
}


def _parses(file: Path) -> bool:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in PARSERS.get(node.value.id, ()):
                return True
        elif isinstance(node, ast.ImportFrom) and node.module in PARSERS:
            assert not {one.name for one in node.names} & PARSERS[node.module], f"{file} hides what it calls"
    return False


def test_everything_from_elsewhere_goes_through_the_one_loader() -> None:
    root = Path(tfx_pedigree.__file__).parent
    found = {str(file.relative_to(root)) for file in root.rglob("*.py") if _parses(file)}
    assert found == set(OTHERS), "parse with tfx_pedigree.bounded_parse, or say here why not"
    assert re.search(r"^def parse_json", Path(bounded_parse.__file__).read_text(), re.MULTILINE)
