"""Ugly tables, what is asked of every estimator on them, and how the answer is judged.

An answer passes if everything the estimator then says is finite, or if it refuses the table at once in words that help.
Afterwards it is asked of single rows that are unlike all others; these it may refuse, in words that help.
`benchmarks/stress.py` runs the long version, a test the short one.
"""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import underlie as ul
from underlie.warnings import UnderlieWarning

Generator = np.random.Generator
Array = NDArray[Any]
#: finite; refused in words that help; and the ways to fail: an answer that is no number, an error that is none of ours,
#: an error that does not help, a refusal only after fitting, and accepting what has no answer
Verdict = Literal["finite", "refused", "NaN", "crash", "unclear", "late", "accepted"]
PASSES: Final = ("finite", "refused")

_PACKAGE: Final = str(Path(ul.__file__).parent)
#: an error of fewer characters cannot name the place and the remedy
_SHORTEST: Final = 40
#: words by which an error tells what to do, and words that only numerical libraries use
_REMEDY: Final = re.compile(
    r"\b(give|drop|use|choose|remove|raise|lower|set|check|leave|must|needs?|replace|rescale|divide|merge|encode|round"
    r"|at least|at most|is refused|rename|standardise|mark)\b",
    re.IGNORECASE,
)
_FOREIGN: Final = re.compile(
    r"broadcast|singular matrix|did not converge|positive.definite|mat1|NoneType|out of bounds|cudnn|LAPACK",
    re.IGNORECASE,
)


# -------------------------------------------------------------------------------------------------------------- tables


@final
@dataclass(frozen=True)
class Table:
    """An ugly table.

    Attributes
    ----------
    name : str
    make : callable
        Rows from a generator and about how many; ``(n, columns)``, images or a data frame.
    hopeless : bool
        Whether the table must be refused: no answer about it would be right.
    classes : int
        How many different labels its rows have.
    outcome : callable or None
        Times and events of n rows, where these are the ugly part.
    """

    name: str
    make: Callable[[Generator, int], Any]
    hopeless: bool = False
    classes: int = 3
    outcome: Callable[[Generator, int], tuple[Any, Any]] | None = None


def _plain(rng: Generator, n: int, columns: int = 5) -> Array:
    z: Array = rng.normal(size=(n, 2))
    return z @ rng.normal(size=(2, columns)) + 0.5 * rng.normal(size=(n, columns))


def _scales(rng: Generator, n: int) -> Array:
    X: Array = _plain(rng, n, 9) * 10.0 ** np.linspace(-12, 12, 9)
    return X


def _offsets(rng: Generator, n: int) -> Array:
    X: Array = _plain(rng, n) * 10.0 ** np.array([-6, -3, 0, 3, 0]) + np.array([1.0, 1e6, 1e9, -1e12, 1e-9])
    return X


def _outliers(rng: Generator, n: int) -> Array:
    X = _plain(rng, n)
    X[rng.integers(n, size=3), [0, 1, 2]] = [1e6, -1e6, 1e6]
    return X


def _duplicates(rng: Generator, n: int) -> Array:
    x = rng.normal(size=(n, 1))
    return np.hstack([x, x, x + 1e-12 * rng.normal(size=(n, 1)), -3e4 * x, x + 1e-8 * rng.normal(size=(n, 1))])


def _mostly_missing(rng: Generator, n: int) -> Array:
    X = _plain(rng, n)
    X[rng.random(X.shape) < 0.99] = np.nan
    for j in range(X.shape[1]):  # a column of which nothing is known is another table
        X[rng.integers(n, size=2), j] = rng.normal(size=2)
    return X


def _unknown_column(rng: Generator, n: int) -> Array:
    X = _plain(rng, n)
    X[:, 2] = np.nan
    return X


def _empty_rows(rng: Generator, n: int) -> Array:
    X = _plain(rng, n)
    X[rng.random(n) < 0.3] = np.nan
    return X


def _ties(rng: Generator, n: int) -> Array:
    X = np.round(_plain(rng, n))
    X[:, 1] = np.where(rng.random(n) < 0.9, 0.1 + 0.2, 0.3)  # equal but for the last bit
    X[:, 2] = rng.choice([0.0, 1e-8, 1.0], n)
    return X


