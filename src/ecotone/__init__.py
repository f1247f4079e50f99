"""ecotone: where a diffusion model stops copying its training set and starts to generalize."""

__version__ = "0.1.0"
