"""What a registry keeps and tells holds no secret, whichever way it came in."""

from __future__ import annotations

from pathlib import Path

import pytest

from pedigree_testing import candidate, digest
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Action, Evidence, Facts, PromotionRequest, Registry, Verdict
from tfx_pedigree.secrets import HIDDEN, hidden_names

pytestmark = pytest.mark.conformance

SECRET = "hunter2hunter2"  # noqa: S105


def test_no_byte_of_a_registry_holds_a_secret_that_was_given_to_it(tmp_path: Path) -> None:
    said = f"see postgresql://ada:{SECRET}@db.example.org/flights"
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        facts = Facts({"auc": 0.8}, {"db_password": SECRET, "note": said})
        evidence = Evidence(digest("a"), None, Verdict.PASS, said, details={"command": f"mysql -p{SECRET}"})
        given = candidate("a", api_key=SECRET, address=said, rate=0.1)
        version = registry.add("flight-delay", given, facts=facts, evidence=evidence).version
        assert dict(version.parameters) == {
            "api_key": HIDDEN,
            "address": "see postgresql://db.example.org/flights",
            "rate": 0.1,
        }
        assert version.tags["db_password"] == HIDDEN
        registry.annotate("flight-delay", Facts(tags={"token": SECRET, "url": f"https://x?sig={SECRET}"}))
        registry.promote("flight-delay@1.0.0", PromotionRequest(reason=said))
        registry.add("flight-delay", candidate("b", api_key="other", address="none", rate=0.1))
        registry.archive("flight-delay@1.1.0", reason=f"--password {SECRET}")
        registry.restore("flight-delay@1.1.0", reason=said)
        details = {"env": [{"name": "API_TOKEN", "value": SECRET}], "why": said}
        registry.note("flight-delay", Action.RETRAIN, reason=said, details=details)
        assert registry.verify_audit().ok
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"flights" in kept
    assert SECRET.encode() not in kept


def test_same_bytes_with_the_same_secret_are_the_same_version(tmp_path: Path) -> None:
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        first = registry.add("flight-delay", candidate("a", api_key=SECRET)).version
        assert registry.add("flight-delay", candidate("a", api_key=SECRET)).version == first
        again = registry.add("flight-delay", candidate("b", api_key=f"{SECRET}3")).version
        assert again.bump == "patch", "what differs is only the secret"


def test_names_of_hidden_values_are_told_without_the_values() -> None:
    values = {"api_key": SECRET, "rate": 0.1, "address": f"https://u:{SECRET}@host/x", "tokens": 512}
    assert hidden_names(values) == ("api_key", "address")
    assert hidden_names({}) == ()


@pytest.mark.parametrize(
    ("address", "clean"),
    [
        ("s3://key:hunter2@bucket/models", "s3://bucket/models"),
        ("s3://key:hun/ter2@hunter2@bucket/models", "s3://bucket/models"),
        ("memory://pedigree/store?token=hunter2", None),
    ],
)
def test_store_address_with_a_password_is_refused_before_anything_is_there(
    tmp_path: Path, address: str, clean: str | None
) -> None:
    with pytest.raises(InvalidInputError, match="holds a password") as refused:
        Registry.create(tmp_path / "registry", actor="ada", store=address)
    assert "hunter2" not in str(refused.value)
    assert clean is None or f"`pedigree init --store {clean}`" in str(refused.value)
    assert not (tmp_path / "registry").exists()


def test_user_in_a_store_address_is_no_secret(tmp_path: Path) -> None:
    address = f"memory://ada@pedigree{tmp_path}/store"
    with Registry.create(tmp_path / "registry", actor="ada", store=address) as registry:
        assert registry.history(None).items[-1].details["store"] == address
