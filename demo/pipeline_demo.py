"""Three months of real flights through the real pipeline, with Pedigree's components, on this machine.

    make demo                 # a sample of 5,000 flights a month
    make demo ARGS=--all      # all flights

The first model becomes champion. The same model retrained on the next month is judged against it. Then a model that
looks at more of each flight is judged: configs/policy.yaml decides whether it wins. Everything is in build/demo, which
is made anew each time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.rule import Rule

from tfx_pedigree.registry import Registry

ROOT = Path(__file__).parents[1]
HOME = ROOT / "build" / "demo"
PEDIGREE = Path(sys.executable).with_name("pedigree")
MODEL = "flight-delay"
ROWS = 5000

console = Console(highlight=False)


def say(text: str) -> None:
    console.print()
    console.print(Rule(style="dim"))
    console.print(f"[bold]{text}[/bold]")


def pedigree(*words: str, code: int = 0) -> None:
    """Runs a command as a user would, in their place, and shows both. It may also end with `code`."""
    console.print(f"\n[green]$ pedigree {' '.join(words)}[/green]")
    # Whatever registry is configured here or above, the demonstration has its own.
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PEDIGREE_")}
    environment = {**kept, "COLUMNS": str(min(console.width, 110)), "PEDIGREE_ACTOR": "demo"}
    done = subprocess.run([str(PEDIGREE), *words], cwd=HOME, env=environment, check=False)
    if done.returncode not in (0, code):
        sys.exit(f"The demonstration stops here: exit code {done.returncode}.")


def write_config(name: str, features: str, rows: int | None) -> None:
    """configs/local.yaml with everything under build/demo."""
    config = {
        "registry": "registry",
        "pipeline": {
            "create": "pipelines.flight_delay.pipeline:create_pipeline",
            "prepare": "pipelines.flight_delay.prepare:prepare",
            "path": os.path.relpath(ROOT, HOME),
            "log": "run.log",
            "spans": {"pattern": "${data}/span-{SPAN}/*/*.csv", "marker": "${data}/span-{SPAN}/about.json"},
            "settings": {
                "name": MODEL,
                "root": "${here}/artifacts",
                "data": "${here}/data",
                "serving": "${here}/serving",
                "metadata": "${here}/metadata.sqlite",
                "features": features,
                **({"rows": rows} if rows else {}),
            },
        },
    }
    (HOME / name).write_text(yaml.safe_dump(config, sort_keys=False))


def trace() -> None:
    """Where the versions come from, and what is in them: LineageRecorder told the registry at the end of each run."""
    say("How was the newest one made, and what is different in it? Which versions have seen the second month?")
    pedigree("--registry", "registry", "explain", f"{MODEL}@latest")
    pedigree("--registry", "registry", "diff", f"{MODEL}@1.0.0", f"{MODEL}@latest")
    pedigree("--registry", "registry", "impact", "span:2")


def newest_report() -> Path | None:
    reports = (HOME / "artifacts" / "VersionComparator" / "comparison").glob("*/report.html")
    return max(reports, key=lambda path: int(path.parent.name), default=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help=f"all flights, not a sample of {ROWS:,} a month")
    rows = None if parser.parse_args().all else ROWS
    if HOME.exists():
        shutil.rmtree(HOME)
    HOME.mkdir(parents=True)
    write_config("schedule.yaml", "schedule", rows)
    write_config("departure.yaml", "departure", rows)
    begun = time.monotonic()

    say("Will a flight arrive 15 minutes late? January trains the first model; it must only reach the policy's floors.")
    pedigree("--registry", "registry", "init")
    pedigree("--config", "schedule.yaml", "pipeline", "run", "--span", "1")
    say("The same model retrained on February, judged against the champion on flights of March.")
    pedigree("--config", "schedule.yaml", "pipeline", "run", "--span", "2")
    say("A model that also knows the delay at departure and the weather, trained on March, judged on April.")
    pedigree("--config", "departure.yaml", "pipeline", "run", "--span", "3")

    say(f"Three runs in {time.monotonic() - begun:.0f} s. What the registry knows now:")
    pedigree("--registry", "registry", "versions", MODEL)
    pedigree("--registry", "registry", "compare", f"{MODEL}@champion", f"{MODEL}@latest")
    pedigree("--registry", "registry", "audit", "verify")
    trace()
    say("Could the champion be made again? With uncommitted changes in this checkout it could not, and that is said.")
    pedigree("--registry", "registry", "reproduce", f"{MODEL}@champion", "--check", code=1)
    with Registry.open(HOME / "registry", actor="demo") as registry:
        champion = registry.get(f"{MODEL}@champion")
    console.print(f"\nThe champion is [bold]{champion.name}[/bold].")
    if report := newest_report():
        console.print(f"The report of the last comparison, for any browser: {report.relative_to(ROOT)}", soft_wrap=True)
    command = f"{os.path.relpath(PEDIGREE, ROOT)} --registry {(HOME / 'registry').relative_to(ROOT)}"
    console.print("\nTry next:")
    for words in (
        f"show {MODEL}@latest",
        f"history {MODEL}",
        f"--actor demo reproduce {MODEL}@champion --into {(HOME / 'reproduced').relative_to(ROOT)}",
        f"lineage {MODEL}@champion --format html --output {(HOME / 'lineage.html').relative_to(ROOT)}",
        f'--actor demo rollback {MODEL} --reason "just trying"',  # whose registry it is; others may only look
    ):
        console.print(f"  {command} {words}", soft_wrap=True)  # to be copied whole
    console.print(f"\nLook at all of it in a browser:\n  {command} --actor demo ui", soft_wrap=True)


if __name__ == "__main__":
    main()
