r"""What the generative part of a semi-supervised model does to its classifier, over the weight it is given."""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from underlie.check.calibration import brier_score, calibration_error, label_log_loss
from underlie.check.scores import standard_error
from underlie.check.seeds import generator, integer_seed
from underlie.estimators.labelled_parameters import settings_of
from underlie.estimators.semi_supervised_vae import SemiSupervisedVAE
from underlie.estimators.targets import UNLABELLED, Targets
from underlie.warnings import ImportanceSamplingWarning

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Codes = NDArray[np.intp]

#: Measures, and whether more of it is better.
MEASURES: Final = {
    "accuracy": True,
    "log_loss": False,
    "calibration_error": False,
    "brier_score": False,
    "log_p_x": True,
    "train_log_q": True,
}
_OF_LABELS: Final[dict[str, Callable[[Array, Codes], float]]] = {
    "accuracy": lambda p, codes: float((p.argmax(axis=1) == codes).mean()),
    "log_loss": label_log_loss,
    "calibration_error": calibration_error,
    "brier_score": brier_score,
}


@final
@dataclass(frozen=True, eq=False)
class AlphaPath:
    """Result of `alpha_path`: `print` it, look at its ``table``, draw it with ``plot()``.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per measure and alpha; ``table.loc["accuracy"]`` is one measure's path. Columns

        ``mean``, ``se``
            mean over runs and its standard error;
        ``difference``, ``difference_se``
            mean difference from alpha = 0, paired by labels and starting weights, and its standard error.

        Measures of held-out rows are ``accuracy``, ``log_loss`` (-log q(y | x), nats per row), ``calibration_error``,
        ``brier_score``, ``log_p_x`` (importance-weighted bound on log p(x), nats per row), and of the labelled rows
        of training ``train_log_q`` (log q(y | x), nats per row).
    runs : pandas.DataFrame
        The measures of every run, by alpha, draw of labels and replicate.
    n_labelled : int
        Labelled rows of each fit.
    n, n_test : int
        Rows of each fit, and held-out rows with a label.
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    n_labelled: int
    n: int
    n_test: int

    @property
    def alphas(self) -> Array:
        """The weights, ascending from 0."""
        return np.asarray(self.runs.index.unique("alpha"), dtype=float)

    def best(self, measure: str = "log_loss") -> float:
        """The alpha of the best mean of a measure, the smallest of equals.

        Log loss by default: a proper score, which a model cannot better by being surer than it should. Chosen and
        judged by the same held-out rows, it is a little flattered.

        Raises
        ------
        ValueError
            When there is no such measure.
        """
        if measure not in MEASURES:
            raise ValueError(f"measure={measure!r}: choose among {', '.join(MEASURES)}")
        own = self.table.loc[measure, "mean"]
        return float(own.idxmax() if MEASURES[measure] else own.idxmin())

    def plot(self, measure: str = "accuracy", ax: Any = None) -> Any:
        """A measure against alpha: `underlie.plot.alpha_path`."""
        import underlie as ul  # by its public face: checks do not depend on drawing

        return ul.plot.alpha_path(self, measure, ax=ax)

    def _caption(self) -> str:
        draws, replicates = (self.runs.index.get_level_values(name).nunique() for name in ("draw", "replicate"))
        over = f"{draws} draws of labels" if draws > 1 else f"{replicates} replicates"
        return (
            f"{self.n_labelled:,} of {self.n:,} rows labelled, {self.n_test:,} held out; {draws} draw(s) of labels, "
            f"{replicates} replicate(s) each; standard errors over {over}"
        )

    def __str__(self) -> str:
        lines = [f"lowest log loss at alpha = {self.best():g}", self.table.round(4).to_string()]
        return "\n".join([self._caption(), *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._caption())}</p>{self.table.round(4).to_html()}"


def alpha_path(
    model: SemiSupervisedVAE,
    X: Any,
    y: Any,
    X_test: Any,
    y_test: Any,
    alphas: Iterable[float] = (0.0, 0.01, 0.1, 1.0, 10.0),
    *,
    n_labelled: int | None = None,
    n_draws: int = 1,
    n_replicates: int = 5,
    n_importance: int = 32,
    random_state: object = None,
) -> AlphaPath:
    r"""Fit a semi-supervised model at several weights of its generative part, and judge its classifier on other rows.

    .. math:: \max \; \alpha J + E_{labelled}[\log q(y \mid x)]

    At :math:`\alpha = 0` this is plain supervised learning; whether a larger weight does better says whether the
    generative part is a good regulariser of the classifier. Replicates of one alpha are trained as one computation, and
    each is judged by itself. All fits take the same number of steps: at :math:`\alpha = 0`, where a pass is one over
    the labelled rows alone, there are more passes.

    Parameters
    ----------
    model : SemiSupervisedVAE
        The settings; it is neither changed nor fitted. With ``neighbours=False`` the question is what the bound alone
        does; with ``neighbours=True`` unlabelled rows also teach the classifier what their neighbours' labels are, at
        every alpha above 0.
    X, y : rows and labels as `SemiSupervisedVAE.fit` takes them
        One column of classes.
    X_test, y_test : likewise
        Held-out rows. Those without a label count for ``log_p_x`` only.
    alphas : iterable of float
        Weights, at least 0. 0 itself is always among them: everything is compared with it.
    n_labelled : int, optional
        Labels to learn from, drawn from those in y in proportion to the classes; by default all of them.
    n_draws : int
        How many times they are drawn.
    n_replicates : int
        Fits for each draw and alpha, from different starting weights.
    n_importance : int
        Draws of z per row and class for ``log_p_x``.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed. Fits of one draw start from the same weights at every alpha.

    Returns
    -------
    AlphaPath

    Raises
    ------
    TypeError
        When the model is not a SemiSupervisedVAE.
    ValueError
        When an alpha is negative or not finite, a count cannot be used, there are not so many labels, or labels are
        not one column of classes.

    Notes
    -----
    Standard errors are over draws of labels where there are several (the mean over replicates is one number), else over
    replicates. Either way they are given the held-out rows.

    ``calibration_error`` is the expected calibration error in 15 bins of equal width: the mean distance between how
    sure the model is of its prediction and how often it is right, weighted by the rows in each bin. ``brier_score`` is
    the mean of :math:`\sum_k (q_k - 1[y = k])^2`, from 0 to 2. ``log_p_x`` at :math:`\alpha = 0` is that of the start,
    which nothing has trained.

    References
    ----------
    Beaulac & Rosenthal (2022), Introducing a new high-resolution handwritten digits data set with writer
    characteristics. Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks. Brier (1950),
    Verification of forecasts expressed in terms of probability.

    Examples
    --------
    >>> import underlie as ul
    >>> digits = ul.datasets.load_digits()
    >>> X, y = digits.data[:300], digits.target[:300]
    >>> model = ul.SemiSupervisedVAE(4, hidden=(16,), max_epochs=3)
    >>> path = ul.alpha_path(model, X[:200], y[:200], X[200:], y[200:], [0.1], n_replicates=2, random_state=0)
    >>> path.table.loc["accuracy"].index.tolist()
    [0.0, 0.1]
    >>> float(path.table.loc[("accuracy", 0.0), "difference"])
    0.0
    """
    if not isinstance(model, SemiSupervisedVAE):
        raise TypeError(f"model must be a SemiSupervisedVAE, got {type(model).__name__}")
    weights = _weights(alphas)
    for name, count in (("n_draws", n_draws), ("n_replicates", n_replicates), ("n_importance", n_importance)):
        _at_least_one(name, count)
    targets = _one_of_classes(y, model.classes)
    codes, test = _codes(targets, y), _codes(targets, y_test)
    if not (test >= 0).any():
        raise ValueError("y_test has no label: there is nothing to judge by")
    rng = generator(random_state)
    subsets = list(_label_draws(codes, n_labelled, n_draws, rng))
    rows = {}
    for draw, kept in enumerate(subsets):
        one = clone(model).set_params(n_replicates=n_replicates, random_state=integer_seed(rng), verbose=False)
        for alpha, fitted in _fits(one, X, kept, targets, weights):
            for r in range(n_replicates):
                rows[alpha, draw, r] = _judged(fitted.replicate(r), X, kept, X_test, test, n_importance)
    import pandas as pd

    runs = pd.DataFrame.from_dict(rows, orient="index", columns=list(MEASURES))
    runs.index = pd.MultiIndex.from_tuples(list(rows), names=["alpha", "draw", "replicate"])
    runs = runs.sort_index()
    return AlphaPath(_summary(runs), runs, int((subsets[0] >= 0).sum()), len(codes), int((test >= 0).sum()))


def _weights(alphas: Iterable[float]) -> Array:
    weights = np.unique([0.0, *np.atleast_1d(np.asarray(alphas if np.isscalar(alphas) else list(alphas), dtype=float))])
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"alphas must be finite numbers of at least 0, got {weights.tolist()}")
    return weights


def _at_least_one(name: str, count: Any) -> None:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {count!r}")


def _one_of_classes(y: Any, classes: Sequence[Any] | None) -> Targets:
    targets = Targets.fit(y, len(y), classes)
    if len(targets.columns) != 1 or targets.columns[0].is_continuous:
        raise ValueError(
            "y must be one column of classes: accuracy and calibration are of classes, one label at a time"
        )
    return targets


def _codes(targets: Targets, y: Any) -> Codes:
    """Codes of the labels, -1 where there is none."""
    encoded, seen = targets.encode(y, len(y))
    return np.where(seen[:, 0], encoded[:, 0], UNLABELLED).astype(np.intp)


def _label_draws(codes: Codes, n_labelled: int | None, n_draws: int, rng: np.random.Generator) -> Iterator[Codes]:
    """Codes of which only some are kept."""
    labelled = np.flatnonzero(codes >= 0)
    if n_labelled is None or n_labelled == len(labelled):
        if n_draws > 1:
            raise ValueError(f"n_draws={n_draws} draws of all labels are the same; give n_labelled, or n_replicates")
        yield codes
        return
    _at_least_one("n_labelled", n_labelled)
    n_classes = len(np.unique(codes[labelled]))
    if not n_classes <= n_labelled <= len(labelled) - n_classes:
        raise ValueError(
            f"n_labelled={n_labelled}: y has {len(labelled)} labels of {n_classes} classes; between {n_classes} and "
            f"{len(labelled) - n_classes} can be drawn"
        )
    for _ in range(n_draws):
        kept, _ = train_test_split(
            labelled, train_size=n_labelled, stratify=codes[labelled], random_state=integer_seed(rng)
        )
        subset = np.full_like(codes, UNLABELLED)
        subset[kept] = codes[kept]
        yield subset


def _fits(
    model: SemiSupervisedVAE, X: Any, codes: Codes, targets: Targets, alphas: Array
) -> Iterator[tuple[float, SemiSupervisedVAE]]:
    """Each alpha with its fit; 0 comes last, when the number of steps is known."""
    labels = np.full(len(codes), None, dtype=object)
    labels[codes >= 0] = targets.decode(codes[codes >= 0, None].astype(float))
    steps: dict[str, int] = {}
    for alpha in alphas[::-1].tolist():
        fitted = clone(model).set_params(alpha=alpha, classes=targets.columns[0].classes)
        fitted.set_params(**(steps if alpha == 0 else {})).fit(X, labels)
        steps = _as_many_steps(fitted, codes)
        yield alpha, fitted


def _as_many_steps(fitted: SemiSupervisedVAE, codes: Codes) -> dict[str, int]:
    """Passes over the labelled rows alone that take as many steps as a fit to all rows took."""
    settings = settings_of(fitted, len(codes), torch.device("cpu"))
    n_labelled = int((codes >= 0).sum())
    of_labelled, of_others = (math.ceil(n / settings.batch_size) for n in (n_labelled, len(codes) - n_labelled))
    longer = max(of_labelled, of_others) / of_labelled
    return {
        "max_epochs": math.ceil(settings.max_epochs * longer),
        "patience": math.ceil(settings.patience * longer),
        "batch_size": settings.batch_size,
    }


def _judged(
    one: SemiSupervisedVAE, X: Any, codes: Codes, X_test: Any, test: Codes, n_importance: int
) -> dict[str, float]:
    """Every measure of one replicate; codes of the rows learned from and of those held out, -1 without a label."""
    found, known = one.predict_proba(X_test), test >= 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportanceSamplingWarning)  # a bound at any number of draws, and called so
        log_p = one.score_samples(X_test, n_importance=n_importance)
    return {
        **{name: measure(found[known], test[known]) for name, measure in _OF_LABELS.items()},
        "log_p_x": float(log_p.mean()),
        "train_log_q": -label_log_loss(one.predict_proba(X)[codes >= 0], codes[codes >= 0]),
    }


def _summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and differences from alpha = 0 with their standard errors, by measure and alpha."""
    import pandas as pd

    several = runs.index.get_level_values("draw").nunique() > 1
    units = runs.groupby(["alpha", "draw"]).mean() if several else runs.droplevel("draw")
    base = units.xs(0.0, level="alpha")
    rows = {}
    for measure in MEASURES:
        for alpha, own in units[measure].groupby("alpha"):
            values = own.droplevel("alpha")
            difference = (values - base[measure]).to_numpy()
            rows[measure, alpha] = {
                "mean": float(values.mean()),
                "se": standard_error(values.to_numpy()),
                "difference": float(difference.mean()),
                "difference_se": standard_error(difference),
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(list(rows), names=["measure", "alpha"])
    return table
