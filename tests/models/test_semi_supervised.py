"""The objective of semi-supervised models against the sums that it stands for, written out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from underlie.distributions import Bernoulli, Normal
from underlie.graph import Batch, LatentModel, elbo, labelled_elbo, log_weights, objectives
from underlie.models.semi_supervised import Label, Nets, semi_supervised_vae
from underlie.nn import MLP

N_ROWS, N_DRAWS, WIDTH = 6, 3, 4
CLASSES = (3, 2)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny(n_labels: int, n_auxiliary: int, *, hinted: bool = False, seed: int = 0, binary: bool = True) -> LatentModel:
    """Two-dimensional styles of four columns, in float64, one or two labels of three and two classes."""
    g = seeded(seed)

    def net(sizes: Sequence[int], n_out: int) -> MLP:
        return MLP(sizes, (5,), n_out, g)

    labels = [Label(f"y{j}", torch.randn(k, generator=g)) for j, k in enumerate(CLASSES[:n_labels])]
    nets = Nets(net, net, net, net, net)
    head = Bernoulli(WIDTH) if binary else Normal(WIDTH)
    return semi_supervised_vae(head, labels, 2, n_auxiliary, nets, with_mask=False, hinted=hinted).double()


def rows(*, n: int = N_ROWS) -> Batch:
    x = (torch.rand(1, 1, n, WIDTH, generator=seeded(1), dtype=torch.float64) < 0.5).double()
    return Batch({"x": x})


def draws(n_auxiliary: int, *, n: int = N_ROWS) -> dict[str, Tensor]:
    g = seeded(2)
    noise = {"z": torch.randn(1, N_DRAWS, n, 2, generator=g, dtype=torch.float64)}
    if n_auxiliary:
        noise["a"] = torch.randn(1, N_DRAWS, n, n_auxiliary, generator=g, dtype=torch.float64)
    return noise


def log_q_label(model: LatentModel, name: str, batch: Batch) -> Tensor:
    """log q(name = k | parents), (S, B, K)."""
    return torch.log_softmax(model.inference[name].raw(batch), -1)[0]


def labelled_bound(model: LatentModel, batch: Batch, noise: dict[str, Tensor]) -> Tensor:
    """L(x, y) of each draw by the formula, every label in the batch: (S, B)."""
    total = torch.zeros(N_DRAWS, batch.n_rows, dtype=torch.float64)
    if "a" in model.inference:
        factor = model.inference["a"]
        a = factor.head.rsample(factor.raw(batch), noise["a"])
        total = total - factor.head.log_prob(factor.raw(batch), a).sum(-1)[0]
        batch = batch.set("a", a)
    factor = model.inference["z"]
    raw = factor.raw(batch)
    z = factor.head.rsample(raw, noise["z"])
    mean, variance = factor.head.mean(raw), factor.head.variance(raw)
    divergence = 0.5 * (variance + mean**2 - 1 - torch.log(variance)).sum(-1)[0]
    batch = batch.set("z", z)
    for f in model.generative:
        if f.name != "z":
            total = total + f.log_prob(batch)[0]
    return total - divergence


def with_label(batch: Batch, name: str, k: int) -> Batch:
    return batch.set(name, torch.full_like(batch.values["x"][..., :1], k))


def by_hand(model: LatentModel, batch: Batch, noise: dict[str, Tensor], missing: Sequence[str]) -> Tensor:
    """sum_y q(y | x) (L(x, y) - log q(y | x)) over the labels that are missing: (B,)."""
    given_a = batch
    if "a" in model.inference:
        factor = model.inference["a"]
        given_a = batch.set("a", factor.head.rsample(factor.raw(batch), noise["a"]))
    total = torch.zeros(N_DRAWS, batch.n_rows, dtype=torch.float64)
    sizes = [model.inference[name].head.n_raw for name in missing]
    for labels in torch.cartesian_prod(*(torch.arange(k) for k in sizes)).reshape(-1, len(sizes)).tolist():
        complete, log_q = batch, torch.zeros(1, batch.n_rows, dtype=torch.float64)
        for name, k in zip(missing, labels, strict=True):
            complete = with_label(complete, name, k)
            log_q = log_q + log_q_label(model, name, given_a)[..., k]
        total = total + log_q.exp() * (labelled_bound(model, complete, noise) - log_q)
    return total.mean(0)


@pytest.mark.parametrize("n_auxiliary", [0, 2])
@pytest.mark.parametrize(("n_labels", "missing"), [(1, ["y0"]), (2, ["y0", "y1"]), (2, ["y0"]), (2, ["y1"]), (2, [])])
def test_the_bound_sums_over_the_labels_that_are_missing(n_auxiliary: int, n_labels: int, missing: list[str]) -> None:
    model, batch, noise = tiny(n_labels, n_auxiliary), rows(), draws(n_auxiliary)
    for j in range(n_labels):
        if f"y{j}" not in missing:
            batch = with_label(batch, f"y{j}", 1)
    expected = by_hand(model, batch, noise, missing) if missing else labelled_bound(model, batch, noise).mean(0)
    torch.testing.assert_close(elbo(model, batch, noise)[0], expected, rtol=1e-9, atol=1e-9)


def test_rows_with_and_without_a_label_in_one_batch() -> None:
    model, noise = tiny(1, 0), draws(0)
    seen = (torch.arange(N_ROWS) % 2 == 0).reshape(1, 1, -1, 1)
    labelled = with_label(rows(), "y0", 2)
    mixed = Batch(labelled.values, {"y0": seen})
    expected = torch.where(
        seen[0, 0, :, 0], labelled_bound(model, labelled, noise).mean(0), by_hand(model, rows(), noise, ["y0"])
    )
    torch.testing.assert_close(elbo(model, mixed, noise)[0], expected, rtol=1e-9, atol=1e-9)


def test_a_number_that_some_rows_have_is_drawn_in_the_others_only() -> None:
    g = seeded(0)

    def net(sizes: Sequence[int], n_out: int) -> MLP:
        return MLP(sizes, (5,), n_out, g)

    labels = [Label("y0", None)]
    model = semi_supervised_vae(Bernoulli(WIDTH), labels, 2, 0, Nets(net, net, net, net, net), with_mask=False).double()
    noise = draws(0) | {"y0": torch.randn(1, N_DRAWS, N_ROWS, 1, generator=seeded(5), dtype=torch.float64)}
    seen = (torch.arange(N_ROWS) % 2 == 0).reshape(1, 1, -1, 1)
    labelled = rows().set("y0", torch.full((1, 1, N_ROWS, 1), 0.7, dtype=torch.float64))
    mixed = Batch(labelled.values, {"y0": seen})
    both = torch.where(seen[..., 0], log_weights(model, labelled, noise), log_weights(model, rows(), noise))
    torch.testing.assert_close(log_weights(model, mixed, noise), both, rtol=1e-9, atol=1e-9)
    known = seen[0, 0, :, 0]
    found = elbo(model, mixed, noise)[0]
    torch.testing.assert_close(found[known], elbo(model, labelled, noise)[0][known], rtol=1e-9, atol=1e-9)


def gradients(model: LatentModel, value: Tensor) -> dict[str, Tensor]:
    names = [n for n, _ in model.named_parameters()]
    found = torch.autograd.grad(value.sum(), list(model.parameters()), allow_unused=True)
    return {n: torch.zeros(1) if g is None else g for n, g in zip(names, found, strict=True)}


@pytest.mark.parametrize("n_auxiliary", [0, 2])
@pytest.mark.parametrize("numbers", [1, 200, 1000])
def test_classes_in_blocks_give_the_same_bound_and_gradient(
    n_auxiliary: int, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch, noise = tiny(2, n_auxiliary), rows(), draws(n_auxiliary)
    whole = elbo(model, batch, noise)
    weights = log_weights(model, batch, noise)
    expected = gradients(model, whole)
    monkeypatch.setattr(objectives, "_NUMBERS", numbers)
    blocks = elbo(model, batch, noise)
    torch.testing.assert_close(blocks, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_weights(model, batch, noise), weights, rtol=1e-12, atol=1e-12)
    for name, gradient in gradients(model, blocks).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-12, msg=name)


def test_at_full_labels_the_objective_separates() -> None:
    model, noise = tiny(1, 0), draws(0)
    batch = with_label(rows(), "y0", 2)
    log_q = log_q_label(model, "y0", batch)[..., 2].mean(0)
    bound = labelled_bound(model, batch, noise).mean(0)
    value = labelled_elbo(model, batch, noise, alpha=0.3)
    torch.testing.assert_close(value[0], log_q + 0.3 * bound, rtol=1e-9, atol=1e-9)
    found, of_classifier, of_bound = (gradients(model, v) for v in (value, log_q, 0.3 * bound))
    for name, gradient in found.items():
        alone = of_classifier if name.startswith("inference.factors.0") else of_bound
        torch.testing.assert_close(gradient, alone[name], rtol=1e-9, atol=1e-10, msg=name)
    assert any(g.abs().max() > 1e-3 for n, g in found.items() if n.startswith("inference.factors.0"))


def test_without_labels_the_objective_is_a_share_of_the_bound() -> None:
    model, noise = tiny(2, 2), draws(2)
    found = labelled_elbo(model, rows(), noise, alpha=0.3)
    torch.testing.assert_close(found[0], 0.3 * by_hand(model, rows(), noise, ["y0", "y1"]), rtol=1e-9, atol=1e-9)


def test_a_hint_is_the_logarithm_of_the_prior_of_its_row() -> None:
    hinted, plain = tiny(1, 0, hinted=True), tiny(1, 0)
    hint = torch.randn(1, 1, N_ROWS, 3, generator=seeded(4), dtype=torch.float64)
    told, noise = rows().set("hint_y0", hint), draws(0)
    q = log_q_label(hinted, "y0", rows())[0].exp()  # (B, K)
    base = torch.log_softmax(plain.generative["y0"].raw(rows()), -1)[0, 0]
    gain = (q * (torch.log_softmax(hint, -1)[0, 0] - base)).sum(-1)
    expected = elbo(plain, rows(), noise)[0] + gain
    torch.testing.assert_close(elbo(hinted, told, noise)[0], expected, rtol=1e-9, atol=1e-9)


def test_the_bound_is_below_the_evidence_by_a_grid() -> None:
    model, batch = tiny(1, 0, seed=3), rows(n=3)
    line = torch.linspace(-7, 7, 141, dtype=torch.float64)
    z = torch.cartesian_prod(line, line).reshape(1, -1, 1, 2).expand(1, -1, 3, 2)
    cell = float(line[1] - line[0]) ** 2
    per_class = []
    for k in range(3):
        joint = model.generative.log_prob(with_label(batch, "y0", k).set("z", z))[0]
        per_class.append(torch.logsumexp(joint, 0) + torch.log(torch.tensor(cell, dtype=torch.float64)))
    exact = torch.stack(per_class)  # log p(x, y = k), (K, B)
    noise = {"z": torch.randn(1, 20_000, 3, 2, generator=seeded(6), dtype=torch.float64)}
    with torch.no_grad():
        assert (elbo(model, batch, noise)[0] < torch.logsumexp(exact, 0)).all()
        candidates = [(batch, torch.logsumexp(exact, 0))] + [(with_label(batch, "y0", k), exact[k]) for k in range(3)]
        for given, truth in candidates:
            w = torch.exp(log_weights(model, given, noise)[0] - truth)
            se = w.std(0) / len(w) ** 0.5
            assert (se < 0.02).all()
            assert ((w.mean(0) - 1).abs() < 5 * se).all()  # 12 normal z-scores: false alarms 7e-6
