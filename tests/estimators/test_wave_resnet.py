from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planted import Recorder, fit_hisso, planted, quick
from psann import WaveResNetRegressor
from psann.nn.network import NetworkShape
from psann.nn.wave_resnet import WaveResNet
from thinning import slow

ROWS = planted(120)
X, PRICES = ROWS["X"], ROWS["prices"]
X4 = np.column_stack([X, X[:, 0] ** 2])


def wave(**params: Any) -> Any:
    return quick(WaveResNetRegressor, **params)


def test_the_network_is_the_wave_resnet_of_the_parameters() -> None:
    model = wave().fit(X4, X)
    assert isinstance(model.network_, WaveResNet)
    assert sum(p.numel() for p in model.network_.parameters()) == 260
    assert len(wave(hidden_layers=3).fit(X, X).network_.blocks) == 3


@pytest.mark.parametrize("norm", [slow("none"), "rms", "weight"])
def test_every_norm_learns_and_is_saved(norm: str) -> None:
    model = wave(norm=norm, epochs=20, first_layer_w0=2.0).fit(X, X[:, 0])
    assert model.score(X, X[:, 0]) > 0.7
    again = WaveResNetRegressor.from_bytes(model.to_bytes())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_the_context_decides_end_to_end() -> None:
    # Which of three assets rises is said by the context and by nothing else.
    def rows(seed: int, n: int = 150) -> dict[str, Any]:
        planted_rows = planted(n, seed=seed)
        return {
            "X": np.random.default_rng(seed).normal(size=(n, 2)),
            "prices": planted_rows["prices"],
            "context": planted_rows["X"],
        }

    settings: dict[str, Any] = {"epochs": 12, "lr": 4e-2, "first_layer_w0": 1.0}
    hisso = {"window": 8, "batch_episodes": 8, "updates_per_epoch": 8}
    model = wave(**settings).fit(**rows(0), validation_data=rows(1), hisso=hisso)
    test = rows(2)
    X_test, prices, context = test["X"], test["prices"], test["context"]
    assert model.best_epoch_ > 0 and model.n_context_ == 3
    told = model.evaluate_reward(X_test, prices, context=context)
    misled = model.evaluate_reward(X_test, prices, context=-context)
    assert told > 0.005 > -0.002 > misled

    again = WaveResNetRegressor.from_bytes(model.to_bytes())
    np.testing.assert_array_equal(
        again.predict_actions(X_test, context=context),
        model.predict_actions(X_test, context=context),
    )
    assert again.evaluate_reward(rows(1)["X"], rows(1)["prices"], context=rows(1)["context"]) == (
        pytest.approx(model.best_value_, abs=1e-6)
    )


def test_a_warm_start_sees_the_context_too() -> None:
    # The targets are the context, of which X says nothing.
    recorder = Recorder()
    context = planted(seed=7)["X"][:, :1]
    wave().fit(
        X,
        context,
        prices=PRICES[:, :1],
        context=context,
        hisso={"window": 8, "supervised": {"epochs": 30, "lr": 1e-2}, "primary_transform": "tanh"},
        observers=[recorder],
    )
    losses = [r.train_loss for r in recorder.records if r.phase == "warm_start"]
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(("phase", "film"), [(True, False), (False, True)])
def test_a_context_needs_a_way_into_the_blocks(phase: bool, film: bool) -> None:
    model = wave(use_phase_shift=phase, use_film=film).fit(X, X, context=X[:, :1])
    shifted = model.predict(X, context=X[:, :1] + 1.0)
    assert not np.allclose(shifted, model.predict(X, context=X[:, :1]))
    with pytest.raises(ValueError, match="a context has no effect without"):
        wave(use_phase_shift=False, use_film=False).fit(X, X, context=X[:, :1])


def test_frequencies_warm_up_by_epochs_of_hisso() -> None:
    model = fit_hisso(
        wave(epochs=6, w0_warmup_epochs=4, first_layer_w0=9.0, monitor="reward"),
    )
    done = model.schedule_epoch_ - 1
    assert model.network_.first_layer_w0 == 1.0 + 8.0 * min(1.0, done / 4)


@pytest.mark.parametrize("name", ["first_layer_w0_initial", "hidden_w0_initial"])
def test_a_beginning_without_a_warm_up_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} has no effect without w0_warmup_epochs"):
        wave(**{name: 2.0}).fit(X, X)


def test_depth_grows_by_epochs_of_hisso() -> None:
    def depth_after(epochs: int) -> int:
        model = wave(
            hidden_layers=5,
            progressive_depth_initial=1,
            progressive_depth_interval=2,
            progressive_depth_growth=2,
            epochs=epochs,
        )
        network = model._build_network(NetworkShape(n_in=3, n_out=3), np.random.default_rng(0))
        network.set_epoch(epochs)
        return int(network.active_depth)

    assert [depth_after(e) for e in (1, 2, 3, 4, 5, 6)] == [1, 1, 3, 3, 5, 5]
    model = fit_hisso(
        wave(hidden_layers=3, progressive_depth_initial=1, progressive_depth_interval=1)
    )
    assert model.network_.active_depth == min(3, max(1, model.schedule_epoch_))


def test_dropout_trains_but_does_not_predict() -> None:
    model = wave(dropout=0.5).fit(X, X)
    np.testing.assert_array_equal(model.predict(X), model.predict(X))
    assert not np.array_equal(model.predict(X), wave().fit(X, X).predict(X))


@pytest.mark.parametrize(
    ("params", "name"),
    [({"dropout": 1.0}, "dropout"), ({"norm": "layer"}, "norm"), ({"hidden_w0": 0}, "hidden_w0")],
)
def test_values_out_of_range_are_refused_by_name(params: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' parameter of WaveResNetRegressor"):
        wave(**params).fit(X, X)
