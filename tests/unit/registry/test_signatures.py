"""A model that trusts keys takes only signed versions into production, whoever asks and however."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pedigree_testing import candidate, digest
from signing_testing import ONE_FILE, make_key, public, signature_of, signature_over
from tfx_pedigree.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import PromotionRequest, Registry, Role, State
from tfx_pedigree.signing.statement import write_model

MODEL = "flight-delay"
FIRST, SECOND = f"{MODEL}@1.0.0", f"{MODEL}@1.0.1"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        make_key(folder, name)
    return folder


@pytest.fixture
def ours(keys: Path) -> Path:
    return keys / "ours.pem"


@pytest.fixture
def two(registry: Registry) -> Registry:
    for seed in "ab":
        registry.add(MODEL, candidate(seed))
    return registry


def trust(registry: Registry, key: Path) -> None:
    registry.trust_key(MODEL, public(key).read_text())


def test_unsigned_version_stays_out_of_production_until_a_trusted_key_signs_it(two: Registry, keys: Path) -> None:
    trust(two, keys / "ours.pem")
    assert two.trust_key(MODEL, public(keys / "ours.pem").read_text()).changed is False
    with pytest.raises(ConflictError, match="takes only versions that one of its 1 trusted keys signed"):
        two.promote(FIRST)
    forced = PromotionRequest(override=True, reason="in a hurry")
    with pytest.raises(ConflictError, match=f"Sign it with `pedigree sign {FIRST} --key FILE`"):
        two.promote(FIRST, forced)
    two.promote(FIRST, PromotionRequest(State.STAGING))
    assert [check.passed for check in two.preview_promotion(FIRST).checks if check.name == "signature"] == [False]
    with pytest.raises(ConflictError, match="no key that flight-delay trusts made this signature"):
        two.sign(FIRST, signature_of(digest("a"), keys / "theirs.pem"))
    assert two.sign(FIRST, signature_of(digest("a"), keys / "ours.pem")).changed
    assert two.promote(FIRST).version.state is State.PRODUCTION
    assert two.verify_audit().problems == ()


def test_signature_from_before_counts_once_its_key_is_trusted(two: Registry, ours: Path) -> None:
    two.sign(FIRST, signature_of(digest("a"), ours))
    assert [one.key for one in two.signatures(FIRST)] == [None]
    trust(two, ours)
    (signature,) = two.signatures(FIRST)
    assert signature.key == two.trusted_keys(MODEL)[0].key
    assert two.promote(FIRST).changed
    assert two.verify_audit().problems == ()


def test_key_that_lost_its_trust_counts_no_more_and_without_any_key_nothing_is_asked(two: Registry, keys: Path) -> None:
    trust(two, keys / "ours.pem")
    two.sign(FIRST, signature_of(digest("a"), keys / "ours.pem"))
    trust(two, keys / "theirs.pem")
    first, second = (one.key for one in two.trusted_keys(MODEL))
    assert len(two.distrust_key(MODEL, first[:19], reason="the laptop was stolen").keys) == 1
    with pytest.raises(ConflictError, match="cannot be promoted"):
        two.promote(FIRST)
    with pytest.raises(NotFoundError, match="no trusted key is"):
        two.distrust_key(MODEL, first, reason="again")
    two.distrust_key(MODEL, second, reason="not needed")
    assert two.promote(SECOND).changed
    assert two.verify_audit().problems == ()


def test_rollback_asks_for_no_signature(two: Registry, ours: Path) -> None:
    two.promote(FIRST)
    two.promote(SECOND, PromotionRequest(expect="1.0.0"))
    trust(two, ours)
    assert two.rollback(MODEL, reason="slow").version.version == "1.0.0"
    assert two.verify_audit().problems == ()


def test_same_signature_twice_is_one_and_that_of_another_version_is_refused(two: Registry, ours: Path) -> None:
    signed = signature_of(digest("a"), ours)
    assert two.sign(FIRST, signed).changed
    assert two.sign(FIRST, signed).changed is False
    assert len(two.signatures(FIRST)) == 1
    with pytest.raises(InvalidInputError, match=r"and not of flight-delay 1.0.1"):
        two.sign(SECOND, signed)
    foreign = write_model(ONE_FILE, "model").replace(b'"pedigree":{"digest"', b'"pedigree":{"other"')
    with pytest.raises(InvalidInputError, match="does not name the digest of flight-delay 1.0.1"):
        two.sign(SECOND, signature_over(foreign, ours))


def test_only_an_admin_says_whose_signature_counts(
    two: Registry, open_as: Callable[[str], Registry], ours: Path
) -> None:
    two.grant("bob", Role.RELEASER)
    with pytest.raises(ForbiddenError, match="bob may not trust key on flight-delay"):
        trust(open_as("bob"), ours)
    assert two.trusted_keys(MODEL) == ()
    assert open_as("bob").sign(FIRST, signature_of(digest("a"), ours)).changed


def test_nothing_has_more_signatures_or_trusted_keys_than_a_promotion_can_look_at(
    two: Registry, ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfx_pedigree.registry.signatures.MOST_SIGNATURES", 1)
    monkeypatch.setattr("tfx_pedigree.registry.signatures.MOST_TRUSTED", 1)
    two.sign(FIRST, signature_of(digest("a"), ours))
    with pytest.raises(ConflictError, match="has 1 signatures, and no version has more"):
        two.sign(FIRST, signature_of(digest("a"), ours))
    trust(two, ours)
    with pytest.raises(ConflictError, match="Take one away first"):
        trust(two, ours.with_name("theirs.pem"))
