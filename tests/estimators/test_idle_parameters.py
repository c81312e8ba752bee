from __future__ import annotations

from typing import Any

import pytest

from psann import AssetwiseRegressor, PSANNRegressor, WaveResNetRegressor
from psann.estimators._idle_parameters import idle_options, idle_parameters
from psann.hisso.options import EvaluationOptions, HISSOOptions


def idle(
    cls: Any = PSANNRegressor,
    *,
    hisso: HISSOOptions | None = None,
    is_flattened: bool = False,
    n_context: int = 0,
    **params: Any,
) -> list[str]:
    found = idle_parameters(
        cls(**params).get_params(deep=False),
        cls().get_params(deep=False),
        hisso=hisso,
        is_flattened=is_flattened,
        n_context=n_context,
    )
    return [text.split(" ")[0] for text in found]


def test_nothing_is_idle_by_default() -> None:
    for hisso in (None, HISSOOptions(), HISSOOptions(supervised=True)):
        assert idle(hisso=hisso) == idle(WaveResNetRegressor, hisso=hisso) == []


@pytest.mark.parametrize(
    ("cls", "name", "value", "used_by"),
    [
        (PSANNRegressor, "data_format", "channels_last", {"is_flattened": True}),
        (AssetwiseRegressor, "activation", "tanh", {"hidden_layers": 1}),
        (AssetwiseRegressor, "activation_params", {"amplitude": 2.0}, {"hidden_layers": 1}),
        (AssetwiseRegressor, "hidden_units", 3, {"hidden_layers": 1}),
        (AssetwiseRegressor, "w0", 2.0, {"hidden_layers": 1}),
        (PSANNRegressor, "max_skipped_updates", 3, {"on_nonfinite": "skip"}),
        (PSANNRegressor, "state_reset", "none", {"stateful": True}),
        (WaveResNetRegressor, "progressive_depth_growth", 2, {"progressive_depth_initial": 1}),
        (WaveResNetRegressor, "progressive_depth_interval", 2, {"progressive_depth_initial": 1}),
        (WaveResNetRegressor, "use_film", False, {"n_context": 2}),
        (WaveResNetRegressor, "use_phase_shift", False, {"n_context": 2}),
    ],
)
def test_a_parameter_is_idle_until_what_it_belongs_to_is_there(
    cls: Any, name: str, value: Any, used_by: dict[str, Any]
) -> None:
    assert idle(cls, **{name: value}) == [name]
    assert idle(cls, **{name: value}, **used_by) == []


def test_a_layout_is_idle_where_the_rows_say_it_themselves() -> None:
    assert idle(AssetwiseRegressor, layout="asset_major") == []
    assert idle(AssetwiseRegressor, layout="asset_major", is_flattened=True) == ["layout"]


def test_row_settings_are_idle_in_episodes() -> None:
    settings: dict[str, Any] = {
        "batch_size": 3,
        "shuffle": False,
        "loss": "mae",
        "input_noise": 0.1,
    }
    assert idle(**settings) == []
    assert idle(hisso=HISSOOptions(enabled=False), **settings) == []
    assert set(idle(hisso=HISSOOptions(), **settings)) == set(settings)
    # A warm start has its own batches and order, but the estimator's loss and noise.
    warm = HISSOOptions(supervised=True)
    assert set(idle(hisso=warm, **settings)) == {"batch_size", "shuffle"}


def test_a_reduced_type_is_idle_without_mixed_precision() -> None:
    assert idle_options(HISSOOptions(), EvaluationOptions()) == []
    assert (
        idle_options(HISSOOptions(amp_dtype="bfloat16", mixed_precision=True), EvaluationOptions())
        == []
    )
    (text,) = idle_options(HISSOOptions(amp_dtype="bfloat16"), EvaluationOptions())
    assert text.startswith("hisso.amp_dtype")
