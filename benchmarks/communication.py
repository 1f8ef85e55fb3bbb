"""What processes that train one model together say to each other: bytes a step, measured on the loopback device.

The model is a variational autoencoder of 784-H-20-H-784; so many steps with some processes of this machine, and the
bytes that passed the loopback device meanwhile (on Linux; other local traffic counts too, so keep it low). Beside them
what a ring needs: each of W processes sends 2 (W - 1) / W times the gradient, four bytes a parameter.

    python benchmarks/communication.py [--hidden 400] [--processes 2 4]
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import measured
import numpy as np

import underlie as ul

BATCH = 256


def train(hidden: int, epochs: int) -> int:
    """Number of parameters."""
    warnings.simplefilter("ignore")
    images = np.random.default_rng(0).random((1024, 784))
    how = {"max_epochs": epochs, "patience": epochs, "batch_size": BATCH, "valid_fraction": 0.0, "random_state": 0}
    model = ul.VAE(20, hidden=(hidden,), likelihood="bernoulli", device="cpu", verbose=False, **how)
    model.fit(images, strategy="ddp" if "RANK" in os.environ else None)
    return sum(p.numel() for p in model.model_.parameters())


def sent() -> int:
    """Bytes that the loopback device has carried."""
    return int(Path("/sys/class/net/lo/statistics/tx_bytes").read_text())


def together(n: int, hidden: int, epochs: int) -> int:
    """Bytes that n processes sent."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(n)}
    common |= {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--hidden", str(hidden), "--child", str(epochs)]
    before = sent()
    processes = [subprocess.Popen(command, env={**common, "RANK": str(r)}) for r in range(n)]
    if any(process.wait() for process in processes):
        raise RuntimeError("a process failed")
    return sent() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=400)
    parser.add_argument("--processes", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        train(arguments.hidden, arguments.child)
        return
    n_parameters = train(arguments.hidden, 1)
    steps = 1024 // BATCH
    rows = []
    for n in arguments.processes:
        # Longer less shorter: what is said once, at the start and the end, is not part of a step.
        bytes_a_step = (together(n, arguments.hidden, 21) - together(n, arguments.hidden, 1)) / (20 * steps)
        ring = 2 * (n - 1) / n * 4 * n_parameters
        rows.append(
            {
                "processes": n,
                "megabytes a step and process, measured": bytes_a_step / n / 1e6,
                "a ring needs": ring / 1e6,
            }
        )
    title = f"Data parallel training: messages of a model of {n_parameters:,} parameters"
    note = "Bytes over the loopback device, per step and process."
    measured.keep("communication", [{"title": title, "note": note, "rows": rows}])


if __name__ == "__main__":
    main()
