"""What the arithmetic of an update costs by itself: the floor under every engine on a CPU.

Run from the repository root, on one thread::

    python benchmarks/floors.py

Per case of `cases.py`: all matrix products of an update, forward and back, by shapes alone (the
data need no gradient), and the sine, cosine and exponential of every sine unit, or the tanh of
every other, once each per number, as torch computes them over whole tensors. Nothing else: no
gather, no reward, no step. Of several seeds at once, batched products, and figures per model.

Both take turns with the launches of a compiled fit in one process, so that whatever else goes on
meets all alike: the share of the floor holds on a busy machine, too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from cases import CASES, Case, series
from measuring import description, median, save
from worker import EnoughError, fit_ours

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

_EPOCHS = 1_000_000  # more than are ever run


def network_of(case: Case) -> Network:
    """The network of a case, hardly trained."""
    X, prices = series(replace(case, n_rows=2 * case.window))
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


def functions(case: Case, network: Network, n_seeds: int) -> Callable[[], object]:
    """The nonlinearities of an update."""
    units = [m for m in network.modules() if isinstance(m, SineParam)]
    numbers = torch.randn(n_seeds, rows_of(case), sum(unit.frequency.numel() for unit in units))
    width = case.params["hidden_units"] * case.params["hidden_layers"]
    n_tanh = width if case.params.get("activation") == "tanh" else 0
    others = torch.randn(n_seeds, rows_of(case), n_tanh)
    return lambda: (numbers.sin(), numbers.cos(), numbers.exp(), others.tanh())


class BetweenLaunches:
    """Measures pieces of work in turn with the launches of a fit, and ends it.

    Parameters
    ----------
    pieces : mapping of str to callable
        The pieces, each repeated as long as the launch before took.
    rounds : int
        Turns of each.
    engine : str
        What the fit is called beside them.
    """

    def __init__(
        self, pieces: Mapping[str, Callable[[], object]], *, rounds: int, engine: str
    ) -> None:
        self.pieces, self.rounds, self.engine = pieces, rounds, engine
        self.ms: dict[str, list[float]] = {name: [] for name in (*pieces, engine)}
        self.last: tuple[int, float] | None = None  # update, CPU seconds

    def tick(self, update: int) -> None:
        """Note the end of a launch, and measure the pieces."""
        if self.last is not None:
            launch_s = time.process_time() - self.last[1]
            self.ms[self.engine].append(1e3 * launch_s / (update - self.last[0]))
            for name, piece in self.pieces.items():
                self.ms[name].append(repeated_ms(piece, launch_s))
            if len(self.ms[self.engine]) == self.rounds:
                raise EnoughError
        self.last = update, time.process_time()


def repeated_ms(work: Callable[[], object], least_s: float) -> float:
    """Milliseconds of CPU of one piece of work, repeated for so long."""
    n_times, began_s = 0, time.process_time()
    while time.process_time() - began_s < least_s:
        work()
        n_times += 1
    return 1e3 * (time.process_time() - began_s) / n_times


def measure(name: str, n_seeds: int, rounds: int) -> dict[str, Any]:
    """The row of a case in the JSON file."""
    case = CASES[name]
    network = network_of(case)
    pairs = products(case, network, n_seeds)
    meter = BetweenLaunches(
        {
            "products": lambda: [a @ b for a, b in pairs],
            "functions": functions(case, network, n_seeds),
        },
        rounds=rounds,
        engine="compiled",
    )
    job: dict[str, Any] = {"settings": {"engine": "compiled"}}
    fit_ours(case, _EPOCHS, 0, meter.tick, job if n_seeds == 1 else {**job, "seeds": n_seeds})
    in_turn = zip(*(meter.ms[each] for each in ("compiled", "products", "functions")), strict=True)
    return {
        "case": name,
        "seeds": n_seeds,
        "mflop": sum(2 * a.numel() * b.shape[-1] for a, b in pairs) / 1e6 / n_seeds,
        **{f"{each}_ms": median(ms) / n_seeds for each, ms in meter.ms.items()},
        "of_floor": median([update / (first + second) for update, first, second in in_turn]),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=21, help="turns of everything per case")
    parser.add_argument("--cases", nargs="+", choices=sorted({name for name, _ in _CASES}))
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    report = description("python benchmarks/floors.py")
    rows = []
    for name, n_seeds in _CASES:
        if options.cases and name not in options.cases:
            continue
        rows.append(row := measure(name, n_seeds, options.rounds))
        print(
            f"{name}, K={n_seeds}: {row['mflop']:.2f} MFLOP of products in "
            f"{row['products_ms']:.4f} ms, functions of units in {row['functions_ms']:.4f} ms, "
            f"compiled update in {row['compiled_ms']:.4f} ms, {row['of_floor']:.2f} of both",
            flush=True,
        )
    if not options.no_save and not options.cases:
        save("floors", report | {"cases": rows, "load_at_the_end": round(os.getloadavg()[0], 2)})


if __name__ == "__main__":
    main()
