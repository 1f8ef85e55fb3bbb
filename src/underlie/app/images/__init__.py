"""Screens of models of images: the latent map, generation on demand, the check of what is generated."""

from __future__ import annotations

from underlie.app.opened import Opened
from underlie.app.screens import Screen


def screens(opened: Opened) -> tuple[Screen, ...]:
    """The tabs of a model of images, those that its class has answers for."""
    import underlie.plot  # noqa: F401  here, on a thread: the first screen would hold up every page for it
    from underlie.app.images.check import check_server, check_ui
    from underlie.app.images.generation import generation_server, generation_ui
    from underlie.app.images.latent import map_server, map_ui
    from underlie.app.images.view import ImageView

    view = ImageView(opened)
    found = []
    if view.n_latent and hasattr(opened.model, "reconstruct"):
        found.append(Screen("Latent map", ui=lambda id: map_ui(id, view), server=lambda id: map_server(id, view=view)))
    if hasattr(opened.model, "restyle"):
        found.append(
            Screen(
                "Generate", ui=lambda id: generation_ui(id, view), server=lambda id: generation_server(id, view=view)
            )
        )
    if hasattr(opened.model, "sample"):
        found.append(
            Screen("Model check", ui=lambda id: check_ui(id, view), server=lambda id: check_server(id, view=view))
        )
    return tuple(found)
