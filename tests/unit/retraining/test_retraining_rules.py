"""The policy's section `retraining`: what it may say, and that the gate knows nothing of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tfx_pedigree.comparison import Direction, parse_policy
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.retraining.rules import Bounds, Decline, DriftRule, Rules, in_words, performance_in_words, read_time
from tfx_pedigree.retraining.rules_file import load_rules, parse_rules

WHOLE = """\
metric: auc
retraining:
  new_span: false
  max_age: 30d
  attempts: 2
  drift:
    default: {jensen_shannon: 0.1}
    ignore: [date]
    features:
      dep_delay: {jensen_shannon: 0.05}
      carrier: {infinity_norm: 0.01}
  performance:
    auc: {drop: 0.03, over: 7d, min_examples: 5000}
    late_share: {drop: 2, over: 12h, direction: lower}
"""


def test_all_that_a_section_can_say_is_read() -> None:
    drift = DriftRule(
        Bounds(jensen_shannon=0.1), {"dep_delay": Bounds(0.05), "carrier": Bounds(infinity_norm=0.01)}, ("date",)
    )
    performance = {
        "auc": Decline(0.03, timedelta(days=7), 5000),
        "late_share": Decline(2, timedelta(hours=12), 1, Direction.LOWER),
    }
    assert parse_rules(WHOLE) == Rules(False, timedelta(days=30), drift, 2, performance)


@pytest.mark.parametrize("text", ["metric: auc\n", "metric: auc\nretraining:\n", "metric: auc\nretraining: {}\n"])
def test_policy_without_a_section_retrains_on_new_spans_only(text: str) -> None:
    assert parse_rules(text) == Rules() == Rules(new_span=True, max_age=None, drift=None, attempts=3)


def test_section_says_in_words_when_a_decline_is_a_reason() -> None:
    assert performance_in_words(Rules()) == ()
    said = performance_in_words(parse_rules(WHOLE))
    assert said[0].startswith(
        "Training again: when auc of the champion, observed over 7 days on 5,000 examples or more"
    )
    assert "above its evidence by more than 2" in said[1]


def test_section_changes_neither_the_gates_policy_nor_its_digest() -> None:
    """The digest stands in the evidence of every decision: who retrains more often decides by the same rules."""
    without, with_section = parse_policy("metric: auc\n"), parse_policy(WHOLE)
    assert with_section == without
    assert with_section.digest == without.digest
    assert "retraining" not in with_section.to_json()


@pytest.mark.parametrize(
    ("section", "line", "says"),
    [
        ("  new_spam: true\n", 3, "`retraining.new_spam` is not known. Did you mean `new_span`"),
        ("  new_span: 1\n", 3, "`retraining.new_span` is 1, but must be true or false"),
        ("  max_age: 30\n", 3, "must be a length of time such as 30d"),
        ("  max_age: 0d\n", 3, "must be a length of time such as 30d"),
        ("  attempts: 0\n", 3, "must be 1 or more"),
        ("  drift: {}\n", 3, "bounds nothing"),
        ("  performance: {}\n", 3, "names no metric"),
        ("  performance: {auc: {drop: 0.1}}\n", 3, "`over`"),
        ("  performance: {auc: {drop: 0, over: 7d}}\n", 3, "how far the metric may fall"),
        ("  performance: {auc: {drop: 0.1, over: soon}}\n", 3, "must be a length of time"),
        ("  performance: {late_share: {drop: 0.1, over: 7d}}\n", 3, "no known direction"),
        ("  drift: {ignore: [a]}\n", 3, "bounds nothing"),
        ("  drift:\n    default: {jensen: 0.1}\n", 4, "`retraining.drift.default.jensen` is not known"),
        ("  drift:\n    default: {}\n", 4, "bounds nothing: give jensen_shannon or infinity_norm"),
        ("  drift:\n    features:\n      a: {infinity_norm: 1}\n", 5, "a distance from 0 to less than 1"),
        ("  drift:\n    features: {a: {infinity_norm: 0.1}}\n    ignore: [a]\n", 5, "names a, which has bounds"),
    ],
)
def test_section_that_is_wrong_is_refused_with_its_line(section: str, line: int, says: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_rules("metric: auc\nretraining:\n" + section, "policy.yaml")
    assert str(refused.value).startswith(f"policy.yaml, line {line}: ")
    assert says in str(refused.value)


def test_mistake_in_the_gates_part_is_refused_as_well_since_it_is_one_file() -> None:
    with pytest.raises(InvalidInputError, match="`rule.relatve` is not known"):
        parse_rules("metric: auc\nrule: {relatve: 0.1}\nretraining: {new_span: true}\n")


def test_policy_of_the_reference_pipeline_is_whole() -> None:
    rules = load_rules(Path(__file__).parents[3] / "configs" / "policy.yaml")
    assert rules.new_span
    assert rules.max_age == timedelta(days=30)
    assert rules.drift is not None
    assert rules.drift.of("date") == Bounds()


def test_own_bounds_of_a_feature_stand_instead_of_the_default() -> None:
    rule = DriftRule(Bounds(0.1, 0.2), {"carrier": Bounds(infinity_norm=0.01)}, ("date",))
    assert rule.of("carrier") == Bounds(None, 0.01)
    assert rule.of("date") == Bounds()
    assert rule.of("origin") == Bounds(0.1, 0.2)


@pytest.mark.parametrize(
    ("text", "time"),
    [("90s", timedelta(seconds=90)), ("5 m", timedelta(minutes=5)), ("2w", timedelta(days=14)), ("soon", None)],
)
def test_length_of_time_is_read(text: str, time: timedelta | None) -> None:
    assert read_time(text) == time


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(seconds=119), "119 s"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(hours=48), "2 days"),
        (timedelta(seconds=-5), "0 s"),
    ],
)
def test_length_of_time_is_told_in_the_unit_that_fits(time: timedelta, words: str) -> None:
    assert in_words(time) == words
