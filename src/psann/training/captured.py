"""Updates as a CUDA graph: one launch from the host for all of their kernels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from psann.training.compiled import CompiledEngine, Program, UpdateCall

# Runs before a capture, so that libraries and allocator have set up what they need.
_WARM_UP_RUNS = 3
# Fusing kernels costs half a minute and saves some 0.2 ms of an update that is captured anyway.
_FUSE_FROM_UPDATES = 100_000


class CapturedEngine(CompiledEngine):
    """Replays a recorded graph of a few updates, from and to fixed tensors on the device.

    The recorded operations are those of the eager engine; of a phase of at least 100,000 planned
    updates those of the compiled program, which has fewer kernels. Host and device meet once per
    launch, when its statistics are read.
    """

    name = "captured"

    def _build(self, call: UpdateCall) -> Program:
        """Record the updates of a call."""
        run: Program = call.of
        if self.work.planned_updates >= _FUSE_FROM_UPDATES:
            run = super()._build(call)
        inputs = [argument.clone() for argument in call.arguments]
        graph, outputs = self._capture(run, inputs)

        def program(arguments: Sequence[Tensor]) -> list[Tensor]:
            for place, argument in zip(inputs, arguments, strict=True):
                place.copy_(argument)
            graph.replay()
            # The next replay overwrites its own tensors.
            return [output.clone() for output in outputs]

        return program

    def _capture(
        self, run: Program, inputs: list[Tensor]
    ) -> tuple[torch.cuda.CUDAGraph, list[Tensor]]:
        """The graph of one run on these very tensors, and where it leaves its outputs."""
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_RUNS):
                run(inputs)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            outputs = run(inputs)
        return graph, outputs
