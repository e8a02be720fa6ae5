"""What Prometheus knows becomes observations: once each, of the right version, whatever is down or was killed."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import Clock, candidate
from programs_testing import program
from prometheus_testing import prometheus, until
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.registry import PromotionRequest, Registry
from tfx_pedigree.service.monitor import Monitor, Pass, load_monitor
from tfx_pedigree.service.monitor.windows import Window, ended

MODEL = "flight-delay"
HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


def vector(*series: tuple[dict[str, str], str]) -> dict[str, Any]:
    result = [{"metric": labels, "value": [1.0, value]} for labels, value in series]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


@dataclass
class Stand:
    """Answers like Prometheus. `says` gives the answer to a query at a time; text is sent as it is."""

    says: Any = lambda query, when: vector(({}, "0.8"))
    status: int = 200
    asked: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    stand: ClassVar[Stand]

    def do_GET(self) -> None:
        parts, stand = urlsplit(self.path), self.stand
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()} | {"path": parts.path}
        stand.asked.append(asked)
        stand.tokens.append(self.headers.get("authorization"))
        said = stand.says(asked["query"], float(asked.get("time", asked.get("end", 0))))
        body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        self.send_response(stand.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Handler,), {"stand": made}))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.time = NOON - timedelta(minutes=10)
    return clock


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Registry:
    """1.0.0 is champion since ten minutes before noon."""
    registry = Registry.create(tmp_path / "registry", actor="ada", clock=clock)
    registry.add(MODEL, candidate("a"))
    registry.promote(MODEL)
    registry.add(MODEL, candidate("b"))
    return registry


def monitor(registry: Registry, clock: Clock, tmp_path: Path, text: str, **environ: str) -> Monitor:
    file = tmp_path / "monitor.yaml"
    file.write_text(text)
    return Monitor(registry, load_monitor(file, environ), clock)


def config(url: str, *, more: str = "", source: str = "private: true") -> str:
    return f"""
monitor:
  sources:
    there: {{url: "{url}", {source}}}
  watches:
    - model: {MODEL}
      source: there
      every: 1h
      delay: 5m
      metrics: {{auc: 'model_auc{{m="$model"}}[$window]'}}
      {more}
