"""The last tab of every model: what it is, how it was fitted, and where its data are."""

from __future__ import annotations

from typing import Any, Final

from shiny import module, ui

from underlie.app.opened import Opened
from underlie.app.screens import Screen
from underlie.app.words import note

_MOST_COLUMNS: Final = 60
_NO_SCREENS: Final = "This model tells classes and generates nothing: there is no latent space to walk through."


def about(opened: Opened) -> Screen:
    """The screen that tells about a model."""
    return Screen("About", ui=lambda id: _ui(id, opened), server=_server)


@module.ui
def _ui(opened: Opened) -> ui.Tag:
    return ui.div(
        *([] if hasattr(opened.model, "sample") else [ui.div(note(_NO_SCREENS), class_="block wide")]),
        ui.div(ui.h2("The model"), _facts(_model_facts(opened)), class_="block"),
        ui.div(ui.h2("Its data"), _facts(_data_facts(opened)), class_="block"),
        *_schema(opened),
        class_="columns-2",
    )


@module.server
def _server(input: Any, output: Any, session: Any) -> None:
    """Nothing changes here."""


def _facts(facts: dict[str, str]) -> ui.Tag:
    return ui.tags.dl(*(tag for name, text in facts.items() for tag in (ui.tags.dt(name), ui.tags.dd(text))))


def _model_facts(opened: Opened) -> dict[str, str]:
    model = opened.model
    facts = {"Class": type(model).__name__, "File": str(opened.path)}
    facts |= {name: _short(value) for name, value in model.get_params(deep=False).items() if _was_chosen(model, name)}
    if hasattr(model, "fit_time_"):
        facts["Fitted in"] = f"{model.fit_time_:.1f} s"
    if hasattr(model, "n_parameters_"):
        facts["Parameters"] = f"{model.n_parameters_:,}"
    return facts


def _was_chosen(model: Any, name: str) -> bool:
    """Whether a parameter is something else than its default, so that it says something about this model."""
    import inspect

    default = inspect.signature(type(model)).parameters[name].default
    value = getattr(model, name)
    return name not in ("verbose", "device") and (type(value) is not type(default) or repr(value) != repr(default))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _data_facts(opened: Opened) -> dict[str, str]:
    shape = " × ".join(str(side) for side in opened.model.encoder_.row_shape)
    facts = {"One row": f"{shape} pixels" if opened.kind == "images" else f"{opened.model.n_features_in_} columns"}
    if opened.data is None:
        return facts | {"File": opened.missing}
    facts |= {"File": str(opened.data), "Rows": f"{opened.n_rows:,}"}
    if opened.labels is not None:
        facts["Labels"] = "yes" if opened.labels.ndim == 1 else f"{opened.labels.shape[1]} columns"
    return facts


def _schema(opened: Opened) -> list[ui.Tag]:
    """The columns as the model sees them; of images the pixels are all alike."""
    schema = opened.model.schema_
    if opened.kind == "images" or len(schema) > _MOST_COLUMNS:
        return []
    table = ui.div(ui.HTML(schema._repr_html_()), class_="wide-table", tabindex="0", role="region")
    return [ui.div(ui.h2("Columns"), table, class_="block wide")]
