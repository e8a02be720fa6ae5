"""Numbers: what follows what, what is refused, and that a number is always higher than the one before."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version
from versioning_testing import quick

from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.versioning import Bump, next_version, parse_version, timestamp_tag
from tfx_pedigree.versioning.numbers import check_given, higher

MAJOR, MINOR, PATCH = Bump.MAJOR, Bump.MINOR, Bump.PATCH
DIGEST = "sha256:ab12cd34" + 56 * "0"


@pytest.mark.parametrize(
    ("highest", "bump", "pre", "following"),
    [
        (None, MAJOR, None, "1.0.0"),
        (None, PATCH, None, "1.0.0"),
        (None, MINOR, "rc", "1.0.0-rc.1"),
        ("1.0.0", PATCH, None, "1.0.1"),
        ("1.0.9", MINOR, None, "1.1.0"),
        ("1.9.9", MAJOR, None, "2.0.0"),
        ("1.2.0", MINOR, "rc", "1.3.0-rc.1"),
        ("1.3.0-rc.1", MINOR, "rc", "1.3.0-rc.2"),
        ("1.3.0-rc.9", PATCH, "rc", "1.3.0-rc.10"),
        ("1.3.0-rc.2", MAJOR, "rc", "2.0.0-rc.1"),
        ("1.3.1-rc.2", MINOR, "rc", "1.4.0-rc.1"),
        ("1.3.0-beta.2", PATCH, "rc", "1.3.0-rc.1"),
        ("1.3.0-rc", PATCH, "rc", "1.3.0-rc.1"),
        ("1.3.0-rc2.7", PATCH, "rc2", "1.3.0-rc2.8"),
        ("2.0.0-rc.1", MAJOR, None, "2.0.0"),
        ("2.0.0-rc.1", MINOR, None, "2.0.0"),
        ("2.0.0-rc.1", PATCH, None, "2.0.0"),
        ("1.3.0-rc.1", MINOR, None, "1.3.0"),
        ("1.3.0-rc.1", MAJOR, None, "2.0.0"),
        ("1.2.1-rc.1", MINOR, None, "1.3.0"),
    ],
)
def test_following_number(highest: str | None, bump: Bump, pre: str | None, following: str) -> None:
    assert next_version(highest, bump, pre) == following


_VERSIONS = st.builds(
    Version,
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 12),
    st.sampled_from([None, None, "rc.1", "rc.10", "alpha.3", "rc", "7", "x-y.9z"]),
).map(str)


@quick
@given(_VERSIONS, st.sampled_from(Bump), st.sampled_from([None, "rc", "zz"]))
def test_following_number_is_higher_and_its_part_has_risen(highest: str, bump: Bump, pre: str | None) -> None:
    try:
        following = Version.parse(next_version(highest, bump, pre))
    except ConflictError as error:
        assert highest in str(error)  # a pre-release word that sorts before the one in use
        return
    before = Version.parse(highest)
    assert following > before
    assert following.finalize_version() == before.next_version(bump.value)


def test_pre_release_word_must_sort_after_the_one_in_use() -> None:
    with pytest.raises(ConflictError, match=r"2.0.0-alpha.1 cannot follow 2.0.0-rc.1.*'rc.1', or release 2.0.0"):
        next_version("2.0.0-rc.1", MAJOR, "alpha")


@pytest.mark.parametrize("pre", ["", "1", "rc.1", "r c", "rc+1", "ü", "rc\n"])
def test_pre_release_word_is_one_identifier(pre: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot name a pre-release"):
        next_version("1.0.0", MINOR, pre)


def test_leading_v_is_taken_off() -> None:
    assert str(parse_version("v1.2.0-rc.1")) == "1.2.0-rc.1"
    assert check_given("v1.2.0", "1.1.9") == "1.2.0"


@pytest.mark.parametrize(
    "text", ["", "v", "1", "1.2", "vv1.2.0", "1.2.0 ", "01.2.0", "1.2.0-", "1.2.0-01", "latest", "1.2.0\n"]
)
def test_other_text_is_no_version(text: str) -> None:
    with pytest.raises(InvalidInputError, match="not a semantic version"):
        parse_version(text)


def test_build_metadata_is_refused_since_it_puts_nothing_in_order() -> None:
    with pytest.raises(InvalidInputError, match=r"'1.2.0\+gpu' carries build metadata.*Write 1.2.0 and"):
        parse_version("1.2.0+gpu")


@pytest.mark.parametrize("base", ["1.2.0", "1.2.1", "1.10.0", "2.0.0-rc.1"])
def test_users_version_must_be_above_the_one_it_follows(base: str) -> None:
    with pytest.raises(ConflictError, match=f"1.2.0 cannot be given: it is not higher than {base}"):
        check_given("1.2.0", base)


def test_users_version_must_not_exist() -> None:
    with pytest.raises(ConflictError, match=r"1.3.0 cannot be given: it exists already. Give one above 1.2.0"):
        check_given("1.3.0", "1.2.0", {"1.3.0"}.intersection)
    assert check_given("1.3.0", "1.2.0", {"2.0.0"}.intersection) == "1.3.0"  # below one that was rolled back


def test_release_is_above_its_pre_release() -> None:
    assert check_given("1.2.0", "1.2.0-rc.4") == "1.2.0"
    assert check_given("0.1.0", None) == "0.1.0"


@pytest.mark.parametrize(
    ("base", "bump", "pre", "taken", "following"),
    [
        ("1.0.2", PATCH, None, {"2.0.0"}, "1.0.3"),  # 2.0.0 was rolled back: who uses 1.0.2 gets a patch of it
        ("1.0.2", MAJOR, None, {"2.0.0"}, "3.0.0"),
        ("1.0.2", PATCH, None, {f"1.0.{n}" for n in range(60)}, "1.0.60"),
        ("1.0.2", MINOR, None, {"1.1.0", "1.2.0"}, "1.3.0"),
        ("1.0.2", MINOR, "rc", {"1.1.0-rc.1", "1.1.0-rc.2"}, "1.1.0-rc.3"),
        ("1.0.2", MINOR, "rc", {"1.1.0", "1.1.0-rc.1"}, "1.2.0-rc.1"),
        (None, PATCH, None, {"1.0.0"}, "1.0.1"),
    ],
)
def test_the_number_is_the_first_free_one_of_its_level(
    base: str | None, bump: Bump, pre: str | None, taken: set[str], following: str
) -> None:
    assert next_version(base, bump, pre, taken.intersection) == following


@quick
@given(_VERSIONS, st.sampled_from(Bump), st.sets(_VERSIONS, max_size=40))
def test_the_first_free_number_is_free_and_none_below_it_is(base: str, bump: Bump, taken: set[str]) -> None:
    found = Version.parse(next_version(base, bump, None, taken.intersection))
    assert str(found) not in taken
    step = Version.parse(base).next_version(bump.value)
    while step != found:
        assert str(step) in taken
        step = step.next_version(bump.value)


@quick
@given(_VERSIONS, st.lists(st.sampled_from(Bump), max_size=12), st.sets(_VERSIONS, max_size=20))
def test_going_on_behind_the_last_number_of_the_level_gives_the_same(
    base: str, bumps: list[Bump], given_by_hand: set[str]
) -> None:
    taken, last = set(given_by_hand), {}
    for bump in bumps:
        reached = last.get(bump)
        behind = next_version(base, bump, None, taken.intersection, lambda _, __, found=reached: found)
        assert behind == next_version(base, bump, None, taken.intersection)
        taken.add(behind)
        last[bump] = behind


def test_the_higher_of_two() -> None:
    assert higher(None, "1.0.0") == higher("1.0.0-rc.1", "1.0.0") == higher("1.0.0", "1.0.0-rc.1") == "1.0.0"
    assert higher("1.9.0", "1.10.0") == "1.10.0"


def test_timestamp_tag_is_in_utc() -> None:
    moment = datetime(2026, 11, 20, 14, 30, 0, tzinfo=timezone.utc)
    assert timestamp_tag(moment, DIGEST) == "v20261120143000_ab12cd34"
    assert timestamp_tag(moment.astimezone(timezone(timedelta(hours=-8))), DIGEST) == "v20261120143000_ab12cd34"


def test_time_without_zone_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no time zone"):
        timestamp_tag(datetime(2026, 11, 20), DIGEST)
    with pytest.raises(InvalidInputError, match="not a digest"):
        timestamp_tag(datetime(2026, 11, 20, tzinfo=timezone.utc), "ab12cd34")
