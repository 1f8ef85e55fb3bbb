"""Figures of this package's own estimators."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

import underlie as ul
from underlie.warnings import ConvergenceWarning


def vae(X: object, **settings: object) -> ul.VAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return ul.VAE(n_latent=2, hidden=(16,), max_epochs=3, random_state=0, verbose=False, **settings).fit(X)


def test_figures_of_a_mixed_table() -> None:
    rng = np.random.default_rng(0)
    site = np.array(["colon", "lung", "skin"])[rng.integers(3, size=200)]
    table = pd.DataFrame({"age": rng.normal(60, 9, 200), "site": site, "nodes": rng.poisson(3, 200)})
    model = vae(table, n_replicates=2)
    assert ul.plot.latent(model, table, table["site"]).get_legend().get_title().get_text() == "site"
    assert len(ul.plot.training_curves(model).get_legend().get_texts()) == 5
    assert "q(z | x)" in [text.get_text() for text in ul.plot.graph(model).texts]
    title = ul.plot.scree(ul.ProbabilisticPCA(2, standardize=True).fit(table), table).get_title()
    assert title.endswith("this model (dotted): M = 2")


def test_figures_of_images() -> None:
    images = load_digits().images[:300]
    for model in (vae(images), ul.ProbabilisticPCA(2).fit(images)):
        figure = ul.plot.latent_and_grid(model, images, load_digits().target[:300], n=4)
        middle = np.asarray(ul.plot.decoded_grid(model, 3).images[0].get_array())[10:18, 10:18]
        np.testing.assert_allclose(middle, model.moments(np.zeros((1, 2)))[0].reshape(8, 8), atol=1e-5)
        assert figure.axes[1].get_xlabel() == "latent coordinate 1"
        three = ul.plot.samples_means_sds(model, 4, random_state=0)
        assert three.axes[2].images[0].get_clim()[0] == 0.0
