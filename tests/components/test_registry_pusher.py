"""A run's end: what passed serves, what did not is kept with the reason, and nothing breaks on a lost race."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from components_testing import MODELS, NAME, Place, record, through_kubeflow, tree
from tfx.types import channel, standard_artifacts

from tfx_pedigree.errors import ForbiddenError, InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.registry import Registry, Role, State, Verdict
from tfx_pedigree.store import Store
from tfx_pedigree.tfx_components import files
from tfx_pedigree.tfx_components.artifacts import ModelVersion
from tfx_pedigree.tfx_components.registry_pusher.component import RegistryPusher
from tfx_pedigree.versioning.git_state import GitState

MODEL, INFRA = standard_artifacts.ModelBlessing, standard_artifacts.InfraBlessing


class KilledError(BaseException):
    """A process that ends here and now."""


def pushed(output: Any) -> tuple[int, str, str]:
    get = output.get_string_custom_property
    return output.get_int_custom_property("pushed"), get("pushed_version"), get("outcome")


def run(place: Place, golden: str, verdict: Verdict = Verdict.PASS, **evidence: Any) -> Any:
    """One pipeline from the trained model to the end."""
    model, champion = place.trained(golden), place.champion()
    version = place.version(model, champion=champion)
    return place.push(version, model=model, comparison=place.compared(version, verdict, **evidence))


def test_what_passes_is_registered_promoted_and_laid_out_for_serving(place: Place, local_registry: Registry) -> None:
    output = run(place, "keras")
    version = local_registry.get(f"{NAME}@champion")
    assert (version.version, version.state, version.metrics) == ("1.0.0", State.PRODUCTION, {"auc": 0.75})
    assert local_registry.evidence(f"{NAME}@1.0.0").verdict is Verdict.PASS
    destination = place.root / "serving" / NAME / "1"
    assert pushed(output) == (1, "1", "promoted")
    assert output.get_string_custom_property("pushed_destination") == str(destination)
    assert tree(destination) == tree(output.uri) == tree(MODELS / "keras")


def test_without_a_serving_folder_it_is_promoted_and_nothing_is_pushed(place: Place, local_registry: Registry) -> None:
    version = place.version(place.trained("keras"))
    output = place.push(version, {"serving_base": ""}, comparison=place.compared(version))
    assert pushed(output) == (0, "", "promoted")
    assert local_registry.model(NAME).champion == "1.0.0"


def test_what_does_not_pass_is_kept_with_its_reason_and_the_run_goes_on(place: Place, local_registry: Registry) -> None:
    run(place, "keras")
    output = run(place, "keras_retrained", Verdict.FAIL)
    assert pushed(output) == (0, "", "refused")
    loser = local_registry.get(f"{NAME}@1.0.1")
    assert loser.state is State.DEVELOPMENT
    assert loser.refusal == "FAIL: the gate said FAIL"
    assert local_registry.model(NAME).champion == "1.0.0"
    assert [path.name for path in (place.root / "serving" / NAME).iterdir()] == ["1"]


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
def test_what_was_measured_of_the_champion_on_new_data_is_an_observation_of_it(
    place: Place, local_registry: Registry, verdict: Verdict
) -> None:
    run(place, "keras")
    model, champion = place.trained("keras_retrained"), place.champion()
    version = place.version(model, champion=champion)
    measured = {"challenger": {"auc": 0.75}, "champion": {"auc": 0.71, "example_count": 4000.0}}
    more = {"evaluation_data": "sha256:" + "f" * 64, "metrics": measured, "details": {"examples": 4000}}
    comparison = place.compared(version, verdict, **more)
    for _ in range(2):
        place.push(version, model=model, comparison=comparison)
    (seen,) = local_registry.observations(NAME).items
    assert (seen.version, seen.metric, seen.value, seen.examples) == ("1.0.0", "auc", 0.71, 4000)


@pytest.mark.parametrize("step", ["register", "promote", "lay_out"])
@pytest.mark.parametrize("before", [True, False])
def test_a_run_that_died_at_any_step_ends_as_one_that_did_not(
    place: Place, local_registry: Registry, monkeypatch: pytest.MonkeyPatch, step: str, before: bool
) -> None:
    run(place, "keras")
    model, champion = place.trained("keras_retrained"), place.champion()
    version = place.version(model, champion=champion)
    comparison = place.compared(version)
    owner: Any = files if step == "lay_out" else Registry
    real = getattr(owner, step)

    def dying(*args: Any, **kwargs: Any) -> Any:
        if not before:
            real(*args, **kwargs)
        raise KilledError

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(owner, step, dying)
        place.push(version, comparison=comparison)
    output = place.push(version, model=model, comparison=comparison)
    assert pushed(output)[:2] == (1, "2")
    assert local_registry.model(NAME).champion == "1.0.1"
    assert tree(place.root / "serving" / NAME / "2") == tree(MODELS / "keras_retrained")
    actions = [event.action for event in local_registry.history(NAME, "1.0.1").items]
    assert sorted(actions) == ["attach-evidence", "promote", "register", "reserve"]


def test_a_whole_run_repeated_after_it_died_before_the_push_serves_as_well(
    place: Place, local_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new run finds its own model as champion already; compared with itself it cannot win, and need not."""

    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr("tfx_pedigree.tfx_components.registry_pusher.executor._push", die)
        run(place, "keras")
    before = local_registry.history(NAME)
    output = run(place, "keras", Verdict.FAIL)
    assert pushed(output) == (1, "1", "there already")
    assert local_registry.history(NAME) == before
    assert local_registry.get(f"{NAME}@champion").refusal is None
    assert tree(place.root / "serving" / NAME / "1") == tree(MODELS / "keras")


