"""From a matplotlib figure to a picture that a page can carry inside itself."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, Literal

from underlie.report.document import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure

#: finer than a screen's 96, so that pictures stay sharp when zoomed or printed
_DOTS_PER_INCH = 150
_CSS_PIXELS_PER_INCH = 96
_MEDIA = {"png": "image/png", "svg": "image/svg+xml"}


def picture(drawing: Any, title: str, *, alt: str, reading: str, media: Literal["png", "svg"] = "png") -> Figure:
    """A report figure from matplotlib Axes, an array of Axes, or a matplotlib Figure, which is closed afterwards.

    Parameters
    ----------
    drawing : Axes, array of Axes, or matplotlib Figure
    title : str
    alt : str
        What the figure shows, for readers who cannot see it.
    reading : str
        One sentence that says what to see in it; stands under the figure.
    media : {"png", "svg"}
        ``"svg"`` is sharper and smaller for lines, ``"png"`` for images and many points.

    Returns
    -------
    underlie.report.Figure

    Raises
    ------
    TypeError
        If ``drawing`` is nothing that matplotlib drew.

    Examples
    --------
    >>> import matplotlib.figure
    >>> axes = matplotlib.figure.Figure().subplots()
    >>> picture(axes, "Empty", alt="Empty axes.", reading="Nothing is drawn.").image[:22]
    'data:image/png;base64,'
    """
    # Imported here: reports without figures, and the command line's help, need no plotting code.
    import matplotlib as mpl

    figure = _figure_of(drawing)
    width = round(figure.get_figwidth() * _CSS_PIXELS_PER_INCH) if media == "png" else None
    buffer = io.BytesIO()
    # A fixed salt and no date: the same figure gives the same bytes.
    with mpl.rc_context({"svg.hashsalt": "underlie", "svg.fonttype": "path"}):
        metadata = {"Date": None} if media == "svg" else {"Software": None}
        figure.savefig(
            buffer, format=media, dpi=_DOTS_PER_INCH, bbox_inches="tight", facecolor="white", metadata=metadata
        )
    _close(figure)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Figure(title=title, image=f"data:{_MEDIA[media]};base64,{encoded}", alt=alt, reading=reading, width=width)


def _figure_of(drawing: Any) -> MplFigure:
    from matplotlib.figure import Figure as MplFigure

    if hasattr(drawing, "ravel"):
        drawing = drawing.ravel()[0]
    figure = drawing if isinstance(drawing, MplFigure) else getattr(drawing, "figure", None)
    if not isinstance(figure, MplFigure):
        raise TypeError(f"drawing must be matplotlib Axes or a matplotlib Figure, got {type(drawing).__name__}")
    return figure


def _close(figure: MplFigure) -> None:
    # Figures made by pyplot stay in its registry until closed; others were never in it.
    import matplotlib.pyplot as plt

    plt.close(figure)
