"""Models: what serves now?"""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import ModelOverview
from tfx_pedigree.server.pages.view import PAGE, Asked, View


@dataclass(frozen=True)
class ModelsPage(JsonForm):
    """`next` is where the page after this one begins."""

    matching: str
    models: tuple[ModelOverview, ...]
    next: str | None


def page(asked: Asked) -> View:
    matching = asked.query("q")
    found = asked.registry.overview(matching=matching, limit=PAGE, after=asked.given("after"))
    extra = {"first_after": asked.given("after")}
    return View("models.html", "Models", ModelsPage(matching, found.items, found.next), ("models",), extra)
