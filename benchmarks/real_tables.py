"""A default VAE on real tables as they come: mixed columns, missing cells, text. Counts what is not finite.

UNDERLIE_DATA=... python benchmarks/real_tables.py [--max-rows 5000]
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import torch

import underlie as ul

TABLES = (
    "ionosphere", "breast_cancer_wisconsin_original", "housevotes84", "pimaindiansdiabetes2", "satellite", "penguins",
    "old_faithful", "adult_train", "credit_approval_crx", "wine_quality_red",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-rows", type=int, default=5000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    heading = ("table", "n x columns", "kinds", "missing", "nats/row", "not finite", "fit s")
    print("{:34s} {:>13s} {:44s} {:>8s} {:>9s} {:>10s} {:>6s}".format(*heading))
    for name in TABLES:
        table = ul.datasets.fetch_table(name)
        table = table.sample(min(len(table), arguments.max_rows), random_state=0)
        begun = time.perf_counter()
        model = ul.VAE(random_state=0, verbose=False).fit(table)
        seconds = time.perf_counter() - begun
        score, latent = model.score_samples(table), model.transform(table)
        numbers = [score, latent, model.history_["valid"][:, 0], *model.moments(latent)]
        broken = sum(int((~np.isfinite(a)).sum()) for a in numbers) + int(model.impute(table).isna().to_numpy().sum())
        kinds = [column.kind for column in model.schema_]
        counted = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
        print(
            f"{name:34s} {f'{len(table)} x {table.shape[1]}':>13s} {counted:44s} {table.isna().to_numpy().mean():8.1%} "
            f"{score.mean():9.2f} {broken:10d} {seconds:6.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