def _zero_inflated(rng: Generator, n: int) -> pd.DataFrame:
    zero = rng.random((n, 3)) < 0.95
    zero[:3] = False
    counts = rng.negative_binomial(1, 1e-4, n)
    columns = {"cost": np.exp(rng.normal(7, 2, n)), "count": counts, "dose": rng.gamma(0.1, 1e4, n)}
    table = pd.DataFrame(columns).mask(zero, 0)
    table["count"] = table["count"].astype(np.int64)
    return table


def _constant(rng: Generator, n: int) -> Array:
    X = _plain(rng, n)
    X[:, 1], X[:, 3] = 0.0, 1e12
    return X


def _integers(rng: Generator, n: int) -> pd.DataFrame:
    signed, small = np.iinfo(np.int64), np.iinfo(np.int8)
    columns = {
        "extreme": np.where(rng.random(n) < 0.5, signed.min, signed.max),
        "spread": rng.integers(signed.min, signed.max, n),
        "unsigned": np.full(n, np.iinfo(np.uint64).max, dtype=np.uint64) - rng.integers(0, 9, n).astype(np.uint64),
        "bytes": rng.integers(small.min, small.max, n, dtype=np.int8, endpoint=True),
        "many": rng.integers(0, 10**12, n),
    }
    return pd.DataFrame(columns)


