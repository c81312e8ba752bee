"""The traced graph of an update, made ready for the compiler."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

_ATEN = torch.ops.aten
# The compiler takes these for cheap, and computes them again wherever their results are read: a
# sine of the forward pass three times, a factor of a seed for every eight of its weights.
_COSTLY = frozenset({_ATEN.sin.default, _ATEN.expm1.default, _ATEN.reciprocal.default})


def take_constants_as_inputs(graph: GraphModule) -> list[Tensor]:
    """Turn the tensors that a trace holds (series, learning rate, ...) into further inputs.

    They would else be part of the program: compiled anew for other data, and blind to changes.
    """
    reads: dict[int, tuple[Tensor, Any]] = {}
    last = [node for node in graph.graph.nodes if node.op == "placeholder"][-1]
    for node in [node for node in graph.graph.nodes if node.op == "get_attr"]:
        tensor = getattr(graph, node.target)
        if not isinstance(tensor, Tensor):
            continue  # what a scan does on each row
        if id(tensor) not in reads:
            mode = last.meta["val"].fake_mode
            with graph.graph.inserting_after(last):
                last = graph.graph.placeholder(f"read_{len(reads)}")
            last.meta["val"] = mode.from_tensor(tensor)
            reads[id(tensor)] = (tensor, last)
        node.replace_all_uses_with(reads[id(tensor)][1])
        graph.graph.erase_node(node)
    graph.recompile()
    return [tensor for tensor, _ in reads.values()]


def keep_costly_results(graph: GraphModule) -> None:
    """Let the results of costly functions lie in memory, to be read and not computed again."""
    for node in [node for node in graph.graph.nodes if node.target in _COSTLY]:
        value = node.meta["val"]
        # What is looked at with strides must lie somewhere.
        with graph.graph.inserting_after(node):
            kept = graph.graph.call_function(
                _ATEN.as_strided.default, (node, value.shape, value.stride())
            )
        kept.meta["val"] = value
        node.replace_all_uses_with(kept, delete_user_cb=lambda user, kept=kept: user is not kept)
    graph.recompile()
