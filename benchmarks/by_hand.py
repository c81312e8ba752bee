"""A recorded update of a small network beside the same operations by hand, and nothing else.

Run from the repository root, on one thread::

    python benchmarks/by_hand.py

Case S of `cases.py`: gather, forward pass, reward, torch's engine, clip, Adam, and the three
numbers that are read, written out for this one network and reward; the same with torch's fused
Adam, and without the straight line that the logarithm goes on by below a hundredth, whose bits are
others. That is the least that torch takes as long as autograd goes along; a recording does without.
All take turns with the launches of an eager fit in one process; CPU seconds, medians.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from cases import CASES, series
from floors import BetweenLaunches
from measuring import description, median, save
from torch import Tensor
from torch.autograd import Variable
from torch.nn import functional
from worker import fit_ours

from psann.hisso.rewards import _log
from psann.training.optimizer import Optimizer, OptimizerState

_CASE = CASES["S"]
_LR, _PENALTY, _ROWS_DRAWN = 1e-3, 1e-3, 4096
_EPOCHS = 1_000_000  # more than are ever run


class Adam:
    """The optimiser of a fit, the factors of all steps computed at once."""

    def __init__(self, weights: Tensor) -> None:
        self.rule, self.weights = Optimizer(name="adam", clip_norm=1.0), weights
        self.state, self.decayed = OptimizerState.fresh(weights), torch.ones_like(weights)
        each = self.rule.factors(torch.arange(1.0, _ROWS_DRAWN + 1), _LR)
        self.factors = itertools.cycle(zip(*map(Tensor.unbind, each), strict=True))

    def step(self, gradient: Tensor, norm: Tensor) -> None:
        """Clip, and move the weights."""
        now: Any = {"norm": norm, "decayed": self.decayed, "factors": next(self.factors)}
        moved, self.state = self.rule.step(self.weights, gradient, self.state, lr=_LR, **now)
        self.weights.copy_(moved)


class FusedAdam:
    """The same by one operation of torch, up to rounding."""

    def __init__(self, weights: Tensor) -> None:
        self.state = [weights], [torch.zeros_like(weights)], [torch.zeros_like(weights)]
        self.steps = torch.zeros(())

    def step(self, gradient: Tensor, norm: Tensor) -> None:
        """Clip, and move the weights."""
        weights, first, second = self.state
        gradient = gradient * (norm + 1e-6).reciprocal().clamp_max(1.0)
        self.steps += 1
        fixed: Any = {"weight_decay": 0.0, "eps": 1e-8, "amsgrad": False, "maximize": False}
        torch._fused_adam_(
            weights,
            [gradient],
            first,
            second,
            [],
            [self.steps],
            lr=_LR,
            beta1=0.9,
            beta2=0.999,
            **fixed,
        )


def by_hand(*, least: bool) -> Callable[[], object]:
    """One update at a time; `least` by the fewest operations, whose bits are others."""
    X, prices = (torch.from_numpy(each).float() for each in series(_CASE))
    units, n_in = _CASE.params["hidden_units"], _CASE.n_features
    shapes = [(units, n_in), (units,), (_CASE.n_assets, units), (_CASE.n_assets,), *[(units,)] * 3]
    weights = 0.1 * torch.randn(sum(map(prod, shapes)))
    parts = weights.split([prod(shape) for shape in shapes])
    leaves = [
        part.view(shape).detach().requires_grad_()
        for part, shape in zip(parts, shapes, strict=True)
    ]
    into, bias, head, head_bias, a, b, c = leaves
    adam = FusedAdam(weights) if least else Adam(weights)
    log = torch.log if least else _log
    window = torch.arange(_CASE.window)
    starts = itertools.cycle(torch.randint(len(X) - _CASE.window, (_ROWS_DRAWN,)).unbind())
    moves = torch.cat([prices[1:] / prices[:-1], torch.ones_like(prices[:1])])
    engine: Any = Variable._execution_engine
    one = torch.ones(())

    def update() -> None:
        rows = next(starts) + window
        z = functional.linear(X.index_select(0, rows), into, bias)
        wave = functional.softplus(a) * torch.sin((functional.softplus(b) + 1e-6) * z)
        h = wave * torch.exp(-functional.softplus(c) * z.abs())
        actions = torch.softmax(functional.linear(h, head, head_bias), -1)
        held, moved = actions[:-1], moves.index_select(0, rows)[:-1]
        fee = _PENALTY * (actions[1:] - held).abs().sum(-1)
        loss = -(log((held * moved).sum(-1)) - fee).mean()
        for leaf in leaves:
            leaf.grad = None
        whole: Any = {"allow_unreachable": True, "accumulate_grad": True}
        engine.run_backward((loss,), (one,), False, False, (), **whole)
        with torch.no_grad():
            gradient = torch.cat([leaf.grad.view(-1) for leaf in leaves])  # type: ignore[union-attr]
            norm = torch.linalg.vector_norm(gradient)
            adam.step(gradient, norm)
            largest = torch.linalg.vector_norm(weights, torch.inf)
        assert loss.item() + norm.item() + largest.item() < torch.inf

    return update


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=41, help="turns of each")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    report = description("python benchmarks/by_hand.py")
    pieces = {"by_hand": by_hand(least=False), "least": by_hand(least=True)}
    meter = BetweenLaunches(pieces, rounds=options.rounds, engine="eager")
    fit_ours(_CASE, _EPOCHS, 0, meter.tick, {"settings": {"engine": "eager"}})
    figures: dict[str, float] = {f"{name}_ms": median(ms) for name, ms in meter.ms.items()}
    for name in pieces:
        in_turn = zip(meter.ms["eager"], meter.ms[name], strict=True)
        figures[f"of_{name}"] = median([ours / piece for ours, piece in in_turn])
        print(
            f"eager update of S {figures['eager_ms']:.4f} ms, {name} "
            f"{figures[f'{name}_ms']:.4f} ms: {figures[f'of_{name}']:.2f} of it"
        )
    if not options.no_save:
        save("by_hand", report | {"figures": figures})


if __name__ == "__main__":
    main()
