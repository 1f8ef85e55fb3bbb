"""The report on a fitted model: facts once, then as text, a page, Markdown, LaTeX or JSON."""

from __future__ import annotations

import html
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self, final

from underlie.estimators.base import checked_count, is_whole
from underlie.report.document import Alert, Document
from underlie.report.latex import render_latex
from underlie.report.layout import SUMMARY_FORMAT, document_from_summary, results
from underlie.report.markdown import render_markdown, write_markdown
from underlie.report.render import render_html
from underlie.report.summary import Effort, Evidence, investigate
from underlie.report.text import render_text
from underlie.report.time_unit import known_unit

_FRAME_HEIGHT = 720
PathLike = str | os.PathLike[str]


@final
class Report:
    """What a fitted model makes of some rows: how well it describes and predicts them, and what to beware of.

    Facts are computed at once; `print` shows them in a few lines. Figures are drawn when a page is first asked for.

    =============================  =================================================================================
    of every model                 settings and training; columns, missing cells, values outside the fitted range
    with a distribution of rows    log-likelihood with its standard error; gaps of the first two moments with p-values
    with labels (and y)            accuracy, class by class, log loss, calibration with a p-value
    `SurvivalVAE` (and y)          C-index, Brier score, calibration, each with an interval
    with treatments                average effects with intervals
    =============================  =================================================================================

    Parameters
    ----------
    model : fitted estimator of underlie
    X : table, array, images or row source of n rows
        NaN or null where missing. Rows that the model has not seen tell most.
    y : labels or outcomes of the rows, optional
        As for the model's ``fit``; predictions are judged on them.
    extra : table or array of n rows, optional
        Further predictors of a `NeuralClassifier` that was fitted with them.
    title : str, optional
    held_out : bool, optional
        Whether the model has not seen these rows. Where it is not said, X is recognised as what the model was fitted to
        if location, scale and range of all its columns are the same; otherwise the report says that it is not known.
    horizon : float, optional
        Time at which survival is asked for, in the unit of y; by default the median time of events.
    time_unit : {"days", "weeks", "months", "years"}, optional
        The unit of the times in y. With it texts, tables and axes say a time in the unit that reads best: 1461 days are
        4 years. The horizon stays in the unit of y.
    randomised : bool
        Whether treatment was drawn by lot.
    n_draws : int, optional
        Draws of latent variables per row behind an estimated log-likelihood; by default the estimator's own number.
    n_simulations : int
        Data sets drawn from the model behind p-values, and resamples behind intervals; 0 for none.
    max_rows : int
        Of more rows a random choice of so many is judged, and the report says so. It bounds time and memory: only these
        rows of a source are read.
    figures : bool
        Whether pages have figures.
    command : str, optional
        What was typed, for the record.
    seconds : float, optional
        How long the work before took, for the record.
    caught : sequence of warnings.WarningMessage
        Warnings recorded while the model was fitted; those of this package become alerts.
    random_state : int
        Seeds the choice of rows, draws and simulations.

    Attributes
    ----------
    facts : dict
        Everything that the report says, as JSON types.
    alerts : tuple of Alert
        What to know first: ``level``, ``code``, ``title``, ``text``, ``remedy``. `underlie.report.CODES` lists the
        codes.
    document : Document
        The page, as data.

    Raises
    ------
    TypeError
        If the model is no estimator of underlie.
    sklearn.exceptions.NotFittedError
        If the model was not fitted.
    ValueError
        If X does not have the columns that the model was fitted to, y does not fit, or the unit of time is not known.

    Examples
    --------
    >>> import underlie as ul
    >>> X = ul.datasets.load_lung()
    >>> model = ul.ProbabilisticPCA("bic", standardize=True).fit(X[:150])
    >>> report = ul.Report(model, X[150:], held_out=True)
    >>> report.facts["log_likelihood"]["n"]
    78
    >>> [alert.code for alert in report.alerts]
    ['moment-gap']
    >>> print(report.summary().splitlines()[0])
    ProbabilisticPCA on 78 rows
    >>> page = report.to_html()  # or report.to_html("report.html")
    """

    facts: dict[str, Any]

    def __init__(
        self,
        model: Any,
        X: Any,
        y: Any = None,
        *,
        extra: Any = None,
        title: str | None = None,
        held_out: bool | None = None,
        horizon: float | None = None,
        time_unit: str | None = None,
        randomised: bool = False,
        n_draws: int | None = None,
        n_simulations: int = 199,
        max_rows: int = 5000,
        figures: bool = True,
        command: str | None = None,
        seconds: float | None = None,
        caught: Sequence[warnings.WarningMessage] = (),
        random_state: int = 0,
    ) -> None:
        if held_out not in (None, True, False):
            raise TypeError(f"held_out must be True, False or None, got {held_out!r}.")
        if not is_whole(n_simulations) or n_simulations < 0:
            raise ValueError(f"n_simulations must be a whole number, 0 for none, got {n_simulations!r}.")
        if not is_whole(random_state) or random_state < 0:
            raise TypeError(
                f"random_state must be a whole number, so that the report can be had again, got {random_state!r}."
            )
        effort = Effort(
            held_out=held_out,
            horizon=horizon,
            time_unit=None if time_unit is None else _checked_unit(time_unit),
            randomised=bool(randomised),
            n_draws=None if n_draws is None else checked_count(n_draws, "n_draws"),
            n_simulations=int(n_simulations),
            max_rows=checked_count(max_rows, "max_rows"),
            seed=int(random_state),
        )
        self._evidence: Evidence | None
        self.facts, self._evidence = investigate(
            model,
            X,
            y,
            extra=extra,
            title=title,
            effort=effort,
            command=command,
            seconds=seconds,
            caught=caught,
        )
        if not figures:
            self._evidence = None

    @classmethod
    def from_json(cls, source: str | PathLike | Mapping[str, Any]) -> Self:
        """A report from what `to_json` gave: its text, the file that it wrote, or the parsed content.

        Raises
        ------
        ValueError
            If it is something else, such as the page of another command (`underlie.report.Document` reads these).

        Examples
        --------
        >>> import numpy as np, underlie as ul
        >>> X = np.random.default_rng(0).normal(size=(50, 2))
        >>> report = ul.Report(ul.ProbabilisticPCA(1).fit(X), X, figures=False)
        >>> ul.Report.from_json(report.to_json()) == report
        True
        """
        document = Document.from_json(_parsed(source))
        if document.facts.get("format") != SUMMARY_FORMAT:
            raise ValueError(
                f"this is no report on one model (its facts have the format {document.facts.get('format')!r}, not "
                f"{SUMMARY_FORMAT!r}): read it with underlie.report.Document.from_json, or make the report again."
            )
        self = cls.__new__(cls)
        self.facts, self._evidence = document.facts, None
        self.__dict__["document"] = document
        return self

    @cached_property
    def document(self) -> Document:
        """The page as data; figures are drawn for it, once."""
        if self._evidence is None:
            return document_from_summary(self.facts)
        # Imported here: text and facts need no plotting code.
        from underlie.report.figures import figures_of

        return document_from_summary(self.facts, figures_of(self.facts, self._evidence))

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What to know before the results, the most serious first."""
        return tuple(Alert(**alert) for alert in self.facts["alerts"])

    def summary(self) -> str:
        """The report in some lines of text: model, rows, fit, predictions, tables, alerts."""
        return render_text(self.facts["title"], results(self.facts), self.alerts)

    def to_html(self, path: PathLike | None = None) -> str | None:
        """One HTML page that needs no other file and no network, as text, or written to a file.

        Parameters
        ----------
        path : path, optional
            The folder must exist.

        Returns
        -------
        str, or None where a file is written
        """
        return _delivered(render_html(self.document), path)

    def to_markdown(self, path: PathLike | None = None) -> str | None:
        """The report as Markdown, as text, or written to a file.

        Text has the words of figures and not the pictures; beside a file ``report.md`` they are in ``report_files``.
        """
        if path is None:
            return render_markdown(self.document)
        write_markdown(self.document, Path(path))
        return None

    def to_latex(self, path: PathLike | None = None) -> str | None:
        r"""The tables of results as LaTeX for a paper, as text, or written to a file; ``\usepackage{booktabs}``."""
        return _delivered(render_latex(results(self.facts)), path)

    def to_json(self, path: PathLike | None = None) -> str | None:
        """Facts and page as JSON, as text, or written to a file; `from_json` reads it."""
        text = json.dumps(self.document.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        return _delivered(text + "\n", path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report) and self.document == other.document

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        # In a frame of its own, so that neither style reaches into the other.
        page = html.escape(render_html(self.document), quote=True)
        return (
            f'<iframe srcdoc="{page}" title="{html.escape(self.facts["title"], quote=True)}" '
            f'style="width: 100%; height: {_FRAME_HEIGHT}px; border: 1px solid #d0d7de; background: #fff"></iframe>'
        )


def _checked_unit(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"time_unit must be the name of a unit, such as 'days', got {name!r}.")
    try:
        return known_unit(name)
    except ValueError as error:
        raise ValueError(f"time_unit: {error}.") from None


def _delivered(text: str, path: PathLike | None) -> str | None:
    if path is None:
        return text
    Path(path).write_text(text, encoding="utf-8")
    return None


def _parsed(source: str | PathLike | Mapping[str, Any]) -> Mapping[str, Any]:
    """The content of JSON text, of a file, or as it is."""
    if isinstance(source, Mapping):
        return source
    is_text = isinstance(source, str) and source.lstrip()[:1] == "{"
    text = str(source) if is_text else Path(source).read_text(encoding="utf-8")
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"this is no report: it is no JSON ({error}).") from error
    if not isinstance(parsed, dict):
        raise ValueError("this is no report: give what to_json() returned, or the file that it wrote.")
    return parsed
