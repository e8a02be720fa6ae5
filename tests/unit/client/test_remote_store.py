"""Bytes through a server: whole, checked at both ends, and gone on with where the way breaks off."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pedigree_testing import candidate
from server_testing import Switch, opened
from tfx_pedigree.client.transport import PassingError, Transport
from tfx_pedigree.errors import ConflictError, DamagedError, ForbiddenError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import Candidate, Identity, Registry, Role, RolesCap
from tfx_pedigree.store import Store, manifest_of

BIG = os.urandom(9 << 20)
Opened = Callable[[str], Store]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry.create(tmp_path / "registry", actor="ada") as made:
        made.revoke("*")
        yield made


@pytest.fixture
def at(registry: Registry, switch: Switch) -> Iterator[str]:
    with switch.registry(registry, "registry") as address:
        yield address


@pytest.fixture
def store(at: str) -> Store:
    return opened(at, "ada").store


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "empty").write_bytes(b"")
    (folder / "variables" / "data").write_bytes(BIG)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_put_is_there_and_comes_back(store: Store, registry: Registry, model: Path, tmp_path: Path) -> None:
    assert not store.has(manifest_of(model).digest)
    manifest = store.put(model)
    assert manifest == manifest_of(model) == registry.store.manifest(manifest.digest)
    assert store.has(manifest.digest)
    assert files_of(store.materialise(manifest.digest, tmp_path / "out")) == files_of(model)
    with store.open_file(manifest.digest, "saved_model.pb") as file:
        assert file.read() == b"graph"
    assert store.put(model) == manifest
    assert (store.verify().objects, store.verify([manifest.digest]).ok) == (3, True)


def test_what_is_there_already_is_not_sent_again(store: Store, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(model)
    sent: list[str] = []
    response = Transport.response

    def noting(self: Transport, method: str, path: str, *rest: object) -> object:
        sent.append(f"{method} {path}")
        return response(self, method, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Transport, "response", noting)
    (model / "saved_model.pb").write_bytes(b"another graph")
    store.put(model)
    assert hashlib.sha256(BIG).hexdigest() not in "".join(one for one in sent if one.startswith("PUT"))
    assert not [one for one in sent if one.startswith("POST") and one.endswith("/store/objects")]


def test_a_large_file_is_hashed_while_it_is_sent_and_sent_again_if_the_way_breaks_off(
    store: Store, registry: Registry, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    response, broken = Transport.response, ["once"]

    def breaking(self: Transport, method: str, path: str, body: object, *rest: Any) -> object:
        read.append(f"{method} {path}")
        if method == "POST" and callable(body) and broken:
            broken.pop()
            next(body())
            raise PassingError(ConflictError("gone"))
        return response(self, method, path, body, *rest)

    monkeypatch.setattr(Transport, "response", breaking)
    monkeypatch.setattr("tfx_pedigree.client.store.hash_all", None)
    digest = store.put(model).digest
    assert registry.store.verify([digest]).ok
    assert read.count("POST /api/v1/store/objects") == 2


def test_a_file_with_the_ends_of_another_one_is_stored_as_itself(store: Store, model: Path, registry: Registry) -> None:
    first = store.put(model)
    place = len(BIG) // 4
    (model / "variables" / "data").write_bytes(BIG[:place] + bytes([BIG[place] ^ 1]) + BIG[place + 1 :])
    second = store.put(model)
    assert first.digest != second.digest
    assert registry.store.verify([first.digest, second.digest]).ok


@pytest.mark.parametrize(("change", "refusal"), [("on the way", DamagedError), ("meanwhile", ConflictError)])
def test_bytes_that_changed_while_they_were_sent_make_no_version(
    store: Store, model: Path, monkeypatch: pytest.MonkeyPatch, change: str, refusal: type[Exception]
) -> None:
    response = Transport.response

    def changing(self: Transport, method: str, path: str, body: object, *rest: Any) -> object:
        def altered() -> Iterator[bytes]:
            for number, piece in enumerate(body()):  # type: ignore[operator]
                data = bytes(piece)
                if not number and change == "meanwhile":
                    (model / "variables" / "data").write_bytes(BIG)
                yield bytes([data[0] ^ 1]) + data[1:] if not number and change == "on the way" else data

        sent = altered if method == "POST" and callable(body) else body
        return response(self, method, path, sent, *rest)

    monkeypatch.setattr(Transport, "response", changing)
    with pytest.raises(refusal):
        store.put(model)
    assert not store.has(manifest_of(model).digest)


@pytest.mark.parametrize("hint", ["..%2f..%2flock", "1-2", f"g-{'0' * 32}", f"1-{'0' * 33}"])
def test_a_hint_is_a_size_and_digits(at: str, hint: str) -> None:
    answer = httpx.get(f"{at}/api/v1/store/resembling/{hint}", headers={"authorization": "Bearer ada"})
    assert answer.status_code in (400, 404)


def test_who_may_add_nothing_learns_nothing_of_what_is_there(at: str) -> None:
    headers = {"authorization": "Bearer eve"}
    for method, path in (("GET", f"resembling/1-{'0' * 32}"), ("POST", "objects")):
        assert httpx.request(method, f"{at}/api/v1/store/{path}", headers=headers, content=b"x").status_code == 403


def test_damage_is_found_on_either_side_and_healed(
    store: Store, registry: Registry, model: Path, tmp_path: Path
) -> None:
    digest = store.put(model).digest
    sha256 = hashlib.sha256(BIG).hexdigest()
    path = tmp_path / "registry" / "store" / "objects" / sha256[:2] / sha256[2:]
    path.chmod(0o600)
    path.write_bytes(bytes([BIG[0] ^ 1]) + BIG[1:])  # any first byte of random bytes might have been the one written
    with pytest.raises(DamagedError, match="variables/data|is damaged"):
        store.materialise(digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (problem,) = store.verify([digest]).problems
    assert (problem.state, problem.set_aside) == ("damaged", True)
    store.put(model)
    assert store.verify([digest]).ok


def test_download_goes_on_where_it_broke_off(
    store: Store, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = store.put(model).digest
    pieces, cuts, ranges = Transport.pieces, [3, 2, 1], list[str]()
    response = Transport.response

    def cut(answer: object) -> Iterator[bytes]:
        for number, piece in enumerate(pieces(answer), 1):  # type: ignore[arg-type]
            yield piece
            if len(piece) > 1000 and cuts and number == cuts[-1]:
                cuts.pop()
                raise PassingError("cut off", ConflictError("cut off"))

    def noting(self: Transport, method: str, path: str, body: object, headers: dict[str, str], *more: float) -> object:
        ranges.extend([headers["range"]] if "range" in headers else [])
        return response(self, method, path, body, headers, *more)

    monkeypatch.setattr(Transport, "pieces", staticmethod(cut))
    monkeypatch.setattr(Transport, "response", noting)
    assert files_of(store.materialise(digest, tmp_path / "out")) == files_of(model)
    assert (cuts, len(ranges)) == ([], 3)


def test_bytes_are_kept_for_good_and_never_shown_to_who_may_not_read_them(at: str, store: Store, model: Path) -> None:
    """A cache asks with the tag that it has; the answer has no content, and a stranger is refused as before."""
    digest = store.put(model).digest
    sha256 = hashlib.sha256(b"graph").hexdigest()
    for path, tag in ((f"versions/{digest}", digest), (f"versions/{digest}/objects/{sha256}", sha256)):
        for who, asked, status in (
            ("ada", {}, 200),
            ("ada", {"if-none-match": f'"{tag}"'}, 304),
            ("ada", {"if-none-match": '"other"'}, 200),
            ("eve", {"if-none-match": f'"{tag}"'}, 403),
        ):
            answer = httpx.get(f"{at}/api/v1/store/{path}", headers={"authorization": f"Bearer {who}", **asked})
            assert answer.status_code == status, (path, who, asked)
            if status != 403:
                assert answer.headers["etag"] == f'"{tag}"'
                assert "immutable" in answer.headers["cache-control"]
                assert bool(answer.content) == (status == 200)


@pytest.mark.parametrize(
    ("asked", "status", "begin"),
    [
        (None, 200, 0),
        ("bytes=0-", 206, 0),
        ("bytes=3-", 206, 3),
        ("bytes=4-4", 206, 4),
        ("bytes=5-", 416, 5),
        ("bytes=1-2", 200, 0),
        ("bytes=-2", 200, 0),
        ("rows=1-", 200, 0),
    ],
)
def test_parts_are_those_that_http_means(
    at: str, store: Store, model: Path, *, asked: str | None, status: int, begin: int
) -> None:
    manifest = store.put(model)
    sha256 = hashlib.sha256(b"graph").hexdigest()
    headers = {"authorization": "Bearer ada", **({"range": asked} if asked else {})}
    answer = httpx.get(f"{at}/api/v1/store/versions/{manifest.digest}/objects/{sha256}", headers=headers)
    assert (answer.status_code, answer.content) == (status, b"graph"[begin:])
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {begin}-4/5"


def test_bytes_that_are_not_what_they_claim_are_not_kept(at: str, registry: Registry) -> None:
    sha256 = hashlib.sha256(b"good").hexdigest()
    answer = httpx.put(f"{at}/api/v1/store/objects/{sha256}", content=b"evil", headers={"authorization": "Bearer ada"})
    assert (answer.status_code, answer.json()["kind"]) == (422, "damaged")
    assert registry.store.object_size(sha256) is None
    assert not list((Path(registry.store.url) / "tmp").iterdir())


@pytest.mark.parametrize("name", ["..%2f..%2fregistry.db", "a" * 63, "A" * 64, "%2e%2e"])
def test_names_that_lead_elsewhere_name_nothing(at: str, store: Store, model: Path, name: str) -> None:
    digest = store.put(model).digest
    for method, path in (("PUT", f"objects/{name}"), ("GET", f"versions/{digest}/objects/{name}")):
        answer = httpx.request(
            method, f"{at}/api/v1/store/{path}", content=b"x", headers={"authorization": "Bearer ada"}
        )
        assert answer.status_code in (400, 404, 405), answer.text


def test_a_manifest_is_taken_only_with_its_objects(at: str, store: Store, model: Path) -> None:
    manifest = manifest_of(model)
    answer = httpx.put(
        f"{at}/api/v1/store/versions/{manifest.digest}",
        content=manifest.to_json(),
        headers={"authorization": "Bearer ada"},
    )
    assert (answer.status_code, answer.json()["kind"]) == (404, "not-found")
    other = "sha256:" + "0" * 64
    wrong = httpx.put(
        f"{at}/api/v1/store/versions/{other}", content=manifest.to_json(), headers={"authorization": "Bearer ada"}
    )
    assert (wrong.status_code, json.loads(wrong.content)["kind"]) == (422, "damaged")


def test_bytes_are_for_those_who_may_read_a_version_of_them(
    at: str, registry: Registry, store: Store, model: Path, tmp_path: Path
) -> None:
    registry.grant("bob", Role.CONTRIBUTOR, "flights")
    registry.grant("vic", Role.VIEWER, "flights")
    registry.grant("eve", Role.VIEWER, "other")
    bob, vic, eve = (opened(at, name).store for name in ("bob", "vic", "eve"))
    digest = bob.put(model).digest
    assert bob.has(digest), "who may make a version may read what it will be made of"
    with pytest.raises(ForbiddenError):
        vic.manifest(digest)
    registry.add("flights", Candidate(digest))
    assert files_of(vic.materialise(digest, tmp_path / "out")) == files_of(model)
    for refused in (lambda: eve.manifest(digest), lambda: eve.put(model), lambda: vic.put(model), vic.verify):
        with pytest.raises(ForbiddenError):
            refused()
    registry.add("secret", candidate("elsewhere"))
    with pytest.raises(ForbiddenError):
        bob.manifest(registry.get("secret@latest").digest)


def test_a_token_reaches_the_bytes_of_its_models_alone(registry: Registry, store: Store, model: Path) -> None:
    digest = store.put(model).digest
    registry.add("flights", Candidate(digest))
    for models, reaches in ((("flights",), True), (("other",), False)):
        acting = registry.acting_as(Identity("ada", "t1", RolesCap(Role.VIEWER, models)))
        if reaches:
            acting.check_reading_bytes(digest)
        else:
            with pytest.raises(ForbiddenError):
                acting.check_reading_bytes(digest)
        with pytest.raises(ForbiddenError):
            acting.check_adding_bytes()


def test_what_needs_the_store_itself_says_where_to_do_it(store: Store, model: Path, tmp_path: Path) -> None:
    digest = store.put(model).digest
    with pytest.raises(InvalidInputError, match="where the server runs"):
        store.gc([digest])
    with pytest.raises(InvalidInputError, match="only from a store on the same disk"):
        store.materialise(digest, tmp_path / "out", link="hardlink")
    with pytest.raises(NotFoundError):
        store.manifest("sha256:" + "0" * 64)
