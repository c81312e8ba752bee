from __future__ import annotations

from psann.estimators._shapes import network_shape
from psann.hisso.options import HISSOOptions


def test_a_network_has_inputs_for_what_is_held_and_an_output_for_cash() -> None:
    plain = network_shape(12, 3, HISSOOptions())
    assert (plain.n_in, plain.n_out, plain.n_extra) == (12, 3, 0)
    seeing = network_shape(12, 3, HISSOOptions(held_weights=True, primary_transform="softmax_cash"))
    assert (seeing.n_in, seeing.n_out, seeing.n_extra) == (15, 4, 1)


def test_training_on_targets_knows_neither() -> None:
    off = HISSOOptions(enabled=False, held_weights=True, primary_transform="softmax_cash")
    shape = network_shape(12, 3, off, n_rows=50)
    assert (shape.n_in, shape.n_out, shape.n_rows) == (12, 3, 50)
