"""Bootstrap likelihood-ratio tests of the number of components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from underlie.check.adapters import moment_model
from underlie.check.mixtures.fitting import Fit, Problem, Settings, check_types
from underlie.check.mixtures.starts import Starts
from underlie.check.seeds import generator, integer_seed

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
N_BOOTSTRAP = 99


@final
@dataclass(frozen=True, eq=False)
class BootstrapTest:
    """Tests of K against K + 1 components; see `MixtureSelection.bootstrap_test`.

    Attributes
    ----------
    table : pandas.DataFrame
        Indexed by ``n_components`` K: ``statistic``, twice the log-likelihood ratio; ``p_value`` and its Monte-Carlo
        standard error ``p_value_se``; ``n_bootstrap``, simulated samples in which both mixtures had a proper fit.
    simulated : dict of int to ndarray
        Statistics of the simulated samples, by K.
    n_components : int
        The first K that is not rejected; the largest tested + 1 when all are.
    covariance_type : str
    level : float
    """

    table: pd.DataFrame
    simulated: dict[int, Array]
    n_components: int
    covariance_type: str
    level: float

    def __str__(self) -> str:
        rejected = bool((self.table["p_value"] <= self.level).all())
        found = f"at least {self.n_components}" if rejected else f"{self.n_components}"
        return (
            f"bootstrap likelihood-ratio tests of K against K + 1, {self.covariance_type} covariances: "
            f"K = {found} at level {self.level:g}\n{self.table.round(3)}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{str(self).splitlines()[0]}</p>{self.table.round(3).to_html()}"


def bootstrap_test(
    values: Array,
    names: tuple[str, ...],
    n_components: int | None,
    covariance_type: str,
    *,
    level: float,
    n_bootstrap: int,
    settings: Settings,
    max_components: int,
    random_state: object,
    n_jobs: int | None,
) -> BootstrapTest:
    """Tests of one K, or of K = 1, 2, ... < `max_components` until one is not rejected."""
    import pandas as pd

    check_types(covariance_type)
    if not 0 < level < 1 or n_bootstrap < 1 or settings.n_init < 1:
        raise ValueError(f"level={level!r}, n_bootstrap={n_bootstrap!r}, n_init={settings.n_init!r}: out of range")
    tested = range(1, max(2, max_components)) if n_components is None else (n_components,)
    rng = generator(random_state)
    rows, simulated, chosen = {}, {}, 0
    with threadpool_limits(1):
        for k in tested:
            observed, null = _fit_pair(values, names, k, covariance_type, settings, rng)
            if null.model is None:
                raise ValueError(f"{k} components, {covariance_type}: no proper fit ({null.reason})")
            null_model = moment_model(null.model)
            seeds = [integer_seed(rng) for _ in range(n_bootstrap)]
            draw = _Draw(null_model, len(values), names, k, covariance_type, settings)
            draws = Parallel(n_jobs=n_jobs)(delayed(draw)(seed) for seed in seeds)
            simulated[k] = np.array(draws)[np.isfinite(draws)]
            valid = len(simulated[k])
            p = (1 + int((simulated[k] >= observed).sum())) / (valid + 1) if np.isfinite(observed) else np.nan
            rows[k] = {"statistic": observed, "p_value": p, "p_value_se": np.sqrt(p * (1 - p) / (valid + 1))}
            rows[k]["n_bootstrap"] = valid
            chosen = k
            if not p <= level:  # also when K + 1 components have no proper fit
                break
            chosen = k + 1
    table = pd.DataFrame.from_dict(rows, orient="index").astype({"n_bootstrap": int})
    table.index.name = "n_components"
    return BootstrapTest(table, simulated, chosen, covariance_type, level)


@final
@dataclass(frozen=True, eq=False)  # compared by identity, so that clusters can tell functions apart by their hash
class _Draw:
    """The statistic of one sample from the smaller mixture, by its own seed: the same in whatever process."""

    null: Any
    n: int
    names: tuple[str, ...]
    k: int
    covariance_type: str
    settings: Settings

    def __call__(self, seed: int) -> float:
        rng = np.random.default_rng(seed)
        sample = self.null.sample(self.n, integer_seed(rng))
        with threadpool_limits(1):
            return _fit_pair(sample, self.names, self.k, self.covariance_type, self.settings, rng)[0]


def _fit_pair(
    values: Array, names: tuple[str, ...], k: int, covariance_type: str, settings: Settings, rng: np.random.Generator
) -> tuple[float, Fit]:
    """Twice the log-likelihood ratio of K + 1 to K components, NaN without both, and the fit of K."""
    problem, starts = Problem(values, names), Starts(values, rng)
    small, large = (
        problem.fit(starts.labels(count, settings.n_init), count, covariance_type, settings) for count in (k, k + 1)
    )
    return 2 * (large.log_likelihood - small.log_likelihood), small
