"""What teams put into their CI runs as it stands there: GitHub's action, GitLab's template, the hook for pre-commit."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from ci_testing import ROOT, Service, run_action, service, with_pedigree
from cli_testing import MODELS, Pedigree, evidence, write_json
from markdown_it import MarkdownIt

from pedigree_testing import candidate
from programs_testing import program
from server_testing import running
from tfx_pedigree.integrations import comparison_as_markdown
from tfx_pedigree.registry import Facts, Registry, Role
from tfx_pedigree.store import manifest_of

HOSTILE = "@everyone #1 <script>x</script> [a](javascript:b) | `c` https://example.com www.example.com\n## no\u202e"
POLICY = "metric: auc\nrule: {absolute: 0.01}\nmin_examples: 0\n"


@pytest.fixture
def registry_folder(tmp_path: Path) -> Path:
    return tmp_path / "made"


@pytest.fixture
def github() -> Iterator[Service]:
    with service() as made:
        yield made


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of a server, on which `ci` may register, and promote."""
    Registry.create(tmp_path / "registry", actor="mia").close()
    with ExitStack() as stack:
        held = stack.enter_context(Registry.open(tmp_path / "registry", actor="mia"))
        held.grant("ci", Role.RELEASER)
        switch = stack.enter_context(running())
        yield stack.enter_context(switch.registry(held, str(tmp_path / "registry")))


def of_github(tmp_path: Path, github: Service, event: str) -> dict[str, str]:
    number = "refs/pull/12/merge" if event == "pull_request" else "refs/heads/main"
    return {
        **with_pedigree(tmp_path),
        "GITHUB_SHA": "0a1b2c3d", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r",
        "GITHUB_RUN_ID": "77", "GITHUB_EVENT_NAME": event, "GITHUB_REF": number, "GITHUB_API_URL": github.url,
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{github.url}/token?api-version=2",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job",
    }  # fmt: skip


def test_pull_request_is_gated_and_gets_one_comment_and_a_merge_is_promoted(
    tmp_path: Path, github: Service, registry: str
) -> None:
    mia = Pedigree(tmp_path / "registry")
    mia("register", "m", MODELS / "keras", "--metric", "auc=0.9")
    mia("promote", "m@1.0.0")
    (tmp_path / "policy.yaml").write_text(POLICY)
    write_json(tmp_path / "metrics.json", {"auc": 0.7, HOSTILE: 1})
    inputs = {
        "registry": registry,
        "model": "m",
        "folder": str(MODELS / "keras_wider"),
        "metrics": "metrics.json",
        "policy": "policy.yaml",
    }
    for kind in ("User", "Bot"):
        github.comments.append({"id": len(github.comments), "body": "<!-- pedigree m --> old", "user": {"type": kind}})
    pull = of_github(tmp_path, github, "pull_request")
    job = run_action(tmp_path, pull, inputs, event="pull_request")
    assert job.code == 1, job.log
    assert "m@1.1.0 does not pass the gate" in job.log
    assert github.audiences == [registry.replace(":", "%3A").replace("/", "%2F")]
    version = mia("show", "m@1.1.0", "--json").json
    assert version["tags"] == {
        "commit": "0a1b2c3d",
        "ci": "https://github.com/o/r/actions/runs/77",
        "pull_request": "12",
    }
    assert version["created_by"] == "ci"
    others, comment = github.comments  # the action's own comment is kept up to date, whoever else writes such a mark
    assert others["body"] == "<!-- pedigree m --> old"
    for said in ("### `m`: `1.0.0` → `1.1.0`", "| **`auc`** | `0.9` | `0.7` |", "#### The gate", "    FAIL"):
        assert said in comment["body"]
    assert "FAIL" in job.summary

    # The merge, with the evaluation's own verdict.
    write_json(tmp_path / "metrics.json", {"auc": 0.95})
    found = evidence(*(manifest_of(MODELS / name).digest for name in ("keras_wider", "keras")))
    write_json(tmp_path / "evidence.json", found)
    merged = {**inputs, "policy": "", "evidence": "evidence.json", "promote": "production"}
    job = run_action(tmp_path, of_github(tmp_path, github, "push"), merged, event="push")
    assert job.code == 0, job.log
    assert job.outputs["register"] == {"version": "m@1.1.0", "digest": version["digest"]}
    assert mia("show", "m@champion", "--json").json["version"] == "1.1.0"
    assert len(github.comments) == 2


