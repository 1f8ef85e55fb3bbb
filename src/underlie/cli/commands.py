"""What can be typed: each command's arguments, help and examples; the work is done in the module it names."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from underlie import __version__
from underlie.cli.errors import with_exit_codes
from underlie.cli.processes import alone_but_for_fit

app = typer.Typer(
    name="underlie",
    help="Latent-variable models for tables and images: fit, compare, impute, sample.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


reproduce = typer.Typer(
    help="Compute the results of a paper again, ours beside what it printed.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(reproduce, name="reproduce")


class Family(StrEnum):
    """Models that can be fitted, saved and used again."""

    vae = "vae"
    ppca = "ppca"


TableIn = Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, TSV, Parquet, npy or npz file.")]
ModelIn = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder that [b]underlie fit[/b] wrote, or a model file.")
]
ArrayName = Annotated[str | None, typer.Option("--array", metavar="NAME", help="Which array of an npz file.")]
Drop = Annotated[
    list[str] | None,
    typer.Option("--drop", metavar="COLUMN", help="Leave a column out, such as an identifier; repeatable."),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kinds",
        metavar="COLUMN=KIND",
        help="Overrule an inferred kind: continuous, positive, proportion, count, binary, categorical, ordinal.",
    ),
]
Latent = Annotated[int | None, typer.Option("--n-latent", min=1, help="Latent dimensions; chosen by default.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same numbers.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Epochs = Annotated[int | None, typer.Option("--max-epochs", min=1, help="Passes over the data at most.")]
FileOut = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File to write, its kind by its suffix.")]


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"underlie {__version__}")
        raise typer.Exit


@app.callback()
@with_exit_codes
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    alone_but_for_fit(context.invoked_subcommand)


def _examples(*lines: str) -> str:
    return "[b]Examples[/b]\n\n" + "\n\n".join(f"  {line}" for line in lines)


@app.command(epilog=_examples("underlie demo", "underlie demo --out results --seed 1"))
@with_exit_codes
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the report.")] = Path(
        "underlie-demo"
    ),
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Fit and compare models on real data that come with the packages; write a report."""
    from underlie.cli.demo import run_demo

    run_demo(out, seed=seed, quiet=quiet, command=_typed())


