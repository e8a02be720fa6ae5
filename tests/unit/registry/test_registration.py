"""What holds when versions come to be, on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import Action, Candidate, Evidence, Facts, Registry, State, Verdict
from tfx_pedigree.versioning import ModelDescription, Request

pytestmark = pytest.mark.conformance
MODEL = "flight-delay"


def test_first_version_is_1_0_0_with_sequence_1(registry: Registry) -> None:
    version = registry.add("flight-delay", candidate("a")).version
    assert (version.version, version.sequence, version.state) == ("1.0.0", 1, State.DEVELOPMENT)


def test_number_says_what_changed_against_the_version_before(registry: Registry) -> None:
    registry.add("flight-delay", candidate("a", rate=0.1))
    retrained = registry.add("flight-delay", candidate("b", rate=0.1)).version
    tuned = registry.add("flight-delay", candidate("c", rate=0.2)).version
    broken = registry.add("flight-delay", candidate("d", features=4, rate=0.2)).version
    assert [v.version for v in (retrained, tuned, broken)] == ["1.0.1", "1.1.0", "2.0.0"]
    assert [v.predecessor for v in (retrained, tuned, broken)] == ["1.0.0", "1.0.1", "1.1.0"]
    assert "features" in " ".join(broken.reasons)


def test_same_bytes_are_the_same_version_again_and_nothing_is_written(registry: Registry) -> None:
    first = registry.add("flight-delay", candidate("a"), facts=Facts({"auc": 0.8})).version
    events = registry.history("flight-delay").items
    again = registry.add("flight-delay", candidate("a"), facts=Facts({"auc": 0.8})).version
    assert again == first
    assert registry.history("flight-delay").items == events


def test_same_bytes_under_another_name_are_another_model(registry: Registry) -> None:
    registry.add("flight-delay", candidate("a"))
    registry.add("flight-delay", candidate("b"))
    assert registry.add("flight-delay-eu", candidate("b")).version.version == "1.0.0"
    assert [m.name for m in registry.models().items] == ["flight-delay", "flight-delay-eu"]


def test_reserved_number_is_not_given_again_even_if_its_run_dies(registry: Registry) -> None:
    reserved = registry.reserve("flight-delay", candidate("dies")).version
    following = registry.add("flight-delay", candidate("lives")).version
    assert (reserved.version, following.version) == ("1.0.0", "1.0.1")
    assert registry.get("flight-delay").version == "1.0.1", "latest is the newest that was registered"
    finished = registry.register("flight-delay@1.0.0").version
    assert (finished.version, finished.state) == ("1.0.0", State.DEVELOPMENT)


def test_explicit_version_wins_if_it_is_higher_than_every_existing_one(registry: Registry) -> None:
    registry.add("flight-delay", candidate("a"))
    given = registry.add("flight-delay", candidate("b"), Request.of(version="v3.0.0")).version
    assert given.version == "3.0.0"
    assert registry.add("flight-delay", candidate("c")).version.version == "3.0.1"
    with pytest.raises(ConflictError, match=r"2\.0\.0.*3\.0\.1"):
        registry.add("flight-delay", candidate("d"), Request.of(version="2.0.0"))
    assert registry.get("flight-delay").version == "3.0.1"


def test_bytes_that_have_a_number_cannot_get_another(registry: Registry) -> None:
    registry.add("flight-delay", candidate("a"))
    with pytest.raises(ConflictError, match=r"1\.0\.0 already.*never renumbered"):
        registry.add("flight-delay", candidate("a"), Request.of(version="2.0.0"))


def test_prerelease_and_then_its_release(registry: Registry) -> None:
    registry.add("flight-delay", candidate("a"))
    pre = registry.add("flight-delay", candidate("b"), Request.of(bump="minor", pre="rc")).version
    release = registry.add("flight-delay", candidate("c"), Request.of(bump="minor")).version
    assert (pre.version, release.version) == ("1.1.0-rc.1", "1.1.0")


def test_model_without_interface_needs_an_explicit_bump_after_the_first(registry: Registry) -> None:
    opaque = ModelDescription(kind="opaque")
    registry.add("trees", Candidate(digest(1), opaque))
    with pytest.raises(InvalidInputError, match="--bump"):
        registry.add("trees", Candidate(digest(2), opaque))
    assert registry.add("trees", Candidate(digest(2), opaque), Request.of(bump="patch")).version.version == "1.0.1"
    assert registry.model("trees").versions == 2, "the refused attempt took no number"


def test_metrics_that_are_no_number_are_kept_and_found_by_no_comparison(registry: Registry) -> None:
    version = registry.add("flight-delay", candidate("a"), facts=Facts({"auc": float("nan"), "loss": 0.25})).version
    assert version.metrics == {"auc": pytest.approx(float("nan"), nan_ok=True), "loss": 0.25}
    assert not registry.annotate("flight-delay", Facts({"auc": float("nan")})).changed
    assert registry.search("flight-delay", ["metric.auc>=0"]).items == ()


@pytest.mark.parametrize("value", [1e22, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2**60])
def test_metrics_keep_their_value_to_the_bit_and_the_audit_agrees(registry: Registry, value: float) -> None:
    registry.add("flight-delay", candidate("a"), facts=Facts({"x": value}))
    assert float(registry.get("flight-delay").metrics["x"]) == float(value)
    assert registry.verify_audit().problems == ()


def test_annotating_adds_changes_and_takes_away(registry: Registry) -> None:
    registry.add("flight-delay", candidate("a"), facts=Facts({"auc": 0.8}, {"team": "ops", "note": "x"}))
    version = registry.annotate("flight-delay@1.0.0", Facts({"loss": 0.3}, {"team": "research", "note": ""})).version
    assert version.metrics == {"auc": 0.8, "loss": 0.3}
    assert version.tags == {"team": "research"}
    assert registry.search("flight-delay", ["tag.team=ops"]).items == ()
    assert registry.search("flight-delay", ["tag.team=research"]).items == (version,)


@pytest.mark.parametrize("facts", [{"metrics": {"auc": "high"}}, {"metrics": {"": 1.0}}, {"tags": {"a": 1}}])
def test_facts_that_are_none_are_refused_by_name(facts: dict[str, dict[str, object]]) -> None:
    with pytest.raises(InvalidInputError):
        Facts(**facts)  # type: ignore[arg-type]


def test_evidence_must_be_about_the_version(registry: Registry) -> None:
    registry.add("flight-delay", candidate("a"))
    with pytest.raises(InvalidInputError, match="not about flight-delay 1.0.0"):
        registry.attach_evidence("flight-delay@1.0.0", Evidence(digest("z"), None, Verdict.PASS, "meets the floors"))
    assert registry.evidence("flight-delay@1.0.0") is None


def test_refused_version_stays_in_development_with_the_reason(registry: Registry) -> None:
    registry.add("flight-delay", candidate("a"))
    evidence = Evidence(digest("a"), None, Verdict.FAIL, "auc 0.61 is below the floor 0.7")
    version = registry.attach_evidence("flight-delay@1.0.0", evidence).version
    assert (version.state, version.refusal) == (State.DEVELOPMENT, "FAIL: auc 0.61 is below the floor 0.7")
    passed = registry.attach_evidence(
        "flight-delay@1.0.0", Evidence(digest("a"), None, Verdict.PASS, "0.71 now")
    ).version
    assert passed.refusal is None
    kept = registry.evidence("flight-delay@1.0.0")
    assert kept is not None
    assert kept.reason == "0.71 now"


def test_same_evidence_twice_is_kept_once(registry: Registry) -> None:
    registry.add("flight-delay", candidate("a"))
    evidence = Evidence(digest("a"), None, Verdict.PASS, "meets the floors")
    registry.attach_evidence("flight-delay@1.0.0", evidence)
    events = registry.history("flight-delay").items
    registry.attach_evidence("flight-delay@1.0.0", evidence)
    assert registry.history("flight-delay").items == events


@pytest.mark.parametrize("name", ["", "Flight", "a b", "../x", "a/b", "*", "-a", "a-", "x" * 64, "a..b", "é"])
def test_names_that_fit_no_folder_tag_or_label_are_refused(registry: Registry, name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot name a model"):
        registry.add(name, candidate("a"))
    assert registry.models().items == ()


def test_version_is_found_by_each_of_its_names(registry: Registry, clock: Clock) -> None:
    clock.advance(hours=2, minutes=30)
    version = registry.add("flight-delay", candidate("a")).version
    registry.add("flight-delay", candidate("b"))
    registry.promote("flight-delay@1.0.0")
    registry.set_alias("canary", "flight-delay@1.0.0")
    assert version.timestamp_tag == "v20261120143000_" + digest("a")[7:15]
    names = ["1.0.0", "v1.0.0", "1", "champion", "canary", version.timestamp_tag, digest("a"), digest("a")[:15]]
    assert {registry.get(f"flight-delay@{name}").version for name in names} == {"1.0.0"}
    assert registry.get("flight-delay").version == registry.get("flight-delay@latest").version == "1.0.1"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("fligth-delay", "Did you mean flight-delay"),
        ("flight-delay@1.9.0", r"no version or alias '1.9.0'.*highest version is 1.0.0"),
        ("flight-delay@champion", "no champion now.*pedigree promote"),
        ("flight-delay@champoin", "Did you mean flight-delay@champion"),
        ("flight-delay@17", "no version or alias '17'"),
        ("flight-delay@sha256:ffffff", "no version or alias"),
    ],
)
def test_what_is_not_there_is_said_with_the_next_step(registry: Registry, reference: str, says: str) -> None:
    registry.add("flight-delay", candidate("a"))
    with pytest.raises(NotFoundError, match=says):
        registry.get(reference)


def test_pages_give_everything_once_newest_first(registry: Registry) -> None:
    for number in range(7):
        registry.add("flight-delay", candidate(number))
    found, after = [], None
    while True:
        page = registry.versions("flight-delay", limit=3, after=after)
        found += [version.sequence for version in page.items]
        after = page.next
        if after is None:
            break
    assert found == [7, 6, 5, 4, 3, 2, 1]


def test_two_registries_opened_by_two_people_show_the_same(
    open_as: Callable[[str], Registry], registry: Registry
) -> None:
    registry.add("flight-delay", candidate("a"))
    assert open_as("bob").get("flight-delay") == registry.get("flight-delay")


@pytest.mark.parametrize(
    "content",
    [
        "[" * 3000,
        '{"a":' * 3000,
        '{"format": "pedigree.evidence/1", "format": 1}',
        '{"reason": "\\ud800"}',
        "1e999",
        "NaN",
    ],
)
def test_evidence_that_is_made_to_hurt_is_refused_with_its_place(content: str) -> None:
    with pytest.raises(InvalidInputError, match="The evidence, line 1: "):
        Evidence.from_text(content)


@pytest.mark.parametrize(
    "write",
    [
        lambda r: r.annotate(MODEL, Facts(tags={"note": "a\x00b"})),
        lambda r: r.annotate(MODEL, Facts({"a\x00b": 1.0})),
        lambda r: r.archive(MODEL, reason="a\x00b"),
        lambda r: r.note(MODEL, Action.RETRAIN, reason=None, details={"a": [{"b": "\x00"}]}),
        lambda r: r.attach_evidence(MODEL, Evidence(digest("a"), None, Verdict.PASS, "a\x00b")),
        lambda r: r.attach_evidence(MODEL, Evidence(digest("a"), None, Verdict.PASS, "x", details={"a": "\x00"})),
        lambda r: r.add(MODEL, candidate("b", note="a\x00b")),
    ],
)
def test_character_that_not_every_database_holds_is_refused_everywhere(
    registry: Registry, write: Callable[[Registry], object]
) -> None:
    registry.add(MODEL, candidate("a"))
    with pytest.raises(InvalidInputError, match="holds the character zero"):
        write(registry)
    assert len(registry.history(MODEL).items) == 3
    assert registry.verify_audit().ok


@pytest.mark.database
@pytest.mark.parametrize("size", [2**53, 2**63, 2**70])
def test_number_beyond_its_column_is_refused_and_nothing_is_written(registry: Registry, size: int) -> None:
    with pytest.raises(InvalidInputError, match="cannot"):
        registry.add(MODEL, Candidate(digest("a"), size=size))
    assert registry.versions(MODEL).items == ()
    with pytest.raises(InvalidInputError, match=r"The database cannot hold a value that was given: .*[^.]\.$"):
        registry.versions(MODEL, limit=2**64)
