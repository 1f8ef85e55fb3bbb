"""Handwriting by known writers, and splits of it: every law of the two splitters, on cells of all sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import KNeighborsClassifier

from underlie.datasets import Handwriting, SplitByDigits, SplitByIndividuals


def _people(sizes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Writer and digit of images in random order; ``sizes`` (writers, digits) are the cells."""
    writer, digit = np.indices(sizes.shape).reshape(2, -1)
    order = np.random.default_rng(seed).permutation(sizes.sum())
    return np.repeat(writer, sizes.ravel())[order], np.repeat(digit, sizes.ravel())[order]


def _small(**changes: object) -> Handwriting:
    writer, digit = _people(np.full((5, 10), 3), 0)
    people = pd.DataFrame({"hand": pd.Categorical(["r", "r", "l", "r", "l"]), "age": [20, 30, 40, 50, 60]})
    pixels = np.random.default_rng(0).integers(0, 256, (150, 4, 4)).astype(np.uint8)
    fields = {
        "data": pixels,
        "target": digit,
        "writer": writer,
        "characteristics": people,
        "description": "noise",
        "paper": 0,
    }
    return Handwriting(**(fields | changes))


# -------------------------------------------------------------------------------------------------------- handwriting


def test_ink_is_the_same_whichever_way_round() -> None:
    dark = _small()
    light = _small(data=255 - dark.data, paper=255)
    np.testing.assert_allclose(dark.ink(), light.ink(), atol=1e-6)
    np.testing.assert_allclose(dark.ink(), dark.data / 255, atol=1e-6)
    assert (dark.ink().dtype, dark.ink().min(), dark.ink().max()) == (np.float32, 0.0, 1.0)
    np.testing.assert_array_equal(dark.ink([3, 1]), dark.ink()[[3, 1]])
    np.testing.assert_array_equal(dark.ink(slice(5)), dark.ink()[:5])


def test_labels_of_images() -> None:
    data = _small()
    np.testing.assert_array_equal(data.labels("digit"), data.target)
    np.testing.assert_array_equal(data.labels("writer"), data.writer)
    np.testing.assert_array_equal(data.labels("age"), 20 + 10 * data.writer)
    assert set(data.writer[data.labels("hand") == "l"]) == {2, 4}
    with pytest.raises(ValueError, match="no characteristic 'height' of the writers; known are: hand, age"):
        data.labels("height")
    with pytest.raises(ValueError, match="no characteristic 'digit'"):
        data.by_individuals("digit")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="target has 3 rows, but there are 150 images"):
        _small(target=np.zeros(3, int))
    with pytest.raises(ValueError, match="paper is 1"):
        _small(paper=1)
    with pytest.raises(ValueError, match="number the writers by integers"):
        _small(writer=np.zeros(150))
    wrong = np.zeros(150, int)
    wrong[7] = 5
    with pytest.raises(ValueError, match="writer of image 7 is 5, but characteristics has 5 rows"):
        _small(writer=wrong)


def test_splits_of_a_data_set() -> None:
    data = _small()
    train, test = data.by_digits(1 / 3, random_state=0)
    assert (np.bincount(data.writer[test] * 10 + data.target[test]) == 1).all()
    np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(150))
    train, test = data.by_individuals("hand", 0.4, random_state=0)
    assert set(data.labels("hand")[train]) == set(data.labels("hand")[test]) == {"l", "r"}
    assert len(data.by_individuals(test_size=0.4)[1]) == 60


# --------------------------------------------------------------------------------------------------------- by digits


@pytest.mark.parametrize("share", [0.01, 2 / 7, 0.5, 0.99])
def test_every_cell_is_in_both_parts(share: float) -> None:
    sizes = np.random.default_rng(0).integers(0, 15, (20, 10))
    writer, digit = _people(sizes, 1)
    splitter = SplitByDigits(4, test_size=share, random_state=0)
    splits = list(splitter.split(None, writer, digit))
    assert len(splits) == splitter.get_n_splits() == 4
    for train, test in splits:
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(sizes.sum()))
        cells = np.zeros_like(sizes)
        np.add.at(cells, (writer[test], digit[test]), 1)
        wanted = np.floor(sizes * share + 0.5).astype(int)
        np.testing.assert_array_equal(cells, np.where(sizes < 2, 0, np.clip(wanted, 1, np.maximum(sizes - 1, 1))))
    assert not np.array_equal(splits[0][1], splits[1][1])


def test_label_and_group_may_change_places() -> None:
    writer, digit = _people(np.full((6, 10), 4), 0)
    names = np.array([f"writer {w}" for w in writer], dtype=object)
    for y, groups in ((writer, digit), (digit, writer), (names, digit)):
        _, test = next(SplitByDigits(1, 0.25, 0).split(None, y, groups))
        assert (np.bincount(writer[test] * 10 + digit[test]) == 1).all()


def test_each_image_is_drawn_equally_often() -> None:
    writer, digit = _people(np.full((10, 10), 7), 0)
    n = 400
    drawn = np.zeros(700)
    for _, test in SplitByDigits(n, random_state=0).split(None, writer, digit):
        drawn[test] += 1
    z = (drawn / n - 2 / 7) / np.sqrt(2 / 7 * 5 / 7 / n)
    # 700 binomial counts, 5 standard errors: false alarm about 4e-4
    assert np.abs(z).max() < 5


