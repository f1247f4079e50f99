"""How often each detector of copying accuses generators that are honest, and not perfect.

Real generators miss kinds of image, blur, fade or are noisy. None of that is copying; a test that
holds them against the holdout as if they were perfect takes it for that. Training set, holdout and
fresh images are dealt anew each time; the fresh ones are changed, and stand for what is generated.

    python benchmarks/honest_generators.py            digits, 40 times
    python benchmarks/honest_generators.py --cifar10  CIFAR-10 from ECOTONE_DATA, 20 times
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ecotone.core.seeds import generator, torch_generator
from ecotone.features.pca import PrincipalComponents
from ecotone.measures import Evidence, Reference
from ecotone.measures.detectors import DETECTORS
from ecotone.measures.mirrored import mirrored_nearest
from ecotone.populations import POPULATIONS
from ecotone.populations.digits import Digits

LEVEL = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cifar10", action="store_true", help="in place of digits")
    parser.add_argument("--repeats", type=int, help="times that sets are dealt")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    repeats = options.repeats or (20 if options.cifar10 else 40)
    deals = cifar10 if options.cifar10 else digits
    accused: dict[str, dict[str, list[bool]]] = {}
    for seed in range(repeats):
        training, holdout, fresh, kinds = deals(seed)
        reference = Reference(
            training=training, holdout=holdout, listed=51, search=mirrored_nearest
        )
        features = PrincipalComponents().fit(torch.cat([training, holdout]))
        for name, generated in generators(fresh, kinds, seed):
            evidence = Evidence(
                generated=generated,
                training=training,
                holdout=holdout,
                neighbours=reference.neighbours(generated),
                features=features,
                denoiser=None,
                sigma_data=1.0,
                seed=seed,
                search=mirrored_nearest,
            )
            for detector, found in DETECTORS.items():
                said = found(evidence)
                if said is not None and said.p_value is not None:
                    row = accused.setdefault(detector, {})
                    row.setdefault(name, []).append(said.p_value <= LEVEL)
    columns = list(next(iter(accused.values())))
    print(f"share of {repeats} honest generators accused at {LEVEL:.0%}, in %")
    print(f"{'':24}" + "".join(f"{name:>15}" for name in columns))
    for detector, row in accused.items():
        shares = [100 * sum(row[name]) / len(row[name]) for name in columns]
        print(f"{detector:24}" + "".join(f"{share:15.0f}" for share in shares))


def digits(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training images, held-out ones, fresh ones, and the classes of the fresh ones."""
    from sklearn.datasets import load_digits

    labels = torch.from_numpy(load_digits(return_X_y=True)[1])
    return dealt(Digits().items, labels, seed, 600, 600, 597)


def cifar10(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    population = POPULATIONS.create("cifar10", {})
    ids: tuple[str, ...] = getattr(population, "ids")  # noqa: B009 as it is a finite one
    names = sorted({name.split()[-1] for name in ids})
    labels = torch.tensor([names.index(name.split()[-1]) for name in ids])
    items: Tensor = getattr(population, "items")  # noqa: B009
    return dealt(items, labels, seed, 2000, 1000, 4000)


def dealt(
    items: Tensor, labels: Tensor, seed: int, *sizes: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    order = torch.from_numpy(generator(seed, "dealt").permutation(len(items)))
    training, holdout, fresh = order[: sum(sizes)].split(sizes)
    return items[training], items[holdout], items[fresh], labels[fresh]


def generators(fresh: Tensor, kinds: Tensor, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yield what generators of several faults would make, none of which knows a training image."""
    noise = torch.randn(fresh.shape, generator=torch_generator(seed, "noise"))
    faults: dict[str, Callable[[], Tensor]] = {
        "perfect": lambda: fresh[:500],
        "one class": lambda: fresh[kinds == int(kinds[0])][:500],
        "blurred": lambda: torch.nn.functional.avg_pool2d(fresh[:500], 3, 1, 1),
        "low contrast": lambda: 0.7 * fresh[:500] - 0.2,
        "noisy": lambda: (fresh + 0.2 * noise)[:500].clamp(-1, 1),
        "averages of two": lambda: (fresh[:250] + fresh[250:500]) / 2,
    }
    for name, made in faults.items():
        yield name, made()


if __name__ == "__main__":
    main()
