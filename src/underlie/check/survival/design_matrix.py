"""A table of mixed columns with missing cells as the matrix of numbers that regression models take."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
from numpy.typing import NDArray

from underlie.data.arrays import checked_array, grid_names, missing_cells
from underlie.data.tables import RawColumn, library_of, read_table

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
RARE = 5  # levels with fewer training rows than this share one indicator


@final
class DesignMatrix:
    """Dummy coding of labels (first level dropped, rare levels pooled), single imputation, standardised columns.

    Missing numbers become the median and missing labels the most frequent level of the training rows; a level that
    was not seen in training joins the rare ones, or the level that is dropped where none is rare. Columns without an
    observed cell, and matrix columns that do not vary, are left out. Everything is learned by `fit` from the rows
    that it is given.

    Examples
    --------
    >>> import pandas as pd
    >>> train = pd.DataFrame({"age": [50.0, None, 70.0] * 4, "arm": ["a", "b"] * 6})
    >>> design = DesignMatrix().fit(train)
    >>> design(pd.DataFrame({"age": [60.0], "arm": ["b"]})).round(3)
    array([[0., 1.]])
    >>> design.names
    ('age', 'arm=b')
    """

    def fit(self, X: Any) -> Self:
        """Learn coding, imputation and scale from a table or an array (n, C).

        Raises
        ------
        ValueError, TypeError
            When X is empty, no column varies, or a column holds neither numbers nor text.
        """
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        table = _plain(X)
        seen = [name for name in table if table[name].notna().any()]
        labels = [name for name in seen if table[name].dtype == object]
        numbers = [name for name in seen if name not in labels]
        dummies = OneHotEncoder(
            drop="first",
            min_frequency=RARE,
            handle_unknown="infrequent_if_exist",
            sparse_output=False,
            feature_name_combiner=lambda name, level: f"{name}={level}",
        )
        coding = ColumnTransformer(
            [
                ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
                ("labels", make_pipeline(SimpleImputer(strategy="most_frequent"), dummies, StandardScaler()), labels),
            ],
            verbose_feature_names_out=False,
        )
        self._columns = tuple(table)
        self._coding = coding.fit(table)
        matrix = self._code(table)
        self._varies = matrix.std(0) > 1e-8
        if not self._varies.any():
            raise ValueError(f"no column of X varies among the {len(table)} training rows: there is nothing to fit")
        self.names = tuple(np.asarray(coding.get_feature_names_out())[self._varies])
        return self

    def __call__(self, X: Any) -> Array:
        """Rows of the columns that were fitted, as (n, P) finite numbers."""
        table = _plain(X)
        if tuple(table) != self._columns:
            raise ValueError(f"X has the columns {list(table)}, but {list(self._columns)} were fitted")
        return self._code(table)[:, self._varies]

    def _code(self, table: pd.DataFrame) -> Array:
        with warnings.catch_warnings():
            # Levels that are new are coded as documented; scikit-learn would say so for every fold.
            warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)
            return np.asarray(self._coding.transform(table), dtype=np.float64)


def _plain(X: Any) -> pd.DataFrame:
    """Columns of floats with NaN, or of text with NaN, under text names, from any table or an array."""
    import pandas as pd

    if library_of(X) is not None:
        return pd.DataFrame({column.name: _cells(column) for column in read_table(X).columns})
    array = checked_array(X)
    flat = array.reshape(len(array), -1)
    names = list(grid_names(flat.shape[1:]))
    values = flat.astype(np.float64)
    missing = missing_cells(flat, names)
    if missing is not None:
        values[missing] = np.nan
    return pd.DataFrame(values, columns=names)


def _cells(column: RawColumn) -> NDArray[Any]:
    if column.form != "label":
        return np.asarray(column.values, dtype=np.float64)
    cells = np.empty(len(column.values), dtype=object)
    cells[:] = [np.nan if value is None else str(value) for value in column.values]
    return cells
