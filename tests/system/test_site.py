"""The documents as a site: built without a warning, whole, and with nothing that is fetched from elsewhere."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder))
    try:
        build(config)  # strict: a warning is an error (a link that leads nowhere, a page that no menu has)
    finally:
        logging.getLogger("mkdocs").handlers.clear()
    return folder


def test_every_document_is_a_page_with_its_menu(site: Path) -> None:
    documents = {path.stem for path in (ROOT / "docs").glob("*.md")}
    pages = {path.stem for path in site.glob("*.html")}
    assert documents | {"index", "reference", "changelog", "contributing"} <= pages
    first = (site / "index.html").read_text()
    assert [name for name in sorted(documents) if f'href="{name}.html"' not in first] == []


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    for page in site.glob("*.html"):
        assert re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]*"', page.read_text()) == []


def test_the_reference_has_every_method_of_the_protocols(site: Path) -> None:
    from tfx_pedigree.lineage.api import LineageApi
    from tfx_pedigree.registry.api import RegistryApi
    from tfx_pedigree.rollout.api import RolloutApi

    reference = (site / "reference.html").read_text()
    for protocol in (RegistryApi, LineageApi, RolloutApi):
        for base in protocol.__mro__:
            methods = [name for name, one in vars(base).items() if callable(one) and not name.startswith("_")]
            if base.__module__.startswith("tfx_pedigree."):
                assert [m for m in methods if f'id="{base.__module__}.{base.__name__}.{m}"' not in reference] == []


def test_files_that_documents_point_to_go_with_them(site: Path) -> None:
    assert (site / "files/configs/kubernetes/retrain.yaml").read_bytes() == (
        ROOT / "configs/kubernetes/retrain.yaml"
    ).read_bytes()
    assert 'href="files/configs/kubernetes/retrain.yaml"' in (site / "scheduling.html").read_text()
