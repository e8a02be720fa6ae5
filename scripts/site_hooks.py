"""What turns `docs/` into a site: the README is its first page, files beside the documents go with it, and the Python
API is read from the code. MkDocs calls the functions by their names (see `mkdocs.yml`)."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")
FILES = "files"
# What people import, room by room.
REFERENCE = (
    ("Open a registry", ("tfx_pedigree.service.workspace.connect", "tfx_pedigree.service.workspace.Workspace")),
    ("Versions", ("tfx_pedigree.registry.api",)),
    ("What is given and answered", ("tfx_pedigree.registry.records", "tfx_pedigree.registry.decisions")),
    ("Lineage", ("tfx_pedigree.lineage.api",)),
    ("Rollouts", ("tfx_pedigree.rollout.api", "tfx_pedigree.rollout.traffic.api")),
    ("Bytes", ("tfx_pedigree.store.store.Store",)),
    ("Descriptions and numbers", ("tfx_pedigree.versioning.description", "tfx_pedigree.versioning.decision")),
    ("Refusals", ("tfx_pedigree.errors",)),
)


# Documents that lie beside `docs/`, and their pages.
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, page in PAGES.items():
        # Of a diagram, the site shows nothing that a program fetched from elsewhere would have to draw.
        text = re.sub(r"^```mermaid\n.*?^```\n", "", (ROOT / name).read_text(), flags=re.M | re.S)
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "reference.md", content=_reference()))
    files.append(File.generated(config, "assets/code.css", content=_colours()))
    for target in sorted(_outside(files)):
        files.append(File.generated(config, f"{FILES}/{target}", abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    where = _folder_of(page.file)
    return LINK.sub(lambda found: found[1] + _on_site(found[2], where) + found[3], markdown)


def _folder_of(file: File) -> str:
    return "" if file.src_uri in PAGES.values() else "docs"


def _reference() -> str:
    parts = ["# The Python API, name by name", "[An example that runs](python.md) shows how they go together."]
    for title, names in REFERENCE:
        parts += [f"## {title}", *(f"::: {name}\n    options:\n      heading_level: 3" for name in names)]
    return "\n\n".join(parts) + "\n"


def _colours() -> str:
    """Of code, for both schemes."""
    light, dark = HtmlFormatter(style="default"), HtmlFormatter(style="github-dark")
    colours: str = (
        light.get_style_defs("[data-bs-theme=light] .highlight")
        + "\n"
        + dark.get_style_defs("[data-bs-theme=dark] .highlight")
        + "\n.highlight { background: transparent !important; }\nh1, h2, h3, h4, h5 { overflow-wrap: anywhere; }\n"
    )
    return colours


def _outside(files: Files) -> set[str]:
    """Files of the project that documents link to, and that are no documents."""
    found = set()
    for page in files.documentation_pages():
        for _, target, _ in LINK.findall(page.content_string):
            path = posixpath.normpath(posixpath.join(_folder_of(page), target))
            if not path.startswith("docs/") and path not in PAGES and (ROOT / path).is_file():
                found.add(path)
    return found


def _on_site(target: str, where: str) -> str:
    path = posixpath.normpath(posixpath.join(where, target))
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{FILES}/{path}" if (ROOT / path).is_file() else target


def on_post_page(output: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """A table that is wider than the screen scrolls in itself, not with the page."""
    return output.replace("<table>", '<div class="table-responsive"><table class="table">').replace(
        "</table>", "</table></div>"
    )
