"""`observe`, `observations`, `performance`: what the page says is what happens."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cli_testing import Pedigree, Ticking
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import candidate
from tfx_pedigree.cli.plot import plot
from tfx_pedigree.registry import ChampionPeriod, Facts, Observation, Registry
from tfx_pedigree.retraining.performance import Level
from tfx_pedigree.service.performance import Series

PAGE = Path(__file__).parents[3] / "docs" / "observations.md"
MODEL = "flight-delay"
START = datetime(2026, 11, 20, tzinfo=timezone.utc)


@pytest.fixture
def served(tmp_path: Path) -> Pedigree:
    """A champion that was registered with an AUC of 0.85, eight days ago."""
    clock = Ticking()
    with Registry.create(tmp_path / "registry", actor="mia", clock=clock) as registry:
        registry.add(MODEL, candidate("a"), facts=Facts({"auc": 0.85}))
        registry.promote(MODEL)
    clock.time += timedelta(days=8)
    return Pedigree(tmp_path / "registry", clock=clock)


def played(page: Path, pedigree: Pedigree) -> int:
    """Runs what the page's consoles show, and holds the answers to what stands there."""
    consoles = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    count = 0
    for console in consoles:
        for part in console.split("$ pedigree ")[1:]:
            line, _, answer = part.partition("\n")
            said = pedigree(*shlex.split(line))
            assert said.out.strip() == answer.strip(), line
            count += 1
    return count


def test_commands_of_the_page_answer_as_it_says(served: Pedigree) -> None:
    assert played(PAGE, served) == 5


def test_performance_is_drawn_as_text_as_a_page_and_as_numbers(served: Pedigree, tmp_path: Path) -> None:
    assert "Nothing was observed" in served("performance", MODEL).out
    played(PAGE, served)
    drawn = served("performance", MODEL, COLUMNS="60").out
    assert " ".join(drawn.split()).startswith("auc: 0.79 of 1.0.0 at last, 3 values; ┄ 0.85, 1.0.0 in its registration")
    assert drawn.count("●") == 3
    assert all(len(line) <= 60 for line in drawn.splitlines())
    found = served("performance", MODEL, "--json").json
    assert [one["value"] for one in found["series"][0]["points"]] == [0.84, 0.83, 0.79]
    assert found["series"][0]["level"] == {"version": "1.0.0", "value": 0.85, "of_evidence": False}
    served("performance", MODEL, "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<circle") == 3
    assert 'class="level"' in page
    assert "http" not in page
    served("performance", MODEL, "--html", tmp_path / "page.html", code=4)


def test_hostile_names_are_text_in_the_page(served: Pedigree, tmp_path: Path) -> None:
    times = ("--from", "2026-11-21", "--to", "2026-11-22")
    served("observe", MODEL, "--metric", "<script>=1", *times, "--source", '"><img src=x>')
    served("performance", MODEL, "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "<img" not in page


def test_refusals_say_what_to_do(served: Pedigree) -> None:
    times = ("--from", "2026-11-21", "--to", "2026-11-22")
    assert "--metric NAME=VALUE" in served("observe", MODEL, *times, code=2).err
    served("observe", MODEL, "--metric", "auc=0.8", *times)
    assert "never changes" in served("observe", MODEL, "--metric", "auc=0.7", *times, code=4).err
    assert "is not a time" in served("observe", MODEL, "--metric", "auc=1", "--from", "x", "--to", "y", code=2).err
    assert "this needs contributor" in served("observe", MODEL, "--metric", "a=1", *times, actor="eve", code=6).err


def test_one_look_of_the_monitor_says_what_it_could_not_read(served: Pedigree, tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    watch = "{model: flight-delay, source: there, every: 1h, metrics: {auc: model_auc}}"
    file.write_text(
        f'monitor:\n  sources: {{there: {{url: "http://127.0.0.1:9", private: true}}}}\n  watches: [{watch}]\n'
    )
    assert (
        "Not observed: flight-delay: there does not answer" in served("--config", file, "monitor", "--once", code=1).out
    )
    found = served("--config", file, "monitor", "--once", "--json", code=1).json
    assert (found["recorded"], len(found["problems"])) == ([], 1)
    assert "--config" in served("monitor", "--once", code=3).err


def series(values: list[float], level: float | None) -> Series:
    points = tuple(
        Observation("1.0.0", "m", value, 1, START + timedelta(hours=at), START + timedelta(hours=at), "x", START, "a")
        for at, value in enumerate(values)
    )
    return Series("m", None if level is None else Level("1.0.0", level, of_evidence=True), points)


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FINITE, min_size=1, max_size=30), st.none() | FINITE, st.integers(20, 100))
def test_any_numbers_are_drawn_within_the_width(values: list[float], level: float | None, width: int) -> None:
    reign = ChampionPeriod("m", "1.0.0", START, None)
    heading, *lines = plot(series(values, level), [reign], width)
    assert heading
    assert all(len(line) <= width for line in lines), lines
    assert 1 <= sum(line.count("●") for line in lines) <= len(values)
