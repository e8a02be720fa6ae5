"""A tour of the registry: the real `pedigree` commands on small SavedModels, with what they print.

    make tour

Everything happens in build/tour. It is made anew each time, and stays, so that you can continue there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.rule import Rule

from tfx_pedigree.registry import Evidence, Recommendation, Registry, Verdict

ROOT = Path(__file__).parents[1]
HOME = ROOT / "build" / "tour"
# Made with TensorFlow, a few kilobytes each: a Keras model, the same retrained, and one made differently.
MODELS = ROOT / "tests" / "goldens" / "saved_models"
PEDIGREE = Path(sys.executable).with_name("pedigree")
MODEL = "flight-delay"

console = Console(highlight=False)


def say(text: str) -> None:
    console.print()
    console.print(Rule(style="dim"))
    console.print(f"[bold]{text}[/bold]")


def pedigree(*words: str, expect: int = 0) -> None:
    """Runs a command as a user would, in their place, and shows both."""
    shown = " ".join(f"'{word}'" if " " in word or ">" in word else word for word in words)
    console.print(f"\n[green]$ pedigree {shown}[/green]".replace(f"{MODELS}/", ""))
    # Whatever registry is configured here or above, the demonstration has its own.
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PEDIGREE_")}
    environment = {**kept, "COLUMNS": str(min(console.width, 110)), "PEDIGREE_REGISTRY": str(HOME / ".pedigree")}
    done = subprocess.run([str(PEDIGREE), *words], cwd=HOME, env=environment, check=False)
    if done.returncode != expect:
        sys.exit(f"The demonstration stops: exit code {done.returncode} instead of {expect}.")


def judge(challenger: str, champion: str, verdict: Verdict, recommendation: Recommendation, reason: str) -> str:
    """Writes evidence as VersionComparator will: who was compared with whom, on what grounds, and the verdict."""
    with Registry.open(HOME / ".pedigree", actor="demo") as registry:
        digests = [registry.get(f"{MODEL}@{version}").digest for version in (challenger, champion)]
    evidence = Evidence(digests[0], digests[1], verdict, reason, recommendation)
    path = HOME / f"evidence-{challenger}.json"
    path.write_text(json.dumps(evidence.to_json(), indent=2))
    return path.name


def first_version() -> None:
    say("A registry in a folder, and a first model. Its interface is read from the SavedModel, without TensorFlow.")
    pedigree("init")
    pedigree("register", MODEL, str(MODELS / "keras"), "--metric", "auc=0.81", "--param", "epochs=5", "--tag", "span=1")
    pedigree("promote", f"{MODEL}@1.0.0", "--reason", "first model, meets the floors")


def retrained() -> None:
    say("Retrained on the next span: only weights differ, so it is a PATCH. The gate finds it no better.")
    pedigree("register", MODEL, str(MODELS / "keras_retrained"), "--metric", "auc=0.82", "--param", "epochs=5")
    reason = "auc 0.82 is 1.2 % better than 0.81; 5 % are asked for"
    file = judge("1.0.1", "1.0.0", Verdict.FAIL, Recommendation.SIMILAR, reason)
    pedigree("evidence", "attach", f"{MODEL}@1.0.1", file)
    pedigree("promote", f"{MODEL}@1.0.1", expect=4)


def improved() -> None:
    say("A wider model: compatible, but made differently, so it is a MINOR version. It wins.")
    pedigree("register", MODEL, str(MODELS / "keras_wider"), "--metric", "auc=0.87", "--param", "epochs=8")
    reason = "auc 0.87 is 7.4 % better than 0.81"
    file = judge("1.1.0", "1.0.0", Verdict.PASS, Recommendation.CHALLENGER, reason)
    pedigree("evidence", "attach", f"{MODEL}@1.1.0", file)
    pedigree("promote", f"{MODEL}@1.1.0")
    pedigree("compare", f"{MODEL}@1.0.0", f"{MODEL}@1.1.0")


def trouble() -> None:
    say("In production it is slow: one step back, with the reason. The evidence of the next version is stale then.")
    pedigree("rollback", MODEL, "--reason", "p95 latency doubled")
    pedigree("register", MODEL, str(MODELS / "keras_deeper"), "--metric", "auc=0.9", "--param", "epochs=8")
    reason = "auc 0.9 is 3.4 % better than 0.87, and in the policy's terms 23 % of what was wrong"
    file = judge("1.2.0", "1.1.0", Verdict.PASS, Recommendation.CHALLENGER, reason)
    pedigree("evidence", "attach", f"{MODEL}@1.2.0", file)
    pedigree("promote", f"{MODEL}@1.2.0", expect=5)


def questions() -> None:
    say("Questions that anybody may ask afterwards.")
    pedigree("versions", MODEL)
    pedigree("search", MODEL, "metric.auc>0.85")
    pedigree("history", MODEL, "--limit", "6")
    pedigree("audit", "verify")
    pedigree("verify")
    pedigree("export", MODEL, "flight-delay.tar")


def main() -> None:
    if HOME.exists():
        shutil.rmtree(HOME)
    HOME.mkdir(parents=True)
    for chapter in (first_version, retrained, improved, trouble, questions):
        chapter()
    say("Everything is in build/tour. Continue there:")
    console.print(f"  cd {HOME.relative_to(ROOT)}")
    command = os.path.relpath(PEDIGREE, HOME)
    console.print(f"  {command} show {MODEL}@champion")
    console.print(f"  {command} promote {MODEL}@1.2.0 --expect 1.0.0")
    console.print(f"  {command} --help")
    console.print(f"  {command} --actor demo ui")


if __name__ == "__main__":
    main()