@pytest.mark.parametrize(("kind", "blessed"), [(MODEL, 0), (MODEL, None), (INFRA, 0)])
def test_a_blessing_that_was_withheld_outweighs_the_comparison_also_in_the_registry(
    place: Place, local_registry: Registry, kind: type, blessed: int | None
) -> None:
    version = place.version(place.trained("keras"))
    key = "model_blessing" if kind is MODEL else "infra_blessing"
    output = place.push(version, comparison=place.compared(version), **{key: place.blessing(kind, blessed)})
    assert pushed(output)[2] == "refused"
    found = local_registry.evidence(f"{NAME}@1.0.0")
    assert found.verdict is Verdict.FAIL
    assert found.details["without_them"] == "the gate said PASS"


@pytest.mark.parametrize(("blessed", "champion"), [(1, "1.0.0"), (0, None), (None, None)])
def test_without_a_comparison_the_blessing_decides(
    place: Place, local_registry: Registry, blessed: int | None, champion: str | None
) -> None:
    version = place.version(place.trained("keras"))
    place.push(version, model_blessing=through_kubeflow(place.blessing(MODEL, blessed)))
    assert local_registry.model(NAME).champion == champion
    assert local_registry.evidence(f"{NAME}@1.0.0") is not None


def test_nothing_is_promoted_that_nobody_judged(place: Place, local_registry: Registry) -> None:
    output = place.push(place.version(place.trained("keras")))
    assert pushed(output) == (0, "", "refused")
    assert local_registry.get(f"{NAME}@1.0.0").state is State.DEVELOPMENT
    with pytest.raises(InvalidInputError, match="judged"):
        RegistryPusher(channel.Channel(type=ModelVersion), NAME)


@pytest.mark.parametrize(("target", "state"), [("none", "development"), ("staging", "staging")])
def test_it_goes_as_far_as_it_is_told(place: Place, local_registry: Registry, target: str, state: str) -> None:
    version = place.version(place.trained("keras"))
    output = place.push(version, {"promote_to": target}, comparison=place.compared(version))
    assert str(local_registry.get(f"{NAME}@1.0.0").state) == state
    assert pushed(output)[0] == (target == "staging")


def test_an_actor_who_may_not_promote_stops_the_run_after_it_was_registered(
    place: Place, local_registry: Registry
) -> None:
    local_registry.grant("ci", Role.CONTRIBUTOR)
    version = place.version(place.trained("keras"))
    comparison = place.compared(version)
    with pytest.raises(ForbiddenError, match="ci"):
        place.push(version, {"actor": "ci"}, comparison=comparison)
    assert local_registry.get(f"{NAME}@1.0.0").state is State.DEVELOPMENT
    local_registry.grant("ci", Role.RELEASER)
    assert pushed(place.push(version, {"actor": "ci"}, comparison=comparison)) == (1, "1", "promoted")


