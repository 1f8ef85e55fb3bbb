"""Probabilistic PCA: the scikit-learn face of the linear-Gaussian latent-variable model."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from underlie.data import as_source
from underlie.data.sources import is_source
from underlie.estimators.base import LatentVariableModel, Posterior, as_generator, checked_count, is_whole
from underlie.estimators.linear_fit import (
    FitSettings,
    checked_largest,
    checked_rank,
    column_scale,
    fit_linear,
    largest_values,
    spectrum_ratio,
)
from underlie.estimators.scaled_gaussian import ScaledGaussian, checked_densities
from underlie.models.ppca import LinearGaussian, n_parameters
from underlie.models.ppca_table import MatrixTable, PartedTable, Table

Floats = NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None


@final
class ProbabilisticPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, LatentVariableModel):
    r"""Probabilistic principal component analysis: a Gaussian with few latent causes, missing cells allowed.

    .. math:: z \sim N(0, I_M), \qquad x \mid z \sim N(\mu + W z, \sigma^2 I_D)

    Every answer is exact: likelihood, posterior, imputation, sampling, with any pattern of missing cells. Cells are
    assumed to be missing at random.

    A table of mixed types enters through its numeric view: numbers in the user's units, one indicator per level of a
    categorical column. Results go back to tables: the nearest level, whole numbers for counts. The likelihood of such a
    table is that of the numeric view, a density; it must not be compared with one that gives levels probabilities.

    Parameters
    ----------
    n_components : int, "bic" or None, default 2
        Number M of latent dimensions, at most n - 2. D - 1 of them, D the number of numeric columns, already give any
        covariance: more are reduced to that, with a DataWarning. "bic": the number with the smallest BIC. None: only
        with ``prior="ard"``, which starts from as many as possible.
    solver : {"auto", "eigh", "em"}, default "auto"
        For a fixed number of components. "eigh": closed form, for complete data. "em": expectation-maximisation, also
        with missing cells. "auto": the closed form where the data are complete, else EM.
    prior : {None, "ard"}, default None
        "ard": a Gaussian prior with its own precision on each column of W, which removes the dimensions that the data
        do not support (Bishop 1999). ``n_components`` is then the largest number allowed. W is the posterior mean,
        shrunk, so that the log-likelihood of the training data is below its maximum.
    standardize : bool, default False
        Fit columns divided by their standard deviations. One noise variance is shared by all columns, so leave this
        off only where the columns have the same units (images, spectra, repeated measurements) and turn it on where
        they do not (age beside blood pressure). Likelihoods and results stay on the user's scale either way, so the
        two fits can be compared.
    tol : float, default 1e-6
        EM stops when the log-likelihood is this close to its maximum, in nats per row.
    max_iter : int, default 1000
        EM stops here, with a ConvergenceWarning, if it has not converged.
    random_state : int, Generator, RandomState or None
        Seed of ``sample`` and of the draws of ``impute`` where they are given none. ``fit`` uses no random numbers.

    Attributes
    ----------
    n_components_ : int
        M, as chosen.
    mean_ : ndarray of shape (D,)
        Means of the numeric columns, in the user's units.
    components_ : ndarray of shape (M, D)
        W', in the user's units: ``E[x | z] = mean_ + z @ components_``. Orthogonal and longest first where columns are
        not standardised. Each row is a principal axis times sqrt(eigenvalue - noise variance), not a unit vector.
    noise_variance_ : float
        Variance of the noise, on the scale that was fitted: in squared units of x, or of standardised columns.
    scale_ : ndarray of shape (D,)
        What the columns were divided by before the fit; ones unless ``standardize``.
    alpha_ : ndarray of shape (M,)
        With ``prior="ard"``: prior precision of each column of W, in inverse squared units of the columns fitted.
    explained_variance_ratio_ : ndarray of shape (M,)
        Eigenvalues of the fitted covariance over its trace.
    log_likelihood_ : ndarray, one entry per iteration
        Mean log-likelihood per row of the training data, in nats on the user's scale, at each EM step; one value where
        the solution is in closed form.
    n_iter_ : int
        EM steps; 1 in closed form.
    converged_ : bool
    bic_ : float
        BIC of the training data; smaller is better.
    n_parameters_ : int
        D + D M - M (M - 1) / 2 + 1.
    fit_time_ : float
        Seconds.
    model_ : LinearGaussian
        The model of the numeric columns, divided by ``scale_``.
    encoder_, schema_, n_features_in_, feature_names_in_
        See :class:`~underlie.estimators.base.LatentVariableModel`.

    See Also
    --------
    PPCAClassifier : one such model per class.

    References
    ----------
    Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis. JRSS B 61, 611-622.
    Bishop, C. M. (1999). Bayesian PCA. Advances in Neural Information Processing Systems 11, 382-388.

    Examples
    --------
    >>> import numpy as np, underlie as ul
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 1)) * [3.0, 2.0, 1.0] + 0.1 * rng.normal(size=(500, 3))
    >>> model = ul.ProbabilisticPCA(n_components=1).fit(X)
    >>> bool(abs(model.noise_variance_ - 0.01) < 0.002)
    True
    >>> holed = X[:1].copy(); holed[0, 2] = np.nan
    >>> bool(abs(model.impute(holed)[0, 2] - X[0, 2]) < 0.4)
    True
    """

    model_: LinearGaussian
    n_components_: int
    mean_: Floats
    components_: Floats
    noise_variance_: float
    scale_: Floats
    alpha_: Floats
    explained_variance_ratio_: Floats
    log_likelihood_: Floats
    n_iter_: int
    converged_: bool
    bic_: float
    n_parameters_: int

    def __init__(
        self,
        n_components: int | Literal["bic"] | None = 2,
        *,
        solver: Literal["auto", "eigh", "em"] = "auto",
        prior: Literal["ard"] | None = None,
        standardize: bool = False,
        tol: float = 1e-6,
        max_iter: int = 1000,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.solver = solver
        self.prior = prior
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    # ------------------------------------------------------------------------------------------------------- fitting

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit by maximum likelihood, or with ``prior="ard"`` by variational Bayes.

        Parameters
        ----------
        X : table, array, images or row source of n rows
            NaN or null where missing. A row source (see :func:`underlie.data.as_source`) is read in parts, of which
            means and scatter are merged: once, and once more where noise is all but absent. With missing cells, rows
            of one pattern are merged as they are read; rows that share theirs with few others are kept in memory.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or a parameter is unusable; the message names the column, or the parameter, and the remedy.

        Warns
        -----
        ConvergenceWarning
            If EM reached ``max_iter``.
        DataWarning
            If the rows lie in a space of ``n_components_`` dimensions, so that no noise is left.
        """
        start = time.perf_counter()
        settings = FitSettings(self.n_components, self.solver, self.prior, self.tol, self.max_iter)
        self._fit_encoder(X)
        table, largest = self._look_at(X)
        settings = replace(settings, n_dependent=self.schema_.kinds.count("categorical"))
        rank = checked_rank(self.n_components, table.shape) if is_whole(self.n_components) else None
        scale = column_scale(table) if self.standardize else np.ones_like(largest)
        fitted = fit_linear(table, scale, rank, settings, float((largest / scale).max()))
        self._set_model(ScaledGaussian(fitted.model, scale))
        self._set_relevance(fitted.alpha)
        self.n_iter_, self.converged_ = fitted.n_iter, fitted.converged
        self.log_likelihood_ = fitted.log_likelihood
        n = table.shape[0]
        self.bic_ = float(-2 * n * self.log_likelihood_[-1] + self.n_parameters_ * np.log(n))
        self.fit_time_ = time.perf_counter() - start
        return self

    def _look_at(self, X: Any) -> tuple[Table, Floats]:
        """X as numbers, with the largest absolute value of each column."""
        if is_source(X):
            source = as_source(X)
            if len(source) >= self.encoder_.n_numeric:  # of fewer rows, these are smaller than their scatter
                table = PartedTable(partial(self.encoder_.numeric_parts, source))
                return table, checked_largest(table.moments.largest, self.encoder_)
        A = self.encoder_.numeric(X)
        return MatrixTable(A), largest_values(A, self.encoder_)

    def _set_model(self, gaussian: ScaledGaussian) -> None:
        self._gaussian = gaussian
        self.model_, self.scale_ = gaussian.model, gaussian.scale
        self.mean_, self.components_ = gaussian.mean, gaussian.loadings.T
        self.noise_variance_ = gaussian.model.noise_variance
        self.n_components_ = self._n_features_out = gaussian.model.n_components
        self.explained_variance_ratio_ = spectrum_ratio(gaussian.model)
        self.n_parameters_ = n_parameters(self.model_.n_features, self.n_components_)

    def _set_relevance(self, alpha: Floats | None) -> None:
        if alpha is not None:
            self.alpha_ = alpha
        elif hasattr(self, "alpha_"):
            del self.alpha_

    # -------------------------------------------------------------------------------------------------- latent space

    def transform(self, X: Any) -> Floats:
        """Posterior means E[z | what is observed in the row].

        Parameters
        ----------
        X : table, array or images of n rows

        Returns
        -------
        ndarray of shape (n, M)
            Zero, the mean of the prior, for a row without observed cells.
        """
        gaussian = self._fitted()
        return np.concatenate([gaussian.posterior_mean(A) for A in self.encoder_.numeric_parts(X)])

    def posterior(self, X: Any) -> Posterior:
        """Distribution of z given what is observed in each row: N(mean, covariance), exactly.

        Parameters
        ----------
        X : table, array or images of n rows

        Returns
        -------
        Posterior
            ``mean`` (n, M), ``variance`` (n, M), ``covariance`` (n, M, M).
        """
        mean, covariance = self._fitted().posterior(self.encoder_.numeric(X))
        return Posterior(mean, np.diagonal(covariance, axis1=1, axis2=2).copy(), covariance)

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """E[x | z], as a table, array or images like the X of ``fit``.

        Parameters
        ----------
        Z : array-like of shape (m, M)

        Returns
        -------
        same type as X
            m rows; discrete columns at their nearest level.
        """
        return self.encoder_.from_numeric(self._fitted().expected(self._checked_latent(Z)), like=Z)

    def reconstruct(self, X: Any) -> Any:
        """Every cell, observed or not, at its mean given the row's posterior mean of z.

        This is ``inverse_transform(transform(X))``.
        Unlike the projection of classical PCA it is shrunk towards the mean, the more so the noisier the data.

        Parameters
        ----------
        X : table, array or images of n rows

        Returns
        -------
        same type as X
        """
        gaussian = self._fitted()
        return self.encoder_.from_numeric(gaussian.expected(gaussian.posterior_mean(self.encoder_.numeric(X))), like=X)

    def sample_latent(self, n: int = 1, random_state: RandomState = None) -> Floats:
        """Draw z from its prior N(0, I).

        Parameters
        ----------
        n : int
        random_state : int, Generator, RandomState or None
            None: that of the estimator.

        Returns
        -------
        ndarray of shape (n, M)
        """
        self._fitted()
        return self._rng(random_state).standard_normal((checked_count(n, "n"), self.n_components_))

    # ------------------------------------------------------------------------------------------------- missing cells

    def impute(self, X: Any, n_draws: int | None = None, random_state: RandomState = None) -> Any:
        """X with its missing cells filled: by their conditional means, or by draws from their joint distribution.

        Means are the best single guess (least squares). For inference that must carry the uncertainty of the missing
        cells, analyse several draws and pool the results (Rubin 1987). The draws treat the fitted parameters as known.

        Parameters
        ----------
        X : table, array or images of n rows
        n_draws : int, optional
            Number of completed tables.
        random_state : int, Generator, RandomState or None
            Seed of the draws.

        Returns
        -------
        same type, columns and order as X; a list of ``n_draws`` of them where ``n_draws`` is given
            Observed cells are returned as they came.

        References
        ----------
        Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys. Wiley.
        """
        gaussian = self._fitted()
        A = self.encoder_.numeric(X)
        if n_draws is None:
            return self._completed(X, gaussian.impute(A))
        n_draws = checked_count(n_draws, "n_draws")
        return [self._completed(X, draw) for draw in gaussian.impute_draws(A, n_draws, self._rng(random_state))]

    def _completed(self, X: Any, numeric: Floats) -> Any:
        return self.encoder_.fill(X, self.encoder_.encoded_from_numeric(numeric))

    # ---------------------------------------------------------------------------------------------------- likelihood

    def score_samples(self, X: Any) -> Floats:
        r"""Log-density of what is observed in each row, :math:`\log N(x_o; \mu_o, W_o W_o' + \sigma^2 I)`.

        Parameters
        ----------
        X : table, array or images of n rows

        Returns
        -------
        ndarray of shape (n,)
            Nats, on the user's scale; 0 for a row without observed cells.

        Raises
        ------
        ValueError
            If X does not have the columns of ``fit``, or a value is so far out that its log-density overflows.
        """
        gaussian = self._fitted()
        parts: list[Floats] = []
        first = 0
        for A in self.encoder_.numeric_parts(X):
            parts.append(checked_densities(gaussian.log_density(A), A, self.encoder_, first))
            first += len(A)
        return np.concatenate(parts)

    def anomaly_score(self, X: Any) -> Floats:
        """How surprising each row is: minus its log-density. Higher is more anomalous.

        A row with fewer observed cells has a density of fewer dimensions; compare rows with the same cells observed.

        Parameters
        ----------
        X : table, array or images of n rows

        Returns
        -------
        ndarray of shape (n,)
            Nats.
        """
        return -self.score_samples(X)

    def aic(self, X: Any) -> float:
        """Akaike's criterion on X: -2 log-likelihood + 2 ``n_parameters_``. Smaller is better."""
        return float(-2 * self.score_samples(X).sum() + 2 * self.n_parameters_)

    def bic(self, X: Any) -> float:
        """Schwarz's criterion on X: -2 log-likelihood + ``n_parameters_`` log n. Smaller is better."""
        scores = self.score_samples(X)
        return float(-2 * scores.sum() + self.n_parameters_ * np.log(len(scores)))

    # ------------------------------------------------------------------------------------------- the model as moments

    def sample(self, n: int = 1, random_state: RandomState = None) -> Any:
        """Draw new rows: z from the prior, x given z.

        Parameters
        ----------
        n : int
        random_state : int, Generator, RandomState or None
            None: that of the estimator.

        Returns
        -------
        same type as the X of ``fit``, n rows
        """
        gaussian = self._fitted()
        return self.encoder_.from_numeric(gaussian.sample(checked_count(n, "n"), self._rng(random_state)))

    def moments(self, z: ArrayLike) -> tuple[Floats, Floats]:
        """E[x | z] and Var[x | z] of the numeric columns, in the user's units.

        Parameters
        ----------
        z : array-like of shape (m, M)

        Returns
        -------
        mean, variance : ndarray of shape (m, D)
        """
        mean = self._fitted().expected(self._checked_latent(z))
        return mean, np.broadcast_to(self._gaussian.noise, mean.shape).copy()

    def exact_moments(self) -> tuple[Floats, Floats]:
        """E[x] and E[x x'] of the numeric columns under the model.

        Returns
        -------
        mean : ndarray of shape (D,)
        second : ndarray of shape (D, D)
        """
        gaussian = self._fitted()
        return gaussian.mean, gaussian.covariance() + np.outer(gaussian.mean, gaussian.mean)

    def gaussian_components(self) -> tuple[Floats, Floats, list[Floats], list[Floats]]:
        """The model as a mixture of one Gaussian N(mean, W W' + diag(noise)) of the numeric columns.

        Returns
        -------
        weights : ndarray of shape (1,)
        means : ndarray of shape (1, D)
        loadings : list of one ndarray of shape (D, M)
        noise : list of one ndarray of shape (D,)
        """
        gaussian = self._fitted()
        return np.ones(1), gaussian.mean[None], [gaussian.loadings], [gaussian.noise]

    def get_covariance(self) -> Floats:
        """Covariance of the numeric columns under the model, W W' + noise, (D, D)."""
        return self._fitted().covariance()

    # ----------------------------------------------------------------------------------------------------- internals

    def _fitted(self) -> ScaledGaussian:
        check_is_fitted(self)
        return self._gaussian

    def _rng(self, random_state: RandomState) -> np.random.Generator:
        return as_generator(self.random_state if random_state is None else random_state)

    def _checked_latent(self, Z: ArrayLike) -> Floats:
        latent = np.asarray(Z, dtype=np.float64)
        if latent.ndim != 2 or latent.shape[1] != self.n_components_:
            raise ValueError(f"Z has shape {latent.shape}, but (m, {self.n_components_}) is expected.")
        if not np.isfinite(latent).all():
            raise ValueError(f"Z has a value that is not finite in row {int(np.argwhere(~np.isfinite(latent))[0, 0])}.")
        return latent

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        model = self.model_
        state = {
            "noise_variance": model.noise_variance,
            "n_iter": self.n_iter_,
            "converged": self.converged_,
            "bic": self.bic_,
            "fit_time": self.fit_time_,
        }
        arrays = {
            "mean": model.mean,
            "loadings": model.loadings,
            "scale": self.scale_,
            "log_likelihood": self.log_likelihood_,
        }
        if hasattr(self, "alpha_"):
            arrays["alpha"] = self.alpha_
        return state, arrays

    def _restore(self, state: dict[str, Any], arrays: dict[str, Any]) -> None:
        model = LinearGaussian(arrays["mean"], arrays["loadings"], state["noise_variance"])
        if model.n_features != self.encoder_.n_numeric:
            raise ValueError(f"the model has {model.n_features} columns, the encoder {self.encoder_.n_numeric}")
        self._set_model(ScaledGaussian(model, arrays["scale"]))
        self._set_relevance(arrays.get("alpha"))
        self.log_likelihood_ = arrays["log_likelihood"]
        self.n_iter_, self.converged_ = int(state["n_iter"]), bool(state["converged"])
        self.bic_, self.fit_time_ = float(state["bic"]), float(state["fit_time"])
