"""Data sets: embedded clinical tables and digits, toy generators, and larger ones that are fetched once.

``load_*`` need no network and no files, but for ``load_qmnist_writers``, whose files the user puts in the folder named
by the variable ``UNDERLIE_DATA``. ``make_*`` draw random data. ``fetch_*`` look in that folder, then in the cache of
the user (``UNDERLIE_CACHE``), then download, where a source with a known checksum exists.
"""

from underlie.datasets._fetch import FetchError
from underlie.datasets.clinical import (
    load_gbsg2,
    load_kidney_transplant,
    load_larynx,
    load_leukemia,
    load_lung,
    load_rossi,
)
from underlie.datasets.hwd import fetch_hwd
from underlie.datasets.images import (
    Images,
    fetch_frey,
    fetch_mnist,
    fetch_olivetti,
    fetch_semeion,
    fetch_usps,
    load_digits,
)
from underlie.datasets.qmnist import load_qmnist_writers
from underlie.datasets.splits import SplitByDigits, SplitByIndividuals
from underlie.datasets.tables import fetch_table, load_breast_cancer, load_iris, load_wine, tables
from underlie.datasets.toy import make_half_moons, make_three_clusters
from underlie.datasets.writers import Handwriting

__all__ = [
    "FetchError",
    "Handwriting",
    "Images",
    "SplitByDigits",
    "SplitByIndividuals",
    "fetch_frey",
    "fetch_hwd",
    "fetch_mnist",
    "fetch_olivetti",
    "fetch_semeion",
    "fetch_table",
    "fetch_usps",
    "load_breast_cancer",
    "load_digits",
    "load_gbsg2",
    "load_iris",
    "load_kidney_transplant",
    "load_larynx",
    "load_leukemia",
    "load_lung",
    "load_qmnist_writers",
    "load_rossi",
    "load_wine",
    "make_half_moons",
    "make_three_clusters",
    "tables",
]