# ---------------------------------------------------------------------------------------------------- by individuals


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("counts", [(46, 51), (75, 16, 6), (7, 13, 55, 22), (94, 2, 1), (1,) * 97])
def test_writers_are_whole_and_values_in_proportion(counts: tuple[int, ...], share: float) -> None:
    writer, _ = _people(np.full((97, 10), 1), 0)
    value = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    for train, test in SplitByIndividuals(3, share, random_state=0).split(None, value[writer], writer):
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(970))
        people = np.unique(writer[test])
        assert len(people) == int(97 * share + 0.5)
        assert len(test) == 10 * len(people)
        tested = np.bincount(value[people], minlength=len(counts))
        sizes = np.array(counts)
        assert (tested[sizes >= 2] >= 1).all()
        assert (tested[sizes >= 2] < sizes[sizes >= 2]).all()
        # largest remainders, one at least on each side: no count is further from its share than that asks for
        assert (np.abs(tested - sizes * len(people) / 97) < 1 + (sizes < 10)).all()


def test_a_label_that_varies_within_writers_does_not_matter() -> None:
    writer, digit = _people(np.full((20, 10), 2), 0)
    with_digits = next(SplitByIndividuals(1, 0.3, 0).split(None, digit, writer))
    without = next(SplitByIndividuals(1, 0.3, 0).split(None, None, writer))
    np.testing.assert_array_equal(with_digits[1], without[1])
    assert len(with_digits[1]) == 6 * 20


def test_too_few_for_every_value_still_gives_the_share() -> None:
    # 20 pairs, and two writers to test: not every pair can be on both sides
    pair = np.arange(40) // 2
    (_, test), (_, again) = SplitByIndividuals(2, 0.05, 0).split(None, pair, np.arange(40))
    assert len(test) == len(again) == 2
    train, _ = next(SplitByIndividuals(1, 0.95, 0).split(None, pair, np.arange(40)))
    assert len(train) == 2


def test_each_writer_is_drawn_equally_often() -> None:
    writer = np.arange(97)
    hand = (writer < 13).astype(int)
    n = 2_000
    drawn = np.zeros(97)
    for _, test in SplitByIndividuals(n, random_state=0).split(None, None, writer):
        drawn[test] += 1
    share = 29 / 97
    # 97 binomial counts, 5 standard errors: false alarm about 6e-5
    assert (np.abs(drawn / n - share) < 5 * np.sqrt(share * (1 - share) / n)).all()
    tested = [hand[test].sum() for _, test in SplitByIndividuals(20, random_state=0).split(None, hand, writer)]
    assert set(tested) == {4}


# --------------------------------------------------------------------------------------------------------- scikit-learn


@pytest.mark.parametrize("splitter", [SplitByDigits(3, random_state=0), SplitByIndividuals(3, random_state=0)])
def test_as_cv_of_scikit_learn(splitter: SplitByDigits | SplitByIndividuals) -> None:
    writer, digit = _people(np.full((10, 4), 7), 0)
    X = np.random.default_rng(0).normal(size=(280, 2)) + digit[:, None] * 10
    scores = cross_validate(
        KNeighborsClassifier(3), X, digit, groups=writer, cv=splitter, return_indices=True, error_score="raise"
    )
    assert scores["test_score"].tolist() == [1.0] * 3
    for (_, test), seen in zip(splitter.split(X, digit, writer), scores["indices"]["test"], strict=True):
        np.testing.assert_array_equal(test, seen)
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=splitter).fit(X, digit, groups=writer)
    assert search.n_splits_ == 3


def test_a_generator_moves_on_and_a_seed_does_not() -> None:
    writer, digit = _people(np.full((10, 4), 7), 0)
    for seed, same in ((3, True), (np.random.default_rng(3), False)):
        splitter = SplitByDigits(1, random_state=seed)
        a, b = (next(splitter.split(None, writer, digit))[1] for _ in range(2))
        assert np.array_equal(a, b) == same


def test_bad_splits_are_refused() -> None:
    two = np.array([0, 1])
    for split in (SplitByDigits, SplitByIndividuals):
        with pytest.raises(ValueError, match="n_splits is 0"):
            split(0)
        with pytest.raises(ValueError, match=r"test_size is 4: it is a share"):
            split(test_size=4)
        with pytest.raises(ValueError, match="y has 3 rows, groups has 2"):
            next(split().split(None, np.zeros(3), two))
        with pytest.raises(ValueError, match="groups is None"):
            next(split().split(None, two))
    with pytest.raises(ValueError, match="y is None"):
        next(SplitByDigits().split(None, None, two))
    with pytest.raises(ValueError, match="no digit was written twice"):
        next(SplitByDigits().split(None, two, two))
    with pytest.raises(ValueError, match=r"groups has 1 writer\(s\)"):
        next(SplitByIndividuals().split(None, None, np.zeros(4)))
