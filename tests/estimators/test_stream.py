"""Partial fits: passes over a stream that are the epochs of a fit, whatever happens between."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import RobustScaler, StandardScaler

from planted import HISSO, Recorder, fit_hisso, planted, quick
from psann import AssetwiseRegressor, PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor
from psann.errors import DivergedError, FileFormatError
from psann.estimators._persistence import EstimatorDocument, document_bytes, read_document
from thinning import thinned

ROWS = planted(120)
X, PRICES = ROWS["X"], ROWS["prices"]
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])
PARTS = [slice(k, k + 24) for k in range(0, 120, 24)]
KINDS: dict[str, Any] = {
    "sgd": lambda: quick(optimizer="sgd", scaler="minmax", weight_decay=1e-3),
    "noise": lambda: quick(input_noise=0.1, batch_size=50, scaler="standard"),
    "stateful": lambda: quick(ResPSANNRegressor, stateful=True, state_reset="none"),
    "warm-ups": lambda: quick(
        WaveResNetRegressor,
        hidden_layers=2,
        dropout=0.2,
        w0_warmup_epochs=4,
        target_scaler="minmax",
    ),
}


def streamed(model: Any, *, reloads: bool = False, **how: Any) -> Any:
    """A pass over each part, one after the other."""
    for part in PARTS:
        model.partial_fit(X[part], Y[part], **how)
        if reloads:
            model = type(model).from_bytes(model.to_bytes())
    return model


def windows(model: Any, n: int = 20, *, reloads: bool = False, **hisso: Any) -> Any:
    """An update on the newest 8 rows, as row after row comes."""
    for end in range(120 - n, 120):
        rows = slice(end - 8, end)
        model.partial_fit(X[rows], prices=PRICES[rows], hisso={"window": 8, **hisso})
        if reloads:
            model = type(model).from_bytes(model.to_bytes())
    return model


@pytest.mark.parametrize("kind", thinned(KINDS, every=3))
def test_passes_over_the_same_rows_are_the_epochs_of_a_fit(kind: str) -> None:
    model = KINDS[kind]()
    if model.scaler == "standard":
        model.set_params(scaler=None)
    for _ in range(4):
        model.partial_fit(X, Y)
    recorder = Recorder()
    whole = KINDS[kind]().set_params(scaler=model.scaler, epochs=4)
    whole.fit(X, Y, observers=[recorder])
    last = torch.cat([p.detach().reshape(-1) for p in model.network_.parameters()])
    assert last.numpy().tobytes() == recorder.weights["supervised"]
    assert model.loss_curve_ == whole.loss_curve_ and model.n_iter_ == 4
    assert model.schedule_epoch_ == 4


@pytest.mark.parametrize("kind", thinned(KINDS, every=2))
def test_saving_and_loading_between_two_calls_changes_no_bit(kind: str) -> None:
    there = streamed(KINDS[kind]())
    back = streamed(KINDS[kind](), reloads=True)
    assert back.to_bytes() == there.to_bytes()
    assert back.n_iter_ == 5 and back.loss_curve_ == there.loss_curve_


def test_a_policy_of_a_stream_is_saved_and_loaded_between_two_windows() -> None:
    there, back = (windows(quick(), 8, reloads=reloads) for reloads in (False, True))
    assert back.to_bytes() == there.to_bytes()
    assert np.array_equal(back.predict_actions(X), there.predict_actions(X))


def test_a_stream_is_learnt() -> None:
    model = quick(lr=2e-2, scaler="standard", hidden_units=16)
    scores = [streamed(model).score(X, Y) for _ in range(8)]
    assert scores[-1] > 0.4 > 0.3 > scores[0]
    assert model.n_iter_ == 40 and model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]


def test_a_policy_learns_from_the_newest_windows() -> None:
    model = windows(quick(lr=2e-2), 1)
    before = model.evaluate_reward(X, PRICES)
    assert windows(model, 50).evaluate_reward(X, PRICES) > before + 0.005
    assert model.n_iter_ == 51 == model.fit_result_.episodes


@pytest.mark.parametrize(("delay", "names"), [(0, []), (2, []), (2, ["benchmark"])])
def test_an_episode_is_that_of_the_newest_window_alone(delay: int, names: list[str]) -> None:
    reward = "excess" if names else "portfolio"

    def passed(first: int) -> Any:
        rows = slice(first, None)
        hisso = {"window": 8, "delay": delay, "reward": reward, "reward_inputs": names}
        inputs = {name: PRICES[rows, 0] for name in names}
        return quick().partial_fit(X[rows], prices=PRICES[rows], hisso=hisso, reward_inputs=inputs)

    long, short = passed(0), passed(120 - 8 - delay)
    assert long.to_bytes() == short.to_bytes()
    with pytest.raises(ValueError, match=rf"= {8 + delay} rows; got {7 + delay}\. Use a smaller"):
        passed(120 - 7 - delay)


def test_scalers_learn_the_rows_of_each_call_by_their_weight() -> None:
    weight = np.arange(120) % 4 + 1.0
    model = quick(scaler="standard", target_scaler=StandardScaler())
    for part in PARTS:
        model.partial_fit(X[part], Y[part], weight[part])
    for scaler, rows in ((model.scaler_, X), (model.target_scaler_, Y)):
        whole = StandardScaler().fit(rows, sample_weight=weight)
        np.testing.assert_allclose(scaler.mean_, whole.mean_, rtol=1e-9)
        np.testing.assert_allclose(scaler.scale_, whole.scale_, rtol=1e-9)


def test_assets_are_streamed_as_they_are_fitted() -> None:
    model = quick(AssetwiseRegressor, layout="asset_major", scaler="standard")
    for part in PARTS:
        model.partial_fit(X[part], X[part])
    assert model.scaler_.n_samples_seen_ == 360 and model.predict(X).shape == (120, 3)


def test_a_stream_goes_on_from_a_fit_and_counts_on() -> None:
    model = quick(scaler="standard", lr=1e-9).fit(X, Y)
    before, losses = model.predict(X), model.loss_curve_
    model.partial_fit(X, Y)
    np.testing.assert_allclose(model.predict(X), before, atol=1e-6)
    assert model.loss_curve_[:3] == losses and model.n_iter_ == 4
    assert streamed(model).n_iter_ == 9


def test_a_policy_goes_on_by_the_options_of_its_fit() -> None:
    asked = {"supervised": {"epochs": 2}, "transition_penalty": 0.003, "temperature_scaling": True}
    model = fit_hisso(quick(epochs=2), asked, y=X)
    epochs = model.schedule_epoch_
    model.partial_fit(X, prices=PRICES)
    options = model.hisso_options_
    assert options.transition_penalty == 0.003 and options.window == HISSO["window"]
    assert options.supervised is False and not options.temperature_scaling
    assert model.schedule_epoch_ == epochs + 1


def test_another_kind_of_pass_begins_another_stream() -> None:
    model = streamed(quick())
    model.partial_fit(X, X[:, :2], hisso={"window": 8, "reward": "negative_mse"})
    assert model.n_iter_ == 6 == model.schedule_epoch_
    assert model.fit_result_.epochs_done == 1


def test_a_fit_forgets_the_stream() -> None:
    model = streamed(quick())
    assert model.fit(X, Y).to_bytes() == quick().fit(X, Y).to_bytes()
    assert model.n_iter_ == 3


def test_the_first_call_decides_the_seed() -> None:
    model = quick(random_state=np.random.RandomState(3), input_noise=0.1)
    seed = streamed(model).seed_
    assert streamed(quick(random_state=seed, input_noise=0.1)).predict(X).tolist() == (
        model.predict(X).tolist()
    )


def test_settings_between_two_calls_count() -> None:
    model, other = streamed(quick()), streamed(quick())
    other.set_params(lr=1e-12).partial_fit(X, Y)
    np.testing.assert_allclose(other.predict(X), model.predict(X), atol=1e-5)
    model.partial_fit(X, Y)
    assert np.abs(model.predict(X) - other.predict(X)).max() > 1e-3
    assert model.fit_result_.history[0].lr == 1e-2


def test_what_a_pass_does_not_ask_is_said_to_have_no_effect() -> None:
    model = quick(patience=3).partial_fit(X, Y)
    assert "epochs (a partial fit is one pass); patience (a partial fit" in str(model.fit_result_)
    policy = windows(quick(), 1, batch_episodes=4)
    assert "hisso.batch_episodes (a partial fit is one episode)" in str(policy.fit_result_)


@pytest.mark.parametrize(
    ("params", "how", "message"),
    [
        ({"lr_schedule": "cosine"}, {}, "lr_schedule cosine falls to a last epoch"),
        ({"scaler": RobustScaler()}, {}, "scaler RobustScaler has no partial_fit"),
        ({"target_scaler": RobustScaler()}, {}, "target_scaler RobustScaler has no partial_fit"),
        *(
            (
                {},
                {"prices": PRICES, "hisso": {"window": 8, name: value}},
                f"hisso.{name} is no part",
            )
            for name, value in (
                ("supervised", True),
                ("refit", True),
                ("temperature_scaling", True),
                ("min_improvement", 0.1),
                ("min_significance", "auto"),
            )
        ),
    ],
)
def test_what_one_pass_cannot_do_is_refused_by_name(params: Any, how: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick(**params).partial_fit(X, Y, **how)


def test_a_call_that_raises_leaves_the_stream_as_it_was() -> None:
    model = streamed(quick(scaler="standard"))
    before = model.to_bytes()
    for rows, raises in (((X[:, :2], Y), ValueError), ((X, Y[:, 0]), ValueError)):
        with pytest.raises(raises):
            model.partial_fit(*rows)
    model.set_params(loss="user_rewards:nan_loss")
    with pytest.raises(DivergedError, match="epoch 6, update 1"):
        model.partial_fit(X, Y)
    assert model.set_params(loss="mse").to_bytes() == before


@cache
def _honest() -> bytes:
    return streamed(quick()).to_bytes()


def _forged(change: Any) -> bytes:
    document = read_document(_honest(), who="it")
    fitted, tensors = {**document.fitted}, {**document.tensors}
    fitted["stream"] = {**fitted["stream"]}
    change(fitted, tensors)
    return document_bytes(
        EstimatorDocument(
            class_name=document.class_name, params=document.params, fitted=fitted, tensors=tensors
        )
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f, t: t.pop("stream.losses"), "one loss for each pass"),
        (
            lambda f, t: t.update({"stream.losses": t["stream.losses"][:4]}),
            "one loss for each pass",
        ),
        (lambda f, t: t.pop("stream.optimizer.moment1"), "optimiser of its stream does not fit"),
        (
            lambda f, t: t.update({"stream.scale": t["stream.scale"].double()}),
            "optimiser of its stream does not fit",
        ),
        (lambda f, t: f["stream"].update(epoch=0), "greater than or equal to 1"),
        (lambda f, t: f["stream"].update(phase="refit"), "'supervised' or 'hisso'"),
        (lambda f, t: f.update(schedule_epoch_=4), "more passes of its stream than epochs"),
        (lambda f, t: f.pop("stream"), "not written as a"),
    ],
)
def test_a_forged_stream_is_refused(change: Any, said: str) -> None:
    assert PSANNRegressor.from_bytes(_forged(lambda f, t: None)).n_iter_ == 5
    with pytest.raises(FileFormatError, match=said):
        PSANNRegressor.from_bytes(_forged(change))
