"""What the arithmetic of an update costs by itself: the floor under every engine on a CPU.

Run from the repository root, on one thread::

    python benchmarks/floors.py

Per case of `cases.py`: all matrix products of an update, forward and back, by shapes alone (the
data need no gradient), and the sine, cosine and exponential of every sine unit, or the tanh of
every other, once each per number, as torch computes them over whole tensors. Nothing else: no
gather, no reward, no step. Of several seeds at once, batched products, and figures per model.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from cases import CASES, Case, series
from measuring import description, median, save

import psann
from psann.nn.network import Network
from psann.nn.sine import SineParam

_CASES = (
    ("shared", 1),
    ("S", 1),
    ("S", 16),
    ("S", 64),
    ("M", 1),
    ("M", 8),
    ("M-320", 1),
    ("M-1000", 1),
    ("L", 1),
)


def network_of(case: Case) -> Network:
    """The network of a case, hardly trained."""
    X, prices = series(replace(case, n_rows=2 * case.window))
    if case.estimator == "AssetwiseRegressor":
        X = X.reshape(len(X), case.n_assets, -1)
    model = getattr(psann, case.estimator)(**case.params, epochs=1, device="cpu", threads=1)
    hisso = {"window": case.window, "batch_episodes": 1, "updates_per_epoch": 1}
    model.fit(X, prices=prices, hisso=hisso)
    network: Network = model.network_
    return network


def rows_of(case: Case) -> int:
    """Rows that an update sends through the network."""
    n_rows = min(case.batch_episodes * case.window, case.n_rows)
    # A network that all assets share sees each of them on each row.
    return n_rows * case.n_assets if case.estimator == "AssetwiseRegressor" else n_rows


def products(case: Case, network: Network, n_seeds: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pairs of matrices, or of stacks of them, whose products are those of an update."""
    n_rows = rows_of(case)
    stack = (n_seeds,) if n_seeds > 1 else ()
    pairs = []
    for number, layer in enumerate(
        module for module in network.modules() if isinstance(module, torch.nn.Linear)
    ):
        n_out, n_in = layer.weight.shape
        inputs, weights = torch.randn(*stack, n_rows, n_in), torch.randn(*stack, n_out, n_in)
        gradients = torch.randn(*stack, n_rows, n_out)
        pairs += [(inputs, weights.mT), (gradients.mT, inputs)]
        if number:  # the first layer's inputs are data
            pairs.append((gradients, weights))
    return pairs


def median_ms(work: Callable[[], object], *, repeats: int) -> float:
    """Milliseconds of CPU of one piece of work."""
    seconds = []
    for _ in range(repeats):
        n_times, began_s = 0, time.process_time()
        while time.process_time() - began_s < 0.3:
            work()
            n_times += 1
        seconds.append((time.process_time() - began_s) / n_times)
    return 1e3 * median(seconds)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7, help="measurements per figure")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    machine = description("python benchmarks/floors.py")
    rows = []
    for name, n_seeds in _CASES:
        case = CASES[name]
        network = network_of(case)
        pairs = products(case, network, n_seeds)
        n_units = sum(
            module.frequency.numel()
            for module in network.modules()
            if isinstance(module, SineParam)
        )
        numbers = torch.randn(n_seeds, rows_of(case), n_units)
        width = case.params["hidden_units"] * case.params["hidden_layers"]
        n_tanh = width if case.params.get("activation") == "tanh" else 0
        others = torch.randn(n_seeds, rows_of(case), n_tanh)
        row = {
            "case": name,
            "seeds": n_seeds,
            "mflop": sum(2 * a.numel() * b.shape[-1] for a, b in pairs) / 1e6 / n_seeds,
            "products_ms": median_ms(
                lambda pairs=pairs: [a @ b for a, b in pairs], repeats=options.repeats
            )
            / n_seeds,
            "functions_ms": median_ms(
                lambda x=numbers, z=others: (x.sin(), x.cos(), x.exp(), z.tanh()),
                repeats=options.repeats,
            )
            / n_seeds,
        }
        rows.append(row)
        print(
            f"{name}, K={n_seeds}: {row['mflop']:.2f} MFLOP of products in "
            f"{row['products_ms']:.4f} ms, functions of units in "
            f"{row['functions_ms']:.4f} ms",
            flush=True,
        )
    save("floors", machine | {"cases": rows, "load_at_the_end": round(os.getloadavg()[0], 2)})


if __name__ == "__main__":
    main()
