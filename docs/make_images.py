"""Make the pictures of the README and the documentation from real data: ``python docs/make_images.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import underlie as ul  # after the choice of a backend that needs no display

IMAGES = Path(__file__).parent / "images"


def digits_plane() -> None:
    """The README's picture: handwritten digits in the latent plane of a VAE, and what the plane decodes to."""
    digits = ul.datasets.load_digits()
    model = ul.VAE(n_latent=2, random_state=0).fit(digits.data)
    figure = ul.plot.latent_and_grid(model, digits.data, digits.target)
    figure.savefig(IMAGES / "digits-plane.png", dpi=80, facecolor="white")


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    digits_plane()
