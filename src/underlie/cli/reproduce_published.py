"""Figures that the MEGA paper prints, as its author printed them; no number here was computed by this package.

C. Beaulac (2021), A moment-matching metric for latent variable generative models, and the
talk of the same year. "The scripts" are those that the author published beside it,
github.com/CedricBeaulac/LVGM_Analysis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class ToyRow:
    """1MEGA-F, 2MEGA-F and MMD of one model on one two-dimensional set."""

    first: float
    second: float
    mmd: float


#: table of four models on two-dimensional sets
TOYS: Final = {
    "three clusters": {
        "VAE": ToyRow(0.2704, 2.0392, 0.0812),
        "beta-VAE": ToyRow(2.4222, 4.5510, 1.6717),
        "GMM-2": ToyRow(3.1166, 3.1712, 0.0069),
        "GMM-3": ToyRow(0.2974, 1.7014, 0.0012),
    },
    "half moons": {
        "VAE": ToyRow(0.2565, 0.5633, 0.0141),
        "beta-VAE": ToyRow(0.0023, 0.5248, 0.0008),
        "GMM-2": ToyRow(0.7616, 0.8126, 7.4e-5),
        "GMM-3": ToyRow(0.1072, 0.4851, 1.2e-5),
    },
}

#: numbers of components that the script of the anomaly study tries, its latent draws, and its largest alpha
CANDIDATES: Final = (1, 2, 3, 4, 5, 10, 15, 20)
FORWARD_DRAWS: Final = 5000
ALPHAS: Final = (0.0, 500.0)

#: simulated data of three components: what AIC chooses, and the path of the penalised likelihood
SIMULATED_AIC: Final = 3
SIMULATED_PATH: Final = (20, 3, 1)

#: ionosphere: the share of rows flagged; components chosen and outliers found by AIC and by the path
FLAGGED: Final = 0.35
BY_AIC: Final = (20, 67)
BY_MEGA: Final = (3, 103)

#: mixtures of MNIST: components tried, the lowest gap and where, the range of the MMD
MNIST_SIZES: Final = (2, 4, 6, 8, 10, 12, 14)
MNIST_LOWEST: Final = (10, 2.8237)
MNIST_MMD: Final = (0.0084, 0.0131)

#: fours of MNIST: Frechet inception distances without and with the penalty, and the seconds that training took
FID_SAMPLES: Final = (94.9, 58.3)
FID_MEANS: Final = (46.3, 47.6)
TRAINING_SECONDS: Final = 1246.0
