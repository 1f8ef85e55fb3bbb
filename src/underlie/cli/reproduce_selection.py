"""The paper's choice of the number of components: its path on simulated data, over Monte-Carlo seeds and exactly."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

import underlie as ul
from underlie.cli.progress import Say
from underlie.cli.reproduce_part import Chapter, mean_and_sd, percent
from underlie.cli.reproduce_published import ALPHAS, CANDIDATES, FORWARD_DRAWS, SIMULATED_AIC, SIMULATED_PATH
from underlie.cli.reproduce_recipe import MixtureMoments, fit_sizes, noisy_path, penalty
from underlie.cli.reproduce_toys import clusters
from underlie.report.document import Cell, Column, Figure, Table, table
from underlie.report.images import picture
from underlie.warnings import DataWarning

Array = NDArray[np.float64]

_ROWS: Final = 1000
_ALPHAS: Final = np.linspace(*ALPHAS, 501)
#: paths worth a row of their own
_MOST_PATHS: Final = 8


@dataclass(frozen=True)
class PathStudy:
    """The path of one data set and one fit of every size, over seeds of the paper's Monte-Carlo draws."""

    sizes: tuple[int, ...]
    log_likelihood: Array
    """(sizes,): mean per row."""
    gaps: Array
    """(seeds, sizes, 2): first and second, Monte Carlo."""
    exact: Array
    """(sizes, 2)."""
    exact_by_n: Array
    """(sizes, 2): with divisor n in the data's covariance."""
    paths: tuple[tuple[int, ...], ...]
    """One per seed."""
    exact_path: tuple[int, ...]
    """Of `underlie.selection_path`, whose gaps are exact."""
    verdict: str
    """What it says of the penalties."""
    chosen: Mapping[str, int]
    """What criteria without a draw choose."""

    def share_with(self, size: int) -> float:
        """Share of seeds whose path visits a size."""
        return float(np.mean([size in path for path in self.paths]))

    def share_before_one(self, size: int) -> float:
        """Share of seeds in which a size is the last before the path ends at one component."""
        return float(np.mean([before_one(path) == size for path in self.paths]))


def before_one(path: tuple[int, ...]) -> int:
    """The size from which a path falls to 1, which is what one reads off it; its end if it never does."""
    return path[-2] if len(path) > 1 and path[-1] == 1 else path[-1]


def study_paths(models: Mapping[int, GaussianMixture], X: Array, n_seeds: int, seed: int) -> PathStudy:
    """Gaps of fitted mixtures on their own rows, exact and as the paper estimates them."""
    rng = np.random.default_rng(seed)
    moments = [MixtureMoments.of(model, X) for model in models.values()]
    gaps = np.stack([m.forward_gaps(FORWARD_DRAWS, n_seeds, rng) for m in moments], axis=1)
    sizes, likelihood = tuple(models), np.array([model.score(X) for model in models.values()])
    with warnings.catch_warnings():
        # that the penalty is flat is what the page is about; it quotes the message
        warnings.simplefilter("ignore", DataWarning)
        exact = ul.selection_path({str(k): model for k, model in models.items()}, X, ALPHAS)
    return PathStudy(
        sizes,
        likelihood,
        gaps,
        np.array([m.gap() for m in moments]),
        np.array([MixtureMoments.of(model, X, unbiased=False).gap() for model in models.values()]),
        tuple(noisy_path(likelihood, row, sizes, _ALPHAS) for row in penalty(gaps)),
        tuple(int(name) for name in exact.path.index),
        "; ".join(exact.flat.values()) or "no criterion is flat",
        {name.upper(): int(exact.best(name)) for name in ("aic", "bic", "icl")},
    )


def selection_chapter(seed: int, quick: bool, say: Say) -> Chapter:
    """Recompute the path on simulated three-component data for many seeds."""
    n_seeds = 50 if quick else 1000
    sizes = CANDIDATES[:5] if quick else CANDIDATES
    say("selection path: fitting mixtures to simulated data")
    X = clusters(_ROWS, seed)
    models = fit_sizes(X, sizes, seed)
    say("selection path: drawing")
    study = study_paths(models, X, n_seeds, seed)
    exact = study.exact_path
    others = [_share(study, (sizes[-1], k, 1)) for k in sizes[1:-1] if k != SIMULATED_PATH[1]]
    shown = gap_table(study, "Simulated data, three components: what the penalty is made of")
    conclusion = (
        "the path rests on Monte-Carlo noise. The exact penalty is the same for every K, so the exact path is "
        f"{said_path(exact)} for every α, and ul.selection_path says of it: “{study.verdict}”. One component alone has "
        "no noise, so that the noisy path must end at 1 once α is large. "
        f"Over {n_seeds:,} seeds of its own recipe the printed {said_path(SIMULATED_PATH)} comes in "
        f"{percent(_share(study, SIMULATED_PATH))}, "
        f"and the same with another K in place of 3 in {percent(min(others))} to {percent(max(others))}. "
        f"BIC chooses {study.chosen['BIC']} and ICL {study.chosen['ICL']} here without a draw."
    )
    return Chapter(
        "Selection path of mixtures on simulated data",
        "chooses the number of components K by log-likelihood − α (1MEGA-F + √2MEGA-F) from "
        f"{FORWARD_DRAWS:,} draws of z per mixture, and reads off the path over α: AIC chose {SIMULATED_AIC}, the path "
        f"went {said_path(SIMULATED_PATH)} (one seed; here n = {_ROWS:,} points of the three clusters).",
        (shown, path_table(study, "Paths over Monte-Carlo seeds"), noise_figure(study)),
        conclusion,
        shown,
        (("Simulated data: seeds whose path is the printed one", percent(_share(study, SIMULATED_PATH))),),
        {"exact_path": list(exact), "chosen": dict(study.chosen), "share_of_printed": _share(study, SIMULATED_PATH)},
    )