@app.command(
    epilog=_examples(
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
    fit_table(table, out, settings, drop=drop or (), array=array, quiet=quiet, command=_typed())


@app.command(
    epilog=_examples(
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
        table, models, settings, held_out=held_out, out=out, drop=drop or (), array=array, quiet=quiet, command=_typed()
    )


@app.command(
    epilog=_examples(
        "underlie survival patients.csv --time days --event died --time-unit days --out survival",
        "underlie survival gbsg2.csv --time time --event cens --treatment horTh --time-unit days --horizon 4y --out o",
        "underlie survival trial.csv -t months -e status=2 --treatment arm --control placebo --randomised --out trial",
    )
)
@with_exit_codes
def survival(
    table: TableIn,
    time: Annotated[str, typer.Option("--time", "-t", metavar="COLUMN", help="Time to the event or to its end.")],
    event: Annotated[
        str,
        typer.Option(
            "--event",
            "-e",
            metavar="COLUMN[=VALUE]",
            help="1 where the event was seen, 0 where not; or the value seen.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for model, report, recommendations.")],
    treatment: Annotated[
        list[str] | None,
        typer.Option("--treatment", metavar="COLUMN", help="Column of the treatment received; repeatable."),
    ] = None,
    horizon: Annotated[
        str | None,
        typer.Option("--horizon", metavar="TIME", help="Time asked about, in the unit of --time, or such as 4y, 18m."),
    ] = None,
    time_unit: Annotated[
        str | None, typer.Option("--time-unit", metavar="UNIT", help="Of --time: days, weeks, months or years.")
    ] = None,
    control: Annotated[
        str | None, typer.Option("--control", metavar="LEVEL", help="Treatment that others are compared with.")
    ] = None,
    min_gain: Annotated[
        float,
        typer.Option("--min-gain", help="Least gain in survival that is worth another treatment than the control."),
    ] = 0.07,
    randomised: Annotated[
        bool, typer.Option("--randomised", help="Treatment was drawn by lot, with the same chances for all.")
    ] = False,
    identifier: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="Names patients; no covariate.")
    ] = None,
    splits: Annotated[int, typer.Option("--splits", help="Random splits for the comparison with Cox.")] = 5,
    folds: Annotated[int, typer.Option("--folds", help="Folds by which calibration and advice are judged.")] = 5,
    replicates: Annotated[
        int | None, typer.Option("--replicates", min=1, help="Models that are averaged; their spread gives intervals.")
    ] = None,
    kinds: Kinds = None,
    drop: Drop = None,
    array: ArrayName = None,
    max_epochs: Epochs = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Predict survival, judge it against Cox and Kaplan-Meier, and recommend treatments where there are any."""
    from underlie.cli.survival import analyse_table
    from underlie.cli.survival_findings import Effort
    from underlie.cli.survival_input import Question

    question = Question(
        time, event, treatment or (), horizon, control, min_gain, time_unit, identifier, randomised=randomised
    )
    effort = Effort(splits, folds, replicates, max_epochs, seed)
    analyse_table(
        table, question, out, effort, kinds=kinds or (), drop=drop or (), array=array, quiet=quiet, command=_typed()
    )


@app.command(epilog=_examples("underlie sample fit -n 1000 --out simulated.csv", "underlie sample fit -n 5 --seed 1"))
@with_exit_codes
def sample(
    model: ModelIn,
    n: Annotated[int, typer.Option("-n", min=1, help="How many rows.")] = 100,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="File to write; printed as CSV without it.")
    ] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Draw new rows from a fitted model."""
    from underlie.cli.use import sample_rows

    sample_rows(model, n, out, seed=seed, quiet=quiet)


@app.command(
    epilog=_examples(
        "underlie impute patients.csv --out complete.csv",
        "underlie impute fit patients.csv --out complete.csv",
        "underlie impute fit patients.csv --draws 20 --out imputations.parquet",
    )
)
@with_exit_codes
def impute(
    source: Annotated[
        Path, typer.Argument(metavar="MODEL|TABLE", help="A fitted model, or the table itself to fit one to it first.")
    ],
    table: Annotated[
        Path | None, typer.Argument(metavar="TABLE", help="The table to complete, when a model is given.")
    ] = None,
    out: FileOut = ...,  # type: ignore[assignment]  # required, though it follows an optional argument
    draws: Annotated[
        int,
        typer.Option(
            "--draws", min=0, help="Multiple imputations, stacked with columns .imp and .id; 0: one best value."
        ),
    ] = 0,
    model: Annotated[Family, typer.Option("--model", "-m", help="What to fit when no model is given.")] = Family.vae,
    n_latent: Latent = None,
    kinds: Kinds = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", metavar="COLUMN", help="Hand a column on untouched; repeatable.")
    ] = None,
    array: ArrayName = None,
    max_epochs: Epochs = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Fill in missing cells, once or several times; observed cells are kept as they are."""
    from underlie.cli.fit import Settings
    from underlie.cli.use import impute_table

    settings = Settings(model.value, n_latent, kinds or (), seed, max_epochs, verbose=not quiet)
    impute_table(source, table, out, settings, draws=draws, drop=drop or (), array=array, quiet=quiet)


@app.command(
    epilog=_examples("underlie score fit new_patients.csv", "underlie score fit new_patients.csv --out scores.csv")
)
@with_exit_codes
def score(
    model: ModelIn,
    table: TableIn,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the log-likelihood of every row.")
    ] = None,
    drop: Drop = None,
    array: ArrayName = None,
    quiet: Quiet = False,
) -> None:
    """Log-likelihood of a table under a fitted model, in nats per row with its standard error."""
    from underlie.cli.use import score_table

    score_table(model, table, out, drop=drop or (), array=array, quiet=quiet)


@app.command(
    epilog=_examples("underlie schema patients.csv", "underlie schema patients.csv --drop id --kinds grade=ordinal")
)
@with_exit_codes
def schema(table: TableIn, kinds: Kinds = None, drop: Drop = None, array: ArrayName = None) -> None:
    """Print what is in a table: each column's kind, values and missing cells, as the models will see it."""
    from underlie.cli.tables import parse_kinds, read_table
    from underlie.data.schema import Schema

    typer.echo(str(Schema.infer(read_table(table, array=array, drop=drop or ()), parse_kinds(kinds or ()))))


@app.command(
    epilog=_examples(
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
        command=_typed(),
    )


@reproduce.command(
    "mega",
    epilog=_examples("underlie reproduce mega", "underlie reproduce mega --quick", "underlie reproduce mega --jobs 4"),
)
@with_exit_codes
def reproduce_mega(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the report.")] = Path(
        "underlie-reproduce-mega"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="Small stand-ins for the data: shows that all parts run.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Parts computed side by side, one thread each.")] = 2,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Moment gaps (Beaulac 2021): comparisons, selection, outliers, mixtures and VAEs of digits, on one page.

    Needs the folder named by UNDERLIE_DATA with ionosphere.parquet and mnist.npz; parts whose data are missing are left
    out, and the page says so.
    """
    from underlie.cli.reproduce import reproduce_mega as compute

    compute(out, seed=seed, quick=quick, jobs=jobs, quiet=quiet, command=_typed())


@reproduce.command(
    "handwriting",
    epilog=_examples(
        "underlie reproduce handwriting",
        "underlie reproduce handwriting --quick",
        "underlie reproduce handwriting --data ~/hwd --repeats 50 --members 25 --only digit --only writer",
    ),
)
@with_exit_codes
def reproduce_handwriting(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the report and the results.")
    ] = Path("underlie-reproduce-handwriting"),
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder of HWD+; by default UNDERLIE_DATA is searched.")
    ] = None,
    repeats: Annotated[int | None, typer.Option("--repeats", min=1, help="Random splits.")] = None,
    members: Annotated[int | None, typer.Option("--members", min=1, help="Networks of a committee.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few writers, hardly trained networks: shows that all parts run.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="PART",
            help="digit, writer, characteristics, resolution, extra, m2 or generated; repeatable.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Results computed side by side, one thread each.")
    ] = 2,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Handwriting by known writers (Beaulac & Rosenthal 2022): classifiers, M2 and generated images, on one page.

    Needs HWD+, or in its place MNIST with the labels of QMNIST; see the documentation of the commands. Every result is
    kept in the folder: the same command goes on where it was interrupted.
    """
    from underlie.cli.handwriting.page import reproduce_handwriting as compute

    compute(
        out,
        data=data,
        repeats=repeats,
        members=members,
        quick=quick,
        only=only or (),
        jobs=jobs,
        seed=seed,
        quiet=quiet,
        command=_typed(),
    )


def _typed() -> str:
    """The command line as it was typed, the program by its bare name."""
    import shlex

    return shlex.join(["underlie", *sys.argv[1:]])