"""


@pytest.fixture
def looking(registry: Registry, clock: Clock, tmp_path: Path) -> Callable[[Stand], Pass]:
    """One pass when one window is due."""
    clock.time = NOON + HOUR + timedelta(minutes=5)
    return lambda stand: monitor(registry, clock, tmp_path, config(stand.url)).once()


def seen(registry: Registry) -> list[tuple[str, str, float, int | None, int]]:
    items = registry.observations(MODEL, limit=500).items
    return [(one.version, one.metric, one.value, one.examples, one.ended_at.hour) for one in reversed(items)]


def test_each_window_in_which_the_champion_served_throughout_is_observed_once(
    registry: Registry, clock: Clock, tmp_path: Path, stand: Stand
) -> None:
    stand.says = lambda query, when: vector(({}, "12000.4" if query == "sum(n)" else f"0.{int(when / 3600) % 24}"))
    looking = monitor(registry, clock, tmp_path, config(stand.url, more="examples: sum(n)"))
    clock.time = NOON + 2 * HOUR + timedelta(minutes=4)
    assert [one.version for one in looking.once().recorded] == ["1.0.0"]  # the second hour ended four minutes ago
    clock.advance(minutes=1)
    assert looking.once().recorded[0].ended_at == NOON + 2 * HOUR
    assert seen(registry) == [("1.0.0", "auc", 0.13, 12000, 13), ("1.0.0", "auc", 0.14, 12000, 14)]
    asked, log = len(stand.asked), registry.history(MODEL, limit=1).items
    again = monitor(registry, clock, tmp_path, config(stand.url, more="examples: sum(n)"))
    assert again.once() == looking.once()
    assert (len(stand.asked), registry.history(MODEL, limit=1).items) == (asked, log)
    assert stand.asked[0]["query"] == 'model_auc{m="flight-delay"}[3600s]'
    assert registry.verify_audit().problems == ()


def test_window_in_which_the_champion_changed_is_nobodys(
    registry: Registry, clock: Clock, tmp_path: Path, stand: Stand
) -> None:
    clock.time = NOON + HOUR + timedelta(minutes=30)
    registry.promote(f"{MODEL}@1.0.1", PromotionRequest(expect="1.0.0"))
    clock.time = NOON + 3 * HOUR + timedelta(minutes=30)
    assert monitor(registry, clock, tmp_path, config(stand.url)).once().problems == ()
    assert [(one[0], one[4]) for one in seen(registry)] == [("1.0.0", 13), ("1.0.1", 15)]


def test_label_names_the_version_and_a_pass_that_was_killed_between_two_is_finished_by_the_next(
    registry: Registry, clock: Clock, tmp_path: Path, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.says = lambda query, when: vector(
        ({"v": "1.0.0"}, "0.8"), ({"v": "2"}, "0.9"), ({"v": "9.9.9"}, "0.1"), ({}, "0.2"), ({"v": "x"}, "NaN")
    )
    clock.time = NOON + HOUR + timedelta(minutes=5)
    text = config(stand.url, more="version_label: v")
    observe = Registry.observe

    def dies(self: Registry, reference: Any, new: Any) -> Any:
        if str(reference).endswith("1.0.1"):
            raise KeyboardInterrupt
        return observe(self, reference, new)

    monkeypatch.setattr(Registry, "observe", dies)
    with pytest.raises(KeyboardInterrupt):
        monitor(registry, clock, tmp_path, text).once()
    monkeypatch.undo()
    assert [one[0] for one in seen(registry)] == ["1.0.0"]
    looking = monitor(registry, clock, tmp_path, text)
    made = looking.once()
    assert [one.version for one in made.recorded] == ["1.0.1"]
    assert "9.9.9" in made.problems[0]
    assert sorted(one[0] for one in seen(registry)) == ["1.0.0", "1.0.1"]
    asked = len(stand.asked)
    looking.once()
    assert len(stand.asked) == asked


@pytest.mark.system
def test_process_that_is_killed_is_finished_by_the_next(tmp_path: Path, stand: Stand) -> None:
    now = datetime.now(timezone.utc).replace(minute=30, second=0, microsecond=0)
    clock, hang = Clock(), threading.Event()
    clock.time = now - 6 * HOUR
    with Registry.create(tmp_path / "registry", actor="ada", clock=clock) as registry:
        registry.add(MODEL, candidate("a"))
        registry.promote(MODEL)
    file = tmp_path / "monitor.yaml"
    file.write_text(f"registry: {tmp_path / 'registry'}\nactor: ada\n{config(stand.url)}")

    def says(query: str, when: float) -> Any:
        if len(stand.asked) == 3:
            hang.wait(60)
        return vector(({}, "0.8"))

    stand.says = says
    words = [sys.executable, "-c", "from tfx_pedigree.cli.main import main; main()", "--config", str(file), "monitor"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: len(stand.asked) == 3, 60)
    process.kill()
    process.wait()
    hang.set()
    with Registry.open(tmp_path / "registry", actor="ada") as registry:
        before = registry.observations(MODEL).items
        assert len(before) == 2
        made = Monitor(registry, load_monitor(file, {}), lambda: datetime.now(timezone.utc)).once()
        assert made.problems == ()
        after = registry.observations(MODEL).items
        assert len({one.ended_at for one in after}) == len(after) >= 3
        assert set(before) <= set(after)
        assert registry.verify_audit().problems == ()


def test_range_is_asked_in_steps_and_becomes_one_number(
    registry: Registry, clock: Clock, tmp_path: Path, stand: Stand
) -> None:
    values = [[1, "0.2"], [2, "NaN"], [3, "0.6"]]
    data = {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}
    stand.says = lambda query, when: {"status": "success", "data": data}
    clock.time = NOON + HOUR + timedelta(minutes=5)
    for take, number in (("mean", 0.4), ("min", 0.2), ("max", 0.6), ("last", 0.6), ("sum", 0.8)):
        text = config(stand.url).replace(
            "{auc: 'model_auc{m=\"$model\"}[$window]'}", f"{{{take}: {{query: q, step: 5m, take: {take}}}}}"
        )
        assert monitor(registry, clock, tmp_path, text).once().recorded[0].metrics == {take: pytest.approx(number)}
    asked = stand.asked[0]
    assert asked["path"] == "/api/v1/query_range"
    assert float(asked["end"]) - float(asked["start"]) == 55 * 60
    assert asked["step"] == "300s"


def test_source_that_is_gone_does_not_stop_the_others(
    registry: Registry, clock: Clock, tmp_path: Path, stand: Stand
) -> None:
    text = config(stand.url).replace("sources:", 'sources:\n    gone: {url: "http://127.0.0.1:9", private: true}')
    text = text.replace("watches:", f"watches:\n    - {{model: {MODEL}, source: gone, every: 1h, metrics: {{auc: a}}}}")
    clock.time = NOON + HOUR + timedelta(minutes=5)
    made = monitor(registry, clock, tmp_path, text).once()
    assert [one.metrics for one in made.recorded] == [{"auc": 0.8}]
    assert len(made.problems) == 1
    assert "gone does not answer" in made.problems[0]


def test_private_address_is_asked_only_where_the_config_allows_it(
    registry: Registry, clock: Clock, tmp_path: Path, stand: Stand
) -> None:
    clock.time = NOON + HOUR + timedelta(minutes=5)
    made = monitor(registry, clock, tmp_path, config(stand.url, source="private: false")).once()
    assert "leads to 127.0.0.1, which is not public" in made.problems[0]
    assert stand.asked == []
    secret = {"TOKEN": "s3cr3t"}
    open_ = config(stand.url, source="private: true, token_env: TOKEN")
    assert monitor(registry, clock, tmp_path, open_, **secret).once().problems == ()
    assert stand.tokens == ["Bearer s3cr3t"]
    assert "s3cr3t" not in repr(load_monitor(tmp_path / "monitor.yaml", secret))


@pytest.mark.parametrize(
    ("says", "status", "problem"),
    [
        ("{", 200, "not JSON"),
        ({"status": "error"}, 200, "a vector was asked for"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, 200, "and matrix was answered"),
        ({"status": "success", "data": {"resultType": "vector", "result": [1]}}, 200, "has no labels"),
        (vector(({"a": 1}, "1")), 200, "has no labels"),  # type: ignore[arg-type, dict-item]
        (vector(({}, "x")), 200, "has the value 'x'"),
        (vector(({}, 1)), 200, "no time with a value"),  # type: ignore[arg-type]
        (vector(*(({"a": str(at)}, "1") for at in range(1001))), 200, "1000 are the most"),
        (vector(({"a": "1"}, "1"), ({"a": "2"}, "1")), 200, "name the label that tells versions apart"),
        (vector(({}, "1")), 503, "answered 503"),
        ("bad \x1b[31m query", 400, "answered 400"),
        ("x" * (5 << 20), 200, "more than 4 MiB"),
    ],
)
def test_answer_of_any_kind_is_used_or_told(
    looking: Callable[[Stand], Pass], stand: Stand, says: Any, status: int, problem: str
) -> None:
    stand.says, stand.status = (lambda query, when: says), status
    made = looking(stand)
    assert made.recorded == ()
    assert problem in made.problems[0]
    assert "\x1b" not in made.problems[0]


def test_server_that_sends_a_byte_now_and_then_is_not_waited_for(
    looking: Callable[[Stand], Pass], stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b" ")
                time.sleep(0.05)

    monkeypatch.setattr(Handler, "do_GET", drip)
    monkeypatch.setattr("tfx_pedigree.service.monitor.asking._SECONDS", 0.5)
    began = time.monotonic()
    assert "took more than 0.5 seconds" in looking(stand).problems[0]
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("there: {", "there: {user: x, ", "is not known"),
        ("http://127", "ftp://127", "must be an address"),
        ("http://127", "http://me:pw@127", "without a name or password"),
        ("private: true", "token_env: NOWHERE", "which is not set"),
        ("source: there", "source: elsewhere", "one of `sources`: there"),
        ("every: 1h", "every: 10s", "from 1m to 31d"),
        ("every: 1h", "every: soon", "a length of time"),
        ("delay: 5m", "history: 1m", "from 1h to"),
        ("delay: 5m", "examples: {query: a, take: mean}", "no `step`"),
        ("delay: 5m", "examples: {query: a, step: 1s, take: most}", "must be"),
        (f"model: {MODEL}", "model: A B", "cannot name a model"),
    ],
)
def test_config_that_is_wrong_is_refused_with_its_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    file = tmp_path / "monitor.yaml"
    text = config("http://127.0.0.1:9")
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(InvalidInputError, match=says):
        load_monitor(file, {})


def test_config_of_the_repository_is_read() -> None:
    found = load_monitor(Path(__file__).parents[3] / "configs" / "monitoring" / "monitor.yaml", {})
    assert found.watches[0].every == HOUR
    assert found.sources["prometheus"].private


def test_config_that_is_not_there_says_how_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("registry: x\n")
    for file in (None, tmp_path / "none.yaml", tmp_path / "empty.yaml"):
        with pytest.raises(NotFoundError, match="config|section"):
            load_monitor(file, {})


moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(timezone.utc))
lengths = st.integers(1, 5000).map(lambda minutes: timedelta(minutes=minutes))


@given(moments, lengths, lengths, st.integers(1, 50), lengths)
def test_windows_are_over_next_to_each_other_and_the_same_whenever_asked(
    now: datetime, every: timedelta, delay: timedelta, history: int, later: timedelta
) -> None:
    options = {"every": every, "delay": delay, "history": history * every}
    found = ended(now, **options)
    assert len(found) in (history, history + 1)
    assert all(now - delay - history * every <= one.ended_at <= now - delay for one in found)
    assert all(one.ended_at - one.began_at == every for one in found)
    assert all(one.ended_at == other.began_at for one, other in itertools.pairwise(found))
    both = set(found) & set(ended(now + later, **options))
    assert both == {one for one in found if one.ended_at >= now + later - delay - history * every}
    assert Window(found[-1].ended_at, found[-1].ended_at + every) not in found


@pytest.mark.system
def test_real_prometheus_is_asked_about_the_past_it_holds(tmp_path: Path) -> None:
    now = datetime.now(timezone.utc).replace(minute=30, second=0, microsecond=0)
    clock = Clock()
    clock.time = now - 4 * HOUR
    registry = Registry.create(tmp_path / "registry", actor="ada", clock=clock)
    registry.add(MODEL, candidate("a"))
    registry.promote(MODEL)
    lines = ["# TYPE model_auc gauge", "# TYPE served counter"]
    minutes = [now - timedelta(minutes=at) for at in range(240, 0, -1)]
    lines += [f'model_auc{{model="{MODEL}"}} 0.{at.hour % 10}5 {at.timestamp()}' for at in minutes]
    lines += [f'served_total{{model="{MODEL}"}} {at * 10} {when.timestamp()}' for at, when in enumerate(minutes)]
    (tmp_path / "past.txt").write_text("\n".join([*lines, "# EOF", ""]))
    made = subprocess.run(
        [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", tmp_path / "past.txt", tmp_path / "data"],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (tmp_path / "prometheus.yaml").write_text("{}\n")
    clock.time = now
    with prometheus(tmp_path) as asked:
        text = config(
            str(asked.base_url).rstrip("/"), more=f'examples: sum(increase(served_total{{model="{MODEL}"}}[$window]))'
        )
        text = text.replace(
            "'model_auc{m=\"$model\"}[$window]'", "'avg_over_time(model_auc{model=\"$model\"}[$window])'"
        )
        text = text.replace("{auc:", f"{{least: {{query: 'model_auc{{model=\"{MODEL}\"}}', step: 5m, take: min}}, auc:")
        found = monitor(registry, clock, tmp_path, text).once()
    assert found.problems == ()
    # The hour in which the version was made is left out.
    assert [one.ended_at for one in found.recorded] == [now.replace(minute=0) - at * HOUR for at in (2, 1, 0)]
    for one in found.recorded:
        served = (one.began_at.hour % 10) / 10 + 0.05
        assert one.metrics["auc"] == pytest.approx(served, abs=0.02)
        assert one.metrics["least"] <= one.metrics["auc"] + 1e-9
        assert one.examples == pytest.approx(600, abs=15)
