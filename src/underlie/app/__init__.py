"""Saved models as pages in a browser: ``underlie app DIR``. Needs the extra ``app`` (Shiny for Python, plotly.js).

How the parts fit
-----------------
``folder.py``      which models lie in a folder, read from the files' headers without PyTorch
``beside.py``      the data of a model: which file, which of its columns; written by ``underlie fit``, read here
``opened.py``      a model and its data in memory: `Opened`; `Shelf` opens each once, for all browsers
``screens.py``     which screens a kind of model has: `Screen`
``page.py``        the page: choice of the model, its tabs, what is said while it opens
``server.py``      address, port, browser, Ctrl-C
``words.py``       errors in words: `guarded` for effects, `in_words` for outputs
``controls.py``    labelled controls that answer at once, and `render_pictures`
``latent_map.py``  the scatter of encoded rows with a cursor and a lasso; with ``www/``, its browser side
``form/``          a form for one row of a table, from its schema, and the row that was entered
``plain_table.py``, ``file_names.py``  tables of text; names that every system takes

A kind of model is a subpackage, imported when a model of that kind is opened: ``images``, ``survival``, ``table``. Each
has one function::

    def screens(opened: Opened) -> tuple[Screen, ...]

and a `Screen` is a tab: a title and two functions, a Shiny module written out::

    Screen("Latent map", ui=lambda id: map_ui(id, opened), server=lambda id: map_server(id, opened))

``ui(id)`` gives tags (use ``@module.ui``), ``server(id)`` starts the reactive part (``@module.server``). Both run
inside a session, once per browser page; an `Opened` is shared by all pages and must not be changed. ``ui`` and
``server`` run after the model was opened, so they may ask it anything quick. A page has one model: another model is
another address (``/?model=NAME``).

Rules of a screen
-----------------
* ``@reactive.effect`` functions are wrapped: ``@guarded`` below it. Otherwise an error in an effect closes the page.
* Outputs raise what they like: ValueError and TypeError of this package are shown with their words, other errors as one
  sentence, and their traceback goes to the terminal. `words.Hint` is shown as advice; for it put ``@explained`` below
  ``@render.ui`` (`render_pictures` and `render_map` know it), or the terminal gets a traceback too.
* What takes longer than a tenth of a second runs on a thread (``@reactive.extended_task`` around ``asyncio.to_thread``)
  under a button with ``ui.input_task_button``; its result is kept in `Opened.remember`, so that a second page has it.
* Nothing comes from another address. Scripts and styles lie in ``www/``; the page has plotly.js loaded.
* Every control has a label; what can be dragged can be reached by keyboard too. Colours and spacing are in
  ``www/underlie.css``: a screen is made of ``div.card-like`` blocks in a ``div.columns-2``, which stack when narrow.

The map, as a screen uses it::

    ui:      latent_map("map", label="Patients in the latent plane", tools=("lasso",))
    server:  @render_map
             def map() -> MapFigure: return MapFigure(points, rows, groups=..., axes=("z1", "z2"))
             input.map_at()      {"x", "y", "done"}   the cursor, by click, drag or arrow keys
             input.map_point()   number of the row whose point was clicked
             input.map_rows()    list of the numbers of rows inside the lasso; [] when it was taken back
"""
