"""Which likelihood goes with which kind of column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from underlie.distributions.base import Likelihood
from underlie.distributions.bernoulli import Bernoulli
from underlie.distributions.categorical import Categorical
from underlie.distributions.continuous_bernoulli import ContinuousBernoulli
from underlie.distributions.counts import NegativeBinomial, Poisson
from underlie.distributions.normal import Normal, Scale
from underlie.distributions.ordinal import Ordinal
from underlie.distributions.positive import Exponential, LogNormal
from underlie.distributions.product import Product
from underlie.distributions.student_t import StudentT

if TYPE_CHECKING:
    from underlie.data.schema import Column, Kind, Schema

#: likelihood -> the kinds of column that it can describe; the first is the one to encode a column as, when asked for
KINDS: dict[str, tuple[Kind, ...]] = {
    "normal": ("continuous",),
    "student_t": ("continuous",),
    "lognormal": ("positive",),
    "exponential": ("positive",),
    "continuous_bernoulli": ("proportion",),
    "bernoulli": ("binary", "proportion"),
    "categorical": ("categorical", "ordinal", "binary"),
    "ordinal": ("ordinal",),
    "negative_binomial": ("count",),
    "poisson": ("count",),
}
#: kind of column -> the likelihood that "auto" gives it
DEFAULTS: dict[Kind, str] = {
    "continuous": "normal",
    "positive": "lognormal",
    "proportion": "continuous_bernoulli",
    "count": "negative_binomial",
    "binary": "bernoulli",
    "categorical": "categorical",
    "ordinal": "ordinal",
}
_AUTOMATIC = ("auto", "mixed")


def likelihood_for(
    schema: Schema, likelihood: str | Mapping[str | int, str] = "auto", *, scale: Scale = "column"
) -> Likelihood:
    """The likelihood head of a table: one head when all columns share it, a `Product` otherwise.

    Parameters
    ----------
    schema : Schema
        The columns and their kinds.
    likelihood : str or mapping
        "auto" (or "mixed"): each column's default by its kind. A name: that likelihood for every column. A mapping from
        column names or positions to likelihood names: the default for the columns that are not in it.
    scale : {"column", "shared", "network"}
        Where normal columns have their standard deviation from, see `Normal`.

    Returns
    -------
    Likelihood

    Raises
    ------
    ValueError
        If a likelihood is unknown or cannot describe a column of that kind, or a column is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from underlie.data import Schema
    >>> from underlie.distributions import likelihood_for
    >>> schema = Schema.infer(np.random.default_rng(0).normal(size=(50, 2)))
    >>> likelihood_for(schema).notation("z")
    'Normal(mu(z), sigma_j^2)'
    """
    names = _likelihoods(schema, likelihood)
    groups: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        groups.setdefault(name, []).append(position)
    heads = [_head(name, schema, columns, scale) for name, columns in groups.items()]
    return heads[0] if len(heads) == 1 else Product(heads, list(groups.values()))


def kinds_for(
    likelihood: str | Mapping[str | int, str], schema: Schema | None = None
) -> Kind | dict[str | int, Kind] | None:
    """The kinds that columns must be encoded as for a likelihood to describe them: the ``kinds`` of ``Encoder.fit``.

    Parameters
    ----------
    likelihood : str or mapping
        As for `likelihood_for`.
    schema : Schema, optional
        The schema inferred from the data. A column whose inferred kind the likelihood can already describe keeps it,
        and "bernoulli" then takes columns that are not binary as proportions (cross-entropy of intensities).

    Returns
    -------
    None
        Where the inferred kinds serve ("auto").
    str
        One kind for all columns.
    dict
        From column to kind, for the columns whose kind must be set.

    Raises
    ------
    ValueError
        If a likelihood or a column is unknown.

    Examples
    --------
    >>> from underlie.distributions import kinds_for
    >>> kinds_for("poisson")
    'count'
    >>> kinds_for("auto") is None
    True
    >>> kinds_for({"age": "normal", "visits": "poisson"})
    {'age': 'continuous', 'visits': 'count'}
    """
    if isinstance(likelihood, str):
        if likelihood in _AUTOMATIC:
            return None
        possible = KINDS[_known(likelihood)]
        if schema is None:
            return possible[0]
        kinds = [_kind(likelihood, kind) for kind in schema.kinds]
        return kinds[0] if len(set(kinds)) == 1 else dict(zip(schema.names, kinds, strict=True))
    asked = {column: _known(name) for column, name in likelihood.items() if name not in _AUTOMATIC}
    if schema is None:
        return {column: KINDS[name][0] for column, name in asked.items()}
    where, inferred = _positions(schema.names, asked), schema.kinds
    return {column: _kind(name, inferred[where[column]]) for column, name in asked.items()}


def settled(
    schema: Schema, likelihood: str | Mapping[str | int, str], heavy_tailed: Sequence[bool]
) -> dict[str | int, str]:
    """The likelihood of every column: as asked, else its kind's default, Student's t where its tails are heavy.

    Parameters
    ----------
    schema : Schema
        The columns and their kinds.
    likelihood : str or mapping
        As for `likelihood_for`.
    heavy_tailed : sequence of bool
        Which columns have tails that a normal distribution cannot hold.

    Returns
    -------
    dict
        From column name to likelihood name; give it to `likelihood_for`.
    """
    names = _likelihoods(schema, likelihood)
    asked = {} if isinstance(likelihood, str) else _positions(schema.names, likelihood)
    if isinstance(likelihood, str) and likelihood not in _AUTOMATIC:
        return dict(zip(schema.names, names, strict=True))
    chosen = {position for column, position in asked.items() if likelihood[column] not in _AUTOMATIC}  # type: ignore[index]
    for position, (kind, heavy) in enumerate(zip(schema.kinds, heavy_tailed, strict=True)):
        if kind == "continuous" and heavy and position not in chosen:
            names[position] = "student_t"
    return dict(zip(schema.names, names, strict=True))


def _kind(likelihood: str, inferred: Kind) -> Kind:
    """The inferred kind where the likelihood can describe it, the likelihood's own otherwise."""
    possible = KINDS[likelihood]
    if inferred in possible:
        return inferred
    return "proportion" if likelihood == "bernoulli" else possible[0]


