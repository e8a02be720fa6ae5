"""The components in pipelines: wired by one call, compiled for both runners, run as a container would run them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from components_testing import MODELS, NAME, Place, record, through_kubeflow, tree
from stock_testing import WarmTrainer
from tensorflow_model_analysis.proto import config_pb2
from tfx.components.example_gen.import_example_gen.component import ImportExampleGen
from tfx.components.pusher.component import Pusher
from tfx.components.trainer.component import Trainer
from tfx.dsl.compiler import compiler
from tfx.orchestration import metadata
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
from tfx.orchestration.local import local_dag_runner
from tfx.proto import pusher_pb2, trainer_pb2
from tfx.types import channel, standard_artifacts
from tfx.utils import import_utils

from tfx_pedigree.comparison import ModelInputs, NeverBelow, Policy
from tfx_pedigree.errors import InvalidInputError, PedigreeError
from tfx_pedigree.json_form import read
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.runs.push_rollout import PipelineRollout
from tfx_pedigree.tfx_components import artifacts
from tfx_pedigree.tfx_components.artifacts import LineageRecord, ModelVersion, VersionComparison
from tfx_pedigree.tfx_components.candidates import add_candidates
from tfx_pedigree.tfx_components.champion_provider.component import ChampionProvider
from tfx_pedigree.tfx_components.evaluator.component import Evaluator
from tfx_pedigree.tfx_components.registry_pusher.component import RegistryPusher
from tfx_pedigree.tfx_components.versioner.component import Versioner
from tfx_pedigree.tfx_components.wiring import Pedigree, add_pedigree
from tfx_pedigree.versioning.git_state import GitState

NODES = ["ChampionProvider", "Versioner", "Evaluator", "VersionComparator", "RegistryPusher", "LineageRecorder"]


def own(root: str = "/data") -> tuple[ImportExampleGen, Trainer]:
    """What a pipeline has before Pedigree comes."""
    examples = ImportExampleGen(root)
    trainer = Trainer(
        run_fn="flights.run",
        examples=examples.outputs["examples"],
        train_args=trainer_pb2.TrainArgs(num_steps=10),
        eval_args=trainer_pb2.EvalArgs(),
        custom_config={"units": 4},
    )
    return examples, trainer


def wired(**options: Any) -> tuple[list[Any], Pedigree]:
    examples, trainer = own()
    options = {"inputs": ModelInputs(label_key="late"), "slice_features": [["origin"]], "actor": "ci", **options}
    found = add_pedigree(trainer, examples.outputs["examples"], NAME, Policy("auc"), **options)
    pusher = Pusher(
        model=trainer.outputs["model"],
        **found.gates,
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory="/serving")
        ),
    )
    return [examples, trainer, *found.components, pusher], found


def pipeline(components: list[Any]) -> tfx_pipeline.Pipeline:
    return tfx_pipeline.Pipeline("flights", "/root", components=components, enable_cache=True)


def compiled(components: list[Any], folder: Path, **options: Any) -> dict[str, Any]:
    config = KubeflowV2DagRunnerConfig(default_image="image", **options)
    KubeflowV2DagRunner(config, output_dir=str(folder), output_filename="pipeline.json").run(pipeline(components))
    found: dict[str, Any] = json.loads((folder / "pipeline.json").read_text())
    return found


def test_a_policy_with_an_anchor_measures_the_best_champion_as_well() -> None:
    examples, trainer = own()
    policy = Policy("auc", never_below=NeverBelow(), confidence=0.95)
    options: dict[str, Any] = {"inputs": ModelInputs(label_key="late"), "slice_features": [["origin"]], "name": "delay"}
    found = add_pedigree(trainer, examples.outputs["examples"], NAME, policy, **options)
    provider, evaluator = found.best
    assert [provider.id, evaluator.id] == ["BestChampionProvider_delay", "BestChampionEvaluator_delay"]
    assert provider.inputs["champion"] is found.champion_provider.outputs["model"]
    assert evaluator.inputs["baseline_model"] is provider.outputs["model"]
    assert found.comparator.inputs["best_evaluation"] is evaluator.outputs["evaluation"]
    config = json.loads(evaluator.exec_properties["eval_config"])
    assert "slicing_specs" not in config and "hreshold" not in json.dumps(config)
    assert {node.id for node in pipeline([examples, trainer, *found.components]).components} > {
        provider.id,
        evaluator.id,
    }
    assert wired()[1].best == ()


def test_one_call_adds_all_of_them_connected() -> None:
    components, pedigree = wired()
    ids = [node.id for node in pipeline(components).components]
    assert sorted(ids) == sorted([*NODES, "ImportExampleGen", "Trainer", "Pusher"])
    assert all(ids.index(one) < ids.index("Evaluator") for one in ("ChampionProvider", "Trainer"))
    assert ids.index("VersionComparator") < ids.index("RegistryPusher")
    (spec,) = pedigree.eval_config.model_specs
    assert (spec.name, spec.label_key) == ("", "late")
    assert "origin" in str(pedigree.eval_config.slicing_specs)


def test_what_the_trainer_was_told_is_recorded_and_the_label_known() -> None:
    versioner = wired(hyperparameters={"units": 4})[1].versioner
    assert json.loads(versioner.exec_properties["training"])["custom_config"] == {"units": 4}
    assert json.loads(versioner.exec_properties["training"])["train_args"]["num_steps"] == 10
    assert json.loads(versioner.exec_properties["hyperparameters"]) == {"units": 4}
    assert versioner.exec_properties["label_key"] == "late"


def test_an_eval_config_or_an_evaluator_of_ones_own_is_used() -> None:
    config = config_pb2.EvalConfig(model_specs=[config_pb2.ModelSpec(label_key="mine")])
    made = []

    def make(**given: Any) -> Evaluator:
        made.append(given)
        return Evaluator(example_splits=["test"], **given)

    pedigree = wired(eval_config=config, evaluator=make)[1]
    assert list(pedigree.eval_config.model_specs) == list(config.model_specs)
    assert pedigree.versioner.exec_properties["label_key"] == "mine"
    assert set(made[0]) == {"examples", "model", "baseline_model", "eval_config"}
    assert pedigree.evaluator.exec_properties["example_splits"] == '["test"]'


@pytest.mark.parametrize(("target", "producer"), [("production", "RegistryPusher"), ("none", "VersionComparator")])
def test_the_stock_pusher_gets_the_word_of_who_decides(target: str, producer: str) -> None:
    assert wired(promote_to=target)[1].blessing.producer_component_id == producer


def test_the_first_component_asks_for_the_roles_of_all_that_are_wired() -> None:
    needs = wired()[1].champion_provider.exec_properties["needs"]
    assert {"reserve", "register", "attach-evidence", "promote-to-production", "record-lineage"} <= {*json.loads(needs)}
    needs = wired(promote_to="none", lineage=False)[1].champion_provider.exec_properties["needs"]
    assert "promote" not in needs and "lineage" not in needs


@pytest.mark.parametrize("newer", [False, True], ids=["vertex", "kubeflow"])
def test_a_rollout_in_place_of_a_promotion_reaches_the_compiled_pipeline(tmp_path: Path, newer: bool) -> None:
    """Whole, so that no host of the pipeline needs the file; and the role for it is asked for first."""
    file = tmp_path / "rollout.yaml"
    file.write_text("target: edge\nsteps: [5 %, 100 %]\njudge: {alpha: 1 %}\n")
    parts = wired(rollout=file)[0]
    found = compiled(parts, tmp_path, **({"use_pipeline_spec_2_1": True} if newer else {}))
    spec = found["pipelineSpec"]
    value = spec["root"]["dag"]["tasks"]["RegistryPusher"]["inputs"]["parameters"]["rollout"]["runtimeValue"]
    text = value["constant"] if newer else value["constantValue"]["stringValue"]
    order = read(PipelineRollout, json.loads(text), "the parameter")
    assert (order.target, [step.points for step in order.plan.steps]) == ("edge", [500, 10_000])
    assert order.plan.judge.alpha == 0.01
    needs = spec["root"]["dag"]["tasks"]["ChampionProvider"]["inputs"]["parameters"]["needs"]
    assert "roll-out" in json.dumps(needs)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rollout": {"steps": ["10 %", "100 %"]}}, "lacks `target`"),
        ({"rollout": {"target": "edge"}, "promote_to": "staging"}, "leads to production"),
        ({"rollout": {"target": "edge"}, "serving_base": "/serving"}, "how the version comes to be served"),
        ({"rollout": {"target": "edge", "stages": []}}, "Did you mean `steps`"),
        ({"rollout": "/nowhere/rollout.yaml"}, "cannot be read"),
    ],
)
def test_a_rollout_that_cannot_be_is_refused_when_the_pipeline_is_built(options: Any, said: str) -> None:
    with pytest.raises(PedigreeError, match=said):
        wired(**options)


def test_several_models_and_candidates_compile_each_with_ids_of_its_own(tmp_path: Path) -> None:
    """Each candidate's pusher hears of the others by an input each: Kubeflow knows no union of channels."""
    examples, trainer = own()
    other = WarmTrainer(examples.outputs["examples"], "/ready")
    given = {"inputs": ModelInputs(label_key="late")}
    one = add_pedigree(trainer, examples.outputs["examples"], "another", Policy("auc"), name="alone", **given)
    trainers = {"small": trainer, "large": other}
    several = add_candidates(trainers, examples.outputs["examples"], NAME, Policy("auc"), **given)
    parts = [part for pedigree in (one, *several.values()) for part in pedigree.components]
    tasks = compiled([examples, trainer, other, *parts], tmp_path)["pipelineSpec"]["root"]["dag"]["tasks"]
    assert {f"{kind}_{name}" for kind in NODES[1:] for name in ("alone", "small", "large")} <= set(tasks)
    assert {"ChampionProvider_alone", "ChampionProvider"} <= set(tasks)
    rival = tasks["RegistryPusher_small"]["inputs"]["artifacts"]["rival_1"]["taskOutputArtifact"]
    assert rival["producerTask"] == "VersionComparator_large"


