"""What `context.show(…)` shows of our artifacts in TFX's InteractiveContext: a version's sheet, a comparison's report,
and what was recorded of a run.

TFX looks for views in a table of its own, by the artifact's type; `register` puts ours there.
"""

from __future__ import annotations

import html
from collections import Counter
from typing import Any

from tfx_pedigree.notebook import sheet
from tfx_pedigree.tfx_components import artifacts, files

# Of the version's record what a person looks for first; version.json has all.
_SHOWN = ("digest", "bump", "reasons", "predecessor", "base_model", "parameters", "training", "code")
_HEIGHT = 700


def version_html(artifact: Any) -> str:
    record = files.read_json(artifact.uri, artifacts.MODEL_VERSION_FILE)
    examples = (record.get("data") or {}).get("examples") or ()
    champion = record.get("champion") or {}
    told = {
        **{name: record.get(name) for name in _SHOWN},
        "champion then": champion.get("version") or "none",
        "trained on": [_data(one) for one in examples],
    }
    return sheet(f"{record['model']} {record['version']}", told)


def _data(examples: dict[str, Any]) -> str:
    span = f"span {examples['span']}: " if examples.get("span") else ""
    return span + ", ".join(f"{name} ({one.get('rows')} rows)" for name, one in (examples.get("splits") or {}).items())


def comparison_html(artifact: Any) -> str:
    """The report as it is, in a frame of its own: it can neither run anything nor change the page around it."""
    report = html.escape(files.read_text(artifact.uri, artifacts.REPORT_FILE), quote=True)
    return f'<iframe sandbox title="Comparison" width="100%" height="{_HEIGHT}" srcdoc="{report}"></iframe>'


def lineage_html(artifact: Any) -> str:
    found = files.read_json(artifact.uri, artifacts.LINEAGE_FILE)
    kinds = Counter(str(node.get("kind")) for node in found.get("nodes") or ())
    told = {"nodes": dict(sorted(kinds.items())), "edges": len(found.get("edges") or ())}
    return sheet("Recorded lineage", told)


_VIEWS = {
    artifacts.ModelVersion: version_html,
    artifacts.VersionComparison: comparison_html,
    artifacts.LineageRecord: lineage_html,
}


def register() -> None:
    """Does nothing where a TFX has no such table."""
    try:
        from tfx.orchestration.experimental.interactive import visualizations  # noqa: PLC0415
    except ImportError:
        return
    for kind, view in _VIEWS.items():

        def display(self: Any, artifact: Any, view: Any = view) -> None:
            from IPython.display import HTML, display  # type: ignore[import-untyped]  # noqa: PLC0415  a notebook has it

            display(HTML(view(artifact)))

        members = {"ARTIFACT_TYPE": kind, "display": display}
        shown = type(f"{kind.__name__}View", (visualizations.ArtifactVisualization,), members)
        visualizations.get_registry().register(shown)
