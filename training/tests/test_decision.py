"""Checks the decision against docs/stream-contract.md, and the fit of thresholds."""

import json
from pathlib import Path

import numpy as np
import pytest

from tteview_train.decision import REASONS, DecisionRule, decide
from tteview_train.predictions import collect_cines
from tteview_train.thresholds import fit_rule, fit_threshold

FIXTURES = Path(__file__).parents[2] / "tests" / "contract" / "stream_fixtures.json"
CASES = [
    case
    for cases in ("cases", "frame_cases")
    for case in json.loads(FIXTURES.read_text())[cases]
    if "threshold" in case["settings"] or "groups" in case["settings"]
]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_decisions_match_the_contract(case):
    settings, expect = case["settings"], case["expect"]
    rule = DecisionRule(
        settings.get("threshold", 0.0),
        settings.get("groups", ()),
        settings.get("group_threshold", 0.0),
        settings.get("novelty_threshold"),
    )
    for result in [expect["final"], *(query["result"] for query in expect["queries"])]:
        score = np.array([result.get("novelty", np.nan)])
        decision = decide(np.array([result["posterior"]]), rule, score)
        label = decision.label[0] if decision.gives_label[0] else -1
        group = decision.group[0] if decision.gives_group[0] else -1
        assert (label, group) == (result["label"], result.get("group", -1))
        assert decision.group_confidence[0] == pytest.approx(result.get("group_confidence", 0.0))
        assert [r for r in REASONS if decision.reasons[r][0]] == result["withheld"]


def test_the_contract_covers_every_reason():
    results = [case["expect"]["final"] for case in CASES]
    results += [query["result"] for case in CASES for query in case["expect"]["queries"]]
    assert {reason for result in results for reason in result["withheld"]} == set(REASONS)


def fit(confidence, right, accuracy, eligible=None):
    count = len(confidence)
    mask = np.ones(count, dtype=bool) if eligible is None else np.array(eligible)
    return fit_threshold(np.array(confidence), np.array(right, dtype=bool), mask, accuracy)


def test_a_threshold_gives_as_many_labels_as_the_accuracy_allows():
    level = fit([0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0, 1, 0], 0.75)
    assert (level.given, level.right, level.cines) == (4, 3, 5)
    assert level.threshold == pytest.approx(0.55)
    assert fit([0.9, 0.8], [1, 1], 0.95).threshold == pytest.approx(0.4)


def test_equal_confidences_are_given_together():
    level = fit([0.9, 0.8, 0.8, 0.7], [1, 1, 0, 0], 0.9)
    assert (level.given, level.threshold) == (1, pytest.approx(0.85))


def test_a_threshold_that_reaches_no_accuracy_is_one():
    level = fit([0.9, 0.8], [0, 0], 0.5)
    assert (level.threshold, level.given) == (1.0, 0)
    nobody = fit([0.9, 0.8], [1, 1], 0.5, [False, False])
    assert (nobody.threshold, nobody.given) == (1.0, 0)


def test_only_eligible_cines_are_given():
    level = fit([0.9, 0.8, 0.7], [0, 1, 1], 0.9, [False, True, True])
    assert (level.given, level.right, level.cines) == (2, 2, 3)


def test_both_levels_of_a_rule_reach_their_accuracy():
    rng = np.random.default_rng(3)
    labels, groups = ["A", "B", "C", "D"], [0, 0, 1, 1]
    rows = []
    for number in range(400):
        truth = int(rng.integers(0, 4))
        logits = rng.normal(0, 1.5, 4)
        logits[truth] += 4
        logits[truth ^ 1] += 2.5
        log_posterior = logits - np.log(np.exp(logits).sum())
        row = {"path": f"c{number}", "label": labels[truth], "patient": "p", "times_ns": [0]}
        rows.append({**row, "log_posterior": [log_posterior.tolist()]})
    cines = collect_cines(labels, rows)
    rule, level, group_level = fit_rule(cines, DecisionRule(0.3, groups, 0.3), 0.95, 0.98)
    decision = decide(cines.posterior, rule)
    right = decision.label == cines.truth
    assert group_level is not None
    assert decision.gives_group.sum() == group_level.given
    assert decision.gives_label.sum() == level.given > 40
    assert right[decision.gives_label].mean() >= 0.95
    group_right = decision.group == np.array(groups)[cines.truth]
    assert group_right[decision.gives_group].mean() >= 0.98
    assert group_level.given > level.given