def test_where_nothing_is_promoted_the_stock_pusher_asks_the_evaluator_as_well() -> None:
    assert wired()[1].gates.keys() == {"infra_blessing"}
    assert wired(promote_to="none")[1].gates.keys() == {"infra_blessing", "model_blessing"}


def test_lineage_is_recorded_last_with_all_that_is_known_unless_it_is_switched_off() -> None:
    statistics = channel.Channel(type=standard_artifacts.ExampleStatistics)
    found = wired(statistics=statistics, lineage_options={"on_failure": "fail", "mlmd": "/mlmd.sqlite"})[1]
    recorder = found.components[-1]
    assert recorder is found.lineage
    assert recorder.inputs.keys() == {"version", "examples", "statistics", "comparison", "evaluation", "pushed_model"}
    assert (recorder.exec_properties["on_failure"], recorder.exec_properties["mlmd"]) == ("fail", "/mlmd.sqlite")
    without = wired(lineage=False)[1]
    assert without.lineage is None
    assert [node.id for node in without.components] == NODES[:-1]


def test_modules_image_and_variables_reach_the_versioner(tmp_path: Path) -> None:
    module = tmp_path / "flight_model.py"
    module.write_text("def run_fn(args): ...\n")
    examples = ImportExampleGen("/data")
    trainer = Trainer(
        module_file=str(module),
        examples=examples.outputs["examples"],
        train_args=trainer_pb2.TrainArgs(),
        eval_args=trainer_pb2.EvalArgs(),
    )
    more = {"own.py": "sha256:" + "a" * 64}
    options = {"modules": more, "image": "trainer:1", "variables": ["MY_FLAG"]}
    versioner = add_pedigree(trainer, examples.outputs["examples"], NAME, Policy("auc"), **options).versioner
    digest = "sha256:" + hashlib.sha256(module.read_bytes()).hexdigest()
    assert json.loads(versioner.exec_properties["modules"]) == {"flight_model.py": digest, **more}
    assert versioner.exec_properties["image"] == "trainer:1"
    assert json.loads(versioner.exec_properties["variables"]) == ["MY_FLAG"]


