"""What a comparison of survival models over repeated splits found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from underlie.check.survival.judging import METRICS, Metric
from underlie.check.survival.splits import corrected_interval

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "n_splits",
    "mean",
    "sd",
    "difference",
    "standard_error",
    "lower",
    "upper",
    "ratio",
    "better",
    "n_pairs",
)
_HEADLINES = ("integrated_brier", "antolini", "harrell")
_CALIBRATION = ("calibration_in_the_large", "absolute_calibration_in_the_large", "d_calibration_rejected")


@final
@dataclass(frozen=True, eq=False)
class SurvivalModelComparison:
    """Result of `compare_survival_models`: `print` it, take its ``table()``, draw it with ``plot()``.

    Attributes
    ----------
    scores : pandas.DataFrame
        One row per split, model and metric, with columns ``split``, ``model``, ``metric``, ``value``,
        ``fit_seconds``, ``predict_seconds`` (of the model in that split).
    splits : pandas.DataFrame
        One row per split: ``n_train``, ``n_test``, ``events_train``, ``events_test``, the times ``start`` and ``end``
        between which the Brier score is integrated, and ``horizon``.
    errors : pandas.DataFrame
        What failed: ``split``, ``model``, ``error``.
    models : tuple of str
        In the order given.
    metrics : tuple of str
        In the order asked for.
    reference : str
        The model that the others are compared with.
    scheme : str
        How rows were split, in words.
    n, n_events : int
        Rows and events.
    level : float
        Of the intervals.
    """

    scores: pd.DataFrame
    splits: pd.DataFrame
    errors: pd.DataFrame
    models: tuple[str, ...]
    metrics: tuple[str, ...]
    reference: str
    scheme: str
    n: int
    n_events: int
    level: float

    def values(self, metric: str) -> pd.DataFrame:
        """One metric as a table of splits by models; NaN where a model failed, or has no such metric.

        Raises
        ------
        ValueError
            When the metric was not computed.
        """
        if metric not in self.metrics:
            raise ValueError(f"metric {metric!r} was not computed; there are {', '.join(self.metrics)}")
        own = self.scores[self.scores["metric"] == metric]
        wide = own.pivot(index="split", columns="model", values="value")
        return wide.reindex(index=self.splits.index, columns=list(self.models))

    def table(self, metrics: Iterable[str] | None = None) -> pd.DataFrame:
        r"""Means over splits, and paired differences to the reference with intervals that allow for overlap.

        Training sets of different splits share rows, so that the splits' differences are correlated, and their
        standard deviation over root J is far too small. The standard error is Nadeau and Bengio's,

        .. math:: \mathrm{se}^2 = (1/J + n_\text{test} / n_\text{train}) \, s^2,

        with a t distribution of J - 1 degrees of freedom; for cross-validation it is used alike (Bouckaert and Frank
        2004). It speaks of data sets of this size from this population, not of others.

        Parameters
        ----------
        metrics : iterable of str, optional
            Which; all by default.

        Returns
        -------
        pandas.DataFrame
            Indexed by (metric, model), with columns

            ``n_splits``, ``mean``, ``sd``
                splits in which the metric exists, and its mean and standard deviation over them;
            ``difference``, ``standard_error``, ``lower``, ``upper``
                mean of model minus reference over the splits that both have, its corrected standard error and
                interval;
            ``ratio``
                geometric mean of model over reference, where both are positive;
            ``better``, ``n_pairs``
                in how many splits the model beats the reference, a tie counting half, of how many; NaN for metrics
                of which neither low nor high values are better.

        Raises
        ------
        ValueError
            When a metric was not computed.

        References
        ----------
        Nadeau and Bengio (2003), Machine Learning 52. Bouckaert and Frank (2004), PAKDD.
        """
        import pandas as pd

        share = float((self.splits["n_test"] / self.splits["n_train"]).mean())
        chosen = self.metrics if metrics is None else tuple(metrics)
        rows = {
            (metric, model): self._row(self.values(metric), model, METRICS[metric], share)
            for metric in chosen
            for model in self.models
        }
        table = pd.DataFrame(list(rows.values()), columns=list(COLUMNS))
        table.index = pd.MultiIndex.from_tuples(rows, names=["metric", "model"])
        return table

    def _row(self, values: pd.DataFrame, model: str, metric: Metric, share: float) -> tuple[float, ...]:
        own = values[model].dropna()
        spread = own.std(ddof=1) if len(own) > 1 else np.nan
        summary = (len(own), own.mean(), spread)
        if model == self.reference:
            return (*summary, *[np.nan] * 7)
        pairs = values[[model, self.reference]].dropna().to_numpy(dtype=np.float64)
        mine, other = pairs[:, 0], pairs[:, 1]
        if not len(pairs):
            return (*summary, *[np.nan] * 6, 0)
        differences = mine - other
        interval = corrected_interval(differences, share, self.level)
        ratio = float(np.exp(np.log(mine / other).mean())) if metric.better and (pairs > 0).all() else np.nan
        sign = {"lower": -1, "higher": 1}.get(metric.better or "", np.nan)
        better = float(((np.sign(differences) * sign + 1) / 2).sum())
        return (*summary, float(differences.mean()), *interval, ratio, better, len(pairs))

    def plot(self, metrics: str | Sequence[str] = "integrated_brier", **options: Any) -> Any:
        """Boxplots of metrics over the splits, one box per model: `underlie.plot.survival_boxplots`."""
        import underlie as ul  # by its public face: checks do not depend on drawing

        return ul.plot.survival_boxplots(self, metrics, **options)

    def __str__(self) -> str:
        heading = f"{self.scheme}, {self.n} rows, {self.n_events} events; each model against {self.reference}"
        parts = [heading]
        table = self.table()
        parts += [self._block(table.loc[name], name) for name in _HEADLINES if name in self.metrics]
        if set(_CALIBRATION) <= set(self.metrics):
            parts.append(self._calibration(table))
        parts.append(self._seconds())
        if len(self.errors):
            parts.append("failed\n" + "\n".join(f"  {e.model}, split {e.split}: {e.error}" for e in self._errors()))
        if len(self.splits) > 1:
            folds = "" if "random splits" in self.scheme else ", made for random splits"
            parts.append(
                f"[ ]: {self.level:.0%} interval of the mean difference, corrected for the overlap of splits (Nadeau "
                f"and\nBengio 2003; an approximation{folds}). better: splits in which the model beats the reference."
            )
        return "\n\n".join(parts)

    def _errors(self) -> Iterable[Any]:
        return self.errors.itertuples(index=False)

    @property
    def _width(self) -> int:
        return max(map(len, self.models)) + 2

    def _block(self, rows: pd.DataFrame, name: str) -> str:
        metric = METRICS[name]
        lines = [f"{metric.label} ({metric.better} is better)"]
        lines.append(f"  {'':<{self._width}}{'mean':>8}{'sd':>9}{'difference':>13}{'':>20}{'better':>10}")
        for model, row in rows.iterrows():
            line = f"  {model:<{self._width}}{row['mean']:>8.4f}{row['sd']:>9.4f}"
            if model != self.reference and row["n_pairs"] > 0:
                interval = f"[{row['lower']:+.4f}, {row['upper']:+.4f}]"
                line += f"{row['difference']:>+13.4f} {interval:<19}{row['better']:>5g} of {row['n_pairs']:g}"
            lines.append(line.replace("nan", "  –").rstrip())
        return "\n".join(lines)

    def _calibration(self, table: pd.DataFrame) -> str:
        large, absolute, rejected = (table["mean"].loc[name] for name in _CALIBRATION)
        lines = ["calibration: predicted − observed risk at the horizon, and splits in which D-calibration is rejected"]
        lines.append(f"  {'':<{self._width}}{'mean':>8}{'mean size':>11}{'rejected':>12}")
        for model in self.models:
            splits = int(table["n_splits"].loc["d_calibration_rejected", model])
            if splits:
                count = f"{rejected[model] * splits:.0f} of {splits}"
                lines.append(f"  {model:<{self._width}}{large[model]:>+8.4f}{absolute[model]:>11.4f}{count:>12}")
        return "\n".join(lines)

    def _seconds(self) -> str:
        once = self.scores.drop_duplicates(["split", "model"])
        means = once.groupby("model")["fit_seconds"].mean().reindex(list(self.models)).dropna()
        return "seconds to fit: " + ", ".join(
            f"{model} {seconds:.2g}" if seconds >= 0.01 else f"{model} < 0.01" for model, seconds in means.items()
        )
