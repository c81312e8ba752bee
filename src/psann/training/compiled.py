"""The update as one compiled program: nothing of Python is left between its operations.

The very function that the eager engine runs is traced to a graph of tensor operations, backward
pass and optimiser included, and given to Inductor. Whatever may change between two calls (rows,
keys, learning rate, warm-ups, decay mask, the series itself) is an input of the program, so that
nothing is compiled twice.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import subprocess
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from psann.errors import counted
from psann.nn.network import Network
from psann.training.carry import Carry, Lift, carry_of, tensors_of
from psann.training.draws import Draws
from psann.training.engine import EagerEngine
from psann.training.graphs import fit_to_the_host, take_constants_as_inputs
from psann.training.history import Decision
from psann.training.statistics import Report
from psann.training.work import Objective, PhaseWork, work_s

# Small updates are compiled several at a time: calling a program costs as much as two of them.
_UPDATES_PER_CALL, _SMALL_UPDATE_S = 4, 1e-4

# What a trace or a compiler may fail with, on code that runs eagerly.
_FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, subprocess.SubprocessError),
)


# Of a core, when nothing is cached; as measured on the cases of docs/performance.md.
_COMPILE_S, _COMPILE_S_PER_TENSOR = 25.0, 0.3

# Arguments of a call -> its outputs.
Program = Callable[[Sequence[Tensor]], list[Tensor]]


def compile_s(network: Network) -> float:
    """About the seconds of compiling the update of one structure of a network."""
    return _COMPILE_S + _COMPILE_S_PER_TENSOR * len(list(network.parameters()))


class CompiledEngine(EagerEngine):
    """Runs updates as compiled programs, a few updates per call where they are small.

    Before a program is used, its first call is compared with the eager update. Where it cannot be
    built, or differs, training goes on eagerly and `notes` say why. Updates of another
    number of indices than the phase's usual (the last batch of an epoch) run eagerly.

    Parameters
    ----------
    least_updates : int
        Phases of fewer planned updates run eagerly, because compiling would not pay; 0 compiles
        every phase.
    """

    name = "compiled"

    def __init__(self, network: Network, *, least_updates: int = 0, **options: Any) -> None:
        super().__init__(network, **options)
        self.least_updates = least_updates
        self._programs: dict[Hashable, Program] = {}
        self.lr = torch.zeros((), device=self.device)
        self._is_refused = True

    def begin(self, work: PhaseWork) -> None:
        """Prepare for a phase: programs of another objective are forgotten."""
        super().begin(work)
        self._apart = False
        self.work = work
        self._programs.clear()
        self._is_refused = work.planned_updates < self.least_updates
        if self._is_refused:
            self._note(
                f"{counted(work.planned_updates, 'update')} of phase {work.phase} run on the eager "
                f"engine: {self.name} would pay from {self.least_updates:,} on"
            )

    @property
    def runs_as(self) -> str:
        """Engine that the latest updates ran on."""
        return "eager" if self._is_refused else self.name

    def group_slots(self, n_seeds: int) -> int:
        """Seeds that a program is made for: two sizes per octave, so that few are compiled."""
        octave = 1 << (n_seeds - 1).bit_length()
        return octave * 3 // 4 if n_seeds <= octave * 3 // 4 else octave

    def updates_per_launch(self, rows_per_update: int, *, n_seeds: int = 1) -> int:
        """Updates in a launch of about 0.1 s, a whole number of calls."""
        per_call = self._updates_per_call(rows_per_update)
        n_updates = super().updates_per_launch(rows_per_update, n_seeds=n_seeds)
        return max(1, n_updates // per_call) * per_call

    def _updates_per_call(self, rows_per_update: int) -> int:
        is_small = work_s(self.network.n_products, rows_per_update) < _SMALL_UPDATE_S
        return _UPDATES_PER_CALL if is_small and not self.work.goes_row_by_row else 1

    def _run(
        self,
        carry: Carry,
        objective: Objective,
        *,
        stacks: Sequence[Tensor],
        keys: Tensor | None,
        lr: float,
        lift: Lift,
    ) -> tuple[Carry, list[Report]]:
        """As many updates as possible by programs, the rest eagerly."""
        self.lr.fill_(lr)
        reports: list[Report] = []
        done = 0
        if not self._is_refused and stacks[0].shape[-1] == self.work.index_size:
            carried = tensors_of(carry)
            program = before = None
            for draws in self._draws(stacks[0].contiguous(), keys):
                # After two calls of one program in a row its outputs lie as its arguments do.
                if program is None or program is not before:
                    call = UpdateCall(self, carry_of(carried, like=carry), objective, draws, lift)
                    before, program = program, self._program(call)
                if program is None:
                    break
                *carried, numbers, values = program([*carried, *draws.tensors])
                reports.append(Report(numbers[: draws.n_updates], values[: draws.n_updates]))
                done += draws.n_updates
            carry = carry_of(carried, like=carry)
        rest = None if keys is None else keys[done:]
        others: list[Report] = []
        if left := Draws(stacks=list(stacks), keys=None).part(done, sum(map(len, stacks))).stacks:
            carry, others = super()._run(carry, objective, stacks=left, keys=rest, lr=lr, lift=lift)
        return carry, [*reports, *others]

    def _draws(self, stack: Tensor, keys: Tensor | None) -> Iterator[_Draws]:
        """What each call draws for the updates of a stack."""
        size = self._updates_per_call(self.work.rows_per_update)
        for first in range(0, len(stack), size):
            yield _Draws.of(
                stack[first : first + size],
                None if keys is None else keys[first : min(first + size, len(stack))],
                size=size,
            )

    def _program(self, call: UpdateCall) -> Program | None:
        """The program of a call; None where there can be none."""
        # A program reads memory as it was told to, whatever comes.
        layout = tuple((a.shape, a.stride(), a.dtype) for a in call.arguments)
        key = (self.network.stage, self.optimizer, layout)
        if key not in self._programs:
            try:
                self._programs[key] = self._checked(call)
            except _FAILURES as error:
                self._refuse(error)
                return None
        return self._programs[key]

    def _checked(self, call: UpdateCall) -> Program:
        """A program that gives what the eager update gives, in two calls in a row."""
        # First the eager update: what an objective computes only once must be there already.
        expected = call.of(call.arguments)
        program = self._build(call)
        found = program(call.arguments)
        for again in (True, False):
            for ours, theirs in zip(found[-2:], expected[-2:], strict=True):
                scale = float(theirs.abs().nan_to_num(0.0, 0.0, 0.0).max())
                if not torch.allclose(ours, theirs, rtol=1e-2, atol=1e-4 * scale, equal_nan=True):
                    raise ArithmeticError("its results are not those of the eager update")
            if again:
                found = program(call.following(found))
                expected = call.of(call.following(expected))
        return program

    def _build(self, call: UpdateCall) -> Program:
        """Trace the updates of a call and compile the graph."""
        from torch._inductor import compile as compile_graph
        from torch.fx.experimental.proxy_tensor import make_fx

        self.tell(Decision(phase=self.work.phase, message=self._announcement(call)))
        with self._traceable(), warnings.catch_warnings(), _silence("torch._inductor.ir"):
            warnings.simplefilter("ignore")  # of torch about torch
            trace = make_fx(call, tracing_mode="fake", _allow_non_fake_inputs=True)
            # Copies: two arguments that are one tensor now would be one argument for ever.
            examples = [argument.clone() for argument in call.arguments]
            graph = trace(*examples)
            reads = take_constants_as_inputs(graph)
            if self.device.type == "cpu":  # a card would rather compute than read
                fit_to_the_host(graph)
            inputs: list[Any] = [*examples, *reads]
            compiled = compile_graph(graph, inputs, options=self._inductor_options())

        def program(arguments: Sequence[Tensor]) -> list[Tensor]:
            with torch.no_grad():
                return list(compiled(*arguments, *reads))

        return program

    def _announcement(self, call: UpdateCall) -> str:
        """What will take so long, so that silence is not taken for a standstill."""
        what = f"the update of phase {self.work.phase}"
        if self.network.n_stages > 1:
            what += f" at stage {self.network.stage}"
        if call.carry.weights.ndim > 1:
            what += f" for {counted(len(call.carry.weights), 'seed')}"
        return f"compiling {what}, about {compile_s(self.network):.0f} s, once"

    def _inductor_options(self) -> dict[str, Any]:
        # The hash behind noise and dropout uses each word twice, round after round; written out
        # as one expression it would double every time and take the compiler minutes.
        options: dict[str, Any] = {"realize_opcount_threshold": 12}
        if self.device.type == "cpu":
            options |= {"cpp_wrapper": True, "cpp.threads": torch.get_num_threads()}
        return options

    def _note(self, message: str) -> None:
        self.notes.append(Decision(phase=self.work.phase, message=message))
        self.tell(self.notes[-1])

    def _refuse(self, error: Exception) -> None:
        reason = (str(error).strip() or "no message").splitlines()[0]
        note = (
            f"the updates of phase {self.work.phase} run on the eager engine, for they cannot be "
            f"{self.name}: {type(error).__name__}: {reason}"
        )
        self._is_refused = True
        self._note(note)
        warnings.warn(note, UserWarning, stacklevel=2)


@contextlib.contextmanager
def _silence(name: str) -> Iterator[None]:
    """Keep a logger of torch's from telling users how it does what it does."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


