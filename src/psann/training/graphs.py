"""The traced graph of an update, made ready for the compiler."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

_ATEN = torch.ops.aten
# The compiler takes these for cheap, and computes them again wherever their results are read: a
# sine of the forward pass three times, a factor of a seed for every eight of its weights.
_COSTLY = frozenset({_ATEN.sin.default, _ATEN.expm1.default, _ATEN.reciprocal.default})
# More would come from beyond a core's cache.
_MOST_NUMBERS_KEPT = 2**18


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


def fit_to_the_host(graph: GraphModule) -> None:
    """Let a program for a CPU read what costs more to compute again, and add biases as it goes."""
    for node in list(graph.graph.nodes):
        if node.target in _COSTLY and node.meta["val"].numel() <= _MOST_NUMBERS_KEPT:
            kept = _kept(graph.graph, node)
            node.replace_all_uses_with(kept, lambda user, kept=kept: user is not kept)
        elif node.target is _ATEN.addmm.default and not node.kwargs:
            # The library would first copy the bias to every row of the product.
            bias, *factors = node.args
            product = _kept(graph.graph, _after(graph.graph, node, _ATEN.mm.default, *factors))
            total = _after(graph.graph, product, _ATEN.add.Tensor, product, bias)
            node.replace_all_uses_with(total)
            graph.graph.erase_node(node)
    graph.recompile()


def _kept(graph: Graph, node: Node) -> Node:
    """A node's result, in memory: what is looked at with strides must lie somewhere."""
    value = node.meta["val"]
    return _after(graph, node, _ATEN.as_strided.default, node, value.shape, value.stride())


def _after(graph: Graph, node: Node, function: Any, *arguments: Any) -> Node:
    """A call behind a node, whose result has that node's shape."""
    with graph.inserting_after(node):
        call = graph.call_function(function, arguments)
    call.meta["val"] = node.meta["val"]
    return call
