"""Every figure: drawn where asked, labelled, faithful to its numbers, and clear when it cannot be drawn."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.colors import to_hex
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture

import underlie as ul
from underlie.plot.images import mosaic
from underlie.plot.style import markers, palette

DIGITS = load_digits()
IRIS = load_iris().data


def trained(n_replicates: int = 1, epochs: int = 30) -> SimpleNamespace:
    rng = np.random.default_rng(0)
    rise = -10 - 50 * np.exp(-np.arange(epochs) / 4)
    train = rise + rng.normal(0, 0.5, (n_replicates, 1))
    valid = train - 1 - 0.01 * np.maximum(np.arange(epochs) - 15, 0) ** 2
    train[:, -3:] = valid[:, -3:] = np.nan
    return SimpleNamespace(history_={"train": train, "valid": valid}, best_replicate_=n_replicates - 1)


# --- the package ------------------------------------------------------------------------------------


def test_importing_underlie_loads_no_plotting_code() -> None:
    code = "import sys, underlie as ul; ul.mega; assert 'matplotlib.pyplot' not in sys.modules, 'plotting code loaded'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_colours_and_marks_tell_groups_apart() -> None:
    for n in range(1, 11):
        assert len(set(palette(n))) == n
    for n in (11, 20):
        assert len(set(zip(palette(n), markers(n), strict=True))) == n


def test_axes_given_are_used_and_no_figure_is_made() -> None:
    model = PCA(2).fit(DIGITS.data)
    result = ul.mega(PCA(1).fit(IRIS), IRIS)
    errors = pd.DataFrame({"column": ["a"], "method": ["mean"], "error": [1.0]})
    joint = SimpleNamespace(factors=[SimpleNamespace(name="z", parents=()), SimpleNamespace(name="x", parents=("z",))])
    drawings = [
        lambda ax: ul.plot.latent(model, DIGITS.data, DIGITS.target, ax=ax),
        lambda ax: ul.plot.decoded_grid(model, 3, ax=ax),
        lambda ax: ul.plot.image_grid(DIGITS.images[:4], ax=ax),
        lambda ax: ul.plot.samples(model, 4, ax=ax, random_state=0),
        lambda ax: ul.plot.training_curves(trained(), ax=ax),
        lambda ax: ul.plot.gap_heatmap(result, ax=ax),
        lambda ax: ul.plot.imputation(errors, ax=ax),
        lambda ax: ul.plot.graph(joint, ax=ax),
        lambda ax: ul.plot.scree(IRIS, ax=ax),
    ]
    for draw in drawings:
        _, ax = plt.subplots()
        before = len(plt.get_fignums())
        assert draw(ax) is ax
        assert len(plt.get_fignums()) == before


# --- the latent plane -------------------------------------------------------------------------------


def test_latent_scatter_shows_every_row_in_its_group() -> None:
    model = PCA(2).fit(DIGITS.data)
    ax = ul.plot.latent(model, DIGITS.images, DIGITS.target)
    groups = [np.asarray(drawn.get_offsets()) for drawn in ax.collections]
    assert [len(group) for group in groups] == np.bincount(DIGITS.target).tolist()
    np.testing.assert_allclose(groups[3], model.transform(DIGITS.data)[DIGITS.target == 3], atol=1e-9)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [str(k) for k in range(10)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("latent mean 1", "latent mean 2")


def test_latent_scatter_of_many_dimensions_takes_the_two_that_vary_most() -> None:
    means = np.random.default_rng(0).normal(size=(50, 4)) * [1.0, 5.0, 0.1, 3.0]
    model = SimpleNamespace(transform=lambda X: means)
    ax = ul.plot.latent(model, None)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), means[:, [1, 3]])
    assert ax.get_xlabel() == "latent mean 2 (of 4; the two that vary most)"
    assert ax.get_ylabel() == "latent mean 4"


def test_latent_scatter_of_labels_of_every_kind() -> None:
    model = PCA(2).fit(IRIS)
    species = pd.Series(load_iris().target).map({0: "setosa", 1: "versicolor", 2: "virginica"}).rename("species")
    ax = ul.plot.latent(model, IRIS, species)
    assert ax.get_legend().get_title().get_text() == "species"
    species[:10] = None
    ax = ul.plot.latent(model, IRIS, species)
    assert "unlabelled" in [text.get_text() for text in ax.get_legend().get_texts()]
    ax = ul.plot.latent(model, IRIS, pd.Series(IRIS[:, 0], name="sepal length"))
    assert ax.figure.axes[-1].get_ylabel() == "sepal length"
    one = ul.plot.latent(PCA(1).fit(IRIS), IRIS)
    assert one.get_ylabel() == "(spread at random)"


def test_decoded_grid_has_the_mean_in_the_middle_and_large_coordinates_at_the_top_right() -> None:
    model = PCA(3).fit(DIGITS.data)
    ax = ul.plot.decoded_grid(model, 5, coordinates=(0, 2))
    canvas = np.asarray(ax.images[0].get_array())
    step = 9  # 8 pixels and a blank line
    cell = canvas[1 + 2 * step : 1 + 2 * step + 8, 1 + 2 * step : 1 + 2 * step + 8]
    np.testing.assert_allclose(cell, model.mean_.reshape(8, 8), atol=1e-9)
    top_right = canvas[1 : 1 + 8, 1 + 4 * step : 1 + 4 * step + 8]
    z = np.array([[1.2815515655446004, 0.0, 1.2815515655446004]]) * np.sqrt(model.explained_variance_)
    np.testing.assert_allclose(top_right, model.inverse_transform(z).reshape(8, 8), atol=1e-9)
    assert ax.get_xlabel() == "latent coordinate 1"
    assert ax.get_ylabel() == "latent coordinate 3"


def test_latent_and_grid_share_their_coordinates() -> None:
    figure = ul.plot.latent_and_grid(FactorAnalysis(2).fit(DIGITS.data), DIGITS.images, DIGITS.target, n=4)
    left, right = figure.axes[:2]
    assert left.get_xlabel() == "latent mean 1"
    assert right.get_xlabel() == "latent coordinate 1"
    with pytest.raises(ValueError, match="one latent coordinate"):
        ul.plot.latent_and_grid(PCA(1).fit(DIGITS.data), DIGITS.images)


def test_latent_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(TypeError, match="GaussianMixture has no transform"):
        ul.plot.latent(GaussianMixture(2).fit(IRIS), IRIS)
    with pytest.raises(ValueError, match="y has 3 labels for 150 rows"):
        ul.plot.latent(PCA(2).fit(IRIS), IRIS, [1, 2, 3])
    with pytest.raises(NotFittedError):
        ul.plot.latent(PCA(2), IRIS)
    with pytest.raises(ValueError, match="needs more latent coordinates than the model's 1"):
        ul.plot.decoded_grid(PCA(1).fit(DIGITS.data))
    wine = load_wine().data
    with pytest.raises(ValueError, match="give image_shape"):
        ul.plot.decoded_grid(PCA(2).fit(wine))
    with pytest.raises(ValueError, match="has 12 pixels, but a row has 13"):
        ul.plot.decoded_grid(PCA(2).fit(wine), image_shape=(3, 4))


# --- images -----------------------------------------------------------------------------------------


def test_mosaic_puts_each_image_in_its_place() -> None:
    stack = np.arange(5 * 4 * 3, dtype=float).reshape(5, 4, 3)
    canvas, corners = mosaic(stack, 2, head=0.5)
    for image, (top, left) in zip(stack, corners, strict=True):
        np.testing.assert_array_equal(canvas[top : top + 4, left : left + 3], image)
    assert np.isfinite(canvas).sum() == stack.size


def test_image_grid_takes_titles_and_colour() -> None:
    ax = ul.plot.image_grid(DIGITS.images[:6], ncols=3, titles=DIGITS.target[:6])
    assert [text.get_text() for text in ax.texts] == [str(k) for k in DIGITS.target[:6]]
    colour = np.random.default_rng(0).random((4, 5, 6, 3))
    assert ul.plot.image_grid(colour).images[0].get_array().shape[-1] == 3
    with pytest.raises(ValueError, match="expected an array"):
        ul.plot.image_grid(DIGITS.data)
    with pytest.raises(ValueError, match="2 given for 3 images"):
        ul.plot.image_grid(DIGITS.images[:3], titles=["a", "b"])


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_drawn_samples_of_a_mixture_have_its_moments(kind: str) -> None:
    """14 moments of 20,000 draws against exact, each within 4.5 noise sd: false alarm 1e-4."""
    from underlie.plot.images import draw

    model = GaussianMixture(3, covariance_type=kind, random_state=0).fit(IRIS)
    result = ul.mega(model, draw(model, 20_000, 0), n_bootstrap=0)
    assert (np.abs(result.gap_first) < 4.5 * result.orders[1].noise).all()
    assert (np.abs(result.gap) < 4.5 * result.orders[2].noise).all()


@pytest.mark.parametrize("model", [PCA(3), FactorAnalysis(3)], ids=str)
def test_drawn_samples_of_linear_models_have_their_moments(model: PCA) -> None:
    """As above."""
    from underlie.plot.images import draw

    model.fit(IRIS)
    result = ul.mega(model, draw(model, 20_000, 0), n_bootstrap=0)
    assert (np.abs(result.gap) < 4.5 * result.orders[2].noise).all()


def test_generated_images_are_three_panels_on_labelled_scales() -> None:
    model = GaussianMixture(5, covariance_type="diag", random_state=0).fit(DIGITS.data)
    figure = ul.plot.samples_means_sds(model, 9, random_state=0)
    assert [ax.get_title() for ax in figure.axes[:3]] == [
        "samples x ~ p(x)",
        "means E[x | z], z ~ p(z)",
        "standard deviations sd[x | z]",
    ]
    assert [ax.get_ylabel() for ax in figure.axes[3:]] == ["pixel value", "sd of a pixel"]
    assert figure.axes[0].images[0].get_clim() == figure.axes[1].images[0].get_clim()
    with pytest.raises(ValueError, match="use 'sample', 'mean' or 'sd'"):
        ul.plot.samples(model, what="median")


def test_same_seed_same_image() -> None:
    model = PCA(3).fit(DIGITS.data)
    a, b = (ul.plot.samples(model, 4, random_state=1).images[0].get_array() for _ in range(2))
    np.testing.assert_array_equal(a, b)


# --- training, gaps, errors, spectra ----------------------------------------------------------------


@pytest.mark.parametrize("n_replicates", [1, 3, 12])
def test_training_curves_mark_the_epoch_kept(n_replicates: int) -> None:
    model = trained(n_replicates)
    ax = ul.plot.training_curves(model)
    valid = model.history_["valid"][-1]
    dots = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
    best = int(np.nanargmax(valid))
    assert (best, valid[best]) in [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots]
    assert len(dots) == (n_replicates if n_replicates <= 5 else 1)
    assert ax.get_xlabel() == "epoch"
    assert "nats per row" in ax.get_ylabel()
    low, high = ax.get_ylim()
    assert low < valid[best] < high
    assert low > np.nanmin(valid)


def test_training_curves_need_a_history() -> None:
    with pytest.raises(TypeError, match="keeps no history_"):
        ul.plot.training_curves(PCA(2).fit(IRIS))
    flat = SimpleNamespace(history_={"train": np.array([[-3.0]])})
    assert len(ul.plot.training_curves(flat).lines) > 0


def test_gap_heatmap_is_centred_at_zero_and_named() -> None:
    frame = load_iris(as_frame=True).data
    result = ul.mega(PCA(1).fit(frame[:50]), frame)
    ax = ul.plot.gap_heatmap(result)
    low, high = ax.images[0].get_clim()
    assert low == -high
    np.testing.assert_allclose(ax.images[0].get_array(), result.gap)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(frame.columns)
    assert f"{result.second:.3g}" in ax.get_title()
    assert f"{result.floor:.3g}" in ax.get_title()
    assert "data − model" in ax.figure.axes[-1].get_ylabel()
    relative = ul.plot.gap_heatmap(result, relative=True)
    np.testing.assert_allclose(relative.images[0].get_array(), result.gap / result.orders[2].noise)
    assert relative.images[0].get_clim() == (-10.0, 10.0)
    right = ul.plot.gap_heatmap(ul.mega(PCA(3).fit(frame), frame), relative=True)
    assert right.images[0].get_clim() == (-3.0, 3.0)


def test_gap_heatmap_of_images_leaves_constant_pixels_out_of_relative_gaps() -> None:
    result = ul.mega(PCA(5).fit(DIGITS.data), DIGITS.data, n_bootstrap=0)
    shown = ul.plot.gap_heatmap(result, relative=True).images[0].get_array()
    assert np.ma.is_masked(shown)
    assert np.abs(shown.compressed()).max() < 1e5
    with pytest.raises(ValueError, match="order=2"):
        ul.plot.gap_heatmap(ul.mega(PCA(1).fit(IRIS), IRIS, order=1))


def test_imputation_errors_are_marked_where_they_are() -> None:
    rows = [("age", "mean", 1.0), ("age", "pPCA", 0.8), ("grade", "mean", 0.5), ("grade", "pPCA", 0.4)]
    errors = pd.DataFrame(rows, columns=["column", "method", "error"])
    for table in (errors, pl.from_pandas(errors)):
        ax = ul.plot.imputation(table, label="RMSE / sd")
        marks = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
        np.testing.assert_allclose(marks["pPCA"].get_xdata(), [0.8, 0.4])
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["age", "grade"]
        assert ax.get_xlabel() == "RMSE / sd"
    repeated = pd.concat([errors, errors.assign(error=errors["error"] + 0.2)])
    ax = ul.plot.imputation(repeated)
    marks = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    np.testing.assert_allclose(marks["mean"].get_xdata(), [1.1, 0.6])
    with pytest.raises(ValueError, match="no column 'error'"):
        ul.plot.imputation(errors.drop(columns="error"))
    with pytest.raises(ValueError, match="no rows"):
        ul.plot.imputation(errors[:0])


def test_scree_shows_the_spectrum_and_marks_the_rank() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 8)) * 2 + rng.normal(size=(400, 8))
    ax = ul.plot.scree(X)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.linalg.eigvalsh(np.cov(X.T, ddof=0))[::-1], rtol=1e-9)
    assert ax.get_title() == "smallest BIC at M = 3"
    assert ax.figure.axes[1].get_ylabel() == "BIC of probabilistic PCA"
    holes = np.where(rng.random(X.shape) < 0.05, np.nan, X)
    assert ul.plot.scree(holes).get_title() == "smallest BIC at M = 3"
    with_model = ul.plot.scree(PCA(5).fit(X), X)
    assert with_model.get_title() == "smallest BIC at M = 3; this model (dotted): M = 5"
    alone = ul.plot.scree(PCA(3).fit(X))
    np.testing.assert_allclose(alone.lines[0].get_ydata()[:3], PCA(3).fit(X).explained_variance_, rtol=1e-6)
    scaled = ul.plot.scree(X * np.arange(1, 9), standardize=True)
    assert scaled.get_ylabel() == "eigenvalue of the correlation matrix"
    np.testing.assert_allclose(np.nansum(scaled.lines[0].get_ydata()), 8.0, rtol=1e-9)
    with pytest.raises(TypeError, match="no latent dimensions"):
        ul.plot.scree(GaussianMixture(1).fit(X), X)


def test_colours_of_groups_are_those_of_the_palette() -> None:
    ax = ul.plot.latent(PCA(2).fit(IRIS), IRIS, load_iris().target)
    drawn = [to_hex(group.get_facecolor()[0]) for group in ax.collections]
    assert drawn == [colour.lower() for colour in palette(3)]
