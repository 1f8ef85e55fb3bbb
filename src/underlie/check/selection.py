r"""The path of models that a penalty on moment gaps selects, beside the information criteria."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from underlie.check.adapters import moment_model
from underlie.check.mega import mega
from underlie.check.mixtures.criteria import contribution, row_terms
from underlie.check.mixtures.result import MixtureSelection
from underlie.check.scores import information_criteria, n_parameters, row_log_likelihood, standard_error
from underlie.check.seeds import generator, integer_seed
from underlie.warnings import DataWarning, warn

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
_ROUNDING = 1e-8
"""Gaps that differ by less of the data's own moment are equal: rounding alone must not choose at large alpha."""


@final
@dataclass(frozen=True, eq=False)
class SelectionPath:
    """Result of `selection_path`: `print` it, look at its ``table`` and ``path``, draw it with ``plot()``.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per model, in the order given, with columns

        ``log_likelihood``, ``n_parameters``
            mean per row in nats, and free parameters;
        ``delta_log_likelihood``, ``delta_se``
            difference to the best model, and its standard error paired by row;
        ``aic``, ``bic``, ``icl``
            lower is better; ``icl`` is NaN of models that are no Gaussian mixtures;
        ``icl_se``
            standard error, paired by row, of the difference of ICL to the model of the lowest;
        ``mega_k``, ``mega_k_se``, ``mega_k_floor`` for k up to the order
            moment gaps in Frobenius norm, their Monte-Carlo standard errors (0 when exact) and floors;
        ``penalty``, ``penalty_se``
            sum over k of mega_k^(1/k), what alpha multiplies, and its Monte-Carlo standard error;
        ``exact``
            whether the moments are in closed form.
    path : pandas.DataFrame
        The models that are best for some alpha >= 0, each with its interval ``alpha_from`` to ``alpha_to``.
    chosen : pandas.Series
        The model at each alpha asked for.
    flat : dict of str to str
        Criteria that cannot tell any of the models apart, and why.
    near : dict of str to tuple of str
        For each log-likelihood based criterion, models within two paired standard errors of its best.
    n : int
        Rows.
    """

    table: pd.DataFrame
    path: pd.DataFrame
    chosen: pd.Series
    flat: Mapping[str, str]
    near: Mapping[str, tuple[str, ...]]
    n: int

    def best(self, criterion: str) -> str:
        """The model that a criterion ("log_likelihood", "aic", "bic", "icl") chooses.

        Raises
        ------
        ValueError
            When no model has the criterion.
        """
        if criterion not in self.near:
            raise ValueError(f"no model has the criterion {criterion!r}; there are {', '.join(self.near)}")
        values = self.table[criterion].dropna()
        return str(values.idxmax() if criterion == "log_likelihood" else values.idxmin())

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Penalised log-likelihood of the models against alpha: `underlie.plot.selection_path`."""
        import underlie as ul  # by its public face: checks do not depend on drawing

        return ul.plot.selection_path(self, ax=ax, **options)

    def _caption(self) -> list[str]:
        lines = [f"{len(self.table)} models on {self.n:,} rows; as alpha grows: {' -> '.join(self.path.index)}"]
        for criterion, others in self.near.items():
            more = f" ({len(others)} more within 2 s.e.)" if others else ""
            lines.append(f"{criterion}: {self.best(criterion)}{more}")
        return lines + [f"flat: {why}" for why in self.flat.values()]

    def __str__(self) -> str:
        return "\n".join([*self._caption(), self.table.round(4).to_string()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in self._caption())
        return f"<p>{lines}</p>{self.table.round(4).to_html()}"


def selection_path(
    models: Mapping[Any, Any] | Sequence[Any] | MixtureSelection,
    X: object,
    alphas: Iterable[float],
    *,
    order: int = 2,
    random_state: object = None,
) -> SelectionPath:
    r"""Select among fitted models by log-likelihood less a penalty on moment gaps, for every weight of the penalty.

    .. math::
        \max_j \; \frac{1}{n} \sum_i \log p_j(x_i) - \alpha \sum_{k=1}^{order} \lVert \mathrm{kMEGA}_j \rVert_F^{1/k}

    which for order 2 is the source's log-likelihood - alpha (1MEGA-F + sqrt(2MEGA-F)). The log-likelihood is the mean
    over rows, as in the source's scripts and everywhere here; for its sum multiply alpha by n. Every model is a line
    in alpha, and the path is their upper envelope: gaps fall as alpha grows.

    Parameters
    ----------
    models : mapping of names to fitted models, sequence of them, or result of `fit_mixtures`
        Names need not be text; those of mixtures are such as "full 3".
    X : table, array or images
        n rows, those of the fit or held out; only on rows of the fit do AIC, BIC and ICL mean something.
    alphas : iterable of float
        Weights of the penalty, at least 0, at which to state the choice. The path itself covers all.
    order : {1, 2, 3, 4}
        Highest order of the gaps.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of latent draws where moments have no closed form; every model gets the same.

    Returns
    -------
    SelectionPath

    Raises
    ------
    ValueError
        When there is no model, an alpha is negative or not finite, or X does not suit a model (see `mega`).
    TypeError
        When a model offers no log-likelihood or moments.

    Warns
    -----
    DataWarning
        When a criterion is flat: no model's log-likelihood (hence AIC or BIC) or ICL is further than two paired
        standard errors from the best; or penalties differ by no more than their Monte-Carlo error, or all gaps lie
        below their floors.

    Notes
    -----
    EM with unrestricted covariances matches the first moments of its rows exactly and the second up to S / n, whatever
    the number of components. On those rows the exact gaps of such mixtures are equal, the penalty chooses nothing, and
    the path is the log-likelihood's alone; a choice among them by gaps from Monte-Carlo draws is made by the draws.

    References
    ----------
    Beaulac (2021), A moment-matching metric for latent variable generative models, equation 17.

    Examples
    --------
    Standardised wines, half of them held out; large weights ask for more dimensions than the likelihood does:

    >>> from sklearn.datasets import load_wine
    >>> from sklearn.decomposition import PCA
    >>> import underlie as ul
    >>> X = load_wine().data
    >>> X = (X - X.mean(axis=0)) / X.std(axis=0)
    >>> found = ul.selection_path({f"M = {m}": PCA(m).fit(X[::2]) for m in (2, 4, 8, 10)}, X[1::2], [0, 9, 99])
    >>> list(found.chosen)
    ['M = 8', 'M = 8', 'M = 10']
    >>> found.path.round(1)
            alpha_from  alpha_to
    model
    M = 8          0.0      41.2
    M = 10        41.2       inf
    """
    named = _named(models)
    weights = _weights(alphas)
    seed = integer_seed(generator(random_state))
    log_density = {name: row_log_likelihood(model, X, name) for name, model in named.items()}
    table, near = _table(named, X, log_density, order, seed)
    flat = _flat(table, near, order)
    path = _envelope(table)
    import pandas as pd

    chosen = pd.Series(
        [path.index[path["alpha_from"].searchsorted(alpha, side="right") - 1] for alpha in weights],
        index=pd.Index(weights, name="alpha"),
        name="model",
    )
    for why in flat.values():
        warn(why, DataWarning)
    return SelectionPath(table, path, chosen, flat, near, len(next(iter(log_density.values()))))


def _named(models: Any) -> dict[str, Any]:
    if isinstance(models, MixtureSelection):
        models = models.models
    if isinstance(models, Mapping):
        named = {_label(name): model for name, model in models.items()}
    elif isinstance(models, Sequence) and not isinstance(models, str):
        named = {f"{i}: {type(model).__name__}": model for i, model in enumerate(models)}
    else:
        raise TypeError(
            f"models must be a mapping of names to fitted models, or a list, got {type(models).__name__}; "
            "use {'name': model}"
        )
    if not named:
        raise ValueError("models is empty; give at least one, {'name': model}")
    return named


def _label(name: Any) -> str:
    """Names of mixtures, (3, "full"), are written "full 3"."""
    return f"{name[1]} {name[0]}" if isinstance(name, tuple) and len(name) == 2 else str(name)


def _weights(alphas: Iterable[float]) -> Array:
    weights = np.atleast_1d(np.asarray(list(alphas) if not np.isscalar(alphas) else alphas, dtype=np.float64))
    if not len(weights) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("alphas must be finite numbers of at least 0, and at least one")
    return weights


def _table(
    named: Mapping[str, Any], X: object, log_density: Mapping[str, Array], order: int, seed: int
) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    import pandas as pd

    certainty = {name: _log_posterior(model, X) for name, model in named.items()}
    rows = {}
    for name, model in named.items():
        own, n, k = log_density[name], len(log_density[name]), n_parameters(model)
        row = {"log_likelihood": float(own.mean()), "n_parameters": k, **information_criteria(k, own), "icl": np.nan}
        if (sure := certainty[name]) is not None:
            row["icl"] = row["bic"] - 2 * float(sure.sum())
        rows[name] = {**row, **_gaps(model, X, order, seed)}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "model"
    near = {}
    best = str(table["log_likelihood"].idxmax())
    differences = {name: own - log_density[best] for name, own in log_density.items()}
    table.insert(1, "delta_log_likelihood", [float(d.mean()) for d in differences.values()])
    table.insert(2, "delta_se", [standard_error(d) for d in differences.values()])
    table.insert(table.columns.get_loc("icl") + 1, "icl_se", np.nan)
    for criterion in ("log_likelihood", "aic", "bic", "icl"):
        terms = {
            name: contribution(criterion, log_density[name], np.asarray(certainty[name], dtype=np.float64))
            for name in named
            if np.isfinite(table.loc[name, criterion])
        }
        if not terms:
            continue
        values = table.loc[list(terms), criterion] * (-2.0 * n if criterion == "log_likelihood" else 1.0)
        winner = str(values.idxmin())
        errors = {name: n * standard_error(own - terms[winner]) for name, own in terms.items()}
        near[criterion] = tuple(
            name for name in terms if name != winner and values[name] - values[winner] <= 2 * errors[name]
        )
        if criterion == "icl":
            table.loc[list(errors), "icl_se"] = list(errors.values())
    return table, near


def _log_posterior(model: Any, X: object) -> Array | None:
    """log of the largest posterior probability of a component, (n,), for mixtures."""
    if not isinstance(model, GaussianMixture):
        return None
    return row_terms(model, moment_model(model).numeric(X))[1]


def _gaps(model: Any, X: object, order: int, seed: int) -> dict[str, Any]:
    """Gaps with their noise, and the penalty sum_k gap_k^(1/k) with its Monte-Carlo error by the delta method."""
    result = mega(model, X, order, n_bootstrap=0, random_state=seed)
    row: dict[str, Any] = {}
    penalty, variance = 0.0, 0.0
    for k, gap in result.orders.items():
        row |= {f"mega_{k}": gap.value, f"mega_{k}_se": gap.mc_se, f"mega_{k}_floor": gap.floor}
        penalty += gap.value ** (1 / k)
        if gap.mc_se > 0:
            variance += (gap.mc_se * max(gap.value, gap.mc_se) ** (1 / k - 1) / k) ** 2
    return {**row, "penalty": penalty, "penalty_se": float(np.sqrt(variance)), "exact": result.exact}


def _flat(table: pd.DataFrame, near: Mapping[str, tuple[str, ...]], order: int) -> dict[str, str]:
    """Criteria that tell no models apart, and why."""
    flat: dict[str, str] = {}
    if len(table) < 2:
        return flat
    for criterion, others in near.items():
        if len(others) == int(table[criterion].notna().sum()) - 1 > 0:
            flat[criterion] = (
                f"{criterion} cannot tell these models apart: all lie within two paired standard errors of the best"
            )
    spread = table["penalty"] - table["penalty"].min()
    noise = 2 * np.hypot(table["penalty_se"], table["penalty_se"][table["penalty"].idxmin()])
    if (spread <= noise + _tolerance(table)).all():
        flat["penalty"] = (
            "the gaps cannot tell these models apart: their penalties are equal but for rounding or Monte-Carlo noise, "
            "so the path is the log-likelihood's alone"
        )
    elif all((table[f"mega_{k}"] <= table[f"mega_{k}_floor"]).all() for k in range(1, order + 1)):
        flat["penalty"] = (
            "the gaps cannot tell these models apart: all are below their floors, what a right model would score by "
            "chance, so what the path adds to the log-likelihood is noise"
        )
    return flat


def _tolerance(table: pd.DataFrame) -> float:
    """Difference of penalties that rounding can make: gaps near zero lose half their digits under the root."""
    return _ROUNDING**0.5 * float(table["penalty"].max()) + _ROUNDING


def _envelope(table: pd.DataFrame) -> pd.DataFrame:
    """The upper envelope of log_likelihood - alpha * penalty over alpha >= 0.

    From the best log-likelihood on, the next model is the one whose line is met first; penalties equal but for rounding
    count as equal.
    """
    import pandas as pd

    values, penalty = table["log_likelihood"].to_numpy(), table["penalty"].to_numpy()
    current, alpha = int(np.argmax(values)), 0.0
    steps = [(current, alpha)]
    while (lower := np.flatnonzero(penalty < penalty[current] - _tolerance(table))).size:
        crossings = (values[current] - values[lower]) / (penalty[current] - penalty[lower])
        first = float(max(crossings.min(), alpha))
        tied = lower[crossings <= first]
        current, alpha = int(tied[np.argmin(penalty[tied])]), first
        steps.append((current, alpha))
    ends = [start for _, start in steps[1:]] + [np.inf]
    return pd.DataFrame(
        {"alpha_from": [start for _, start in steps], "alpha_to": ends},
        index=pd.Index([str(table.index[j]) for j, _ in steps], name="model"),
    )
