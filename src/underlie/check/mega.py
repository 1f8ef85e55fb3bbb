r"""MEGA: the moment gap between data and a latent-variable model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from underlie.check.adapters import MomentModel, moment_model
from underlie.check.gaps.frame import Frame
from underlie.check.gaps.function import FunctionOf
from underlie.check.gaps.gram_form import GramForm
from underlie.check.gaps.model_moments import draw_batches, model_moments, shares_of
from underlie.check.gaps.monomials import monomials, n_monomials
from underlie.check.gaps.null import (
    ROWS_OF_SPECTRUM,
    NullGaps,
    bootstrap_cost,
    bootstrap_fits,
    drawn_gaps,
    permuted_gaps,
    spectrum_norms,
)
from underlie.check.gaps.request import (
    MOST_ENTRIES,
    Request,
    check_entries,
    check_finite,
    check_function,
    check_gram,
    check_identified,
    check_refit,
    check_request,
)
from underlie.check.gaps.result import MegaResult, OrderGap
from underlie.check.gaps.rows import Rows
from underlie.check.gaps.sums import MomentSums
from underlie.check.gaps.tensor_form import TensorForm, entry_norms
from underlie.check.norms import Norm, schatten_exponent
from underlie.check.seeds import generator

Array = NDArray[np.float64]
N_BOOTSTRAP = 199
_MOST_BOOTSTRAP_FLOPS = 1e11
_DRAWS = {"tensor": 8192, "gram": 1024}


def mega(
    model: object,
    X: object,
    order: int = 2,
    *,
    norm: Norm = "fro",
    unbiased: bool = True,
    centred: bool = False,
    standardize: bool = False,
    function: Callable[[Array], Any] | None = None,
    form: Literal["auto", "tensor", "gram"] = "auto",
    n_draws: int | Literal["auto"] = "auto",
    n_bootstrap: int = N_BOOTSTRAP,
    refit: bool = False,
    random_state: object = None,
) -> MegaResult:
    r"""Moment gap between data and model: how far their moments of orders 1 to 4 are apart, and whether by chance.

    .. math::
        \mathrm{1MEGA} = \lVert \bar x - E_{model}[x] \rVert, \qquad
        \mathrm{2MEGA} = \lVert S + \bar x \bar x' - E_{model}[x x'] \rVert, \qquad
        \mathrm{kMEGA} = \Bigl\lVert \tfrac1n \sum_i x_i^{\otimes k} - E_{model}[x^{\otimes k}] \Bigr\rVert

    with S the sample covariance. The model's moments are exact where a closed form exists (mixtures of Gaussians,
    probabilistic PCA, factor analysis); otherwise they are means over m latent draws of the conditional moments
    E[x|z_i], Var[x|z_i] + E[x|z_i] E[x|z_i]' and so on, which has a smaller variance than sampling x.

    Parameters
    ----------
    model : fitted estimator, or array of draws (m, P)
        Any estimator of underlie, scikit-learn's GaussianMixture, PCA (as probabilistic PCA) or FactorAnalysis, or an
        object with one of

        - ``exact_moments() -> (mean (P,), raw second moment (P, P))``, for orders 1 and 2;
        - ``moments(z) -> (mean (m, P), variance (m, P))`` and ``sample_latent(m, random_state) -> z (m, M)``;
          coordinates must be independent given z, except indicators of one category, which the object lists in
          ``exclusive_groups_`` (sequences of column numbers). For orders 3 and 4, ``moments(z, order)`` with the third
          and fourth central moments after the variance;
        - ``sample(n, random_state) -> rows``; also needed for p-values of the others.

        With an array the two samples are compared, by permutation if no cell of X is missing.
    X : table, array or images, row source, or MomentSums
        n rows as the model was fitted to; what does not fit in memory (a memory map, HDF5, zarr, the path of a Parquet
        file) is read in pieces, several times. Missing cells: every
        entry of the data's moments rests on the rows where all its columns are seen, each column taken about its mean,
        which is unbiased when cells are missing completely at random and may not be otherwise. `MomentSums` stand for
        data that are never in one place.
    order : {1, 2, 3, 4}
        Highest moment; all lower ones are computed too.
    norm : {"fro", "op", "nuc"} or float
        Schatten norm of the gap, unfolded to a matrix, first axis against the rest: Frobenius, operator, nuclear, or
        the exponent q >= 1. Of a vector they are all the Euclidean norm.
    unbiased : bool
        Whether S has divisor n - 1, as the metric is defined, or n, which is the second moment of the rows themselves.
        Moments of other orders are plain means over the rows.
    centred : bool
        From order 2 on, take data and model each about its own mean: covariances, co-skewness, co-kurtosis.
    standardize : bool
        Take moments of (x - mean) / sd, mean and sd of X: free of units, so that columns of different units weigh
        alike, and the second moment is a correlation matrix. Constant columns keep their unit. Nearly constant columns
        weigh heavily then, so the user's own units (the default) suit images better.
    function : callable, optional
        g, from rows (n, P) to (n, G): compare moments of g(x), say of log x or of products. The model is sampled.
    form : {"auto", "tensor", "gram"}
        How: entry by entry, or through inner products of rows with the kernel (x'y)^k, which forms nothing with P x P
        entries and knows no single entries. "auto" takes the first up to 2 million distinct entries.
    n_draws : int or "auto"
        Latent draws m where there is no closed form, quasi-random where the model allows, in 16 independent batches.
        "auto" is 8192, or 1024 in the Gram form.
    n_bootstrap : int
        Data sets drawn from the model for p-values and noise; 0 for none.
    refit : bool
        Set it when the model was fitted to these very rows. The model is then fitted again to every data set drawn
        from it (a mixture starting from its parameters), so that floor and p-value allow for the fit. Otherwise such a
        model scores below its floor and is hardly ever rejected.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of all draws.

    Returns
    -------
    MegaResult
        ``first``, ``second``, ``third``, ``fourth`` (norms), ``gap``, ``floor``, ``p_value``; ``orders[k]`` with
        standard errors; ``terms()`` and ``coordinates()``: which entries and columns misfit.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    ValueError
        When X has another width, fewer than two rows, a column without values or a pair of columns never seen together,
        when the order or norm is not supported, or when the model has no finite moment.
    TypeError
        When the model offers no moments, or X is not numeric.

    Notes
    -----
    The *floor* is the root mean square of the norm under sampling noise alone, what a right model would score at this n
    and m. In Frobenius norm it is sqrt(sum Var(prod x) / n + Monte-Carlo error), over all entries, with variances from
    the data; for other norms, and with `refit`, it comes from data sets drawn from the model.

    The *p-value* is the share of such data sets whose norm is as large as the one observed. It is exact for a model
    that has not seen these rows, whatever n. Beyond about 1e11 multiplications (say n = 5,000 and P = 784), and for
    models that cannot be sampled, the squared norm is taken for a weighted sum of chi-squares instead, with the
    floor for its mean. That holds for the Frobenius norm, large n, and about 1,000 latent draws or more: with 128 draws
    from a model of heavy tails, 15 % of right models had p below .1. There the floor of central moments above the
    second takes the mean of the draws as known, which overstates their noise.

    The floor takes its variances from the data, the p-value from the model: under a model with heavier tails than the
    data a gap above the floor need not be a surprise.

    A Gaussian mixture fitted by EM matches the first moment of its rows exactly and the second up to S / n and the
    covariance floor, whatever its number of components, so on training data this gap cannot tell such models apart;
    orders 3 and 4 can.

    The standard error is by the delta method, and overstates the noise when the gap is itself of the size of the
    floor.

    References
    ----------
    Beaulac, C. (2021). A moment-matching metric for latent variable generative models. Gretton, A. et al. (2012). A
    kernel two-sample test. Westfall, P. H. & Young, S. S. (1993). Resampling-based multiple testing.

    Examples
    --------
    A model of one species of iris, checked against flowers of all three:

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> import underlie as ul
    >>> X = load_iris().data
    >>> result = ul.mega(PCA(n_components=1).fit(X[:50]), X, random_state=0)
    >>> print(result)
    MEGA (norm fro; n = 150 rows, P = 4; model moments: closed form)
    moment            gap  MC s.e.   floor      p
    first, E[x]     2.649    exact  0.1746  0.005
    second, E[x^2]  32.62    exact   2.313  0.005

    Two columns with the covariance of the model and another dependence, which only higher orders see:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal(2000)
    >>> b = np.where(np.abs(a) > 1.54, a, -a)           # normal, and uncorrelated with a
    >>> model = ul.ProbabilisticPCA(1).fit(rng.standard_normal((100_000, 2)))
    >>> result = ul.mega(model, np.column_stack([a, b]), order=4, random_state=0)
    >>> [result.orders[k].p_value < 0.01 for k in (2, 4)]
    [False, True]
    >>> result.terms().loc[0, ["column_1", "column_2", "column_3", "column_4"]].tolist()
    ['x0', 'x0', 'x1', 'x1']
    """
    order = check_request(order, norm, form, n_draws, n_bootstrap)
    rng = generator(random_state)
    view: MomentModel = moment_model(model)
    if refit:
        check_refit(view, n_bootstrap, function)
    if function is not None:
        check_function(function)
        view = FunctionOf(view, function)
    sums = X if isinstance(X, MomentSums) else None
    rows = None if sums is not None else Rows(view, X)
    mean, spread, reference = _scale_of_data(view, rows, sums, order, standardize)
    frame = Frame.of(mean, spread, reference, standardize=standardize, centred=centred, unbiased=unbiased)
    if form == "auto":
        fits = all(n_monomials(len(mean), k) <= MOST_ENTRIES for k in range(1, order + 1))
        form = "tensor" if fits or sums is not None else "gram"
    asked = Request(order, norm, _DRAWS[form] if n_draws == "auto" else n_draws, n_bootstrap, refit, rng)
    if form == "gram":
        if rows is None:
            raise ValueError('form="gram" needs the rows, but X holds sums over them; use form="tensor"')
        check_gram(norm, refit, n_monomials(len(mean), order))
        found, drawn, null = _by_inner_products(view, rows, frame, mean, asked)
    else:
        check_entries(len(mean), order)
        found, drawn, null = _by_entries(view, rows, sums, frame, asked)
    check_finite(found)
    return MegaResult(
        orders=found,
        exact=drawn == 0,
        form=form,
        null=null,
        feature_names=view.names,
        n=sums.n if sums is not None else len(rows or ()),
        m=drawn,
        norm=norm,
        standardized=standardize,
        centred=centred,
    )


def _scale_of_data(
    view: MomentModel, rows: Rows | None, sums: MomentSums | None, order: int, standardize: bool
) -> tuple[Array, Array, Array]:
    """Means and standard deviations of the data's columns, and the point that deviations are taken from, (P,) each."""
    if sums is not None:
        if sums.names != view.names:
            raise ValueError(f"X: sums of columns {list(sums.names)[:5]}, but the model has {list(view.names)[:5]}")
        if sums.order < order:
            raise ValueError(f"X: sums of order {sums.order}, but order={order} is asked for; make them of that order")
        spread = sums.spread() if standardize else np.ones(len(sums.names))
        reference = sums.reference.copy()
        mean = sums.mean()
    else:
        assert rows is not None
        if len(rows) < 2:
            raise ValueError(f"X has {len(rows)} row(s); moments and their noise need at least 2")
        mean, spread = rows.mean_and_spread()
        reference = mean.copy()
    for group in view.exclusive_groups:
        reference[group] = 0.0  # products of two indicators are then 0, as they are in the data
    return mean, spread, reference


def _by_inner_products(
    view: MomentModel, rows: Rows, frame: Frame, mean: Array, asked: Request
) -> tuple[dict[int, OrderGap], int, str]:
    """Gaps in the Gram form, number of draws, and what the p-values rest on."""
    rng, p_values = asked.rng, asked.n_bootstrap > 0
    mixture = view.gaussians()
    latents = [] if mixture is not None else draw_batches(view, asked.n_draws, rng)
    shift = frame.shift
    if frame.centred:
        shift = mixture.mean() if mixture is not None else _mean_of_draws(view, latents)
    found = GramForm(
        view,
        rows,
        None if mixture is None else mixture.transformed(shift, frame.scale),
        latents,
        frame,
        mean,
        shift,
    ).order_gaps(asked.order, rng, p_values=p_values)
    if frame.centred:  # the first moment is about a common point always
        common = replace(frame, shift=mean, centred=False)
        moved = None if mixture is None else mixture.transformed(mean, frame.scale)
        first = GramForm(view, rows, moved, latents, common, mean, mean).order_gaps(1, rng, p_values=p_values)
        found = found | first
    return found, sum(map(len, latents)), "spectrum" if p_values else "none"


def _mean_of_draws(view: MomentModel, latents: list[Any]) -> Array:
    means = np.stack([view.conditional(latent, 1)[0].mean(axis=0) for latent in latents])
    return np.asarray(shares_of(latents) @ means)


def _by_entries(
    view: MomentModel, rows: Rows | None, sums: MomentSums | None, frame: Frame, asked: Request
) -> tuple[dict[int, OrderGap], int, str]:
    """Gaps entry by entry, number of draws, and what the p-values rest on."""
    order, rng = asked.order, asked.rng
    data = sums.about(frame.reference).up_to(order) if sums is not None else None
    if data is None:
        assert rows is not None
        data = rows.sums(frame.reference, order)
    check_identified(data)
    model = model_moments(view, frame.reference, order, asked.n_draws, rng)
    seen = TensorForm(data, rows, model, frame, asked.norm)
    how = _null_of(view, data, rows, asked)
    null: NullGaps | None = None
    norms: dict[int, Array] = {}
    if how == "permutation":
        assert rows is not None
        draws = np.concatenate(view.latent_batches(asked.n_draws, 1, rng))
        null = permuted_gaps(rows, draws, frame, order, asked.n_bootstrap, rng)
    elif how in ("known", "refitted"):
        missing = None if rows is None or data.complete else rows.missing(rng)
        null = drawn_gaps(
            view,
            model,
            frame,
            data.n,
            missing,
            n_bootstrap=asked.n_bootstrap,
            refit=asked.refit,
            n_draws=asked.n_draws,
            rng=rng,
        )
    elif how == "spectrum":
        assert rows is not None
        some = frame.rows(rows.some(ROWS_OF_SPECTRUM, rng), data.mean())
        norms = {
            k: spectrum_norms(some @ some.T, k, seen.floor(k), rng, centred=frame.centred) for k in range(1, order + 1)
        }
    if null is not None:
        shapes = {k: monomials(len(frame.scale), k) for k in range(1, order + 1)}
        norms = {k: entry_norms(shape, null.draws[k - 1], asked.norm) for k, shape in shapes.items()}
    return seen.order_gaps(null, norms, known=not asked.refit), model.m, how


def _null_of(view: MomentModel, data: MomentSums, rows: Rows | None, asked: Request) -> str:
    """What p-values can rest on here."""
    order, n_bootstrap = asked.order, asked.n_bootstrap
    if not n_bootstrap or (rows is None and not data.complete):
        return "none"
    if asked.refit:
        return "refitted"
    if view.is_sample:
        return "permutation" if rows is not None and data.complete else "none"
    costly = n_bootstrap * bootstrap_cost(data.n, len(data.names), order) > _MOST_BOOTSTRAP_FLOPS
    costly = costly or not bootstrap_fits(n_monomials(len(data.names), order), n_bootstrap)
    by_spectrum = rows is not None and data.complete and schatten_exponent(asked.norm) == 2.0
    if by_spectrum and (costly or not view.can_sample):
        return "spectrum"
    return "known" if view.can_sample else "none"
