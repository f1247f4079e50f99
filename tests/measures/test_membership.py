from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, mannwhitneyu
from sklearn.metrics import roc_auc_score, roc_curve

from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, neighbours
from ecotone.measures.membership import auc_interval, membership, membership_test

distances = st.lists(st.integers(0, 6).map(float), min_size=2, max_size=20)


@given(distances, distances)
def test_the_auc_is_that_of_sklearn_and_the_test_that_of_scipy(
    ours: list[float], theirs: list[float]
) -> None:
    found = membership_test(
        training=torch.tensor(ours, dtype=torch.float64),
        holdout=torch.tensor(theirs, dtype=torch.float64),
    )
    labels = [1] * len(ours) + [0] * len(theirs)
    assert found.auc == pytest.approx(roc_auc_score(labels, -np.array([*ours, *theirs])))
    assert found.low <= found.auc <= found.high
    if len({*ours, *theirs}) > 1:
        exact = mannwhitneyu(ours, theirs, alternative="less", method="asymptotic").pvalue
        assert found.p_value == pytest.approx(exact)
    else:
        assert found.p_value == 1
    below = [(1 + sum(t <= o for t in theirs)) / (len(theirs) + 1) for o in ours]
    assert found.p_values.tolist() == pytest.approx(below)


def test_its_interval_covers() -> None:
    random, covered = np.random.default_rng(0), 0
    truth = 0.7602499389065233  # P(X < Y) for normals one standard deviation apart: Φ(1/√2)
    for _ in range(400):
        ours, theirs = random.normal(0, 1, 60), random.normal(1, 1, 40)
        found = membership_test(training=torch.from_numpy(ours), holdout=torch.from_numpy(theirs))
        covered += found.low <= truth <= found.high
    assert binomtest(covered, 400, 0.95, alternative="less").pvalue > 1e-3


@pytest.mark.parametrize("auc", [0.0, 1.0])
def test_its_interval_does_not_collapse_at_the_ends(auc: float) -> None:
    low, high = auc_interval(auc, 30, 30)
    assert 0.03 < high - low < 0.3
    assert low <= auc <= high


def test_the_true_positive_rate_is_read_off_the_curve() -> None:
    rows = torch.Generator().manual_seed(0)
    training, holdout = torch.randn(300, 4, generator=rows), torch.randn(250, 4, generator=rows)
    generated = training[:120] + 0.05
    evidence = Evidence(
        generated=generated,
        training=training,
        holdout=holdout,
        neighbours=neighbours(generated=generated, training=training, holdout=holdout),
        features=Pixels(),
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )
    found = membership(evidence)
    near = torch.cdist(torch.cat([training, holdout]).double(), generated.double()).amin(1)
    labels = np.r_[np.ones(300), np.zeros(250)]
    false, true, _ = roc_curve(labels, -near.numpy(), drop_intermediate=False)
    # The threshold is the second nearest held-out image: at most one lies below.
    assert found["membership_true_positive_rate"].value == pytest.approx(
        true[false <= 1 / 250].max(), abs=1e-9
    )
    assert found["membership_auc"].value == pytest.approx(roc_auc_score(labels, -near.numpy()))
