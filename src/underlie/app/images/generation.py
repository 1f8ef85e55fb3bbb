"""Controlled generation: each label in each style; styles from the prior, from a row, from an upload or a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from shiny import Inputs, Outputs, Session, module, reactive, render, ui
from shiny.types import FileInfo

from underlie.app.controls import Picture, drawing_field, pictures, png, render_pictures
from underlie.app.images.uploads import MOST_BYTES, Taken, take_drawing, take_file
from underlie.app.images.view import Floats, ImageView, said_label
from underlie.app.opened import Opened
from underlie.app.words import Hint, explained, guarded, or_silence

#: classes in one line of the table; more are laid out in several
_ACROSS: Final = 10
_MOST_STYLES: Final = 8
#: values of a continuous label across the table, and how many standard deviations they reach from its mean
_VALUES: Final = 9
_REACH: Final = 2.0
#: screen pixels of an image in the table, and of one pixel in the file that is downloaded
_SIZE: Final = 84
_SCALE: Final = 4
_PEN_SHEET: Final = 196


@dataclass(frozen=True, eq=False)
class Style:
    """Styles to generate in: places (k, M), where they came from, and the image that they were read from, if any."""

    z: Floats
    source: str
    image: Floats | None = None
    read_as: str = ""


@module.ui
def generation_ui(view: ImageView) -> ui.Tag:
    """Choices beside the table of images."""
    opened = view.opened
    classes = [target for target in view.targets if not target.is_continuous]
    across = min(_ACROSS, len(classes[0].classes)) if classes else _VALUES
    sources = {"prior": "new, drawn from the prior", "upload": "of a picture that I upload"}
    sources["drawing"] = "of what I draw"
    if opened.n_rows:
        sources["row"] = "of a row of the data"
    return ui.div(
        ui.div(
            ui.input_radio_buttons("source", "Style", sources),
            ui.panel_conditional("input.source == 'prior'", _prior_controls()),
            ui.panel_conditional("input.source == 'upload'", _upload_control()),
            ui.panel_conditional("input.source == 'drawing'", _drawing_control(view)),
            *([ui.panel_conditional("input.source == 'row'", _row_control(opened))] if opened.n_rows else []),
            ui.output_ui("said"),
            pictures("given", size=112, label="The image that gives the style"),
            class_="block",
        ),
        ui.div(
            ui.div(*_label_controls(view), class_="controls"),
            ui.output_ui("reading"),
            pictures("table", size=_SIZE, across=across, label="Generated images"),
            ui.div(ui.download_button("png", "Download as PNG"), class_="below"),
            class_="block",
        ),
        class_="columns-2 wide-second",
    )


def _prior_controls() -> ui.TagList:
    return ui.TagList(
        ui.input_numeric("styles", "Styles", value=4, min=1, max=_MOST_STYLES, width="6rem"),
        ui.input_action_button("again", "New styles"),
    )


def _upload_control() -> ui.Tag:
    return ui.input_file("file", "Picture of one character", accept=["image/*"], button_label="Choose …")


def _drawing_control(view: ImageView) -> ui.Tag:
    height, width = view.shape[:2]
    return drawing_field(
        "drawn",
        label="Field to draw one character in",
        height=round(_PEN_SHEET * height / width),
        width=_PEN_SHEET,
    )


def _row_control(opened: Opened) -> ui.Tag:
    return ui.input_numeric("row", "Row", value=1, min=1, max=opened.n_rows, width="8rem")


def _label_controls(view: ImageView) -> list[ui.Tag]:
    """Which column of labels runs across, and the values of the others."""
    several = [j for j, target in enumerate(view.targets) if not target.is_continuous]
    controls = []
    if len(several) > 1:
        names = {str(j): view.targets[j].name for j in several}
        controls.append(ui.input_select("across", "Across", names, width="9rem"))
    for j, target in enumerate(view.targets):
        if target.is_continuous and (several or j > 0):
            value = round(float(target.loc), 3)
            controls.append(ui.input_numeric(f"fixed{j}", target.name, value=value, width="9rem"))
        elif not target.is_continuous and len(several) > 1:
            control = ui.input_select(f"fixed{j}", target.name, [said_label(c) for c in target.classes], width="9rem")
            controls.append(ui.panel_conditional(f"input.across != '{j}'", control))
    return controls


@module.server
def generation_server(input: Inputs, output: Outputs, session: Session, view: ImageView) -> None:
    """Keeps the styles that were chosen last; changing a label keeps the style."""
    seed = reactive.value(0)

    @reactive.effect
    @reactive.event(input.again)
    @guarded
    def again() -> None:
        seed.set(seed() + 1)

    @reactive.calc
    def style() -> Style:
        source = input.source()
        if source == "prior":
            return _from_prior(view, input.styles(), seed())
        if source == "row":
            return _from_row(view, input.row())
        taken, name = _uploaded(input.file(), view) if source == "upload" else _drawn(input.drawn(), view)
        return _from_image(view, taken, name)

    @reactive.calc
    def labels() -> list[list[Any]]:
        return _asked(view, input)

    @reactive.calc
    def generated() -> Floats:
        """Images (styles, labels, *shape)."""
        return view.decode_each(style().z, labels())

    @render.ui
    @explained
    def said() -> Any:
        return ui.tags.p(style().source, class_="hint")

    @render.ui
    def reading() -> Any:
        return ui.tags.p(or_silence(style).read_as, class_="hint")

    @render_pictures
    def given() -> list[Picture]:
        image = or_silence(style).image
        if image is None:
            return []
        return [view.picture(image[0], "The image as the model sees it", "as the model sees it")]

    @render_pictures
    def table() -> list[Picture]:
        names = [", ".join(said_label(value) for value in label) for label in labels()]
        first = [names_of_first(view, label) for label in labels()]
        return [
            view.picture(image, f"{name}, style {i + 1}", short if i == 0 or len(first) > _ACROSS else "")
            for i, line in enumerate(or_silence(generated))
            for image, name, short in zip(line, names, first, strict=True)
        ]

    def names_of_first(view: ImageView, label: list[Any]) -> str:
        return said_label(label[_across(view, input)])

    @render.download_button(filename=lambda: f"{Path(view.opened.name).name}-generated.png")
    def png() -> Any:
        yield _sheet(view, generated())


def _across(view: ImageView, input: Inputs) -> int:
    """Which column of labels runs across the table."""
    several = [j for j, target in enumerate(view.targets) if not target.is_continuous]
    if not several:
        return 0
    return int(input.across()) if len(several) > 1 else several[0]


def _asked(view: ImageView, input: Inputs) -> list[list[Any]]:
    """The labels of the columns of the table: every class of one column of labels, the others as chosen."""
    across = _across(view, input)
    fixed: list[Any] = []
    for j, target in enumerate(view.targets):
        if j == across:
            fixed.append(None)
        elif target.is_continuous:
            if input[f"fixed{j}"]() is None:
                raise Hint(f"Give a number for {target.name}.")
            fixed.append(float(input[f"fixed{j}"]()))
        else:
            chosen = input[f"fixed{j}"]()
            fixed.append(next(value for value in target.classes if said_label(value) == chosen))
    return [[*fixed[:across], value, *fixed[across + 1 :]] for value in _values(view.targets[across])]


def _values(target: Any) -> list[Any]:
    """The classes of a column of labels, or values of a continuous one around its mean."""
    if target.is_continuous:
        return [float(value) for value in target.loc + target.scale * np.linspace(-_REACH, _REACH, _VALUES)]
    return list(target.classes)


def _from_prior(view: ImageView, n: Any, seed: int) -> Style:
    if not isinstance(n, int) or not 1 <= n <= _MOST_STYLES:
        raise Hint(f"Ask for 1 to {_MOST_STYLES} styles.")
    z = np.random.default_rng(seed).standard_normal((n, view.n_latent))
    return Style(z, f"Each line is one style, drawn from N(0, I) with seed {seed}; each column is one label.")


def _from_row(view: ImageView, row: Any) -> Style:
    opened = view.opened
    if not isinstance(row, int) or not 1 <= row <= opened.n_rows:
        raise Hint(f"There are rows 1 to {opened.n_rows:,}.")
    image = np.asarray(opened.rows[[row - 1]])
    return _from_image(view, Taken(np.asarray(image, dtype=float), ""), f"row {row}", row_image=image)


def _from_image(view: ImageView, taken: Taken, name: str, row_image: Any = None) -> Style:
    image = taken.image if row_image is None else row_image
    said = view.read_labels(image)
    words = ", ".join(f"{view.named(j)} {said_label(label)}".strip() for j, label in enumerate(said))
    proba = _confidence(view, image)
    done = f" It was {taken.done}." if taken.done else ""
    z = view.encode(image)
    return Style(
        z,
        f"The style of {name}.{done}",
        taken.image,
        f"The model reads it as {words}{proba}, and keeps its style below.",
    )


def _confidence(view: ImageView, image: Any) -> str:
    """How sure the model is of the first column of labels."""
    if any(target.is_continuous for target in view.targets):
        return ""
    found = view.model.predict_proba(image)
    first = found if view.targets and len(view.targets) == 1 else found[0]
    return f" (probability {100 * float(np.max(first)):.0f} %)"


def _uploaded(files: list[FileInfo] | None, view: ImageView) -> tuple[Taken, str]:
    if not files:
        raise Hint("Choose a picture of one character: a photograph or a scan will do.")
    file = files[0]
    if file["size"] > MOST_BYTES:
        size = f"{file['size'] / 1e6:.0f} MB, more than the {MOST_BYTES / 1e6:.0f} MB"
        raise Hint(f"{file['name']} has {size} that are read here. Crop it to one character.")
    return take_file(Path(file["datapath"]).read_bytes(), view), file["name"]


def _drawn(address: str | None, view: ImageView) -> tuple[Taken, str]:
    if not address:
        raise Hint("Draw one character into the field.")
    return take_drawing(address, view), "your drawing"


def _sheet(view: ImageView, images: Floats) -> bytes:
    """All images (styles, labels, *shape) as one PNG."""
    from underlie.plot.images import mosaic

    stack = images.reshape(-1, *view.shape)
    canvas, _ = mosaic(stack, images.shape[1], gap=2)
    return png(canvas, view.low, view.high, dark=view.ink_is_large, scale=_SCALE)
