from collections import Counter

import pytest

from tteview_train.balance import METHODS, compute_class_shares, count_draws, draw_epoch

LABELS = [0] * 200 + [1] * 40 + [2] * 10


def draw_and_count(method, epoch=0, **options):
    drawn = draw_epoch(LABELS, 3, method, 5, epoch, **options)
    return drawn, count_draws(drawn, LABELS, "ABC")


def test_no_balance_shows_every_cine_once():
    assert sorted(draw_and_count("none")[0]) == list(range(250))


def test_oversampling_shows_classes_and_their_cines_equally():
    drawn, by_class = draw_and_count("oversample")
    assert max(by_class.values()) - min(by_class.values()) <= 1
    assert sum(by_class.values()) == 250
    shown = Counter(drawn)
    rare = [shown[i] for i in range(240, 250)]
    assert max(rare) - min(rare) <= 1


def test_sqrt_lies_between_no_balance_and_oversampling():
    _, by_class = draw_and_count("sqrt")
    assert by_class["A"] == pytest.approx(250 * 200**0.5 / (200**0.5 + 40**0.5 + 10**0.5), abs=1)


def test_effective_number_approaches_both_other_methods():
    assert compute_class_shares([200, 40, 10], "effective-number", 0) == pytest.approx(
        compute_class_shares([200, 40, 10], "none")
    )
    near = compute_class_shares([200, 40, 10], "effective-number", 0.999999)
    assert near == pytest.approx([1 / 3] * 3, abs=1e-3)
    # The weight of a class with n cines is n (1 - beta) / (1 - beta^n).
    weights = [n * 0.1 / (1 - 0.9**n) for n in (200, 40, 10)]
    assert compute_class_shares([200, 40, 10], "effective-number", 0.9) == pytest.approx(
        [w / sum(weights) for w in weights]
    )


@pytest.mark.parametrize("method", METHODS)
def test_draws_depend_only_on_seed_and_epoch(method):
    assert draw_and_count(method, 3)[0] == draw_and_count(method, 3)[0]
    assert draw_and_count(method, 3)[0] != draw_and_count(method, 4)[0]


def test_an_empty_class_or_a_wrong_setting_is_refused():
    with pytest.raises(ValueError, match="class 2"):
        draw_epoch([0, 1], 3, "oversample", 0, 0)
    with pytest.raises(ValueError, match="balance_beta must be"):
        draw_epoch([0, 1], 2, "effective-number", 0, 0, beta=1.0)
    with pytest.raises(ValueError, match="balance must be one of"):
        draw_epoch([0, 1], 2, "magic", 0, 0)


@pytest.mark.parametrize("method", ["none", "oversample"])
def test_emphasis_multiplies_the_share_of_a_class(method):
    shares = compute_class_shares([200, 40, 10], method)
    _, by_class = draw_and_count(method, factors=[1.0, 3.0, 1.0])
    total = shares[0] + 3 * shares[1] + shares[2]
    assert by_class["B"] == pytest.approx(250 * 3 * shares[1] / total, abs=1)
    assert sum(by_class.values()) == 250
