"""A program does what its estimators do, with nothing of them left."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from psann import AssetwiseRegressor, PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor
from psann.estimators._program import PolicyProgram
from thinning import thinned

PRICES = 50 * np.exp(np.cumsum(0.02 * np.random.default_rng(0).standard_normal((60, 3)), axis=0))
X = 5.0 + 3.0 * np.random.default_rng(1).standard_normal((60, 6))
SHORT = {"epochs": 2, "lr": 0.05, "random_state": 0, "device": "cpu"}
HISSO = {"window": 8, "batch_episodes": 2, "updates_per_epoch": 2}
WAYS = {
    "dense": PSANNRegressor(hidden_layers=1, hidden_units=5, scaler="standard", **SHORT),
    "minmax": PSANNRegressor(hidden_layers=1, hidden_units=5, scaler="minmax", **SHORT),
    "stateful": PSANNRegressor(
        hidden_layers=2, hidden_units=5, stateful=True, state_reset="epoch", **SHORT
    ),
    "residual": ResPSANNRegressor(hidden_layers=1, hidden_units=5, scaler="standard", **SHORT),
    "wave": WaveResNetRegressor(hidden_layers=2, hidden_units=5, w0_warmup_epochs=3, **SHORT),
    "assetwise": AssetwiseRegressor(
        hidden_layers=1, hidden_units=5, layout="feature_major", scaler="standard", **SHORT
    ),
}


@pytest.mark.parametrize(
    ("way", "transform"),
    thinned(product(WAYS, ["softmax", "softmax_cash", "long_short", "tanh"]), every=5),
)
def test_a_program_gives_the_actions_of_its_estimator(way: str, transform: str) -> None:
    fitted = WAYS[way].fit(X, prices=PRICES, hisso={**HISSO, "primary_transform": transform})
    program = PolicyProgram([fitted])
    wanted = fitted.predict_actions(X)
    assert np.ptp(wanted) > 1e-4
    assert np.abs(program(torch.from_numpy(X)).numpy() - wanted).max() < 1e-9
    alone = [program(torch.from_numpy(row[None])).numpy()[0] for row in X]
    assert np.abs(np.array(alone) - wanted).max() < 1e-9


def test_rows_of_images_are_flattened_as_in_training() -> None:
    model = PSANNRegressor(hidden_layers=1, hidden_units=5, data_format="channels_last", **SHORT)
    images = X.reshape(60, 3, 2)
    fitted = model.fit(images, prices=PRICES, hisso=HISSO)
    found = PolicyProgram([fitted])(torch.from_numpy(images)).numpy()
    assert np.abs(found - fitted.predict_actions(images)).max() < 1e-9


def test_context_and_members_are_inputs_of_their_own() -> None:
    draws = np.random.default_rng(2)
    context, active = draws.standard_normal((60, 2)), np.ones((60, 3))
    active[draws.random((60, 3)) < 0.2] = 0
    fitted = WaveResNetRegressor(hidden_layers=1, hidden_units=5, use_film=True, **SHORT).fit(
        X, prices=PRICES, context=context, active=active, hisso=HISSO
    )
    tensors = [torch.from_numpy(array) for array in (X, context, active)]
    found = PolicyProgram([fitted])(*tensors).numpy()
    wanted = fitted.predict_actions(X, context=context, active=active)
    assert np.abs(found - wanted).max() < 1e-9
    assert (found[active == 0] == 0).all()


def test_several_estimators_are_their_mean_and_a_program_learns_no_more() -> None:
    fitted = [
        PSANNRegressor(hidden_layers=1, hidden_units=5, **{**SHORT, "random_state": seed}).fit(
            X, prices=PRICES, hisso=HISSO
        )
        for seed in (1, 2)
    ]
    program = PolicyProgram(fitted)
    mean = np.mean([each.predict_actions(X) for each in fitted], axis=0)
    assert np.abs(program(torch.from_numpy(X)).numpy() - mean).max() < 1e-9
    fitted[0].fit(X + 1.0, prices=PRICES, hisso=HISSO)
    assert np.abs(program(torch.from_numpy(X)).numpy() - mean).max() < 1e-9
    assert not any(parameter.requires_grad for parameter in program.parameters())


def test_an_estimator_without_actions_is_refused() -> None:
    fitted = PSANNRegressor(hidden_layers=1, hidden_units=5, **SHORT).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="was trained on targets and has no actions"):
        PolicyProgram([fitted])
