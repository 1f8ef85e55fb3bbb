"""Where a training can be followed: ``fit(X, callbacks=[...])``, with TensorBoard, MLflow or a function of your own.

A callback is anything that can be called with an `Epoch`:

>>> import numpy as np, underlie as ul
>>> seen = []
>>> X = np.random.default_rng(0).normal(size=(100, 3))
>>> model = ul.VAE(n_latent=1, max_epochs=2, random_state=0).fit(X, callbacks=[lambda epoch: seen.append(epoch.number)])
>>> seen
[0, 1, 2]
"""

from underlie.callbacks.mlflow import MLflow
from underlie.callbacks.tensorboard import TensorBoard
from underlie.engine.callbacks import Callback, Epoch

__all__ = ["Callback", "Epoch", "MLflow", "TensorBoard"]
