import numpy as np
import pytest

from faceedit.evaluation.metrics import agreement


def test_agreement_is_what_its_definitions_say():
    wanted = np.linspace(-1, 1, 50)
    same = agreement(wanted, wanted)
    assert (same["ccc"], same["correlation"], same["slope"], same["error"]) == pytest.approx((1, 1, 1, 0))
    half = agreement(wanted, wanted / 2)
    assert half["correlation"] == pytest.approx(1)
    assert half["slope"] == pytest.approx(0.5)
    assert half["ccc"] == pytest.approx(0.8)  # 2·½ / (1 + ¼)
    assert agreement(wanted, wanted + 1)["ccc"] < 0.6
    assert agreement(wanted, wanted * 0)["ccc"] == 0


def test_shuffled_numbers_agree_no_more():
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=2000)
    assert abs(agreement(wanted, rng.permutation(wanted))["ccc"]) < 0.1
