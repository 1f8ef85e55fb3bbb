"""Training and test rows: random splits, folds, or the user's own; and what may be inferred from overlapping ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@final
@dataclass(frozen=True)
class Split:
    """Positions of the training and of the test rows."""

    train: Index
    test: Index


def random_splits(event: NDArray[np.bool_], n_splits: int, test_size: float, seed: int) -> tuple[list[Split], str]:
    """Independent random splits with the same share of events on both sides, and what to call them.

    Split i is scikit-learn's ``train_test_split(rows, test_size=test_size, random_state=seed + i, stratify=event)``,
    so that anybody can repeat any of them alone. It is not stratified where there are fewer than two censored rows.

    Raises
    ------
    ValueError
        When n_splits is no positive whole number, or test_size leaves too few rows on a side.
    """
    from sklearn.model_selection import train_test_split

    if isinstance(n_splits, bool) or not isinstance(n_splits, int | np.integer) or n_splits < 1:
        raise ValueError(f"n_splits must be a positive whole number, got {n_splits!r}")
    if isinstance(test_size, bool) or not isinstance(test_size, float | np.floating) or not 0 < test_size < 1:
        raise ValueError(f"test_size must be a share of the rows between 0 and 1, as 0.2; got {test_size!r}")
    splits = []
    for i in range(n_splits):
        rows = np.arange(len(event))
        try:
            train, test = train_test_split(rows, test_size=test_size, random_state=seed + i, stratify=_strata(event))
        except ValueError as error:
            raise ValueError(f"test_size={test_size} does not suit {len(event)} rows: {error}") from error
        splits.append(Split(train, test))
    return splits, f"{n_splits} random splits ({test_size:.0%} of rows for testing)"


def cross_validation_splits(cv: Any, event: NDArray[np.bool_], seed: int) -> tuple[list[Split], str]:
    """Folds, shuffled and stratified by event; or the splits of a scikit-learn splitter; or pairs of positions.

    Raises
    ------
    TypeError
        When `cv` is none of these.
    ValueError
        When there are fewer than two folds or more than events, or a split is empty on a side, has a row on both
        sides, or positions that do not exist.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    n = len(event)
    if isinstance(cv, int | np.integer) and not isinstance(cv, bool):
        if not 2 <= cv <= event.sum():
            raise ValueError(f"cv must be at least 2 and at most the number of events, {int(event.sum())}; got {cv}")
        # With fewer censored rows than folds some folds have none, which is as it must be.
        folds = StratifiedKFold if min(event.sum(), (~event).sum()) >= cv else KFold
        pairs: Iterable[Any] = folds(int(cv), shuffle=True, random_state=seed).split(np.zeros(n), event)
        name = f"{cv}-fold cross-validation"
    elif hasattr(cv, "split") and not isinstance(cv, str):
        pairs, name = cv.split(np.zeros((n, 1)), event), f"splits of {type(cv).__name__}"
    elif isinstance(cv, Iterable) and not isinstance(cv, str):
        pairs, name = cv, "splits given by the user"
    else:
        raise TypeError(
            f"cv must be a number of folds, a scikit-learn splitter or pairs (training rows, test rows); got {cv!r}"
        )
    splits = [_checked(pair, i, n) for i, pair in enumerate(pairs)]
    if not splits:
        raise ValueError("cv has no split")
    return splits, name if isinstance(cv, int | np.integer) else f"{len(splits)} {name}"


def require_events(splits: list[Split], event: NDArray[np.bool_]) -> None:
    """Refuse splits from which nothing can be learned.

    Raises
    ------
    ValueError
        When the training rows of a split have fewer than two events.
    """
    for i, split in enumerate(splits):
        if event[split.train].sum() < 2:
            raise ValueError(
                f"split {i} has {int(event[split.train].sum())} event(s) among its {len(split.train)} training rows; "
                "at least two are needed. Use fewer folds, or a smaller test_size"
            )


def _strata(event: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    return event if min(event.sum(), (~event).sum()) >= 2 else None


def _checked(pair: Any, i: int, n: int) -> Split:
    try:
        train, test = (_positions(side) for side in pair)
    except (TypeError, ValueError) as error:
        raise ValueError(f"cv: split {i} is not a pair (training rows, test rows): {error}") from error
    for side, rows in (("training", train), ("test", test)):
        if not len(rows):
            raise ValueError(f"cv: split {i} has no {side} rows")
        if rows.min() < 0 or rows.max() >= n:
            raise ValueError(f"cv: split {i} has {side} rows outside 0 to {n - 1}")
    if len(shared := np.intersect1d(train, test)):
        raise ValueError(f"cv: split {i} has {len(shared)} row(s) on both sides, the first row {shared[0]}")
    return Split(train, test)


def _positions(side: Any) -> Index:
    rows = np.asarray(side)
    if rows.dtype == np.bool_:
        rows = np.flatnonzero(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise ValueError("rows must be given by position, in one list of whole numbers, or by a mask")
    return rows.astype(np.intp)


def corrected_interval(differences: Array, test_share: float, level: float) -> tuple[float, float, float]:
    r"""Standard error of a mean of paired differences over overlapping splits, and the interval of the mean.

    .. math:: \mathrm{se}^2 = \Bigl(\frac1J + \frac{n_\text{test}}{n_\text{train}}\Bigr) s^2

    with s the standard deviation over the J splits, and a t distribution of J - 1 degrees of freedom. The second term
    stands for the covariance of splits that share training rows, of which s / sqrt(J) knows nothing. It is an
    approximation, made for random splits; for repeated cross-validation it is used alike.

    Parameters
    ----------
    differences : (J,) array
        One per split.
    test_share : float
        n_test / n_train.
    level : float
        Of the interval.

    Returns
    -------
    standard error, lower, upper
        NaN with fewer than two splits.

    References
    ----------
    Nadeau and Bengio (2003), Machine Learning 52. Bouckaert and Frank (2004), PAKDD (cross-validation).

    Examples
    --------
    >>> import numpy as np
    >>> [round(v, 3) for v in corrected_interval(np.array([1.0, 2.0, 3.0]), 0.25, 0.95)]
    [0.764, -1.286, 5.286]
    """
    n = len(differences)
    if n < 2:
        return np.nan, np.nan, np.nan
    error = float(np.sqrt(1 / n + test_share) * differences.std(ddof=1))
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    middle = float(differences.mean())
    return error, middle - half, middle + half