@pytest.mark.parametrize(
    ("event", "ref", "promotes"),
    [
        ("push", "refs/heads/main", True),
        ("schedule", "refs/heads/main", True),
        ("push", "refs/heads/feature", False),
        ("push", "refs/tags/main", False),
        ("pull_request", "refs/pull/12/merge", False),
        ("pull_request_target", "refs/heads/main", False),
    ],
)
def test_only_what_was_merged_is_promoted(tmp_path: Path, event: str, ref: str, promotes: bool) -> None:
    [decide] = [
        one for one in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"] if one["name"] == "Decide"
    ]
    environ = {"GITHUB_EVENT_NAME": event, "GITHUB_REF": ref, "BRANCH": "main", "OUTCOME": "0", "VERSION": "m@1.0.0"}
    (tmp_path / "pedigree").write_text("#!/bin/sh\necho called with: $*\n")
    (tmp_path / "pedigree").chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = ["bash", "-eo", "pipefail", "-c", decide["run"]]

    def said(promote: str) -> str:
        done = subprocess.run(
            command, env={**environ, **path, "PROMOTE": promote}, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert ("called with: promote m@1.0.0 --to production" in said("production")) is promotes
    assert said("none") == ""


def test_job_without_a_token_says_which_permission_it_needs(tmp_path: Path, github: Service) -> None:
    environ = of_github(tmp_path, github, "pull_request")
    del environ["ACTIONS_ID_TOKEN_REQUEST_URL"]
    inputs = {"registry": github.url, "model": "m", "folder": "x"}
    job = run_action(tmp_path, environ, inputs, event="pull_request")
    assert job.code == 1
    assert "permissions: id-token: write" in job.log


def test_merge_request_of_gitlab_is_gated_and_noted(tmp_path: Path, github: Service, registry: str) -> None:
    job = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())[".pedigree"]
    write_json(tmp_path / "metrics.json", {"auc": 0.5})
    (tmp_path / "policy.yaml").write_text(POLICY)
    environ = {
        **with_pedigree(tmp_path), **job["variables"], "PEDIGREE_REGISTRY": registry, "PEDIGREE_TOKEN": "ci",
        "MODEL": "m", "FOLDER": str(MODELS / "keras_wider"), "METRICS": "metrics.json", "POLICY": "policy.yaml",
        "CI_COMMIT_SHA": "0a1b", "CI_JOB_URL": "https://gitlab.example.com/1", "CI_MERGE_REQUEST_IID": "12",
        "CI_API_V4_URL": f"{github.url}/api/v4", "CI_PROJECT_ID": "3", "PEDIGREE_GITLAB_TOKEN": "of-the-project",
    }  # fmt: skip

    mia = Pedigree(tmp_path / "registry")
    mia("register", "m", MODELS / "keras", "--metric", "auc=0.9")
    mia("promote", "m@1.0.0")
    command = ["sh", "-c", "\n".join(["set -e", *job["before_script"], *job["script"]])]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "m@1.1.0 does not pass the gate" in done.stdout
    assert mia("show", "m@1.1.0", "--json").json["tags"]["merge_request"] == "12"
    assert "### `m`: `1.0.0` → `1.1.0`" in (tmp_path / "pedigree.md").read_text()
    assert github.notes == [(tmp_path / "pedigree.md").read_text()]


