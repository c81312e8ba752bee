"""Graphs before the compiler: the same values, and costly results computed once."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from draws import normal
from psann.training.graphs import fit_to_the_host, take_constants_as_inputs

_ATEN = torch.ops.aten


def sums(x: Tensor, factor: Tensor) -> Tensor:
    """Sines that are read by rows and by columns, and a factor that each of them is read with."""
    waves = torch.sin(x.T)
    share = torch.expm1(factor).reciprocal()
    return (waves * share).sum(0) + (waves * 2.0 * share).sum(1)[: x.shape[0]]


def traced(x: Tensor, factor: Tensor) -> GraphModule:
    return make_fx(sums, tracing_mode="fake")(x, factor)


def test_every_costly_result_is_kept_in_its_strides_and_the_values_are_the_same() -> None:
    given = normal(5, 8), normal(8, 1, seed=1)
    graph = traced(*given)
    expected = graph(*given)
    fit_to_the_host(graph)
    for function in (_ATEN.sin, _ATEN.expm1, _ATEN.reciprocal):
        (node,) = (node for node in graph.graph.nodes if node.target is function.default)
        assert [user.target for user in node.users] == [_ATEN.as_strided.default]
    assert torch.equal(graph(*given), expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch about torch
def test_the_compiler_computes_a_kept_result_once() -> None:
    from torch._inductor import compile as compile_graph
    from torch._inductor.utils import run_and_get_code

    given = normal(5, 64), normal(64, 1, seed=1)
    counts = []
    for keeps in (False, True):
        graph = traced(*given)
        if keeps:
            fit_to_the_host(graph)
        program, (code,) = run_and_get_code(compile_graph, graph, list(given))
        found = program(*given)
        torch.testing.assert_close(found, sums(*given))
        counts.append(len(re.findall(r"\bsin\(", code)))
    assert counts[0] > counts[1] == 1


def test_numbers_beyond_a_cores_cache_are_not_kept() -> None:
    given = torch.zeros(512, 513), torch.ones(513, 1)
    graph = traced(*given)
    fit_to_the_host(graph)
    (sine,) = (node for node in graph.graph.nodes if node.target is _ATEN.sin.default)
    assert _ATEN.as_strided.default not in {user.target for user in sine.users}


def test_a_bias_is_added_to_a_product_that_is_kept_and_only_the_last_digit_may_differ() -> None:
    given = normal(3), normal(5, 8, seed=1), normal(3, 8, seed=2)
    graph = make_fx(lambda b, x, w: torch.addmm(b, x, w.T).tanh(), tracing_mode="fake")(*given)
    expected = graph(*given)
    fit_to_the_host(graph)
    targets = [node.target for node in graph.graph.nodes]
    assert _ATEN.addmm.default not in targets
    assert targets.index(_ATEN.mm.default) + 1 == targets.index(_ATEN.as_strided.default)
    torch.testing.assert_close(graph(*given), expected, rtol=0, atol=1e-6)


def test_a_product_that_weighs_its_bias_stays_as_it_is() -> None:
    given = normal(3), normal(5, 8, seed=1), normal(8, 3, seed=2)
    graph = make_fx(lambda b, x, w: torch.addmm(b, x, w, beta=2.0), tracing_mode="fake")(*given)
    expected = graph(*given)
    fit_to_the_host(graph)
    assert torch.equal(graph(*given), expected)


def test_constants_of_a_trace_become_inputs_that_are_read_where_they_lie() -> None:
    held = normal(4)
    graph = make_fx(lambda x: x * held + held, tracing_mode="fake", _allow_non_fake_inputs=True)(
        normal(4, seed=1)
    )
    (read,) = take_constants_as_inputs(graph)
    assert read is held
    held.fill_(3.0)
    assert torch.equal(graph(torch.ones(4), read), torch.full((4,), 6.0))
