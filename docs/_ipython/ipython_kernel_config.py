"""How the code of a page is run: no history, sharp figures that fit a phone and a white ground in the dark."""

c = get_config()  # noqa: F821

c.IPKernelApp.log_level = 40  # the kernel is local and short-lived
c.HistoryManager.enabled = False
c.InlineBackend.figure_formats = {"retina"}
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "facecolor": "white"}
c.InlineBackend.rc = {"figure.dpi": 72, "font.size": 11, "savefig.facecolor": "white"}
c.IPKernelApp.exec_lines = [
    "import pandas, warnings",
    r"warnings.formatwarning = lambda message, kind, *rest, **named: f'{kind.__name__}: {message}\n'",
    "pandas.set_option('display.precision', 3)",
    "pandas.set_option('display.max_rows', 10, 'display.max_columns', 12)",
]