def said_path(path: tuple[int, ...]) -> str:
    """A path in a sentence."""
    return " → ".join(map(str, path))


def _share(study: PathStudy, path: tuple[int, ...]) -> float:
    return float(np.mean([found == path for found in study.paths]))


def gap_table(study: PathStudy, caption: str) -> Table:
    """Log-likelihood, exact gaps and their Monte-Carlo versions for each K."""
    columns = (
        Column("K", "integer"),
        Column("nats per row", "number", decimals=3),
        Column("second gap, exact", "number", decimals=5),
        Column("with divisor n", "number"),
        Column("as the paper estimates it ± sd", "estimate"),
        Column("on the path", "percent", decimals=0),
        Column("last before 1", "percent", decimals=0),
    )
    rows: list[list[Cell]] = []
    for j, size in enumerate(study.sizes):
        noisy = mean_and_sd(study.gaps[:, j, 1])
        rows.append(
            [
                size,
                float(study.log_likelihood[j]),
                float(study.exact[j, 1]),
                _digits(study.exact_by_n[j, 1]),
                noisy,
                study.share_with(size),
                study.share_before_one(size),
            ]
        )
    note = (
        "EM makes the first two moments of a full-covariance mixture those of the data at every step, whatever K; what "
        "is left of the exact gap is the divisor n − 1 of the paper's data estimate and scikit-learn's floor of 1e-6 "
        f"on variances. The estimate from {FORWARD_DRAWS:,} draws is noise around it: mean ± standard deviation over "
        f"{len(study.gaps):,} seeds. Last two columns: share of these seeds."
    )
    return table(caption, columns, rows, note)


def _digits(value: float, significant: int = 3) -> float:
    """As many digits as are worth showing of what is left by rounding and by a floor on variances."""
    return float(f"{value:.{significant - 1}e}")


def path_table(study: PathStudy, caption: str) -> Table:
    """How often each path comes out, and what criteria without chance choose."""
    paths = study.paths
    common = Counter(paths).most_common(_MOST_PATHS)
    rows: list[list[Cell]] = [[said_path(path), count / len(paths)] for path, count in common]
    rest = len(paths) - sum(count for _, count in common)
    rows.append([f"{len(set(paths)) - len(common):,} other paths", rest / len(paths)])
    without = "; ".join(f"{name} chooses K = {size}" for name, size in study.chosen.items())
    note = (
        f"α from 0 to {ALPHAS[1]:,.0f}; one fit of every K, only the draws of z differ. Exact gaps give "
        f"{said_path(study.exact_path)}. Without any draw: {without}."
    )
    return table(caption, (Column("path"), Column("share of seeds", "percent")), rows, note)


def noise_figure(study: PathStudy) -> Figure:
    """Distribution over seeds of the penalty of each K, with the exact one."""
    from underlie.plot.style import GREY, OKABE_ITO, axes_or_new, open_frame

    ax = axes_or_new(None, (7.5, 3.6))
    values: Any = penalty(study.gaps)
    places = np.arange(len(study.sizes))
    ax.boxplot(
        values,
        positions=places,
        widths=0.5,
        whis=(1, 99),
        showfliers=False,
        medianprops={"color": OKABE_ITO[0]},
        boxprops={"color": GREY},
    )
    ax.plot(places, penalty(study.exact), marker="D", linestyle="none", color=OKABE_ITO[1], label="exact")
    ax.set_xticks(places, [str(size) for size in study.sizes])
    ax.set_xlabel("components K")
    ax.set_ylabel("penalty: 1MEGA-F + √2MEGA-F")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    open_frame(ax)
    return picture(
        ax,
        "The penalty is noise",
        alt="Boxplots of the penalty over Monte-Carlo seeds for each number of components, and the exact penalty.",
        reading="Boxes are quartiles over seeds, whiskers the 1 % and 99 % points; diamonds the exact penalty, equal "
        "for all K. The noise grows from one component, which has none, to several: that alone makes the path fall.",
        media="svg",
    )