def damage(place: Place, golden: str) -> None:
    store = place.root / "store" / "objects"
    largest = max((path for path in store.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    largest.chmod(0o644)
    largest.write_bytes(b"x" * largest.stat().st_size)


def test_bytes_that_were_damaged_since_are_healed_from_this_runs_model(place: Place, local_registry: Registry) -> None:
    model = place.trained("keras")
    version = place.version(model)
    damage(place, "keras")
    assert pushed(place.push(version, model=model, comparison=place.compared(version)))[2] == "promoted"
    assert Store.open(place.root / "store").verify().ok


@pytest.mark.usefixtures("impatient")
def test_a_registry_that_cannot_be_reached_stops_the_run(place: Place, local_registry: Registry) -> None:
    version = place.version(place.trained("keras"))
    with pytest.raises(UnavailableError, match="Nothing was changed"):
        place.push(version, {"registry": "postgresql://nobody@127.0.0.1:1/none"}, comparison=place.compared(version))
    assert local_registry.get(f"{NAME}@1.0.0").state is State.RESERVED


def test_another_registry_than_the_versioners_is_noticed(place: Place, tmp_path: Path) -> None:
    version = place.version(place.trained("keras"))
    Registry.create(tmp_path / "other", actor="ada").close()
    with pytest.raises(NotFoundError, match="the same registry"):
        place.push(version, {"registry": str(tmp_path / "other")}, comparison=place.compared(version))


def test_a_comparison_of_another_version_is_refused(place: Place) -> None:
    one, other = place.version(place.trained("keras")), place.version(place.trained("keras_tanh"))
    with pytest.raises(InvalidInputError, match="of the same run"):
        place.push(one, comparison=place.compared(other))


def test_who_polls_the_serving_folder_never_sees_half_a_version(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that a byte was copied, what stands under a number is nothing or all."""
    from tfx_pedigree.store import materialise

    seen = []
    real = materialise._Layout._copy

    def watching(self: Any, entry: Any) -> None:
        real(self, entry)
        base = place.root / "serving" / NAME
        seen.append([path.name for path in base.iterdir() if path.name.isdigit()] if base.is_dir() else [])

    monkeypatch.setattr(materialise._Layout, "_copy", watching)
    version = place.version(place.trained("keras"))
    place.push(version, comparison=place.compared(version))
    assert seen[0] == []
    assert tree(place.root / "serving" / NAME / "1") == tree(MODELS / "keras")


def test_the_next_record_tells_how_the_champion_was_made(place: Place) -> None:
    """So that a comparison can say what changed in data, code and parameters."""
    state = {"git": json.dumps(GitState("c" * 40, diff_digest="sha256:" + "d" * 64).to_json())}
    examples = place.examples([{"a": 1.0}], "train", span="7")
    first = place.version(place.trained("keras"), {**state, "hyperparameters": '{"units": 4}'}, examples=examples)
    place.push(first, comparison=place.compared(first))
    champion = record(place.version(place.trained("keras_tanh"), champion=place.champion()))["champion"]
    made = record(first)
    assert champion["code"] == {"commit": "c" * 40, "dirty": True}
    assert champion["parameters"] == made["parameters"] == {"units": 4}
    assert champion["description"] == made["description"]
    train = made["data"]["examples"][0]["splits"]["train"]["fingerprint"]
    assert champion["data"]["examples"] == [{"span": "7", "splits": {"train": {"fingerprint": train}}}]


def test_spans_and_commit_can_be_searched_for(place: Place, local_registry: Registry) -> None:
    version = place.version(place.trained("keras"), examples=place.examples([{"a": 1.0}], "train", span="7"))
    place.push(version, comparison=place.compared(version))
    assert [one.version for one in local_registry.search(NAME, ["tag.span=7"]).items] == [record(version)["version"]]
