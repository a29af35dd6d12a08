from collections import Counter

import pytest

from tteview_train.balance import METHODS, class_shares, draw_epoch, drawn_counts

LABELS = [0] * 200 + [1] * 40 + [2] * 10


def counts(method, epoch=0, **options):
    drawn = draw_epoch(LABELS, 3, method, 5, epoch, **options)
    return drawn, drawn_counts(drawn, LABELS, "ABC")


def test_none_shows_every_cine_once():
    assert sorted(counts("none")[0]) == list(range(250))


def test_oversampling_shows_all_classes_alike_and_cines_of_a_class_alike():
    drawn, by_class = counts("oversample")
    assert max(by_class.values()) - min(by_class.values()) <= 1
    assert sum(by_class.values()) == 250
    shown = Counter(drawn)
    rare = [shown[i] for i in range(240, 250)]
    assert max(rare) - min(rare) <= 1


def test_sqrt_lies_between():
    _, by_class = counts("sqrt")
    assert by_class["A"] == pytest.approx(250 * 200**0.5 / (200**0.5 + 40**0.5 + 10**0.5), abs=1)


def test_effective_number_goes_from_none_to_oversampling():
    assert class_shares([200, 40, 10], "effective-number", 0) == pytest.approx(
        class_shares([200, 40, 10], "none")
    )
    near = class_shares([200, 40, 10], "effective-number", 0.999999)
    assert near == pytest.approx([1 / 3] * 3, abs=1e-3)
    # By hand for beta 0.9: n (1 - beta) / (1 - beta^n).
    weights = [n * 0.1 / (1 - 0.9**n) for n in (200, 40, 10)]
    assert class_shares([200, 40, 10], "effective-number", 0.9) == pytest.approx(
        [w / sum(weights) for w in weights]
    )


@pytest.mark.parametrize("method", METHODS)
def test_draws_depend_on_seed_and_epoch_alone(method):
    assert counts(method, 3)[0] == counts(method, 3)[0]
    assert counts(method, 3)[0] != counts(method, 4)[0]


def test_a_class_without_cines_or_a_wrong_beta_is_an_error():
    with pytest.raises(ValueError, match="class 2"):
        draw_epoch([0, 1], 3, "oversample", 0, 0)
    with pytest.raises(ValueError, match="beta"):
        draw_epoch([0, 1], 2, "effective-number", 0, 0, beta=1.0)
    with pytest.raises(ValueError, match="no method"):
        draw_epoch([0, 1], 2, "magic", 0, 0)