def _with_infinity(rng: Generator, n: int) -> Array:
    X = _plain(rng, n)
    X[n // 2, 1], X[n // 3, 3] = np.inf, -np.inf
    return X


def _frame_with_infinity(rng: Generator, n: int) -> pd.DataFrame:
    return pd.DataFrame(_with_infinity(rng, n), columns=list("abcde")).assign(kind=rng.choice(["x", "y"], n))


def _huge(rng: Generator, n: int) -> Array:
    X: Array = _plain(rng, n) * np.array([1e300, 1e200, 1.0, 1e160, 1e100])
    return X


def _tiny(rng: Generator, n: int) -> Array:
    X: Array = _plain(rng, n) * np.array([1e-308, 1e-200, 1.0, 1e-320, 1e-100])
    return X


def _heavy(rng: Generator, n: int) -> Array:
    return np.hstack([rng.standard_cauchy((n, 2)), np.exp(12 * rng.normal(size=(n, 2))), rng.normal(size=(n, 1))])


def _rare_levels(rng: Generator, n: int) -> pd.DataFrame:
    columns = {
        "name": pd.Categorical([f"p{i}" for i in range(n)]),  # every row has its own
        "rare": pd.Categorical(np.where(np.arange(n) == 1, "b", "a"), categories=["a", "b", "never", "nor"]),
        "flag": (np.arange(n) == 0).astype(float),
        "rank": pd.Categorical(rng.integers(0, 5, n), categories=range(9), ordered=True),
        "x": rng.normal(size=n),
    }
    return pd.DataFrame(columns)


def _everything(rng: Generator, n: int) -> pd.DataFrame:
    table = pd.concat([_rare_levels(rng, n), _zero_inflated(rng, n)], axis=1)
    table["far"] = _outliers(rng, n)[:, 0] * 1e9
    table["nullable"] = pd.array(np.where(rng.random(n) < 0.5, 0, 2**40), dtype="Int64")
    table["bool"] = rng.random(n) < 0.02
    missing = rng.random(table.shape) < 0.3
    missing[:3] = False
    return table.astype(dict.fromkeys(["count", "bool"], float)).mask(missing)


def _images(rng: Generator, n: int) -> Array:
    images = np.zeros((n, 12, 12), dtype=np.uint8)
    images[:, 3:8, 3:8] = np.where(rng.random((n, 5, 5)) < 0.5, 255, 0)
    return images


def _outcome(rng: Generator, n: int) -> tuple[Any, Any]:
    return rng.weibull(1.3, n) * 20 + 0.01, (rng.random(n) < 0.6) | (np.arange(n) == 0)


def _outcome_of_scales(rng: Generator, n: int) -> tuple[Any, Any]:
    return np.exp(10 * rng.normal(size=n)), rng.random(n) < 0.6


def _tied_outcome(rng: Generator, n: int) -> tuple[Any, Any]:
    return np.full(n, 5.0), rng.random(n) < 0.5


def _one_event(rng: Generator, n: int) -> tuple[Any, Any]:
    return rng.weibull(1.3, n) * 1e-9 + 1e-12, np.arange(n) == 1


def _no_event(rng: Generator, n: int) -> tuple[Any, Any]:
    return rng.weibull(1.3, n), np.zeros(n, dtype=bool)


TABLES: Final = (
    Table("scales 1e-12 to 1e12", _scales),
    Table("offsets to 1e12", _offsets),
    Table("outliers of 1e6 sd", _outliers),
    Table("near-duplicate columns", _duplicates),
    Table("99 % missing", _mostly_missing),
    Table("column all missing", _unknown_column),
    Table("rows all missing", _empty_rows),
    Table("two rows", lambda rng, n: _plain(rng, 2), classes=2),
    Table("one row", lambda rng, n: _plain(rng, 1), classes=1),
    Table("more columns than rows", lambda rng, n: _plain(rng, 6, 60), classes=2),
    Table("one column", lambda rng, n: _plain(rng, n, 1)),
    Table("one class", _plain, classes=1),
    Table("class of one row", _plain, classes=-1),
    Table("heavy ties", _ties),
    Table("zero inflation", _zero_inflated),
    Table("constant columns", _constant),
    Table("nothing but constants", lambda rng, n: np.full((n, 3), 7.0)),
    Table("integer extremes", _integers),
    Table("infinities", _with_infinity, hopeless=True),
    Table("infinities in a frame", _frame_with_infinity, hopeless=True),
    Table("values to 1e300", _huge),
    Table("values to 1e-320", _tiny),
    Table("heavy tails", _heavy),
    Table("rare and single levels", _rare_levels),
    Table("everything, 30 % missing", _everything),
    Table("images of two values", _images),
    Table("times over 20 decades", _plain, outcome=_outcome_of_scales),
    Table("all times equal", _plain, outcome=_tied_outcome),
    Table("one event", _plain, outcome=_one_event),
    Table("no event", _plain, hopeless=True, outcome=_no_event),
)


# ---------------------------------------------------------------------------------------------------------- estimators


@final
@dataclass(frozen=True)
class Case:
    """An estimator, and how it is fitted and asked.

    Attributes
    ----------
    name : str
    fit : callable
        From a table's rows, labels, outcome, a seed and the epochs to train, to a fitted model.
    ask : callable
        From a model, the rows and the outcome to what it says of them: names and values.
    outcomes : bool
        Whether tables whose ugly part are outcomes are tried.
    """

    name: str
    fit: Callable[[Any, Array, Array, int, int], Any]
    ask: Callable[[Any, Any, Array], Iterator[tuple[str, Any]]]
    outcomes: bool = False


def _small(seed: int, epochs: int) -> dict[str, Any]:
    return {"hidden": (16,), "max_epochs": epochs, "random_state": seed, "verbose": False}


def _density(model: Any, X: Any, y: Array) -> Iterator[tuple[str, Any]]:
    yield "score_samples", model.score_samples(X)
    if hasattr(model, "transform"):
        z = model.transform(X)
        yield "transform", z
        labels = {"y": y} if hasattr(model, "predict_proba") else {}  # where they are a part of what a row stands for
        yield "inverse_transform", model.inverse_transform(z, **labels)
    if hasattr(model, "posterior"):
        posterior = model.posterior(X)
        yield "posterior", (posterior.mean, posterior.variance)
    yield "impute", model.impute(X)
    yield "sample", model.sample(20, random_state=0)
    if hasattr(model, "predict_proba"):
        yield from _classes(model, X, y)


def _classes(model: Any, X: Any, y: Array) -> Iterator[tuple[str, Any]]:
    yield "predict", model.predict(X)
    yield "predict_proba", model.predict_proba(X)


def _survival(model: Any, X: Any, y: Array) -> Iterator[tuple[str, Any]]:
    times = np.quantile(y["time"], [0.1, 0.5, 0.9])
    yield "predict_survival_function", model.predict_survival_function(X, times)
    yield "predict", model.predict(X)
    yield "predict_rmst", model.predict_rmst(X, float(times[1]))
    yield "predict_median", model.predict_median(X)
    yield "score_samples", model.score_samples(X, y)
    yield "transform", model.transform(X)
    yield "impute", model.impute(X)
    yield "sample", model.sample(20, random_state=0)


def _gaps(found: Any, X: Any, y: Array) -> Iterator[tuple[str, Any]]:
    if len(X) == 1:
        return  # a gap says nothing of single rows
    for name in ("first", "second", "floor", "p_value", "gap"):
        yield name, getattr(found, name)


def _mega(model: Any, X: Any, seed: int, **options: Any) -> Any:
    return ul.mega(model.fit(X), X, random_state=seed, n_bootstrap=19, **options)


def _partly(y: Array) -> Array:
    """Labels of half the rows."""
    return np.where(np.arange(len(y)) % 4 < 2, y, -1)


CASES: Final = (
    Case("ProbabilisticPCA", lambda X, y, t, s, e: ul.ProbabilisticPCA(2, random_state=s).fit(X), _density),
    Case(
        "ProbabilisticPCA standardised",
        lambda X, y, t, s, e: ul.ProbabilisticPCA(2, standardize=True, random_state=s).fit(X),
        _density,
    ),
    Case(
        "ProbabilisticPCA ard",
        lambda X, y, t, s, e: ul.ProbabilisticPCA(None, prior="ard", random_state=s).fit(X),
        _density,
    ),
    Case("PPCAClassifier", lambda X, y, t, s, e: ul.PPCAClassifier(1, random_state=s).fit(X, y), _density),
    Case("VAE", lambda X, y, t, s, e: ul.VAE(2, **_small(s, e)).fit(X), _density),
    Case("VAE mega", lambda X, y, t, s, e: ul.VAE(2, mega=1.0, mega_draws=64, **_small(s, e)).fit(X), _density),
    Case(
        "SemiSupervisedVAE",
        lambda X, y, t, s, e: ul.SemiSupervisedVAE(2, **_small(s, e)).fit(X, _partly(y)),
        _density,
    ),
    Case("NeuralClassifier", lambda X, y, t, s, e: ul.NeuralClassifier(**_small(s, e)).fit(X, y), _classes),
    Case("SurvivalVAE", lambda X, y, t, s, e: ul.SurvivalVAE(**_small(s, e)).fit(X, t), _survival, True),
    Case(
        "SurvivalVAE plain",  # without the search for unexplained differences, which takes most of the time
        lambda X, y, t, s, e: ul.SurvivalVAE(heterogeneity=0.0, n_replicates=1, **_small(s, e)).fit(X, t),
        _survival,
        True,
    ),
    Case("mega", lambda X, y, t, s, e: _mega(ul.ProbabilisticPCA(1), X, s), _gaps),
    Case("mega standardised", lambda X, y, t, s, e: _mega(ul.ProbabilisticPCA(1), X, s, standardize=True), _gaps),
    Case(
        "mega of a VAE, order 3",
        lambda X, y, t, s, e: _mega(ul.VAE(2, **_small(s, e)), X, s, order=3, n_draws=256),
        _gaps,
    ),
)


# ------------------------------------------------------------------------------------------------------------- verdict


@final
@dataclass(frozen=True)
class Finding:
    """What one estimator made of one table with one seed."""

    case: str
    table: str
    seed: int
    verdict: Verdict
    words: str

    @property
    def passed(self) -> bool:
        """Whether the answer was right."""
        return self.verdict in PASSES


def judge(case: Case, table: Table, seed: int, n: int, epochs: int) -> Finding:
    """Fit the estimator to the table, ask it everything, and judge.

    Parameters
    ----------
    case, table : Case, Table
    seed : int
        Of the table and of the estimator.
    n : int
        Rows of the table, about.
    epochs : int
        Of training.
    """
    rng = np.random.default_rng(seed)
    X = table.make(rng, n)
    rows = len(X)
    labels = np.arange(rows) % table.classes if table.classes > 0 else (np.arange(rows) == 0).astype(int)
    time, event = (table.outcome or _outcome)(rng, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = case.fit(X, labels, ul.Surv(time, event), seed, epochs)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is judged
            fault = unclear(error, X)
            verdict: Verdict = "refused" if fault is None else "crash" if fault == "crash" else "unclear"
            return Finding(case.name, table.name, seed, verdict, _words(error, fault))
        if table.hopeless and (table.outcome is None or case.outcomes):
            return Finding(case.name, table.name, seed, "accepted", "fit raised nothing")
        try:
            for name, value in case.ask(model, X, ul.Surv(time, event) if case.outcomes else labels):
                if (where := not_finite(value)) is not None:
                    return Finding(case.name, table.name, seed, "NaN", f"{name} has {where}")
        except Exception as error:  # noqa: BLE001
            return Finding(case.name, table.name, seed, "late", _words(error, None))
        for what, row in strangers(X):
            try:
                said = list(case.ask(model, row, ul.Surv(time, event)[:1] if case.outcomes else labels[:1]))
                for name, value in said:
                    if (where := not_finite(value)) is not None:
                        return Finding(case.name, table.name, seed, "NaN", f"{name} of a row {what} has {where}")
                if what == "of infinities" and len(said) > 0:
                    return Finding(case.name, table.name, seed, "accepted", "a row of infinities after fitting")
            except Exception as error:  # noqa: BLE001
                if (fault := unclear(error, X)) is not None:
                    verdict = "crash" if fault == "crash" else "unclear"
                    return Finding(case.name, table.name, seed, verdict, f"of a row {what}: {_words(error, fault)}")
    return Finding(case.name, table.name, seed, "finite", "")


def _filled(row: pd.DataFrame, columns: Any, value: Any) -> pd.DataFrame:
    """A row with other numbers in some columns, whose names need not be text."""
    changed = row.copy()
    changed[columns] = value if np.isscalar(value) else value.to_numpy()[None]
    return changed


def strangers(X: Any) -> Iterator[tuple[str, Any]]:
    """Single rows that are unlike those of a table: they may be refused, but in words that help."""
    if isinstance(X, pd.DataFrame):
        numeric = X.select_dtypes("number").columns
        row = X.iloc[[0]].astype(dict.fromkeys(numeric, float))
        for what, value in (
            ("a million times as large", 1e6 * X[numeric].abs().max().astype(float)),
            ("of 1e17", 1e17),
        ):
            yield what, _filled(row, numeric, value)
        yield "of 1e-300", _filled(row, numeric, 1e-300)
        yield "of infinities", _filled(row, numeric, np.inf)
        yield "with no number in it", _filled(row, numeric, np.nan)
    elif X.ndim == 2:
        largest, width = np.nanmax(np.abs(X), axis=0), X.shape[1]
        yield "with nothing in it", np.full((1, width), np.nan)
        yield "a million times as large", np.where(largest > 0, largest, 1.0)[None] * 1e6
        yield "of 1e300", np.full((1, width), 1e300)
        yield "of 1e14", np.full((1, width), 1e14)
        yield "of -1e-300", np.full((1, width), -1e-300)
        yield "of infinities", np.full((1, width), np.inf)


def unclear(error: BaseException, X: Any) -> str | None:
    """Why an error does not help, None where it does; "crash" where it is no refusal at all.

    It must be a ValueError or TypeError that was raised within the package, in a sentence that names a column of the
    table or says what to do, and in none of the words of numerical libraries.
    """
    if not isinstance(error, (ValueError, TypeError, UnderlieWarning)) or isinstance(error, np.linalg.LinAlgError):
        return "crash"
    raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
    text = str(error)
    if not raised_in.startswith(_PACKAGE):
        return f"raised in {Path(raised_in).name}"
    if len(text) < _SHORTEST:
        return "too short"
    if _FOREIGN.search(text):
        return "in the words of a library"
    columns = [str(c) for c in X.columns] if hasattr(X, "columns") else [f"x{j}" for j in range(np.shape(X)[1])]
    named = any(re.search(rf"'{re.escape(c)}'", text) for c in columns)
    return None if named or _REMEDY.search(text) else "names neither column nor remedy"


def not_finite(value: Any) -> str | None:
    """What of an answer is no number, None where all is well."""
    if isinstance(value, (tuple, list)):
        return next((found for v in value if (found := not_finite(v)) is not None), None)
    if isinstance(value, pd.DataFrame):
        for name, column in value.items():
            if column.isna().any():
                return f"a missing cell in {name!r}"
            if pd.api.types.is_numeric_dtype(column) and not np.isfinite(column.to_numpy(dtype=float)).all():
                return f"an infinite cell in {name!r}"
        return None
    array = np.asarray(value)
    if array.dtype.names is not None:
        return next((found for n in array.dtype.names if (found := not_finite(array[n])) is not None), None)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        kind = "NaN" if np.isnan(array).any() else "infinity"
        return f"{kind} in {int((~np.isfinite(array)).sum())} of {array.size} numbers"
    return None


def _words(error: BaseException, fault: str | None) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    told = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
    return told if fault in (None, "crash") else f"{fault}: {told}"