def test_no_secret_of_the_trainers_becomes_a_parameter_of_ours() -> None:
    examples = ImportExampleGen("/data")
    trainer = Trainer(
        run_fn="flights.run",
        examples=examples.outputs["examples"],
        train_args=trainer_pb2.TrainArgs(),
        eval_args=trainer_pb2.EvalArgs(),
        custom_config={"api_key": "hunter2-secret", "units": 4},
    )
    told = json.dumps({"db": {"password": "hunter2-secret"}})
    remote = GitState(commit="c" * 40, remote="https://ada:hunter2-secret@example.org/x.git")
    found = add_pedigree(trainer, examples.outputs["examples"], NAME, Policy("auc"), hyperparameters=told, git=remote)
    for component in found.components:
        assert "hunter2-secret" not in str(component.exec_properties)
    assert json.loads(found.versioner.exec_properties["training"])["custom_config"]["units"] == 4


def test_a_policy_may_be_a_file(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("metric: auc\n")
    examples, trainer = own()
    found = add_pedigree(trainer, examples.outputs["examples"], NAME, policy)
    assert json.loads(found.comparator.exec_properties["policy"])["metric"] == "auc"


def test_each_component_compiles_for_the_local_runner() -> None:
    compiler.Compiler().compile(pipeline(wired()[0]))


@pytest.mark.parametrize("spec_2_1", [False, True], ids=["vertex", "kubeflow"])
def test_each_component_compiles_for_kubeflow(tmp_path: Path, spec_2_1: bool) -> None:
    folder = tmp_path / "out"
    options = {"use_pipeline_spec_2_1": True} if spec_2_1 else {}
    job = compiled(wired(serving_base="gs://bucket/serving")[0], folder, **options)
    spec = job["pipelineSpec"]
    assert set(NODES) <= set(spec["root"]["dag"]["tasks"])
    text = json.dumps(spec)
    assert "title: tfx_pedigree.ModelVersion" in text
    assert "title: tfx_pedigree.VersionComparison" in text
    assert "title: tfx_pedigree.LineageRecord" in text
    for node in NODES:
        container = spec["deploymentSpec"]["executors"][f"{node}_executor"]["container"]
        path = container["args"][container["args"].index("--executor_class_path") + 1]
        assert import_utils.import_class_by_path(path) is not None


def test_every_node_that_asks_the_registry_has_the_runs_id_in_its_parameters(tmp_path: Path) -> None:
    tasks = compiled(wired()[0], tmp_path)["pipelineSpec"]["root"]["dag"]["tasks"]
    for node in ("ChampionProvider", "Versioner", "RegistryPusher", "LineageRecorder"):
        assert "{{$.pipeline_job_uuid}}" in json.dumps(tasks[node]["inputs"]["parameters"]["run"])


def test_no_password_gets_into_a_pipeline() -> None:
    with pytest.raises(InvalidInputError, match="password"):
        wired(registry="postgresql://ci:s3cret@db/pedigree")


def test_a_wrong_wish_is_refused_when_the_pipeline_is_built() -> None:
    trained = channel.Channel(type=standard_artifacts.Model)
    with pytest.raises(InvalidInputError):
        Versioner(trained, NAME, bump="huge")
    version = channel.Channel(type=ModelVersion)
    with pytest.raises(InvalidInputError, match="promote_to"):
        RegistryPusher(version, NAME, promote_to="prod")


@pytest.mark.parametrize("kind", [LineageRecord, ModelVersion, VersionComparison])
def test_our_artifacts_come_through_kubeflow_with_type_and_properties(kind: Any, place: Place) -> None:
    artifact = place.made(kind)
    artifacts.set_properties(artifact, version="1.2.0", sequence=2**53 - 1, absent=0, left_out=None)
    found = through_kubeflow(artifact)
    assert type(found) is kind
    assert found.uri == artifact.uri
    assert found.get_string_custom_property("version") == "1.2.0"
    assert found.get_int_custom_property("sequence") == 2**53 - 1
    assert found.get_int_custom_property("absent") == 0
    assert not found.has_custom_property("left_out")


class Container:
    """Runs the tasks of a compiled pipeline one by one, each with what Kubeflow would hand to its container."""

    def __init__(self, job: dict[str, Any], root: Path) -> None:
        self._spec = job["pipelineSpec"]
        self._root = root
        self._made: dict[tuple[str, str], Any] = {}

    def provide(self, task: str, output: str, uri: str, title: str, **metadata: Any) -> None:
        kind = {"instanceSchema": f"title: {title}\ntype: object\n"}
        self._made[task, output] = {"uri": uri, "type": kind, "name": uri, "metadata": metadata}

    def run(self, task: str) -> dict[str, Any]:
        """The properties of each output."""
        node = self._spec["root"]["dag"]["tasks"][task]
        component = self._spec["components"][node["componentRef"]["name"]]
        folder = self._root / task
        outputs = {
            key: {"artifacts": [{"uri": str(folder / key), "type": one["artifactType"], "name": f"{task}/{key}"}]}
            for key, one in component["outputDefinitions"]["artifacts"].items()
        }
        given = {
            "inputs": {"artifacts": self._inputs(node), **_parameters(node)},
            "outputs": {"artifacts": outputs, "outputFile": str(folder / "executor_output.json")},
        }
        args = self._spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]["args"]
        flags = [json.dumps(given) if one == "{{$}}" else one for one in args]
        kubeflow_v2_run_executor.main(kubeflow_v2_run_executor._parse_flags(["run", *flags]))
        answer = json.loads((folder / "executor_output.json").read_text())["artifacts"]
        for key, one in answer.items():
            self._made[task, key] = {**outputs[key]["artifacts"][0], **one["artifacts"][0]}
        return {key: one["artifacts"][0].get("metadata", {}) for key, one in answer.items()}

    def _inputs(self, node: dict[str, Any]) -> dict[str, Any]:
        sources = {key: one["taskOutputArtifact"] for key, one in node["inputs"].get("artifacts", {}).items()}
        return {
            key: {"artifacts": [self._made[one["producerTask"], one["outputArtifactKey"]]]}
            for key, one in sources.items()
        }


