"""How smooth the picture of a large lineage is, in Chromium: drag, zoom, fold and unfold.

    python benchmarks/picture.py [--nodes 2000] [--seconds 2]

A history as of `benchmarks/lineage.py`, with all its runs unfolded. While a hand drags or a wheel turns at each frame,
the frames are timed; what folds or unfolds is timed from the click to the frame that shows it. Long tasks are those
that kept the page's script from answering for more than 50 ms. Without a graphics card (as in CI), Chromium paints on
the processor: on a computer with one, frames take less.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from lineage import A_RUN, history, node
from programs_testing import program
from tfx_pedigree.lineage.exports.picture.page import page as picture
from tfx_pedigree.lineage.graph import Edge, EdgeKind
from tfx_pedigree.lineage.subgraph import Subgraph

# At each frame one event of a hand; the time from frame to frame, and the tasks that took long meanwhile.
_FRAMES = """async ([act, seconds]) => {
  const stage = document.getElementById("picture"), box = stage.getBoundingClientRect();
  const long = [], frames = [];
  new PerformanceObserver(list => long.push(...list.getEntries().map(one => one.duration))).observe({type: "longtask"});
  const next = () => new Promise(requestAnimationFrame);
  const hand = (name, more) => stage.dispatchEvent(new PointerEvent(name,
    {bubbles: true, pointerId: 1, button: 0, buttons: 1, ...more}));
  const x = box.left + box.width / 2, y = box.top + box.height / 2;
  stage.setPointerCapture = () => {};
  if (act === "drag") hand("pointerdown", {clientX: x, clientY: y});
  let last = await next(), begun = last;
  for (let turn = 0; last - begun < seconds * 1000; turn++) {
    const there = 120 * Math.sin(turn / 9);
    if (act === "drag") hand("pointermove", {clientX: x + there, clientY: y + there});
    else stage.dispatchEvent(new WheelEvent("wheel",
      {deltaY: 60 * Math.sign(Math.sin(turn / 9)), clientX: x, clientY: y, bubbles: true, cancelable: true}));
    const now = await next();
    frames.push(now - last);
    last = now;
  }
  if (act === "drag") hand("pointerup", {clientX: x, clientY: y});
  await new Promise(done => setTimeout(done, 100));
  return [frames, long];
}"""
# Two frames: in the second one stands what the first one painted.
_CLICK = """async name => {
  const begun = performance.now();
  document.getElementById(name).click();
  await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
  return performance.now() - begun;
}"""


def graph(nodes: int) -> Subgraph:
    keys: list[str] = []
    made, edges = {}, []
    for thing in history(-(-nodes // A_RUN) * A_RUN):
        found = node(thing)
        keys.append(found.key)
        made[found.key] = found
        kind = EdgeKind.USED if thing.execution else EdgeKind.PRODUCED_BY
        edges += [Edge(found.key, kind, keys[source]) for source in thing.sources]
    return Subgraph((keys[-1],), made, tuple(edges))


def measure(page: Page, seconds: float) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in ("unfold", "fold", "unfold"):
        found[name] = {"once": page.evaluate(_CLICK, name)}
    for where, press in (("near", None), ("all of it", "fit")):
        for act in ("drag", "zoom"):
            if press:
                page.click(f"#{press}")
            frames, long = page.evaluate(_FRAMES, [act, seconds])
            found[f"{act}, {where}"] = {"frames": frames, "long": long}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=2.0)
    asked = parser.parse_args()
    shown = graph(asked.nodes)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "picture.html"
        file.write_text(picture(shown), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        begun = time.perf_counter()
        page.goto(file.as_uri())
        page.locator("g.box").first.wait_for()
        first = time.perf_counter() - begun
        measured = measure(page, asked.seconds)
        browser.close()
    title = f"{len(shown.nodes):,} nodes, {len(shown.edges):,} edges; first box after {first:.2f} s; ms"
    table = Table(title=title)
    for column in ("", "p50", "p95", "worst", "frames", "long tasks"):
        table.add_column(column, justify="right" if column else "left")
    for name, one in measured.items():
        if "once" in one:
            table.add_row(name, f"{one['once']:.0f}", "", "", "1", "")
            continue
        frames = sorted(one["frames"])
        values = (statistics.median(frames), frames[int(len(frames) * 0.95)], frames[-1])
        long = f"{len(one['long'])}, {max(one['long']):.0f} ms" if one["long"] else "0"
        table.add_row(name, *(f"{value:.0f}" for value in values), str(len(frames)), long)
    Console().print(table)


if __name__ == "__main__":
    main()
