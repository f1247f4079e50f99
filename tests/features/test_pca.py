from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from ecotone.core import ConfigError, DataError
from ecotone.features import FEATURES, pca
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


def smooth(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Return images whose variances fall off as those of pictures do."""
    generator = torch.Generator().manual_seed(seed)
    scales = (1 + torch.arange(d, dtype=torch.float64)) ** -0.7
    turned = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
    return torch.randn(n, d, generator=generator, dtype=torch.float64) * scales @ turned


def assert_described_alike(first: PrincipalComponents, second: PrincipalComponents) -> None:
    one, two = first.describe(), second.describe()
    assert one.pop("variance_share") == pytest.approx(two.pop("variance_share"), rel=1e-10)
    assert one == two


@pytest.mark.parametrize(("n", "d"), [(70, 30), (30, 70), (30, 30)])
def test_the_size_of_blocks_changes_nothing(
    n: int, d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = smooth(n, d).float()
    whole = PrincipalComponents(5).fit(images)
    monkeypatch.setattr(pca, "_BLOCK_BYTES", 8 * 7 * max(n, d))
    monkeypatch.setattr(pca, "_TILE", 8)
    parts = PrincipalComponents(5).fit(images)
    torch.testing.assert_close(parts(images), whole(images), rtol=1e-9, atol=1e-12)
    assert_described_alike(parts, whole)


@pytest.mark.parametrize(("n", "d"), [(900, 400), (250, 400)])
@pytest.mark.parametrize("rank", [3, 400])
def test_leading_directions_alone_are_those_of_all(
    n: int, d: int, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = smooth(n, d)
    images[:, rank:] = 0
    images = (images @ smooth(d, d, seed=1)).float()
    dense = PrincipalComponents(6).fit(images)
    monkeypatch.setattr(pca, "_DENSE", 100)
    leading = PrincipalComponents(6).fit(images)
    torch.testing.assert_close(leading(images), dense(images), rtol=1e-8, atol=1e-8)
    assert_described_alike(leading, dense)


def test_what_has_no_directions_is_said_by_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pca, "_DENSE", 10)
    with pytest.raises(DataError, match="all the same"):
        PrincipalComponents(2).fit(torch.full((90, 80), 0.1))


def test_eight_bit_images_are_in_8_bit_units() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 4, 4), generator=generator, dtype=torch.uint8)
    space, floats = PrincipalComponents(4).fit(images), PrincipalComponents(4).fit(images.float())
    assert torch.equal(space(images), floats(images.float()))
    assert space.describe() == floats.describe()


def test_an_image_that_is_not_finite_is_named_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randn(50, 9)
    space = PrincipalComponents(2).fit(images)
    images[33, 4] = torch.nan
    monkeypatch.setattr(pca, "_BLOCK_BYTES", 8 * 9 * 10)
    for asked in (space, PrincipalComponents(2).fit):
        with pytest.raises(DataError, match="image 33 holds NaN"):
            asked(images)


MEMORY = """
import torch
from ecotone.features.pca import PrincipalComponents
torch.set_num_threads(1)
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
generator = torch.Generator().manual_seed(0)
values = torch.randint(0, 256, (80_000, 300), generator=generator, dtype=torch.uint8)
sets = values, values.view(300, 80_000)
for images in sets:
    PrincipalComponents(4).fit(images[:20])(images[:20])
before = peak()
for images in sets:
    PrincipalComponents(4).fit(images)(images)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_images_are_never_in_float64_all_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=120
    )
    # That would take 192 MB, and centring as much again.
    assert float(done.stdout) < 170
