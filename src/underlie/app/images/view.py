"""What the screens ask of a model of images: where rows lie, what places look like, and on which grey scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from underlie.app.controls import Picture, as_address, png
from underlie.app.opened import Opened

Floats = NDArray[np.float64]

#: rows that decide about things of which more rows would say the same
_ENOUGH = 500
#: a picture is drawn with at least so many screen pixels, so that it can be saved from the page and seen
_SMALLEST = 112


class ImageView:
    """A model with a latent space, and the images that it was fitted to, where they are at hand.

    Parameters
    ----------
    opened : Opened
        Of images. What looks at rows needs a model with ``transform``.
    """

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.model = opened.model
        self.shape: tuple[int, ...] = tuple(self.model.encoder_.row_shape)
        self.targets: Sequence[Any] = self.model.targets_.columns if hasattr(self.model, "targets_") else ()
        self.n_latent = _n_latent(self.model)
        self.low, self.high = opened.remember("limits", self._limits)

    def _limits(self) -> tuple[float, float]:
        """Values at the two ends of the grey scale."""
        column = self.model.schema_.columns[0]
        if column.kind == "proportion":
            return 0.0, float(column.scale)
        if column.kind == "binary":
            return 0.0, 1.0
        low, high = np.nanquantile(self._some_images(), [0.002, 0.998])
        return float(low), float(high)

    def _some_images(self) -> Floats:
        """Rows of the data, or what the model generates instead; of a classifier without data an empty image."""
        if self.opened.rows is not None:
            return np.asarray(self.opened.rows[:_ENOUGH], dtype=float)
        if not hasattr(self.model, "sample"):
            return np.zeros((1, *self.shape))
        return np.asarray(self.model.sample(64, random_state=0), dtype=float)

    # ---- labels ----
    def first_label(self) -> list[Any]:
        """The first class of each column of labels; the mean of a continuous one."""
        return [float(target.loc) if target.is_continuous else target.classes[0] for target in self.targets]

    def read_labels(self, image: NDArray[Any]) -> list[Any]:
        """What the model reads in an image (1, *shape): one label for each column."""
        return list(np.atleast_1d(self.model.predict(image)[0]))

    def named(self, j: int) -> str:
        """The name of a column of labels, where it says something: the only column of an array has none."""
        return "" if len(self.targets) == 1 and self.targets[j].name == "y" else str(self.targets[j].name)

    # ---- there and back ----
    def encode(self, rows: NDArray[Any], labels: Any = None) -> Floats:
        """Places (n, M) of images; with a semi-supervised model, of their styles given what they show."""
        z = self.model.transform(rows) if not self.targets else self.model.transform(rows, self._usable(labels))
        return np.asarray(z, dtype=float).reshape(len(rows), -1)

    def decode(self, z: Floats, labels: Sequence[Any] | None = None) -> Floats:
        """Mean images (n, *shape) of places (n, M), all of the same labels where the model has labels."""
        if self.targets:
            images = self.model.inverse_transform(z, list(labels or ()) if len(self.targets) > 1 else labels[0])  # type: ignore[index]
        else:
            images = self.model.moments(z)[0]
        return np.asarray(images, dtype=float).reshape(len(z), *self.shape)

    def decode_each(self, z: Floats, labels: Sequence[Sequence[Any]]) -> Floats:
        """Mean images (k, n, *shape) of k places (k, M), each with all of n rows of labels, by one pass."""
        places, asked = np.repeat(z, len(labels), axis=0), [list(row) for row in labels] * len(z)
        y = asked if len(self.targets) > 1 else [row[0] for row in asked]
        images = np.asarray(self.model.inverse_transform(places, y), dtype=float)
        return images.reshape(len(z), len(labels), *self.shape)

    def reconstruct(self, row: NDArray[Any], labels: Any = None) -> Floats:
        """An image (1, *shape) as the model sees it."""
        seen = self.model.reconstruct(row, self._usable(labels)) if self.targets else self.model.reconstruct(row)
        return np.asarray(seen, dtype=float).reshape(1, *self.shape)

    def _usable(self, labels: Any) -> Any:
        """Labels if they are those that the model was fitted to; else None, and the model reads them itself."""
        if labels is None:
            return None
        labels = np.asarray(labels)
        width = 1 if labels.ndim == 1 else labels.shape[1]
        return labels if width == len(self.targets) else None

    # ---- pictures ----
    def png(self, image: NDArray[Any]) -> bytes:
        """An image (*shape) as a PNG on the grey scale of all of them, large enough to be seen."""
        scale = max(1, -(-_SMALLEST // max(self.shape[:2])))
        return png(image, self.low, self.high, dark=self.ink_is_large, scale=scale)

    def picture(self, image: NDArray[Any], alt: str, caption: str = "") -> Picture:
        """An image (*shape) for a page."""
        return Picture(as_address(self.png(image)), alt, caption)

    @property
    def ink_is_large(self) -> bool:
        """Whether the paper of these images has the small values, as in MNIST; then dark is drawn for large."""
        paper: bool = self.opened.remember("paper", self._paper) < (self.low + self.high) / 2
        return paper

    def _paper(self) -> float:
        """The value at the edges of a mean image."""
        mean = np.nanmean(self._some_images(), axis=0)
        edges = (mean[0], mean[-1], mean[:, 0], mean[:, -1])
        return float(np.median(np.concatenate([edge.ravel() for edge in edges])))


def _n_latent(model: Any) -> int:
    """Coordinates of the latent space; 0 of a model without one."""
    if hasattr(model, "components_"):
        return len(model.components_)
    return int(getattr(model, "n_latent", 0))


def said_label(value: Any) -> str:
    """A label as text; whole floats without their point."""
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)
