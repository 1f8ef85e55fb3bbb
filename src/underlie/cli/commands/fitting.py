"""``underlie fit`` and ``compare``: from a table to models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from underlie.cli.commands.options import (
    ArrayName,
    Drop,
    Epochs,
    Family,
    Kinds,
    Latent,
    Quiet,
    Seed,
    TableIn,
    examples,
    typed,
)
from underlie.cli.errors import with_exit_codes

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "underlie fit patients.csv --out fit",
        "underlie fit patients.csv --drop id --kinds grade=ordinal --model vae --n-latent 4 --out fit",
        "underlie fit images.npz --array X --model ppca --out fit",
        "torchrun --nproc-per-node=4 -m underlie fit large.parquet --checkpoint fit.checkpoint --out fit",
    )
)
@with_exit_codes
def fit(
    table: TableIn,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for model and report.")],
    model: Annotated[Family, typer.Option("--model", "-m", help="vae: any columns; ppca: linear, exact.")] = Family.vae,
    n_latent: Latent = None,
    kinds: Kinds = None,
    drop: Drop = None,
    array: ArrayName = None,
    max_epochs: Epochs = None,
    replicates: Annotated[
        int | None, typer.Option("--replicates", min=1, help="Starts of a vae, trained side by side; the best is kept.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint", metavar="FILE", help="Keep the state of training of a vae here; go on from it if it exists."
        ),
    ] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Fit a model to a table; write model.safetensors, report.html and report.json.

    Started by torchrun, its processes train one model together, and the first of them writes.
    """
    from underlie.cli.fit import Settings, fit_table

    settings = Settings(
        model.value,
        n_latent,
        kinds or (),
        seed,
        max_epochs,
        verbose=not quiet,
        n_replicates=replicates,
        checkpoint=checkpoint,
    )
    fit_table(table, out, settings, drop=drop or (), array=array, quiet=quiet, command=typed())


@commands.command(
    epilog=examples(
        "underlie compare patients.csv",
        "underlie compare measurements.parquet --models ppca,gmm,vae --held-out 0.3 --out comparison",
    )
)
@with_exit_codes
def compare(
    table: TableIn,
    models: Annotated[
        str, typer.Option("--models", metavar="NAMES", help="Comma-separated: ppca, gmm (complete numbers only), vae.")
    ] = "ppca,vae",
    held_out: Annotated[
        float,
        typer.Option(
            "--held-out", min=0.0, max=0.9, help="Share of rows to judge on; 0 judges on all that were fitted."
        ),
    ] = 0.2,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for a report.")] = None,
    n_latent: Latent = None,
    kinds: Kinds = None,
    drop: Drop = None,
    array: ArrayName = None,
    max_epochs: Epochs = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Fit several models; compare them by held-out log-likelihood and moment gaps."""
    from underlie.cli.comparison import compare_on_table
    from underlie.cli.fit import Settings

    settings = Settings("", n_latent, kinds or (), seed, max_epochs, verbose=not quiet)
    compare_on_table(
        table, models, settings, held_out=held_out, out=out, drop=drop or (), array=array, quiet=quiet, command=typed()
    )
