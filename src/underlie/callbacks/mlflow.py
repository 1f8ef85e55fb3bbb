"""Parameters and curves of a training in MLflow."""

from __future__ import annotations

import math
from typing import final

from underlie.engine.callbacks import Epoch
from underlie.optional import require

#: MLflow refuses longer values of parameters.
_LONGEST = 500


@final
class MLflow:
    """Log a training to the MLflow run that is active; without one, MLflow starts one.

    The class and the parameters of the model become parameters of the run, the numbers of ``history_`` metrics, step by
    epoch: ``train``, ``valid`` and so on, of several replicates ``replicate_0/valid``. Needs
    ``pip install "underlie[mlflow]"``.

    Parameters
    ----------
    prefix : str
        In front of all names, such as ``"fold_1/"``, where several fits are logged to one run: MLflow refuses another
        value of the same parameter.

    Raises
    ------
    ImportError
        If MLflow is not installed.

    Examples
    --------
    >>> import underlie as ul
    >>> callback = ul.callbacks.MLflow(prefix="patients/")      # then, within mlflow.start_run():
    >>> # model = ul.VAE().fit(X, callbacks=[callback])
    """

    def __init__(self, prefix: str = "") -> None:
        require("mlflow", "mlflow")
        self.prefix = prefix

    def __call__(self, epoch: Epoch) -> None:
        """Log the numbers of one epoch, and at the start the parameters."""
        import mlflow

        if epoch.number == 0:
            mlflow.log_params({self.prefix + name: value[:_LONGEST] for name, value in epoch.about.items()})
        several = len(epoch.running) > 1
        metrics = {
            self.prefix + (f"replicate_{r}/" if several else "") + name: float(value)
            for name, of_replicates in epoch.values.items()
            for r, value in enumerate(of_replicates)
            if math.isfinite(value)
        }
        mlflow.log_metrics(metrics, step=epoch.number)
