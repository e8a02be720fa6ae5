"""Performance: how did it do while it served? What was observed over time, with the times of its champions."""

from __future__ import annotations

from tfx_pedigree.integrations.performance_pages import drawing, serving_at, told_level
from tfx_pedigree.server.pages.view import Asked, View
from tfx_pedigree.service.performance import performance

# Of each metric the table shows the newest; the twin has them all.
_SHOWN = 25


def page(asked: Asked) -> View:
    registry, model, metric = asked.registry, asked.path("model"), asked.given("metric")
    found = performance(registry, model, metric)
    parts = [
        {
            "series": series,
            "drawing": drawing(series, found.reigns),
            "level": told_level(series),
            "rows": [(one, serving_at(found.reigns, one.ended_at)) for one in reversed(series.points[-_SHOWN:])],
            "left": max(len(series.points) - _SHOWN, 0),
        }
        for series in found.series
    ]
    command = ("performance", model, *(("--metric", metric) if metric else ()))
    return View("performance.html", f"{model}: performance", found, command, {"parts_of": parts, "metric": metric})