def _parameters(node: dict[str, Any]) -> dict[str, Any]:
    """In Vertex's older form and in Kubeflow's newer one, in which all numbers are floats."""
    values = {key: one["runtimeValue"] for key, one in node["inputs"]["parameters"].items()}
    if "constantValue" in values["run"]:
        old = {key: one["constantValue"] for key, one in values.items()}
        return {"parameters": {**old, "run": {"stringValue": "run-1"}}}
    return {"parameterValues": {**{key: one["constant"] for key, one in values.items()}, "run": "run-1"}}


@pytest.mark.parametrize("spec_2_1", [False, True], ids=["vertex", "kubeflow"])
def test_containers_run_them_as_they_run_here(
    place: Place, local_registry: Registry, tmp_path: Path, spec_2_1: bool
) -> None:
    """The components that ask the registry, of the compiled pipeline, through the container's entry point."""
    where = {key: place.properties[key] for key in ("registry", "store", "actor")}
    components, _ = wired(serving_base=str(tmp_path / "serving"), **where)
    folder = tmp_path / "job"
    run = Container(
        compiled(components, folder, **({"use_pipeline_spec_2_1": True} if spec_2_1 else {})), tmp_path / "run"
    )
    data = place.examples([{"a": 1.0}], "train", span="3")
    splits = {"split_names": '["train"]', "span": "3"}
    run.provide("ImportExampleGen", "examples", data.uri, "tfx.Examples", **splits)
    run.provide("Trainer", "model", place.trained("keras").uri, "tfx.Model")
    assert run.run("ChampionProvider")["model"]["absent"] == 1
    assert run.run("Versioner")["version"]["version"] == "1.0.0"
    version = place.made(ModelVersion)
    version.uri = str(tmp_path / "run" / "Versioner" / "version")
    run.provide("Evaluator", "blessing", place.uri(), "tfx.ModelBlessing", blessed=1)
    compared = place.compared(version)
    run.provide("VersionComparator", "comparison", compared.uri, "tfx_pedigree.VersionComparison")
    run.provide("VersionComparator", "blessing", place.uri(), "tfx.InfraBlessing", blessed=1)
    pushed = run.run("RegistryPusher")["pushed_model"]
    assert (pushed["pushed"], pushed["pushed_version"]) == (1, "1")
    assert tree(tmp_path / "serving" / NAME / "1") == tree(MODELS / "keras")
    assert local_registry.model(NAME).champion == "1.0.0"
    run.provide("Evaluator", "evaluation", place.uri(), "tfx.ModelEvaluation")
    told = run.run("LineageRecorder")["lineage"]
    assert (told["recorded"], told["complete"]) == (1, 1)
    assert Lineage(local_registry).find("run:run-1").content["model"] == NAME
    assert record(version)["data"]["examples"][0]["span"] == "3"


def test_a_run_is_never_told_of_yesterdays_champion(place: Place, local_registry: Registry, tmp_path: Path) -> None:
    """On the local runner with its cache switched on; also if the same pipeline object runs again."""
    where = {key: place.properties[key] for key in ("registry", "store", "actor")}
    only = tfx_pipeline.Pipeline(
        "flights",
        str(tmp_path / "root"),
        components=[ChampionProvider(NAME, **where)],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(tmp_path / "mlmd.db")),
    )
    for golden in ("keras", "keras_tanh"):
        local_dag_runner.LocalDagRunner().run(only)
        version = local_registry.add(NAME, candidate_of(local_registry.store, MODELS / golden)).version
        local_registry.promote(f"{NAME}@{version.version}")
    local_dag_runner.LocalDagRunner().run(only)
    with metadata.Metadata(only.metadata_connection_config) as handle:
        found = handle.store.get_artifacts_by_type("Model")
    told = [one.custom_properties["version"].string_value for one in sorted(found, key=lambda one: one.id)]
    assert told == ["", "1.0.0", "1.1.0"]
