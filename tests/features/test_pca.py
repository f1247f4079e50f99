from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from ecotone.core import ConfigError, DataError
from ecotone.features import FEATURES
from ecotone.features.pca import PrincipalComponents


@given(st.integers(2, 40), st.integers(1, 30), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_it_agrees_with_scikit_learn(n: int, d: int, components: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, d, generator=generator)
    space = PrincipalComponents(components).fit(images)
    kept = min(components, d, n - 1)
    assert space.describe()["components"] == kept
    theirs = PCA(kept, svd_solver="full").fit(images.double().numpy())
    others = torch.randn(9, d, generator=generator)
    expected = torch.from_numpy(theirs.transform(others.double().numpy()))
    # Signs are free; ours are told apart below.
    torch.testing.assert_close(space(others).abs(), expected.abs(), rtol=1e-6, atol=1e-8)
    share = float(theirs.explained_variance_ratio_.sum())
    assert space.describe()["variance_share"] == pytest.approx(share)


def test_components_are_capped_at_the_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(50, 3, generator=generator) @ torch.randn(3, 20, generator=generator)
    space = PrincipalComponents(24).fit(images.double())
    description = space.describe()
    assert (description["components_asked"], description["components"]) == (24, 3)
    assert space(images.double()).shape == (50, 3)


def test_signs_do_not_depend_on_the_order_of_images() -> None:
    generator = torch.Generator().manual_seed(0)
    for n, d in ((60, 8), (8, 60)):
        images = torch.randn(n, d, generator=generator)
        spaces = [PrincipalComponents(4).fit(part) for part in (images, images.flip(0))]
        torch.testing.assert_close(spaces[0](images), spaces[1](images), rtol=1e-8, atol=1e-10)


def test_fitting_returns_a_space_and_leaves_the_first_alone() -> None:
    images = torch.randn(9, 1, 2, 2)
    plain = FEATURES.create("pca", {"components": 2})
    fitted = plain.fit(images)
    assert fitted(images).shape == (9, 2)
    with pytest.raises(ValueError, match="fitted before"):
        plain(images)


def test_what_cannot_be_fitted_is_said() -> None:
    with pytest.raises(DataError, match="all the same"):
        PrincipalComponents().fit(torch.full((5, 3), 0.1))
    with pytest.raises(ConfigError, match="components = 0"):
        PrincipalComponents(0)
    with pytest.raises(DataError, match="4 values"):
        PrincipalComponents().fit(torch.randn(5, 3))(torch.zeros(2, 4))
