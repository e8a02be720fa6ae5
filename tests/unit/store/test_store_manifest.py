"""The manifest: one form for one content, and nothing hostile gets in."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.store import FileEntry, Manifest
from tfx_pedigree.store.paths import check_path, check_tree, folded

SHA = "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"
GOLDEN = (
    b'{"files":[{"path":"assets/vocabulary.txt","sha256":"' + SHA.encode() + b'","size":3},'
    b'{"path":"saved_model.pb","sha256":"' + SHA.encode() + b'","size":3}],"format":"pedigree-manifest","version":1}'
)

names = st.text(st.characters(codec="utf-8", exclude_characters="/\\", min_codepoint=32), min_size=1, max_size=12)
entries = st.builds(
    FileEntry,
    path=st.lists(names, min_size=1, max_size=4).map("/".join),
    size=st.integers(0, 2**53 - 1),
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
)


def valid(files: list[FileEntry]) -> list[FileEntry]:
    """Those of `files` that can be in one manifest."""
    kept: list[FileEntry] = []
    for entry in files:
        try:
            check_tree([other.path for other in (*kept, entry)])
        except InvalidInputError:
            continue
        kept.append(entry)
    return kept


manifests = st.lists(entries, min_size=1, max_size=8).map(valid).filter(bool).map(Manifest.of)


@given(manifests)
def test_a_manifest_survives_json(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_json(manifest.to_json()).digest == manifest.digest == digest_of(manifest.to_json())


@given(manifests, st.randoms())
def test_the_order_of_listing_does_not_matter(manifest: Manifest, order: random.Random) -> None:
    files = list(manifest.files)
    order.shuffle(files)
    assert Manifest.of(files) == manifest


@given(manifests, st.data())
def test_any_difference_in_content_is_another_version(manifest: Manifest, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(manifest.files) - 1))
    old = manifest.files[number]
    new = data.draw(
        st.sampled_from([FileEntry(old.path, old.size, "0" * 64), FileEntry(old.path, old.size ^ 1, old.sha256)])
    )
    if new != old:
        files = (*manifest.files[:number], new, *manifest.files[number + 1 :])
        assert Manifest(files).digest != manifest.digest


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_arbitrary_bytes_are_refused_and_never_crash(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="not a manifest"):
        Manifest.from_json(data)


@given(manifests, st.data())
def test_one_changed_byte_never_passes_as_the_same_version(manifest: Manifest, data: st.DataObject) -> None:
    text = bytearray(manifest.to_json())
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    try:
        other = Manifest.from_json(bytes(text))
    except InvalidInputError:
        return
    assert other.digest != manifest.digest
    assert other.to_json() == bytes(text)


def test_the_format_stays_as_it_is() -> None:
    manifest = Manifest.of([FileEntry("saved_model.pb", 3, SHA), FileEntry("assets/vocabulary.txt", 3, SHA)])
    assert manifest.to_json() == GOLDEN
    assert manifest.digest == "sha256:59ac0087c397aab58b4a4bbc14be81112dfb8974e827a60eb87efae8a97280c5"
    assert manifest.total_size == 6


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "..", "../up", "a/../b", "a/..", ".", "./a", "a/.", "a//b", "a/", "/", "a\\b", "..\\up",
        "C:/windows", "c:relative", "nul\x00byte", "line\nfeed", "bell\x07", "del\x7f", "\ud800", "x" * 256,
        "é" * 128, "/".join(["long"] * 300),
    ],
)  # fmt: skip
def test_paths_that_leave_the_tree_or_cannot_exist_everywhere_are_refused(path: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot stand in a version"):
        check_path(path)
    with pytest.raises(InvalidInputError):
        Manifest.of([FileEntry(path, 1, SHA)])


@pytest.mark.parametrize(
    "path", ["a", "a b", "...", "..a", "a..", "-rf", "~", "ab:c", "Zürich/ß", "x" * 255, "日本/語"]
)
def test_unusual_paths_that_are_harmless_are_accepted(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "paths",
    [
        ("A", "a"),
        ("model/A", "model/a"),
        ("Assets/x", "assets/y"),
        ("\u00e9", "e\u0301"),
        ("stra\u00dfe", "STRASSE"),
        ("\u212b", "\u00e5"),
        ("a", "a"),
        ("a", "a/b"),
        ("a/b", "a/b/c/d"),
        ("a/b/c/d", "A/B"),
    ],
)
def test_files_that_cannot_lie_side_by_side_are_refused(paths: tuple[str, str]) -> None:
    for order in (paths, paths[::-1]):
        with pytest.raises(InvalidInputError, match=r"one name|listed twice|side by side"):
            check_tree(order)


@given(st.lists(names, min_size=2, max_size=2))
def test_no_two_accepted_names_meet_on_a_disk_that_ignores_case(pair: list[str]) -> None:
    try:
        check_tree(pair)
    except InvalidInputError:
        return
    assert pair[0].casefold() != pair[1].casefold()
    assert folded(pair[0]) != folded(pair[1])


def _with(**changes: Any) -> bytes:
    return _dump({**json.loads(GOLDEN), **changes})


def _entry(**changes: Any) -> bytes:
    value = json.loads(GOLDEN)
    value["files"][1].update(changes)
    return _dump(value)


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


@pytest.mark.parametrize(
    "data",
    {
        "nothing": b"",
        "not JSON": b"{",
        "not UTF-8": b'{"a":"\xff"}',
        "not an object": b"[]",
        "a number": b"1",
        "too deep": b"[" * 100_000,
        "spaces": GOLDEN.replace(b",", b", "),
        "trailing line feed": GOLDEN + b"\n",
        "byte order mark": b"\xef\xbb\xbf" + GOLDEN,
        "two documents": GOLDEN + GOLDEN,
        "escaped": GOLDEN.replace(b"saved", b"\\u0073aved"),
        "same key twice": GOLDEN.replace(b'"version":1', b'"version":1,"version":1'),
        "size as a float": GOLDEN.replace(b'"size":3', b'"size":3.0'),
        "size as an exponent": GOLDEN.replace(b'"size":3', b'"size":3e0'),
        "negative zero": GOLDEN.replace(b'"size":3', b'"size":-0'),
        "endless number": GOLDEN.replace(b'"size":3', b'"size":' + b"9" * 10_000),
        "not a number": GOLDEN.replace(b'"size":3', b'"size":NaN'),
        "unknown key": _with(mode=1),
        "no format": _with(format=None),
        "other format": _with(format="zip"),
        "version true": _with(version=True),
        "version 0": _with(version=0),
        "version as text": _with(version="1"),
        "no file": _with(files=[]),
        "files as an object": _with(files={}),
        "entry as text": _with(files=["a"]),
        "wrong order": _with(files=json.loads(GOLDEN)["files"][::-1]),
        "same file twice": _with(files=json.loads(GOLDEN)["files"][:1] * 2),
        "unknown key in an entry": _entry(mode="0755"),
        "path as a number": _entry(path=1),
        "path outside": _entry(path="../saved_model.pb"),
        "lone surrogate": GOLDEN.replace(b"saved_model", b"\\ud800"),
        "negative size": _entry(size=-1),
        "size true": _entry(size=True),
        "size as text": _entry(size="3"),
        "size too large": _entry(size=2**53),
        "size none": _entry(size=None),
        "SHA-256 in capitals": _entry(sha256=SHA.upper()),
        "SHA-256 with prefix": _entry(sha256="sha256:" + SHA),
        "SHA-256 too short": _entry(sha256=SHA[1:]),
        "SHA-256 as a path": _entry(sha256="../" * 21 + "x"),
        "SHA-256 none": _entry(sha256=None),
    }.items(),
    ids=lambda item: item[0],
)
def test_hostile_manifests_are_refused(data: tuple[str, bytes]) -> None:
    with pytest.raises(InvalidInputError):
        Manifest.from_json(data[1])


def test_too_many_files_and_too_many_bytes_are_refused_before_they_cost_anything() -> None:
    with pytest.raises(InvalidInputError, match="at most 100000 entries"):
        Manifest.from_json(b'{"files":[' + b"0," * 100_000 + b'0],"format":"pedigree-manifest","version":1}')
    with pytest.raises(InvalidInputError, match="larger than"):
        Manifest.from_json(b" " * ((32 << 20) + 1))


def test_a_manifest_of_a_newer_format_says_so() -> None:
    with pytest.raises(InvalidInputError, match=r"format version 2 is newer than 1.*newer tfx-pedigree"):
        Manifest.from_json(_with(version=2, links=[]))


@pytest.mark.parametrize(
    "data",
    [
        b'{"files":[' + b"[]," * 10_000_000 + b'[]],"format":"pedigree-manifest","version":1}',
        b'{"files":' + b"[" * (32 << 20),
        b" " * ((32 << 20) + 1),
        b'{"files":['
        + b'{"path":"a","sha256":"","size":0},' * 900_000
        + b'0],"format":"pedigree-manifest","version":1}',
    ],
    ids=["empty lists", "deep", "large", "entries"],
)
@pytest.mark.system
def test_manifest_that_is_made_to_hurt_costs_little_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError, match="not a manifest that can be used"):
            Manifest.from_json(data)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
