"""Tables: small ones of scikit-learn, and the Parquet files of the user's data folder."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from underlie.datasets._fetch import FetchError, data_folder, local_files


def load_iris() -> pd.DataFrame:
    """Fisher's 150 irises: four lengths in cm, and the species (three categories).

    Returns
    -------
    pandas.DataFrame of 150 rows
        The last column, ``species``, is categorical.

    References
    ----------
    R. A. Fisher (1936). The use of multiple measurements in taxonomic problems. Annals of Eugenics 7, 179-188.

    Examples
    --------
    >>> load_iris()["species"].cat.categories.tolist()
    ['setosa', 'versicolor', 'virginica']
    """
    from sklearn.datasets import load_iris as load

    return _with_target(load(as_frame=True), "species")


def load_wine() -> pd.DataFrame:
    """178 Italian wines: 13 chemical measurements, and the cultivar (three categories).

    Returns
    -------
    pandas.DataFrame of 178 rows
        The last column, ``cultivar``, is categorical.

    References
    ----------
    S. Aeberhard, M. Forina (1991). Wine. UCI Machine Learning Repository.

    Examples
    --------
    >>> load_wine().shape
    (178, 14)
    """
    from sklearn.datasets import load_wine as load

    return _with_target(load(as_frame=True), "cultivar")


def load_breast_cancer() -> pd.DataFrame:
    """569 breast tumours: 30 measurements of cell nuclei, and the diagnosis (malignant or benign).

    Returns
    -------
    pandas.DataFrame of 569 rows
        The last column, ``diagnosis``, is categorical.

    References
    ----------
    W. N. Street, W. H. Wolberg, O. L. Mangasarian (1993). Nuclear feature extraction for breast tumor diagnosis.

    Examples
    --------
    >>> load_breast_cancer()["diagnosis"].value_counts().to_dict()
    {'benign': 357, 'malignant': 212}
    """
    from sklearn.datasets import load_breast_cancer as load

    return _with_target(load(as_frame=True), "diagnosis")


def _with_target(bunch: Any, name: str) -> pd.DataFrame:
    table: pd.DataFrame = bunch.data.copy()
    table[name] = pd.Categorical.from_codes(bunch.target, categories=[str(t) for t in bunch.target_names])
    return table


def tables() -> list[str]:
    """Names for :func:`fetch_table` of the tables in the folder ``UNDERLIE_DATA``, such as ``survival/gbsg2``."""
    return [name.removesuffix(".parquet") for name in local_files(".parquet")]


def fetch_table(name: str) -> pd.DataFrame:
    """A Parquet table of the folder ``UNDERLIE_DATA``, at its top or in its folders survival, tabular and imputation.

    Parameters
    ----------
    name : str
        ``"penguins"``, or ``"tabular/penguins"`` where two folders have a table of that name.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    FetchError
        If there is no such table, or UNDERLIE_DATA is not set.
    ValueError
        If two folders have a table of that name.
    """
    found = local_files(".parquet")
    wanted = name.removesuffix(".parquet") + ".parquet"
    matches = [key for key in found if wanted in (key, PurePosixPath(key).name)]
    if wanted in found:
        matches = [wanted]
    if not matches:
        folder = data_folder()
        there = f"{folder} has {', '.join(tables()) or 'no Parquet files'}" if folder else "UNDERLIE_DATA is not set"
        raise FetchError(
            f"no table {name!r} is on this machine: {there}. Put {wanted} in the folder named by UNDERLIE_DATA."
        )
    if len(matches) > 1:
        names = " or ".join(repr(key.removesuffix(".parquet")) for key in matches)
        raise ValueError(f"two tables are named {name!r}: ask for {names}.")
    return pd.read_parquet(found[matches[0]])
