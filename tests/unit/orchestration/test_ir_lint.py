"""The linter finds what would fail on the service, or show a secret, and says which task and what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ir_testing import by_tfx, fitted, in_container, in_task, parameter, spoilt

from tfx_pedigree.orchestration.ir import CompiledPipeline, Finding, Level, SpecKind, fit, lint, parse_ir
from tfx_pedigree.orchestration.ir.secret_checks import secret_in

DIGEST = "sha256:" + "0" * 64


def small(kind: SpecKind = SpecKind.KUBEFLOW) -> CompiledPipeline:
    return fitted("small", kind)[0]


def only(findings: tuple[Finding, ...]) -> Finding:
    (found,) = findings
    assert found.problem.endswith((".", ":")) or found.problem[-1].isalnum()
    assert found.remedy.endswith(".")
    return found


@pytest.mark.parametrize("kind", list(SpecKind), ids=str)
@pytest.mark.parametrize("name", ["small", "reading"])
def test_mended_pipeline_has_nothing_to_be_found(name: str, kind: SpecKind) -> None:
    assert lint(fitted(name, kind)[0]) == ()


def test_without_mending_each_error_of_the_compiler_is_found() -> None:
    job = by_tfx("small")["job"]
    unmended = parse_ir(json.dumps(job))
    found = {(one.rule, one.task) for one in lint(unmended)}
    assert found == {("producer", "Use"), ("condition", "Take")}
    reading = parse_ir(json.dumps(by_tfx("reading")["job"]["pipelineSpec"]))
    assert {(one.rule, one.task) for one in lint(reading)} == {("span", "CsvExampleGen"), ("root", None)}


@pytest.mark.parametrize(
    ("rule", "task", "path", "value", "says"),
    [
        ("producer", "Look", in_task("Look", "dependentTasks"), ["Nobody"], "waits for Nobody, and there is no such"),
        (
            "producer",
            "Look",
            in_task("Look", "inputs", "artifacts", "schema", "taskOutputArtifact", "producerTask"),
            "Nobody",
            "its input `schema` comes from Nobody",
        ),
        (
            "output",
            "Look",
            in_task("Look", "inputs", "artifacts", "schema", "taskOutputArtifact", "outputArtifactKey"),
            "model",
            "the output `model` of Schema, which has result",
        ),
        (
            "condition",
            "Take",
            in_task("Take", "triggerPolicy", "condition"),
            "inputs.artifacts['other'].artifacts[0].metadata['x'] == 1.0",
            "looks at `other`",
        ),
        ("parameter", "Make", ("root", "inputDefinitions", "parameters", "rows"), None, "is the run's `rows`"),
        ("resolver", "Look", ("deploymentSpec", "executors", "Look_executor"), {"resolver": {}}, "Kubeflow rejects"),
        ("schema", None, ("schemaVersion",), "2.0.0", "its schema is 2.0.0"),
        ("root", None, ("defaultPipelineRoot",), "s3://bucket/x", "which TFX cannot open"),
        ("root", None, ("defaultPipelineRoot",), "minio://bucket/x", "which TFX cannot open"),
        ("root", None, ("defaultPipelineRoot",), "artifacts", "which TFX cannot open"),
        ("root", None, ("defaultPipelineRoot",), None, "it has no root"),
        ("image", "Use", in_container("Use", "image"), "registry.example:5000/small", "neither tag nor digest"),
        ("image", "Use", in_container("Use", "image"), "small:latest", "whatever was pushed last"),
        ("image", "Use", in_container("Use", "image"), "small:1@sha256:abc", "an invalid digest"),
        ("address", "Schema", parameter("Schema", "artifact_uri"), "s3://bucket/schema", "under s3://"),
        (
            "address",
            "Use",
            parameter("Use", "push_destination"),
            '{"filesystem": {"base_directory": "minio://bucket/x"}}',
            "under minio://",
        ),
    ],
)
def test_what_would_fail_is_found_with_the_task_and_the_remedy(
    rule: str, task: str | None, path: tuple[str, ...], value: Any, says: str
) -> None:
    finding = only(lint(spoilt(small(), value, *path)))
    assert (finding.rule, finding.task, finding.level) == (rule, task, Level.ERROR)
    assert says in str(finding)


@pytest.mark.parametrize("image", ["small:1", f"small@{DIGEST}", f"localhost:5000/a/small:v1.2-x@{DIGEST}"])
def test_image_with_a_tag_or_a_digest_is_fine(image: str) -> None:
    assert lint(spoilt(small(), image, *in_container("Use", "image"))) == ()


def test_root_on_a_mounted_path_is_for_kubeflow_alone() -> None:
    for kind in SpecKind:
        made = by_tfx("small")
        made["job"]["runtimeConfig"]["gcsOutputDirectory"] = "/mnt/models/small"
        compiled, _ = fit(made["job"], kind)
        level = Level.ERROR if kind is SpecKind.VERTEX else Level.WARNING
        assert (only(lint(compiled)).rule, only(lint(compiled)).level) == ("root", level)
    for path, mounted in (("/mnt/models", True), ("/mnt/models/small", True), ("/mnt/mod", False), ("/else", False)):
        compiled, _ = fitted("small", SpecKind.KUBEFLOW, volumes={path: "claim"})
        finding = only(lint(spoilt(compiled, "/mnt/models/small", "defaultPipelineRoot")))
        assert ("takes only buckets" in finding.problem) is mounted


def test_vertex_may_resolve() -> None:
    spoilt_one = spoilt(small(SpecKind.VERTEX), {"resolver": {}}, "deploymentSpec", "executors", "Look_executor")
    assert lint(spoilt_one) == ()


def test_span_is_not_heard_of_with_the_older_schema() -> None:
    compiled = spoilt(fitted("reading", SpecKind.VERTEX)[0], "2.0.0", "schemaVersion")
    assert (only(lint(compiled)).rule, only(lint(compiled)).level) == ("span", Level.WARNING)


@pytest.mark.parametrize("title", ["tfx.Nothing", "plain", "some.module.Class", "UPPER.Class"])
def test_type_that_no_container_can_import_is_found(title: str) -> None:
    schema = ("components", "Look", "outputDefinitions", "artifacts", "seen", "artifactType")
    finding = only(lint(spoilt(small(), {"instanceSchema": f"title: {title}\ntype: object\n"}, *schema)))
    assert (finding.rule, finding.task) == ("type", "Look")
    assert title in finding.problem


def test_type_that_could_not_be_imported_where_it_was_compiled_is_found() -> None:
    schema = ("components", "Look", "outputDefinitions", "artifacts", "seen", "artifactType")
    compiled = spoilt(small(), {"schemaTitle": "my_types.Mine"}, *schema)
    assert lint(compiled) == ()
    assert only(lint(compiled, ["my_types.Mine"])).rule == "type"


@pytest.mark.parametrize(
    ("env", "address", "says"),
    [
        ({}, None, "nothing says where the registry is"),
        ({}, "/home/mia/.pedigree", "is a file"),
        ({}, "sqlite:////data/registry.db", "is a file"),
        ({"PEDIGREE_REGISTRY": "/data"}, None, "is a file"),
        ({}, "postgresql://p@db/pedigree", None),
        ({"PEDIGREE_REGISTRY": "postgresql://p@db/pedigree"}, None, None),
    ],
)
def test_registry_that_a_container_may_not_reach_is_a_warning(env: Any, address: str | None, says: str | None) -> None:
    compiled = spoilt(fitted("small", SpecKind.VERTEX, env=env)[0], "", *parameter("Use", "asked"))
    if address is not None:
        compiled = spoilt(compiled, address, *parameter("Use", "registry"))
    found = lint(compiled)
    if says is None:
        assert found == ()
    else:
        assert (only(found).level, only(found).task) == (Level.WARNING, "Use")
        assert says in only(found).problem


def test_registry_that_the_cluster_fills_in_is_one() -> None:
    around = {"PEDIGREE_REGISTRY": "pedigree-db/address"}
    compiled = fitted("small", SpecKind.KUBEFLOW, secrets=around)[0]
    asking = spoilt(compiled, "", *parameter("Use", "asked"))
    assert lint(asking) == ()
    assert only(lint(spoilt(asking, "/home/mia/.pedigree", *parameter("Use", "registry")))).rule == "registry"


def test_errors_come_before_warnings() -> None:
    compiled = spoilt(spoilt(small(), "", *parameter("Use", "asked")), "small", *in_container("Use", "image"))
    assert [one.level for one in lint(compiled)] == [Level.ERROR, Level.WARNING]


# Secrets: none of these is one, they only look alike.

FAKE = "a1B2" * 12
SECRETS = [
    ("registry", "postgresql://ci:hunter2@db/pedigree", "an address with a password"),
    ("store", "s3://bucket/x?aws_secret_access_key=abc", "an address with a password"),
    ("note", "AKIA" + "ABCDEFGHIJKLMNOP", "an AWS access key"),
    ("note", "ghp_" + "a1B2" * 9, "a GitHub token"),
    ("note", "glpat-" + "a1B2" * 5, "a GitLab token"),
    ("note", "AIza" + "a1B2" * 8 + "xyz", "a Google API key"),
    ("note", "xoxb-" + "1234567890-abc", "a Slack token"),
    ("note", "-----BEGIN RSA PRIVATE KEY-----\n…", "a private key"),
    ("note", f"eyJ{FAKE}.eyJ{FAKE}.{FAKE}", "a JSON web token"),
    ("note", "sk-" + FAKE, "an API key"),
    ("password", "hunter2", "what is called a password (`password`)"),
    ("db_password", "hunter2", "what is called a password (`db_password`)"),
    ("dbPassword", "hunter2", "what is called a password (`dbPassword`)"),
    ("api_key", "hunter2", "what is called a api_key (`api_key`)"),
    ("WANDB_API_KEY", "hunter2", "what is called a api_key (`WANDB_API_KEY`)"),
    ("auth_token", FAKE, "what is called a token (`auth_token`)"),
    ("custom_config", '{"tracking": {"token": "' + FAKE + '"}}', "what is called a token (`token`)"),
]


@pytest.mark.parametrize(("name", "value", "what"), SECRETS)
def test_secret_is_found_wherever_it_is_shown_and_never_repeated(name: str, value: str, what: str) -> None:
    places = [
        spoilt(small(), value, *parameter("Use", name)),
        spoilt(small(), [{"name": name, "value": value}], *in_container("Use", "env")),
        spoilt(small(), [f"--{name}={value}"], *in_container("Use", "args")),
        spoilt(small(), [f"--{name}", value], *in_container("Use", "args")),
    ]
    for compiled in places:
        finding = next(one for one in lint(compiled) if one.rule == "secret")
        assert (finding.task, finding.level) == ("Use", Level.ERROR)
        assert what in finding.problem
        assert value not in str(finding)


def test_secret_beside_an_imported_artifact_is_found() -> None:
    importer = ("deploymentSpec", "executors", "Schema_executor", "importer", "metadata")
    finding = only(lint(spoilt(small(), {"source": {"password": "hunter2"}}, *importer)))
    assert (finding.rule, finding.task) == ("secret", "Schema")
    assert "hunter2" not in str(finding)


def test_secret_in_what_a_run_is_given_is_found() -> None:
    default = ("root", "inputDefinitions", "parameters", "rows", "defaultValue")
    assert only(lint(spoilt(small(), "ghp_" + "a1B2" * 9, *default))).task is None
    job = {**dict(small(SpecKind.VERTEX).document), "runtimeConfig": {"parameterValues": {"password": "hunter2"}}}
    (finding,) = (one for one in lint(parse_ir(json.dumps(job))) if one.rule == "secret")
    assert "`password`" in finding.problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("registry", "postgresql://ci@db/pedigree"),
        ("registry", "postgresql://ci:@db/pedigree"),
        ("oov_token", "[UNK]"),
        ("token", "pad"),
        ("token", "a sentence of several words is no token"),
        ("max_tokens", 512),
        ("tokenizer", "a1B2" * 12),
        ("password", ""),
        ("password", "${PGPASSWORD}"),
        ("run", "{{$.pipeline_job_uuid}}"),
        ("secret_name", "pedigree-db"),
        ("password_file", "/run/secrets/db"),
        ("custom_config", '{"units": 4, "key": "carrier"}'),
        ("git", '{"commit": "' + "ab12" * 10 + '", "diff_digest": "' + DIGEST + '"}'),
    ],
)
def test_what_is_no_secret_is_not_taken_for_one(name: str, value: Any) -> None:
    assert secret_in(name, value) is None
