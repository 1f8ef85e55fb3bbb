"""How well the guide predicts the labels that were seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from underlie.distributions import Normal
from underlie.graph import Batch, LatentModel, labelled_elbo
from underlie.graph.labels import guide_log_prob
from underlie.models.semi_supervised import Label, Nets, semi_supervised_vae
from underlie.nn import MLP


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(n_auxiliary: int = 0) -> LatentModel:
    """A label of three classes and a number, of five columns."""
    g = seeded(0)

    def net(sizes: Sequence[int], n_out: int) -> MLP:
        return MLP(sizes, (6,), n_out, g)

    labels = [Label("y0", torch.zeros(3)), Label("y1", None)]
    nets = Nets(net, net, net, net, net)
    return semi_supervised_vae(Normal(5), labels, 2, n_auxiliary, nets, with_mask=False)


X = torch.randn(1, 1, 7, 5, generator=seeded(1))
CODES = (torch.arange(7) % 3).float().reshape(1, 1, 7, 1)
NUMBERS = torch.randn(1, 1, 7, 1, generator=seeded(2))


def test_it_is_the_sum_over_the_labels_of_their_log_probabilities() -> None:
    graphs = model()
    classes = torch.distributions.Categorical(logits=graphs.inference["y0"].raw(Batch({"x": X}))[0, 0])
    factor = graphs.inference["y1"]
    raw = factor.raw(Batch({"x": X}))
    normal = torch.distributions.Normal(factor.head.mean(raw)[0, 0, :, 0], factor.head.variance(raw)[0, 0, :, 0].sqrt())
    of_class, of_number = classes.log_prob(CODES[0, 0, :, 0]), normal.log_prob(NUMBERS[0, 0, :, 0])
    for given, expected in [
        ({"y0": CODES}, of_class),
        ({"y1": NUMBERS}, of_number),
        ({"y0": CODES, "y1": NUMBERS}, of_class + of_number),
    ]:
        torch.testing.assert_close(guide_log_prob(graphs, Batch({"x": X, **given}), {})[0], expected)


def test_rows_without_labels_give_nothing() -> None:
    assert torch.equal(guide_log_prob(model(), Batch({"x": X}), {}), torch.zeros(1, 7))


def test_with_an_auxiliary_variable_it_is_the_mean_over_its_draws() -> None:
    graphs, noise = model(2), {"a": torch.randn(1, 50, 7, 2, generator=seeded(3))}
    batch = Batch({"x": X, "y0": CODES})
    found = guide_log_prob(graphs, batch, noise)
    assert found.shape == (1, 7)
    one_by_one = [guide_log_prob(graphs, batch, {"a": noise["a"][:, s : s + 1]}) for s in range(50)]
    torch.testing.assert_close(found, torch.stack(one_by_one).mean(0))
    assert torch.stack(one_by_one).std(0).min() > 0  # what is drawn matters


def test_at_alpha_zero_the_generative_part_is_not_even_asked() -> None:
    graphs = model()
    value = labelled_elbo(graphs, Batch({"x": X, "y0": CODES, "y1": NUMBERS}), {}, alpha=0.0)
    gradient = torch.autograd.grad(value.sum(), list(graphs.parameters()), allow_unused=True)
    used = {n for (n, _), g in zip(graphs.named_parameters(), gradient, strict=True) if g is not None}
    assert used == {
        n for n, _ in graphs.named_parameters() if n.startswith(("inference.factors.0", "inference.factors.1"))
    }
