"""The champion arrives whole, or its absence is said, or the run stops with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from components_testing import MODELS, NAME, Place, through_kubeflow, tree
from tfx.utils import path_utils

from tfx_pedigree.errors import DamagedError, ForbiddenError, InvalidInputError, PedigreeError, UnavailableError
from tfx_pedigree.registry import Registry, Role
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.runs.permissions import pipeline_actions
from tfx_pedigree.service.runs.push import PushTarget
from tfx_pedigree.tfx_components import artifacts
from tfx_pedigree.tfx_components.champion_provider.component import ChampionProvider

EVERYTHING = pipeline_actions(PushTarget.PRODUCTION, lineage=True)


def crown(registry: Registry, golden: str = "keras", **parameters: str) -> None:
    version = registry.add(NAME, candidate_of(registry.store, MODELS / golden, parameters=parameters)).version
    registry.promote(f"{NAME}@{version.version}")


def damage(store: Path) -> None:
    for path in (store / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"x" * path.stat().st_size)


def test_the_champion_lies_where_evaluators_look_for_a_trained_model(place: Place, local_registry: Registry) -> None:
    crown(local_registry)
    model = place.champion()
    served = path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
    assert tree(served) == tree(MODELS / "keras")
    champion = local_registry.get(f"{NAME}@champion")
    assert model.get_string_custom_property("version") == champion.version == "1.0.0"
    assert model.get_string_custom_property("digest") == champion.digest
    assert model.get_int_custom_property("sequence") == 1
    assert not artifacts.is_absent(model)


@pytest.mark.parametrize("known", ["nothing", "no champion"])
def test_where_there_is_no_champion_the_artifact_says_so_and_is_empty(
    place: Place, local_registry: Registry, known: str
) -> None:
    if known == "no champion":
        local_registry.add(NAME, candidate_of(local_registry.store, MODELS / "keras"))
    model = place.champion()
    assert artifacts.is_absent(model)
    assert tree(model.uri) == {}
    assert Path(model.uri).is_dir()


def test_an_archived_champion_is_none(place: Place, local_registry: Registry) -> None:
    crown(local_registry)
    local_registry.archive(f"{NAME}@champion", reason="withdrawn")
    assert artifacts.is_absent(place.champion())


def test_after_a_rollback_the_old_champion_is_the_baseline_and_not_the_newest(
    place: Place, local_registry: Registry
) -> None:
    crown(local_registry, "keras")
    crown(local_registry, "keras_retrained")
    local_registry.rollback(NAME, reason="slower")
    model = place.champion()
    assert model.get_string_custom_property("version") == "1.0.0"
    assert tree(Path(model.uri, "Format-Serving")) == tree(MODELS / "keras")


def test_damaged_bytes_stop_the_run_say_what_to_do_and_change_nothing(
    place: Place, local_registry: Registry, tmp_path: Path
) -> None:
    crown(local_registry)
    damage(tmp_path / "store")
    before = local_registry.history(NAME)
    output = place.made(type(place.trained("keras")))
    with pytest.raises(DamagedError, match=r"pedigree register flight-delay FOLDER.*pedigree rollback"):
        place.run(_executor(), {}, {"model": output})
    assert tree(output.uri) == {}
    assert local_registry.history(NAME) == before
    assert local_registry.get(f"{NAME}@champion").version == "1.0.0"


def test_missing_bytes_are_damage_as_well(place: Place, local_registry: Registry, tmp_path: Path) -> None:
    crown(local_registry)
    for path in (tmp_path / "store" / "manifests").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(DamagedError, match="flight-delay 1.0.0 is the champion"):
        place.champion()


def test_after_the_bytes_were_stored_again_it_works(place: Place, local_registry: Registry, tmp_path: Path) -> None:
    crown(local_registry)
    damage(tmp_path / "store")
    local_registry.store.put(MODELS / "keras", heal=True)
    assert not artifacts.is_absent(place.champion())


@pytest.mark.usefixtures("impatient")
def test_a_registry_that_cannot_be_reached_stops_the_run_before_anything_is_written(place: Place) -> None:
    output = place.made(type(place.trained("keras")))
    with pytest.raises(UnavailableError, match="Nothing was changed"):
        place.run(_executor(), {}, {"model": output}, registry="postgresql://nobody@127.0.0.1:1/none", store="")
    assert tree(output.uri) == {}


def test_a_second_run_into_the_same_folder_changes_nothing(place: Place, local_registry: Registry) -> None:
    crown(local_registry)
    model = place.champion()
    before = tree(model.uri)
    place.run(_executor(), {}, {"model": model})
    assert tree(model.uri) == before


def test_another_champion_never_overwrites_what_lies_there(place: Place, local_registry: Registry) -> None:
    crown(local_registry, "keras")
    model = place.champion()
    crown(local_registry, "keras_tanh")
    with pytest.raises(PedigreeError, match="exists and is not version"):
        place.run(_executor(), {}, {"model": model})
    assert tree(Path(model.uri, "Format-Serving")) == tree(MODELS / "keras")


def test_absence_and_identity_survive_kubeflow(place: Place, local_registry: Registry) -> None:
    assert artifacts.is_absent(through_kubeflow(place.champion()))
    crown(local_registry, label_key="late")
    there = through_kubeflow(place.champion())
    assert not artifacts.is_absent(there)
    assert there.get_string_custom_property("digest") == local_registry.get(f"{NAME}@champion").digest
    assert there.get_string_custom_property("label_key") == "late"


def test_it_answers_the_same_on_both_databases(shared_place: Place, registry: Registry) -> None:
    crown(registry)
    assert shared_place.champion().get_string_custom_property("version") == "1.0.0"


def _executor() -> type:
    from tfx_pedigree.tfx_components.champion_provider.executor import Executor

    return Executor


def test_an_actor_who_may_not_do_what_the_pipeline_will_stops_it_at_its_start(
    place: Place, local_registry: Registry
) -> None:
    local_registry.grant("ci", Role.CONTRIBUTOR)
    needs = {"needs": ChampionProvider(NAME, needs=EVERYTHING).exec_properties["needs"]}
    with pytest.raises(ForbiddenError, match=f"roles grant ci releaser --model {NAME}"):
        place.champion(actor="ci", **needs)
    local_registry.grant("ci", Role.RELEASER)
    assert artifacts.is_absent(place.champion(actor="ci", **needs))
    with pytest.raises(InvalidInputError, match="needs is 'fly'"):
        ChampionProvider(NAME, needs=["fly"])
