"""Networks as files that run without this package."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from underlie.exchange.programs import Program, program_of
from underlie.optional import require

#: name of the description within a file
_ABOUT = "underlie.json"


def export(model: Any, path: str | os.PathLike[str], part: str = "encoder") -> dict[str, Any]:
    r"""Write the encoder, the decoder or the classifier of a fitted model to a file that runs without this package.

    ``.pt2`` files are read by ``torch.export.load``, ``.onnx`` files by ONNX Runtime and others in many languages.
    Standardisation, missing cells and units of the data are within the program.

    =============== ============================================= ===================================================
    part            takes                                         gives
    =============== ============================================= ===================================================
    ``encoder``     ``x`` (n, C): rows, see `program_rows`;       ``mean``, ``variance`` (n, M) of :math:`q(z \mid x)`,
                    NaN where missing                             as `transform` and `posterior` with n_importance=0
    ``decoder``     ``z`` (n, M)                                  ``x`` (n, P): means of the numeric columns
                                                                  :math:`E[x \mid z]`, as `moments`
    ``classifier``  ``x`` (n, C)                                  ``probabilities`` (n, K), as `predict_proba`
                                                                  (of a `SemiSupervisedVAE` with n_importance=0)
    =============== ============================================= ===================================================

    All are float64 without, and with networks in float32. A `SemiSupervisedVAE` has all three; its encoder and decoder
    also take ``y`` (n, m), the position of each label's class. A `VAE` and `ProbabilisticPCA` have the first two, a
    `NeuralClassifier` the last. `SurvivalVAE` has none: its curves are averages over draws of z that no single network
    gives.

    Parameters
    ----------
    model : fitted estimator
    path : path ending in .pt2 or .onnx
        ONNX needs ``pip install "underlie[onnx]"``.
    part : {"encoder", "decoder", "classifier"}

    Returns
    -------
    dict
        The description that is also in the file: names, kinds and levels of the columns of x, names of the outputs.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError, ValueError
        If the model has no such part, or the suffix is neither of the two.
    ImportError
        If ONNX is asked for and not installed.

    Examples
    --------
    >>> import tempfile, torch
    >>> import underlie as ul
    >>> X = ul.datasets.load_gbsg2()[["age", "tsize", "pnodes"]]
    >>> model = ul.ProbabilisticPCA(1).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     about = ul.export(model, f"{folder}/encoder.pt2")
    ...     encoder = torch.export.load(f"{folder}/encoder.pt2").module()
    >>> mean, variance = encoder(torch.as_tensor(ul.exchange.program_rows(model, X)))
    >>> bool(abs(mean.numpy() - model.transform(X)).max() < 1e-9)
    True
    """
    file = Path(path)
    write = _WRITERS.get(file.suffix.lower())
    if write is None:
        raise ValueError(f"path is {str(path)!r}: give a name that ends in {' or '.join(_WRITERS)}.")
    program = program_of(model, part)
    write(program, _traced(program), file)
    return program.about


def _traced(program: Program) -> torch.export.ExportedProgram:
    """The program's operations, for any number of rows."""
    rows = torch.export.Dim("rows", min=1)
    with torch.no_grad():
        return torch.export.export(
            program.module, tuple(program.inputs.values()), dynamic_shapes=tuple({0: rows} for _ in program.inputs)
        )


def _write_pt2(program: Program, traced: torch.export.ExportedProgram, file: Path) -> None:
    torch.export.save(traced, file, extra_files={_ABOUT: json.dumps(program.about)})


def _write_onnx(program: Program, traced: torch.export.ExportedProgram, file: Path) -> None:
    require("onnxscript", "onnx")
    try:
        with _only_errors("torch.onnx"):
            made = torch.onnx.export(
                traced, input_names=list(program.inputs), output_names=program.outputs, dynamo=True, verbose=False
            )
    except torch.onnx.OnnxExporterError as error:
        first = str(error).strip().splitlines()[-1]
        raise ValueError(
            f"the {program.about['part']} has an operation that ONNX lacks ({first}): give a file that ends in .pt2."
        ) from error
    assert made is not None
    made.model.metadata_props[_ABOUT] = json.dumps(program.about)
    made.save(file)


@contextmanager
def _only_errors(name: str) -> Iterator[None]:
    """Silence a logger that tells of libraries which are not there."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


_WRITERS = {".pt2": _write_pt2, ".onnx": _write_onnx}