class _Draws(NamedTuple):
    """What the updates of a call draw; those beyond `n_updates` repeat the last and are idle."""

    n_updates: int
    tensors: list[Tensor]  # rows (size, B), whether idle (size,), keys (size, 2) if any

    @classmethod
    def of(cls, indices: Tensor, keys: Tensor | None, *, size: int) -> _Draws:
        """Of at most `size` updates ``(n, B)``, filled up to so many."""
        n = len(indices)
        drawn = [indices] if keys is None else [indices, keys]
        if n < size:
            drawn = [
                torch.cat([each, each[-1:].expand(size - n, *each.shape[1:])]) for each in drawn
            ]
        is_idle = _is_idle(n, size, indices.device)
        return cls(n, [drawn[0], is_idle, *drawn[1:]])


@functools.cache
def _is_idle(n_updates: int, size: int, device: torch.device) -> Tensor:
    return torch.arange(size, device=device) >= n_updates


class UpdateCall:
    """Some updates as one function from tensors to tensors, and its arguments."""

    def __init__(
        self,
        engine: CompiledEngine,
        carry: Carry,
        objective: Objective,
        draws: _Draws,
        lift: Lift,
    ) -> None:
        self.engine, self.carry, self.objective, self.lift = engine, carry, objective, lift
        carried = tensors_of(carry)
        self.n_carried = len(carried)
        self.arguments = [*carried, *draws.tensors]

    def __call__(self, *arguments: Tensor) -> list[Tensor]:
        """Tensors of the next carry, then numbers ``(size, 4)`` and values ``(size, B)``."""
        carry = carry_of(arguments[: self.n_carried], like=self.carry)
        index, is_idle, *keys = arguments[self.n_carried :]
        reports = []
        for k in range(len(index)):
            key = keys[0][k] if keys else None
            held = carry
            carry = carry._replace(is_frozen=carry.is_frozen | is_idle[k])
            carry, report = self.engine.update(
                carry, self.objective, index[k], key, lr=self.engine.lr, lift=self.lift
            )
            carry = carry._replace(
                is_frozen=torch.where(is_idle[k], held.is_frozen, carry.is_frozen),
                scale=torch.where(is_idle[k], held.scale, carry.scale),
                good_streak=torch.where(is_idle[k], held.good_streak, carry.good_streak),
            )
            reports.append(report)
        numbers, values = zip(*reports, strict=True)
        return [*tensors_of(carry), torch.stack(numbers), torch.stack(values)]

    def of(self, arguments: Sequence[Tensor]) -> list[Tensor]:
        """The call as a program: run operation by operation."""
        return self(*arguments)

    def following(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Arguments of the same updates from where the outputs end."""
        return [*outputs[: self.n_carried], *self.arguments[self.n_carried :]]
