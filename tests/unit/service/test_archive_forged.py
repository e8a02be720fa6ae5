"""An archive is believed in nothing: what its own events do not bear out is refused whole, with the file, the line and
the cause, and what is accepted is the registry that was exported."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive_testing import EVENTS, HEADER, ROWS, Forgery, members, pack
from pedigree_testing import Clock, description
from tfx_pedigree.errors import DamagedError, InvalidInputError, PedigreeError
from tfx_pedigree.registry import Candidate, Evidence, Facts, PromotionRequest, Registry, Verdict
from tfx_pedigree.service.archive import export_to_file, import_from_file

MODEL = "flight-delay"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model in whose history every kind of event stands. Its newest evidence says FAIL."""
    folder, clock = tmp_path_factory.mktemp("exported"), Clock()
    with Registry.create(folder, actor="ada", clock=clock) as registry:
        for number in range(4):
            clock.advance(minutes=5)
            model = folder / f"model-{number}"
            model.mkdir()
            (model / "weights.bin").write_bytes(bytes([number]) * 700)
            (model / "vocabulary.txt").write_bytes(b"the same in all")
            manifest = registry.store.put(model)
            found = Candidate(manifest.digest, description(rate=0.1), manifest.total_size, 2)
            facts = Facts({"auc": 0.7 + number / 100, "loss": float("nan")}, {"team": "ops"})
            registry.add(MODEL, found, facts=facts)
        digests = [version.digest for version in reversed(registry.versions(MODEL).items)]
        for verdict in (Verdict.PASS, Verdict.FAIL):
            registry.attach_evidence(f"{MODEL}@1.0.3", Evidence(digests[3], digests[0], verdict, f"it says {verdict}"))
        registry.promote(f"{MODEL}@1.0.0")
        registry.promote(f"{MODEL}@1.0.1", PromotionRequest(expect="1.0.0", reason="better"))
        registry.rollback(MODEL, reason="slow")
        registry.set_alias("canary", f"{MODEL}@1.0.2")
        registry.set_alias("old", f"{MODEL}@1.0.1")
        registry.remove_alias(MODEL, "old")
        registry.annotate(f"{MODEL}@1.0.2", Facts({"auc": 0.9}, {"team": ""}))
        registry.archive(f"{MODEL}@1.0.2", reason="old")
        registry.restore(f"{MODEL}@1.0.2")
        export_to_file(registry, MODEL, folder / "model.tar")
    return folder / "model.tar"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry and a store without anything."""
    folder = tmp_path_factory.mktemp("empty") / "registry"
    Registry.create(folder, actor="grace", clock=later).close()
    return folder


def later() -> datetime:
    return Clock().time + timedelta(days=30)


@pytest.fixture
def elsewhere(empty: Path, tmp_path: Path) -> Registry:
    return Registry.open(shutil.copytree(empty, tmp_path / "elsewhere"), actor="grace", clock=later)


def as_it_was(registry: Registry) -> bool:
    return not registry.models().items and not registry.verify_audit().problems


def reverse_evidence(forged: Forgery) -> None:
    places = [place for place, row in enumerate(forged.rows) if row["table"] == "evidence"]
    first, second = places
    forged.rows[first], forged.rows[second] = forged.rows[second], forged.rows[first]


def later_than_all(forged: Forgery) -> None:
    forged.event("restore")["at"] = "9999-12-31T23:59:59.999999Z"


def backwards(forged: Forgery) -> None:
    forged.event("remove-alias")["at"] = "2026-11-20T12:00:00.000000Z"


def alias_champion(forged: Forgery) -> None:
    forged.event("set-alias")["details"]["alias"] = "champion"
    forged.row("aliases")["name"] = "champion"


def passing(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "verdict": "PASS"}


def setting(table: str, **values: object) -> Callable[[Forgery], None]:
    return lambda forged: forged.row(table).update(values)


def in_event(action: str, **values: object) -> Callable[[Forgery], None]:
    return lambda forged: forged.event(action)["details"].update(values)


FORGERIES: dict[str, tuple[Callable[[Forgery], None], str]] = {
    "two pieces of evidence the other way round": (reverse_evidence, r"line \d+ of rows.jsonl: .* evidence"),
    "evidence that its event contradicts": (
        lambda forged: forged.content("evidence", passing, 1),
        "does not say what its event says",
    ),
    "an event that says of a decision what its evidence does not": (
        in_event("attach-evidence", decided={"won": True}),
        "does not say what its event says",
    ),
    "evidence without form": (lambda forged: forged.content("evidence", lambda c: [c]), "cannot be read"),
    "evidence with a field more": (
        lambda forged: forged.content("evidence", lambda c: {**c, "more": 1}),
        "unknown field",
    ),
    "evidence that is not canonical": (
        lambda forged: forged.everywhere('{"challenger"', '{ "challenger"'),
        "has another digest",
    ),
    "a description without form": (
        lambda forged: forged.content("descriptions", lambda c: {**c, "parameters": []}),
        "cannot be read",
    ),
    "a description of another format": (
        lambda forged: forged.content("descriptions", lambda c: {"parameters": {"rate": 0.1}}),
        "cannot be read",
    ),
    "a row with a number of its own": (setting("reigns", id=1), "unknown field `id`"),
    "a model row twice": (lambda forged: forged.rows.insert(1, dict(forged.row("models"))), "stands there twice"),
    "another model": (
        lambda forged: forged.rows.insert(0, {**forged.row("models"), "name": "other"}),
        "stands there twice|name is",
    ),
    "the alias champion": (alias_champion, r"line \d+ of events.jsonl: .*does not follow"),
    "a time that runs backwards": (backwards, "is not later than the event before it"),
    "a time at the end of the calendar": (later_than_all, "nothing could follow it"),
    "a version that is a path": (lambda forged: forged.everywhere("1.0.2", "../../x"), "does not follow"),
    "a version lower than the one before": (lambda forged: forged.everywhere("1.0.2", "0.1.0"), "does not follow"),
    "reasons that are a number": (setting("model_versions", reasons=5), "`reasons` must be a list"),
    "other reasons": (setting("model_versions", reasons=["bribed"]), "not those of the log"),
    "parameters that are a list": (setting("model_versions", parameters=[]), "`parameters` must be an object"),
    "other parameters": (setting("model_versions", parameters={"rate": 0.2}), "parameters is"),
    "a size in HTML": (setting("model_versions", size="<b>"), "`size` must be a whole number"),
    "another size": (setting("model_versions", size=5), "not those of the log"),
    "a time without form": (setting("model_versions", created_at="yesterday"), "`created_at` must be a time"),
    "another author": (setting("model_versions", created_by="mallory"), "created by is 'mallory'"),
    "where a rollback leads": (
        lambda forged: forged.row("reigns", 2).update(back_to=1),
        "where a rollback from 1.0.0 leads",
    ),
    "a metric that is true": (in_event("register", metrics={"auc": True}), "does not follow"),
    "a tag that is a number": (in_event("register", tags={"team": 5}), "does not follow"),
    "a promotion on other evidence": (in_event("promote", evidence="sha256:" + "0" * 64), "does not follow"),
    "a promotion that replaced another": (in_event("promote", replaces="1.0.1"), "does not follow"),
    "a number given twice": (in_event("reserve", sequence=2), "does not follow"),
    "an unknown action": (lambda forged: forged.event("annotate").update(action="bless"), "unknown action"),
    "an actor with a line's end": (
        lambda forged: forged.event("annotate").update(actor="a\nb"),
        "cannot name an actor",
    ),
    "details that are a list": (
        lambda forged: forged.event("annotate").update(details=[]),
        "`details` must be an object",
    ),
    "half a character": (
        lambda forged: forged.event("annotate").update(reason="\ud800"),
        "holds half of a character|is no JSON|surrogate",
    ),
    "more versions in the header": (lambda forged: forged.header.update(versions=9), "tells of 9 versions"),
    "no events": (lambda forged: forged.events.clear(), "it holds no event of flight-delay"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_forged_archive_is_refused_whole_with_the_place_and_the_cause(
    archive: Path, elsewhere: Registry, tmp_path: Path, what: str
) -> None:
    forge, told = FORGERIES[what]
    forged = Forgery(archive)
    forge(forged)
    try:
        path = forged.pack(tmp_path / "forged.tar")
    except (PedigreeError, UnicodeEncodeError):  # half a character has no canonical form: it is put in as JSON has it
        content = members(archive)
        content[EVENTS] = content[EVENTS].replace(b'"reason":"slow"', b'"reason":"\\ud800"')
        path = pack(tmp_path / "forged.tar", content)
    with pytest.raises((DamagedError, InvalidInputError), match=told) as refusal:
        import_from_file(elsewhere, path)
    assert "forged.tar" in str(refusal.value)
    assert as_it_was(elsewhere)


def test_archive_from_before_the_digests_of_reasons_and_named_rollbacks_still_arrives(
    archive: Path, elsewhere: Registry, tmp_path: Path
) -> None:
    older = Forgery(archive)
    for event in older.events:
        event["details"].pop("facts", None)
        event["details"].pop("named", None)
    assert import_from_file(elsewhere, older.pack(tmp_path / "older.tar")).versions == 4
    assert elsewhere.verify_audit().problems == ()


# Whatever single thing is changed: refused, or no change at all.

VALUES: list[object] = [None, 5, -1, 2**70, True, "x", "", [], {}, [[]], {"a": 1}, 0.5, "2026-11-20T12:00:00.000000Z"]
VALUES += [
    "0001-01-01T00:00:00.000000+23:59",
    "9999-12-31T23:59:59.999999-23:59",
    "sha256:" + "0" * 64,
    "../../x",
    "a\nb",
]
RAW = [b"1e999", b"NaN", b"Infinity", b"[" * 3000, b'"\\ud800"', b"", b"}", b"9" * 5000]


@st.composite
def changes(draw: st.DrawFn) -> Callable[[dict[str, bytes]], None]:
    name = draw(st.sampled_from([HEADER, EVENTS, ROWS]))
    where, how, value = draw(st.integers(0, 10**6)), draw(st.sampled_from(sorted(HOW))), draw(st.integers(0, 10**6))
    return lambda content: content.update({name: HOW[how](content[name], where, value)})


def on_line(change: Callable[[list[bytes], int], None]) -> Callable[[bytes, int, int], bytes]:
    def apply(content: bytes, where: int, value: int) -> bytes:
        found = content.splitlines(keepends=True)
        change(found, where % len(found))
        return b"".join(found)

    return apply


def on_field(change: Callable[[dict[str, Any], str, int], None]) -> Callable[[bytes, int, int], bytes]:
    """The field may lie in an object within the line's own."""

    def apply(content: bytes, where: int, value: int) -> bytes:
        many = content.startswith(b'{"')  # the header stands on several lines
        found = content.splitlines() if many else [content]
        data = json.loads(found[where % len(found)])
        holder = data
        key = sorted(holder)[value % len(holder)]
        while isinstance(holder[key], dict) and holder[key] and value % 3:
            holder = holder[key]
            key = sorted(holder)[value % len(holder)]
        change(holder, key, value)
        found[where % len(found)] = json.dumps(data).encode()
        return b"\n".join(found) + b"\n"

    return apply