def _likelihoods(schema: Schema, likelihood: str | Mapping[str | int, str]) -> list[str]:
    """The likelihood of each column, after the checks that `likelihood_for` promises."""
    kinds = list(schema.kinds)
    if isinstance(likelihood, str):
        names = [DEFAULTS[k] for k in kinds] if likelihood in _AUTOMATIC else [_known(likelihood)] * len(kinds)
    else:
        names = [DEFAULTS[k] for k in kinds]
        where = _positions(schema.names, likelihood)
        for column, name in likelihood.items():
            if name not in _AUTOMATIC:
                names[where[column]] = _known(name)
    for position, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        if kind not in KINDS[name]:
            fitting = [n for n, possible in KINDS.items() if kind in possible]
            raise ValueError(
                f"likelihood {name!r} cannot describe column {schema.names[position]!r}, which is encoded as {kind!r}; "
                f"encode it as {_either(KINDS[name])} by 'kinds', or choose {_either(fitting)}."
            )
    return names


def _head(name: str, schema: Schema, columns: Sequence[int], scale: Scale) -> Likelihood:
    width = len(columns)
    if name in ("categorical", "ordinal"):
        everything = schema.columns
        levels = [_n_levels(everything[position]) for position in columns]
        return Categorical(levels) if name == "categorical" else Ordinal(levels)
    if name == "normal":
        return Normal(width, scale)
    simple: dict[str, Callable[[int], Likelihood]] = {
        "student_t": StudentT,
        "lognormal": LogNormal,
        "exponential": Exponential,
        "continuous_bernoulli": ContinuousBernoulli,
        "bernoulli": Bernoulli,
        "negative_binomial": NegativeBinomial,
        "poisson": Poisson,
    }
    return simple[name](width)


def _n_levels(column: Column) -> int:
    if column.levels is None:
        if column.kind == "binary":
            return 2
        raise ValueError(f"column {column.name!r} is {column.kind} but its schema lists no levels.")
    return max(len(column.levels), 2 if column.kind == "binary" else 1)


def _either(options: Sequence[str]) -> str:
    return " or ".join(map(repr, options))


def _known(likelihood: str) -> str:
    if likelihood not in KINDS:
        raise ValueError(f"likelihood {likelihood!r} is unknown; choose one of {', '.join([*_AUTOMATIC, *KINDS])}.")
    return likelihood


def _positions(names: Sequence[str], asked: Mapping[str | int, str]) -> dict[str | int, int]:
    """Positions of columns given by name or by number."""
    by_name = {name: position for position, name in enumerate(names)}
    found: dict[str | int, int] = {}
    for column in asked:
        if column in by_name:
            found[column] = by_name[str(column)]
        elif isinstance(column, int) and 0 <= column < len(names):
            found[column] = column
        else:
            raise ValueError(f"likelihood names column {column!r}, but the columns are {', '.join(names[:8])} …")
    return found