def test_files_are_what_github_gitlab_and_pre_commit_take(tmp_path: Path) -> None:
    for words in (
        ("check-jsonschema", "--builtin-schema", "vendor.github-actions", ROOT / "action.yml"),
        (
            *("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
            ROOT / "ci" / "gitlab.yml",
        ),
        ("pre-commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml"),
    ):
        command = [program(str(words[0])), *map(str, words[1:])]
        environ = {**with_pedigree(tmp_path), "PRE_COMMIT_HOME": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
        assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_that_others_write_becomes_part_of_a_script() -> None:
    """An expression within a script is pasted into it, whatever stands in it."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert [step["name"] for step in action["runs"]["steps"] if "${{" in step["run"]] == []
    assert {step["shell"] for step in action["runs"]["steps"]} == {"bash"}


def test_hook_refuses_a_policy_that_cannot_be_used(tmp_path: Path) -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    work = tmp_path / "work"
    (work / "policies").mkdir(parents=True)
    (work / "policy.yaml").write_text((ROOT / "configs" / "policy.yaml").read_text())
    (work / "policies" / "delay.yaml").write_text("metric: auc\nbeter: higher\n")
    (work / "other.yaml").write_text("no policy")
    # pre-commit would install this repository's package; here its program is on the PATH.
    config = {"repos": [{"repo": "local", "hooks": [{**hook, "language": "system"}]}]}
    (work / ".pre-commit-config.yaml").write_text(json.dumps(config))
    environ = {**with_pedigree(tmp_path), "PRE_COMMIT_HOME": str(tmp_path / "home"), "GIT_CONFIG_GLOBAL": "/dev/null"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=work, env=environ, capture_output=True, text=True, check=False)

    run("git", "init", "-q")
    run("git", "add", ".")
    refused = run(program("pre-commit"), "run", "--all-files")
    assert refused.returncode == 1
    assert "policies/delay.yaml" in refused.stdout
    assert "beter" in refused.stdout
    assert "other.yaml" not in refused.stdout
    (work / "policies" / "delay.yaml").unlink()
    run("git", "add", ".")
    passed = run(program("pre-commit"), "run", "--all-files")
    assert passed.returncode == 0, passed.stdout


# The comparison in Markdown


def test_comparison_is_the_same_each_time_and_shows_what_differs(tmp_path: Path) -> None:
    pedigree = Pedigree(tmp_path / "registry")
    pedigree("init")
    same = ("--param", "learning_rate=0.01")
    digests = []
    for name, auc in (("keras", "0.9"), ("keras_retrained", "0.918")):
        words = ("register", "flight-delay", MODELS / name, "--metric", f"auc={auc}", *same, "--json")
        digests.append(pedigree(*words).json["version"]["digest"])
    file = write_json(tmp_path / "evidence.json", evidence(digests[1], digests[0]))
    pedigree("evidence", "attach", "flight-delay@1.0.1", file)
    words = ("compare", "flight-delay@1.0.0", "flight-delay@1.0.1", "--format", "markdown")
    said = pedigree(*words).out
    assert said == pedigree(*words).out
    assert "### `flight-delay`: `1.0.0` → `1.0.1`" in said
    assert "✅ The gate says **PASS**: auc is 2 % better" in said
    assert "| **`auc`** | `0.9` | `0.918` | `+0.018 (+2.00%)` |" in said
    assert "Parameters: all 1 the same." in said


def test_no_name_or_reason_of_others_becomes_markup(registry_folder: Path) -> None:
    with Registry.create(registry_folder, actor="mia") as registry:
        for letter in "ab":
            facts = Facts({HOSTILE: ord(letter) / 100, "auc": 0.5}, {})
            registry.add("m", candidate(letter, **{HOSTILE: f"{HOSTILE}{letter}"}), facts=facts)
        diff = registry.compare("m@1", "m@2")
    diff = replace(diff, reasons=(HOSTILE,), metrics_note=HOSTILE)
    text = comparison_as_markdown(diff, None)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    flat = [inner for token in tokens for inner in (token, *(token.children or []))]
    assert {token.type for token in flat if token.type in ("html_block", "link_open", "image")} == set()
    assert {token.content for token in flat if token.type == "html_inline"} <= {"<!-- -->"}
    plain = "".join(token.content if token.type == "text" else "\0" for token in flat)
    assert re.findall(r"@\w|#\d|://|www\.|\u202e", plain) == []
    assert len([token for token in flat if token.type == "heading_open"]) == 1
    # No text has made a cell: metrics have a head and two rows of four, parameters a head and a row of three.
    assert len([token for token in tokens if token.type in ("td_open", "th_open")]) == 3 * 4 + 2 * 3


def test_comment_is_never_longer_than_a_page_takes(registry_folder: Path) -> None:
    names = [f"{'x' * 150}{number}" for number in range(1000)]
    with Registry.create(registry_folder, actor="mia") as registry:
        for at, letter in enumerate("ab"):
            values = dict.fromkeys(names, "y" * 900 + letter)
            registry.add("m", candidate(letter, **values), facts=Facts(dict.fromkeys(names, float(at)), {}))
        text = comparison_as_markdown(registry.compare("m@1", "m@2"), None)
    assert len(text) < 60_000
    assert "960 more rows: `pedigree compare m@" in text