def raw(content: bytes, where: int, value: int) -> bytes:
    return content.replace(b"null", RAW[value % len(RAW)], 1) if b"null" in content else content


HOW: dict[str, Callable[[bytes, int, int], bytes]] = {
    "a line removed": on_line(lambda found, place: found.pop(place) and None),
    "a line twice": on_line(lambda found, place: found.insert(place, found[place])),
    "a line moved to the end": on_line(lambda found, place: found.append(found.pop(place))),
    "an empty line": on_line(lambda found, place: found.insert(place, b"\n")),
    "a field changed": on_field(lambda data, key, value: data.update({key: VALUES[value % len(VALUES)]})),
    "a field removed": on_field(lambda data, key, value: data.pop(key) and None),
    "a field more": on_field(lambda data, key, value: data.update({"more": value})),
    "something that is no JSON": raw,
}


@settings(max_examples=120, deadline=None)
@given(change=changes())
@pytest.mark.system
def test_any_single_change_is_refused_or_imports_the_identical_registry(
    archive: Path, empty: Path, tmp_path_factory: pytest.TempPathFactory, change: Callable[[dict[str, bytes]], None]
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    content = members(archive)
    change(content)
    check_refused_or_identical(archive, empty, folder, pack(folder / "changed.tar", content).read_bytes())


@settings(max_examples=120, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
@pytest.mark.system
def test_any_single_byte_is_refused_or_means_nothing(
    archive: Path, empty: Path, tmp_path_factory: pytest.TempPathFactory, where: float, bits: int
) -> None:
    data = bytearray(archive.read_bytes())
    data[int(where * len(data))] ^= bits
    check_refused_or_identical(archive, empty, tmp_path_factory.mktemp("flipped"), bytes(data))


def check_refused_or_identical(archive: Path, empty: Path, folder: Path, data: bytes) -> None:
    (folder / "import.tar").write_bytes(data)
    with Registry.open(shutil.copytree(empty, folder / "elsewhere"), actor="grace", clock=later) as registry:
        try:
            import_from_file(registry, folder / "import.tar")
        except (DamagedError, InvalidInputError):
            assert as_it_was(registry)
        else:
            assert registry.verify_audit().problems == ()
            export_to_file(registry, MODEL, folder / "again.tar")
            assert (folder / "again.tar").read_bytes() == archive.read_bytes()
    shutil.rmtree(folder)
