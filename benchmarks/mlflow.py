"""MLflow's protocol on our server beside our own API, and how long an import of MLflow's versions takes.

Reads are asked over one connection that stays open, the two kinds in turn. The import is of facts, without bytes, from
MLflow's own application (build/programs) over an SQLite file that holds as many versions, each with a run, and from
that file itself. With `--mlflow PYTHON` (of a venv that has all of MLflow), a browser opens the pages about models of
both servers, each time with an empty cache.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from server import (
    MLFLOW_ENVIRON,
    MLFLOW_READY,
    MODEL,
    Asked,
    fill_mlflow,
    filled,
    free_port,
    medians,
    pedigree,
    process,
)
from tfx_pedigree.integrations.mlflow.importing import ImportPlan, import_registry, opened
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.workspace import Workspace

AFTERWARDS = 5000.0
PROGRAMS = Path(__file__).resolve().parent.parent / "build/programs"


def of_reads(folder: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    port, api = free_port(), "/api/2.0/mlflow"
    with process(pedigree(filled(folder, options.versions), port), port, "/readyz"):
        ask, own = Asked(port), f"/api/v1/models/{MODEL}"
        pairs = {
            "by alias": (f"{own}/versions/probe", f"{api}/registered-models/alias?name={MODEL}&alias=probe"),
            "by sequence": (f"{own}/versions/7", f"{api}/model-versions/get?name={MODEL}&version=7"),
            "100 versions": (
                f"{own}/versions?limit=100",
                f"{api}/model-versions/search?max_results=100&filter=name%3D%27{MODEL}%27",
            ),
            "by a tag": (
                f"{own}/search?limit=100&terms=tag.team%3Dops",
                f"{api}/model-versions/search?max_results=100&filter=name%3D%27{MODEL}%27%20AND%20tags.team%3D%27ops%27",
            ),
        }
        calls: dict[str, Callable[[], object]] = {}
        for name, (ours, theirs) in pairs.items():
            calls[f"{name}, our API"] = lambda path=ours: ask("GET", path)  # type: ignore[misc]
            calls[f"{name}, MLflow's protocol"] = lambda path=theirs: ask("GET", path)  # type: ignore[misc]
        return medians(calls, options.rounds, options.calls)


def of_import(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Seconds, from the server and from its database; once into an empty registry, and once where all is there."""
    port, file = free_port(), folder / "mlflow.db"
    environ = {
        "PATH": os.environ["PATH"],
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{file}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    words = [str(PROGRAMS / "mlflow.d/bin/python"), "-m", "flask", "--app", "mlflow.server:app", "run"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(process([*words, "--port", str(port)], port, "/health", 600, cwd=folder, env=environ))
        Asked(port)("GET", "/api/2.0/mlflow/registered-models/search?max_results=1")  # makes its tables
        fill_mlflow(file, options.imported)
        found = {}
        for way, address in {"server": f"http://127.0.0.1:{port}", "database": f"sqlite:///{file}"}.items():
            registry = stack.enter_context(Registry.create(folder / f"from the {way}", actor="bench"))
            source = stack.enter_context(opened(address))
            for name in ("import", "import again"):
                began = time.monotonic()
                report = import_registry(Workspace(registry), source, ImportPlan(without_bytes=True))
                found[f"{name}, from the {way}"] = time.monotonic() - began
                assert report.models[0].added == (options.imported if name == "import" else 0)
            assert registry.get(f"{MODEL}@latest").metrics == {"auc": 0.9, "loss": 0.3}
    return found


def of_pages(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians of three: milliseconds until the model, or a version, is to be seen, requests, and kilobytes."""

    ours, theirs = free_port(), free_port()
    file = folder / "pages.db"
    words = [options.mlflow, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{file}"]
    words += ["--port", str(theirs), "--workers", "1"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(process(pedigree(filled(folder / "pages", options.versions), ours), ours, "/readyz"))
        environ = {**os.environ, **MLFLOW_ENVIRON}
        stack.enter_context(process(words, theirs, "/health", MLFLOW_READY, cwd=folder, env=environ))
        fill_mlflow(file, options.versions)
        play = stack.enter_context(sync_playwright())
        browser = play.chromium.launch(executable_path=str(PROGRAMS / "chromium"), args=["--no-sandbox"])
        pages: dict[str, tuple[str, str | re.Pattern[str]]] = {
            "models, ours": (f"http://127.0.0.1:{ours}/models", MODEL),
            "models, MLflow": (f"http://127.0.0.1:{theirs}/#/models", MODEL),
            "a model, ours": (f"http://127.0.0.1:{ours}/models/{MODEL}", re.compile(r"^1\.0\.\d+$")),
            "a model, MLflow": (f"http://127.0.0.1:{theirs}/#/models/{MODEL}", re.compile(r"^Version \d+$")),
        }
        found: dict[str, list[dict[str, float]]] = {name: [] for name in pages}
        for _ in range(3):
            for name, (address, text) in pages.items():
                found[name].append(page_cost(browser, address, text))
        browser.close()
    return {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }


def page_cost(browser: Any, address: str, text: str | re.Pattern[str]) -> dict[str, float]:
    context = browser.new_context()
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    began = time.monotonic()
    page.goto(address, wait_until="commit", timeout=300_000)
    page.get_by_text(text).first.wait_for(state="visible", timeout=300_000)
    seconds = time.monotonic() - began
    page.wait_for_timeout(AFTERWARDS)  # MLflow's pages go on asking, so there is no end to wait for
    context.close()
    return {"ms": 1000 * seconds, "requests": len(sizes), "kB": sum(sizes) / 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rounds", 6), ("calls", 300), ("versions", 10_000), ("imported", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--mlflow", help="the Python of a venv that has MLflow, to compare its pages")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reads: dict[str, Any] = of_reads(Path(folder), options) if options.versions else {}
        imports = of_import(Path(folder), options) if options.imported else {}
        pages = of_pages(Path(folder), options) if options.mlflow else {}
    for name, cost in pages.items():
        print(f"{name:<32} {cost['ms']:8.0f} ms {cost['requests']:6.0f} requests {cost['kB']:10.1f} kB")
    for name, rounds in reads.items():
        print(f"{name:<32} {min(rounds):8.3f} ms (medians of the rounds: {min(rounds):.3f} to {max(rounds):.3f})")
    for name, seconds in imports.items():
        print(f"{name:<32} {seconds:8.1f} s for {options.imported:,} versions")
    if options.json:
        options.json.write_text(json.dumps({"milliseconds": reads, "seconds": imports, "pages": pages}, indent=2))


if __name__ == "__main__":
    sys.exit(main())
