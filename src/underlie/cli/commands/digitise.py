"""``underlie digitise``: scanned sheets into labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from underlie.cli.commands.options import Quiet, examples, typed
from underlie.cli.errors import with_exit_codes

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "underlie digitise scans --out digits",
        "underlie digitise scans --grid 10x7 --layout 0011223344,5566778899 --out digits",
        'underlie digitise a.tif b.tif --pattern "{writer}" --out digits',
        "underlie digitise scans --labels pages.csv --resolutions 28 --skip-bad --out digits",
    )
)
@with_exit_codes
def digitise(
    scans: Annotated[
        list[Path], typer.Argument(metavar="SCANS", help="Folders or files: PNG, JPEG, TIFF (also of several pages).")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for images, labels, datasheet.")],
    grid: Annotated[str, typer.Option("--grid", metavar="ROWSxCOLUMNS", help="Cells of the printed grid.")] = "10x7",
    layout: Annotated[
        str, typer.Option("--layout", metavar="DIGITS", help="The digit of each row, pages separated by commas.")
    ] = "0011223344,5566778899",
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="TABLE", help="CSV with the columns file, writer, page.")
    ] = None,
    pattern: Annotated[
        str, typer.Option("--pattern", help="How file names say writer and page; * is any text.")
    ] = "{writer}_{page}",
    resolutions: Annotated[
        str, typer.Option("--resolutions", metavar="PIXELS", help="Sides of the images, comma-separated.")
    ] = "28,100,500",
    threshold: Annotated[
        int, typer.Option("--threshold", min=0, max=255, help="Grey values above it become 255, paper.")
    ] = 200,
    raw: Annotated[
        bool, typer.Option("--raw", help="Take grey values as scanned; do not make the paper white first.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out scans that cannot be used, instead of refusing all.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace data that are in the folder.")] = False,
    quiet: Quiet = False,
) -> None:
    """Turn scanned sheets, printed grids of handwritten digits, into labelled images; flag doubtful cells."""
    from underlie.cli.digitise import digitise_scans

    digitise_scans(
        scans,
        out,
        grid=grid,
        layout=layout,
        resolutions=resolutions,
        labels=labels,
        pattern=pattern,
        threshold=threshold,
        raw=raw,
        skip_bad=skip_bad,
        overwrite=overwrite,
        quiet=quiet,
        command=typed(),
    )
