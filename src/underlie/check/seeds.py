"""Seeds in the forms that scikit-learn and numpy accept, as one generator."""

from __future__ import annotations

import numpy as np


def generator(random_state: object) -> np.random.Generator:
    """A generator from an int, a Generator (used as it is), a RandomState or None (fresh entropy).

    Raises
    ------
    TypeError
        When `random_state` is none of these.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    if random_state is None or (isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)):
        return np.random.default_rng(random_state)
    raise TypeError(
        f"random_state must be an int, a Generator, a RandomState or None, got {type(random_state).__name__}"
    )


def integer_seed(rng: np.random.Generator) -> int:
    """A seed for code that wants an int."""
    return int(rng.integers(2**31))
