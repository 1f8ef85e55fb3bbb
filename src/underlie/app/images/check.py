"""The model check: is what the model generates like the data, pixel by pixel and pair by pair?"""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from underlie.app.images.view import ImageView
from underlie.app.opened import Opened
from underlie.app.words import explained
from underlie.report.document import Figure

#: images shown of data and model each, and images that means, standard deviations and moments are of
_SHOWN: Final = 25
_MANY: Final = 2_000
_SEED: Final = 0

#: matplotlib keeps one list of figures for the whole process, which threads must not change at the same time
_drawing = threading.Lock()


@module.ui
def check_ui(view: ImageView) -> ui.Tag:
    """Two questions, each answered when it is asked: they take seconds."""
    opened = view.opened
    first = ui.div(
        ui.h2("What it generates"),
        ui.tags.p(
            "Samples x ~ p(x), and for other draws of z the mean and the standard deviation of every pixel given z."
            + (" Beside them rows of the data." if opened.n_rows else ""),
            class_="hint",
        ),
        ui.input_task_button("draw", "Draw", label_busy="Drawing …"),
        ui.div(ui.output_ui("generated"), class_="drawn"),
        class_="block wide",
    )
    return ui.div(first, *([_gap_block()] if opened.n_rows else [_no_data(opened)]), class_="columns-2")


def _gap_block() -> ui.Tag:
    return ui.div(
        ui.h2("Does it have the moments of the data?"),
        ui.tags.p(
            "Means, standard deviations, and the second moment of every pair of pixels, of data and model.",
            class_="hint",
        ),
        ui.input_task_button("compare", "Compare moments", label_busy="Comparing …"),
        ui.div(ui.output_ui("compared"), class_="drawn"),
        class_="block wide",
    )


def _no_data(opened: Opened) -> ui.Tag:
    text = f"Moments are compared with data. {opened.missing}"
    return ui.div(ui.h2("Does it have the moments of the data?"), ui.tags.p(text, class_="hint"), class_="block wide")


@module.server
def check_server(input: Inputs, output: Outputs, session: Session, view: ImageView) -> None:
    """Both answers are computed on threads and kept for all pages."""
    opened = view.opened

    @ui.bind_task_button(button_id="draw")
    @reactive.extended_task
    async def drawing() -> list[Figure]:
        return await asyncio.to_thread(opened.remember, "samples", lambda: generated_figures(view))

    @ui.bind_task_button(button_id="compare")
    @reactive.extended_task
    async def comparing() -> tuple[list[Figure], str]:
        return await asyncio.to_thread(opened.remember, "moments", lambda: moment_figures(view))

    @reactive.effect
    @reactive.event(input.draw)
    def draw() -> None:
        drawing()

    @reactive.effect
    @reactive.event(input.compare)
    def compare() -> None:
        comparing()

    @render.ui
    @explained
    def generated() -> Any:
        if drawing.status() == "initial":
            return None
        return ui.TagList(*(_figure(figure) for figure in drawing.result()))

    @render.ui
    @explained
    def compared() -> Any:
        if comparing.status() == "initial":
            return None
        figures, sentence = comparing.result()
        return ui.TagList(ui.tags.p(sentence, class_="finding"), *(_figure(figure) for figure in figures))


def _figure(figure: Figure) -> ui.Tag:
    """A figure at the size it was drawn for; where the page is narrower it can be scrolled."""
    image = ui.img(src=figure.image, alt=figure.alt, width=str(figure.width))
    return ui.tags.figure(ui.div(image, class_="scrolled", tabindex="0"), ui.tags.figcaption(figure.reading))


def generated_figures(view: ImageView) -> list[Figure]:
    """Samples, means and standard deviations beside rows of the data."""
    import underlie as ul
    from underlie.report import picture

    figures = []
    with _drawing:
        if view.opened.n_rows:
            figures.append(
                picture(
                    _side_by_side(view),
                    "",
                    alt="Left: rows of the data. Right: images sampled from the model.",
                    reading="A good model's samples could be mistaken for rows. Noise beyond that of the data comes "
                    "from pixels that the model takes for independent given z.",
                )
            )
        if hasattr(view.model, "moments"):
            figures.append(
                picture(
                    ul.plot.samples_means_sds(view.model, _SHOWN, random_state=_SEED),
                    "",
                    alt="Samples, means and standard deviations of generated images.",
                    reading="Standard deviations are bright where the model is unsure of a pixel though it knows z.",
                )
            )
    return figures


def moment_figures(view: ImageView) -> tuple[list[Figure], str]:
    """Means and standard deviations of data and model, the map of gaps, and the finding in a sentence."""
    import underlie as ul
    from underlie.report import picture

    rows = _some_rows(view)
    result = ul.mega(view.model, rows, random_state=_SEED)
    with _drawing:
        moments = picture(
            _means_and_sds(view, rows),
            "",
            alt="Mean and standard deviation of each pixel, of the data and of the model's samples.",
            reading="The two columns should look alike; where the right one differs, the model misses that pixel.",
        )
        gaps = picture(
            ul.plot.gap_heatmap(result, relative=True),
            "",
            alt="Heat map of the gap of second moments for every pair of pixels, in standard errors.",
            reading="Every entry is a pair of pixels, data less model, in standard errors. Pale is good; colour on the "
            "diagonal is a wrong variance, elsewhere a missed dependence.",
        )
    return [moments, gaps], _finding(result, len(rows))


def _finding(result: Any, n: int) -> str:
    against = f"Second moments of {n:,} rows: gap {result.second:.3g}; by chance a right model shows {result.floor:.3g}"
    if result.p_value is None:
        return f"{against}."
    clear = result.p_value < 0.05
    verdict = "more than chance: the model misses something" if clear else "no more than chance"
    return f"{against}. p = {result.p_value:.3g}, {verdict}."


def _some_rows(view: ImageView) -> NDArray[np.float64]:
    rows = view.opened.rows
    chosen = np.sort(np.random.default_rng(_SEED).permutation(len(rows))[:_MANY])
    return np.asarray(rows[chosen], dtype=float)


def _side_by_side(view: ImageView) -> Any:
    from underlie.plot.images import image_grid
    from underlie.plot.style import panels

    rows = _some_rows(view)[:_SHOWN]
    drawn = np.asarray(view.model.sample(_SHOWN, random_state=_SEED), dtype=float).reshape(-1, *view.shape)
    figure, (left, right) = panels(2, (7.6, 3.9))
    cmap = "gray_r" if view.ink_is_large else "gray"
    for ax, images, title in ((left, rows, "data"), (right, drawn, "samples of the model")):
        image_grid(images.reshape(-1, *view.shape), ax=ax, limits=(view.low, view.high), cmap=cmap)
        ax.set_title(title, fontsize=11)
    return figure


def _means_and_sds(view: ImageView, rows: NDArray[np.float64]) -> Any:
    from underlie.plot.images import image_grid
    from underlie.plot.style import panels

    drawn = np.asarray(view.model.sample(len(rows), random_state=_SEED), dtype=float).reshape(-1, *view.shape)
    figure, axes = panels(2, (6.2, 3.6))
    summaries: tuple[Any, Any] = (np.nanmean, np.nanstd)
    for ax, summary, title in zip(axes, summaries, ("means", "standard deviations"), strict=True):
        pair = np.stack([summary(rows.reshape(-1, *view.shape), axis=0), summary(drawn, axis=0)])
        low = view.low if summary is np.nanmean else 0.0
        image_grid(pair, 2, titles=["data", "model"], ax=ax, limits=(low, max(float(pair.max()), low + 1e-9)))
        ax.set_title(title, fontsize=11)
    return figure
