"""Images of ink on paper: which likelihood "auto" is for them, and that what is generated has their means."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import underlie as ul
from underlie.warnings import ConvergenceWarning, DataWarning

DIGITS = ul.datasets.load_digits()
INK = np.clip((DIGITS.data - 5) / 6, 0, 1)  # most cells black or white, as scanned ink has
FEW = np.where(np.arange(len(DIGITS)) < 200, DIGITS.target, -1)


def quick(**parameters):
    return ul.SemiSupervisedVAE(max_epochs=1, hidden=(8,), random_state=0, verbose=False, **parameters)


def likelihoods(model):
    return set(model.likelihood_.values())


@pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")
def test_ink_has_atoms_and_photographs_have_none():
    X, y = INK[:300], DIGITS.target[:300]
    assert likelihoods(quick().fit(X, y)) == {"bernoulli"}
    assert likelihoods(quick().fit((X * 255).round().astype(np.uint8), y)) == {"bernoulli"}  # whatever the scale
    assert likelihoods(quick(likelihood="continuous_bernoulli").fit(X, y)) == {"continuous_bernoulli"}
    grey = 40 + 100 * X + np.random.default_rng(0).uniform(0, 90, X.shape)
    assert likelihoods(quick().fit(grey.astype(np.uint8), y)) == {"continuous_bernoulli"}


@pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")
def test_proportions_of_a_table_stay_proportions():
    rng = np.random.default_rng(0)
    X = np.where(rng.random((120, 3)) < 0.6, 0.0, rng.random((120, 3)))
    assert likelihoods(quick(kinds="proportion").fit(X, rng.integers(0, 2, 120))) == {"continuous_bernoulli"}


def test_generated_images_have_the_means_of_the_data():
    model = ul.SemiSupervisedVAE(hidden=(64,), n_latent=10, max_epochs=30, random_state=0, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(INK, FEW)
    # The chance that the noise of 1,000 draws alone brings the root mean square above a tenth of this is nil.
    gap = model.sample(1000, random_state=0).mean(axis=0) - INK.mean(axis=0)
    assert np.sqrt(np.mean(gap**2)) < 0.05  # .099 where the pixels have densities


def test_minus_one_that_became_255_is_noticed():
    target = DIGITS.target[:100].astype(np.uint8)
    with pytest.warns(DataWarning, match=r"255 in 'y' is taken as a class.*astype\(int\)"):
        ul.SemiSupervisedVAE(max_epochs=1, hidden=(8,), random_state=0, verbose=False).fit(
            DIGITS.data[:100], np.where(np.arange(100) < 60, target, np.uint8(255))
        )
