"""Figures that the papers on HWD+ print, as their authors printed them; no number here was computed by this package.

C. Beaulac, J. S. Rosenthal (2022), Introducing a New High-Resolution Handwritten Digits Data Set with Writer
Characteristics, and the talk of C. Beaulac (2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Accuracy:
    """Share of test images that were named right: mean over random splits, and standard deviation where printed."""

    mean: float
    sd: float | None = None


#: methods in the order of the table
METHODS: Final = ("knn", "lenet5", "committee", "mlp", "lenet5_large")


def _row(*pairs: tuple[float, float]) -> dict[str, Accuracy]:
    return {method: Accuracy(*pair) for method, pair in zip(METHODS, pairs, strict=True)}


#: 50 random splits; the committees, of 25 networks, 15 splits
ACCURACY: Final = {
    "digit": _row((0.7431, 0.0222), (0.9399, 0.0143), (0.9762, 0.0013), (0.9192, 0.0160), (0.9683, 0.0044)),
    "writer": _row((0.1682, 0.0049), (0.3473, 0.0136), (0.6195, 0.0063), (0.4268, 0.0077), (0.3675, 0.0224)),
    "gender": _row((0.5608, 0.0124), (0.5367, 0.0183), (0.5483, 0.0372), (0.5394, 0.0208), (0.5354, 0.0410)),
    "language": _row((0.6971, 0.0369), (0.6792, 0.0322), (0.7621, 0.0626), (0.6752, 0.0604), (0.7284, 0.0441)),
    "hand": _row((0.7004, 0.0131), (0.7940, 0.0285), (0.8304, 0.0499), (0.7973, 0.0275), (0.8129, 0.0355)),
    "education": _row((0.4265, 0.0347), (0.4117, 0.0222), (0.4726, 0.0343), (0.4147, 0.0393), (0.4466, 0.0368)),
    "medium": _row((0.4650, 0.0243), (0.4585, 0.0225), (0.4782, 0.0372), (0.4668, 0.0189), (0.4612, 0.0234)),
}

#: with the other label as a further predictor: one LeNet-5, and the committee
EXTRA: Final = {
    "digit": {"lenet5": Accuracy(0.9551), "committee": Accuracy(0.9812)},
    "writer": {"lenet5": Accuracy(0.3575), "committee": Accuracy(0.6003)},
}

#: M2 with LeNet-5 as its classifier, unlabelled MNIST beside labelled HWD+
M2: Final = {"digit": Accuracy(0.9542, 0.0060), "writer": Accuracy(0.4174, 0.0099)}

#: writers and digits of the figures of generated images
WRITERS: Final = (12, 14, 29, 70)
DIGITS: Final = (1, 2, 4, 7, 9)

#: what this project set out to reach with generated images; the papers judge them by eye
AIM_DIGIT: Final = 0.97
AIM_WRITER_TIMES_CHANCE: Final = 5.0
