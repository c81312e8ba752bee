from __future__ import annotations

import copy
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, RobustScaler

import user_rewards
from deep_stacks import ends_at_the_end_of_the_stack
from planted import Recorder, fit_hisso, planted, quick
from psann import AssetwiseRegressor, PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor
from psann.errors import DeviceError, FileFormatError, ImportTargetError
from psann.estimators._persistence import EstimatorDocument, document_bytes, read_document
from thinning import slow

ROWS = planted(120)
X, Y = ROWS["X"], ROWS["X"][:, :2]


def supervised(cls: Any = PSANNRegressor, **params: Any) -> Any:
    return quick(cls, **params).fit(X, Y)


CASES: dict[str, Callable[[], Any]] = {
    "dense": supervised,
    "dense, targets of one dimension": lambda: quick().fit(X, Y[:, 0]),
    "dense, images": lambda: quick().fit(X.reshape(60, 2, 3), Y[:60]),
    "dense, scalers": lambda: supervised(scaler="standard", target_scaler="minmax"),
    "dense, scaler objects": lambda: supervised(
        scaler=RobustScaler(), target_scaler=MinMaxScaler(feature_range=(-1, 1))
    ),
    "dense, stateful": lambda: supervised(stateful=True, state={"rho": 0.5}, state_reset="none"),
    "dense, own loss": lambda: supervised(loss=user_rewards.quartic),
    "dense, units": lambda: supervised(
        activation_params={"learnable": ["frequency"], "damping_mode": "relu"}
    ),
    "residual": lambda: supervised(ResPSANNRegressor, lr_schedule={"name": "step", "gamma": 0.5}),
    "wave, weight norm": lambda: supervised(WaveResNetRegressor, norm="weight"),
    "wave, warming up": lambda: supervised(
        WaveResNetRegressor, w0_warmup_epochs=20, hidden_layers=3, progressive_depth_initial=1
    ),
    "wave, context": lambda: quick(WaveResNetRegressor).fit(X, Y, context=X[:, :1]),
    "assetwise": lambda: fit_hisso(
        quick(AssetwiseRegressor, scaler="minmax", layout="asset_major")
    ),
    "hisso": lambda: fit_hisso(quick(), {"supervised": {"epochs": 1}}, y=X),
    "hisso, own reward": lambda: fit_hisso(quick(), {"reward": user_rewards.mean_first}),
    "hisso, cash": lambda: fit_hisso(quick(), {"primary_transform": "softmax_cash"}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_saved_estimator_predicts_the_same_and_is_saved_the_same(
    name: str, tmp_path: Path
) -> None:
    model = CASES[name]()
    model.save(tmp_path / "a")
    model.save(tmp_path / "b")
    again = type(model).load(tmp_path / "a")
    again.save(tmp_path / "c")
    bytes_of = [(tmp_path / file).read_bytes() for file in "abc"]
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]
    rows = X.reshape(60, 2, 3) if "images" in name else X
    given = {"context": X[:, :1]} if "context" in name else {}
    np.testing.assert_array_equal(again.predict(rows, **given), model.predict(rows, **given))
    if model.hisso_options_ is not None:
        np.testing.assert_array_equal(again.predict_actions(X), model.predict_actions(X))
    if "stateful" in name:
        np.testing.assert_array_equal(again.predict_sequence(X), model.predict_sequence(X))


def test_feature_names_come_back() -> None:
    pd = pytest.importorskip("pandas")
    model = quick().fit(pd.DataFrame(X, columns=["a", "b", "ö"]), Y)
    again = PSANNRegressor.from_bytes(model.to_bytes())
    assert again.feature_names_in_.tolist() == ["a", "b", "ö"]
    again.predict(pd.DataFrame(X, columns=["a", "b", "ö"]))
    with pytest.raises(ValueError, match="feature names"):
        again.predict(pd.DataFrame(X, columns=["a", "b", "o"]))


def test_a_loaded_estimator_can_be_trained_on() -> None:
    model = supervised(scaler="standard", warm_start=True)
    again = PSANNRegressor.from_bytes(model.to_bytes())
    again.fit(X, Y)
    model.fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize("changed", [{"w0": 3.0}, {"hidden_units": 9}, {"lr": -1.0}])
def test_what_was_set_since_the_fit_is_no_part_of_a_file(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    """The weights are of the parameters of the fit: with others they predict something else."""
    fitted = supervised()
    for model in (fitted, PSANNRegressor.from_bytes(fitted.to_bytes())):
        then = {name: getattr(model, name) for name in changed}
        with pytest.raises(FileFormatError, match=next(iter(changed))):
            model.set_params(**changed).save(tmp_path / "a")
        model.set_params(**then).save(tmp_path / "a")
        np.testing.assert_array_equal(
            PSANNRegressor.load(tmp_path / "a").predict(X), model.predict(X)
        )
    fitted.set_params(hidden_units=9).fit(X, Y).set_params(lr=0.5).save(tmp_path / "a")
    again = PSANNRegressor.load(tmp_path / "a")
    assert (again.hidden_units, again.lr) == (9, 0.5)


def test_an_observer_can_save_the_best_weights_so_far() -> None:
    recorder = Recorder()
    recorder.estimator = quick(warm_start=True)
    model = fit_hisso(recorder.estimator, observers=[recorder])
    assert recorder.files["hisso"] == model.to_bytes()


def test_there_is_nothing_to_save_before_fit() -> None:
    with pytest.raises(NotFittedError):
        quick().to_bytes()


@pytest.mark.parametrize(
    ("params", "who"),
    [
        ({"loss": lambda o, y: (o - y) ** 2}, "loss"),
        ({"scaler": PowerTransformer()}, "scaler"),
    ],
)
def test_what_would_need_code_to_come_back_cannot_be_saved(
    params: dict[str, Any], who: str, tmp_path: Path
) -> None:
    with pytest.raises(FileFormatError, match=f"{who}.* cannot be saved"):
        supervised(**params).save(tmp_path / "f")
    assert os.listdir(tmp_path) == []


def test_saving_replaces_a_file_only_when_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = supervised()
    (tmp_path / "f").write_bytes(b"old")

    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="No space left"):
            model.save(tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]
    model.save(tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == model.to_bytes()


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_only_regular_files_are_read(kind: str, tmp_path: Path) -> None:
    path = {"device": Path("/dev/zero"), "directory": tmp_path}.get(kind, tmp_path / "pipe")
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(
        FileFormatError, match="must be the file of an estimator; it is no plain file"
    ):
        PSANNRegressor.load(path)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "f", "wb") as file:
        file.truncate(2**42)
    with pytest.raises(FileFormatError, match="4,398,046,511,104 bytes"):
        PSANNRegressor.load(tmp_path / "f")


def test_an_estimator_of_another_class_is_named(tmp_path: Path) -> None:
    supervised().save(tmp_path / "f")
    with pytest.raises(FileFormatError, match="f holds a 'PSANNRegressor'"):
        ResPSANNRegressor.load(tmp_path / "f")


def test_a_device_that_is_not_there_is_no_fault_of_the_file() -> None:
    with pytest.raises(DeviceError):
        PSANNRegressor.from_bytes(supervised().to_bytes(), device="cuda:99")


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize(
    "n_damages", [500, slow(2_000), pytest.param(20_000, marks=pytest.mark.chaos)]
)
def test_no_flipped_bit_and_no_cut_goes_unnoticed(n_damages: int) -> None:
    data = supervised(hidden_units=2, scaler="standard").to_bytes()
    rng = np.random.default_rng(0)
    for trial in range(n_damages):
        place = int(rng.integers(len(data)))
        damaged = bytearray(data)
        if trial % 4:
            damaged[place] ^= 1 << int(rng.integers(8))
        else:
            del damaged[place:]
        with pytest.raises(FileFormatError):
            PSANNRegressor.from_bytes(bytes(damaged))


@pytest.mark.parametrize("step", [3, slow(1)])
def test_every_bit_of_the_header_matters(step: int) -> None:
    data = supervised(hidden_units=1).to_bytes()
    for place in range(0, 8 + int.from_bytes(data[:8], "little"), step):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 7)
        with pytest.raises(FileFormatError):
            PSANNRegressor.from_bytes(bytes(damaged))


# ---------------------------------------------------------------- malice, with a right digest


@pytest.fixture
def limited() -> Iterator[None]:
    """At most 512 MiB more than now, and a minute of computing."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + 512 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    started = time.process_time()
    try:
        yield
        assert time.process_time() - started < 60
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


HONEST = read_document(
    fit_hisso(quick(scaler="standard", target_scaler="standard"), y=X).to_bytes(), who="f"
)


def forged(change: Callable[[Any, Any, Any], Any]) -> bytes:
    """The file of a document after `change(params, fitted, tensors)`."""
    params, fitted = copy.deepcopy(HONEST.params), copy.deepcopy(HONEST.fitted)
    tensors = dict(HONEST.tensors)
    change(params, fitted, tensors)
    return document_bytes(
        EstimatorDocument(
            class_name=HONEST.class_name, params=params, fitted=fitted, tensors=tensors
        )
    )


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


PARAMS: list[dict[str, Any]] = [
    {"unknown": 1},
    {"__class__": "x"},
    {"self": 1},
    {"hidden_units": 10**12},
    {"hidden_units": 10**30},
    {"hidden_units": 65_536},
    {"hidden_units": True},
    {"hidden_units": 8.0},
    {"hidden_units": "8"},
    {"hidden_layers": 10**9},
    {"hidden_layers": 256},
    {"hidden_layers": True},
    {"hidden_layers": -1},
    {"lr": -0.1},
    {"lr": "0.1"},
    {"lr": True},
    {"epochs": None},
    {"optimizer": "evil"},
    {"activation": "os.system"},
    {"activation_params": {"amplitude": "x"}},
    {"activation_params": {"unknown": 1}},
    {"activation_params": {"bounds": {"amplitude": [0, 1e308, 3]}}},
    {"activation_params": {"amplitude": 1e308, "frequency": -1}},
    {"lr_schedule": {"name": "evil"}},
    {"lr_schedule": {"scikit-learn scaler": "StandardScaler", "params": {}}},
    {"state": {"rho": 0.5}},
    {"stateful": True},
    {"stateful": 1},
    {"preserve_shape": True},
    {"random_state": -1},
    {"random_state": 2**70},
    {"scaler": "robust"},
    {"scaler": {"scikit-learn scaler": "FunctionTransformer", "params": {}}},
    {"scaler": {"scikit-learn scaler": "StandardScaler", "params": {"copy": "x", "evil": 1}}},
    {"scaler": {"scikit-learn scaler": "StandardScaler"}},
    {"scaler": {"scikit-learn scaler": ["StandardScaler"], "params": {}}},
    {"scaler": {"class": "StandardScaler"}},
    {"loss": 3},
    {"w0": 0.0},
    {"w0": nested(400)},
]
FITTED: list[dict[str, Any]] = [
    {"unknown_": 1},
    {"network_": "x"},
    {"n_features_in_": 10**15},
    {"n_features_in_": 10**30},
    {"n_features_in_": 0},
    {"n_features_in_": -3},
    {"n_features_in_": 4},
    {"n_features_in_": "3"},
    {"n_features_in_": 3.0},
    {"n_outputs_": 2},
    {"n_outputs_": True},
    {"n_outputs_": 10**18},
    {"n_context_": 2},
    {"n_context_": -1},
    {"y_ndim_": 1},
    {"y_ndim_": 3},
    {"threads_": 10**9},
    {"threads_": 0},
    {"best_epoch_": -1},
    {"best_epoch_": True},
    {"best_value_": "0.1"},
    {"best_value_": True},
    {"schedule_epoch_": -1},
    {"seed_": -1},
    {"monitor_": "evil"},
    {"input_shape_": [3]},
    {"input_shape_": [2, 2]},
    {"input_shape_": [-1, -3]},
    {"input_shape_": [3, True]},
    {"input_shape_": "3"},
    {"feature_names_in_": ["a"]},
    {"feature_names_in_": [1, 2, 3]},
    {"hisso_options_": []},
    {"hisso_options_": {"window": 8}},
    {"hisso_options_": {**HONEST.fitted["hisso_options_"], "unknown": 1}},
    {"hisso_options_": {**HONEST.fitted["hisso_options_"], "window": 1}},
    {"hisso_options_": {**HONEST.fitted["hisso_options_"], "batch_episodes": True}},
    {"hisso_options_": {**HONEST.fitted["hisso_options_"], "batch_episodes": "4"}},
    {"hisso_options_": {**HONEST.fitted["hisso_options_"], "primary_transform": "softmax_cash"}},
    {"hisso_options_": {**HONEST.fitted["hisso_options_"], "reward": 3}},
    {"evaluation_options_": None},
    {"evaluation_options_": {"initial": "bonds"}},
    {"evaluation_options_": {}},
    {"scaler": {"class": "FunctionTransformer", "params": {}, "numbers": {}}},
    {"scaler": {**HONEST.fitted["scaler"], "evil": 1}},
    {"scaler": {**HONEST.fitted["scaler"], "class": "MinMaxScaler"}},
    {"scaler": {**HONEST.fitted["scaler"], "params": {"with_mean": "x"}}},
    {"scaler": {**HONEST.fitted["scaler"], "params": []}},
    {"scaler": {**HONEST.fitted["scaler"], "numbers": []}},
    {"scaler": None},
    {"scaler": "standard"},
]
HEAD = HONEST.tensors["network.head.weight"]
TENSORS: list[dict[str, Any]] = [
    {"network.head.weight": None},
    {"network.head.bias": None},
    {"network.extra": torch.zeros(1)},
    {"extra": torch.zeros(1)},
    {"": torch.zeros(1)},
    {"network.head.weight": HEAD.T.contiguous()},
    {"network.head.weight": HEAD.double()},
    {"network.head.weight": HEAD.long()},
    {"network.head.weight": HEAD.reshape(-1)},
    {"network.head.weight": HEAD[:, :4].contiguous()},
    {"network.head.weight": torch.zeros(())},
    {"network.head.weight": torch.zeros(0, 8)},
    {"network.head.weight": torch.full_like(HEAD, float("nan"))},
    {"network.head.bias": torch.full((3,), float("inf"))},
    {"scaler.mean_": None},
    {"scaler.mean_": torch.zeros(4, dtype=torch.float64)},
    {"scaler.mean_": torch.zeros(3, dtype=torch.int64)},
    {"scaler.scale_": torch.zeros(3, 1, dtype=torch.float64)},
    {"scaler.evil_": torch.zeros(3)},
    {"scaler.__class__": torch.zeros(3)},
    {"target_scaler.var_": None},
]  # fmt: skip


def test_an_honest_document_is_accepted(limited: None) -> None:
    assert PSANNRegressor.from_bytes(forged(lambda p, f, t: None)).predict(X).shape == (120, 3)


@pytest.mark.parametrize(
    ("part", "change"),
    [(i, c) for i, changes in enumerate((PARAMS, FITTED, TENSORS)) for c in changes],
    ids=lambda value: json.dumps(value, default=lambda t: str(tuple(t.shape)))[:60],
)
def test_a_forged_document_is_refused(part: int, change: dict[str, Any], limited: None) -> None:
    def apply(*parts: dict[str, Any]) -> None:
        parts[part].update(change)
        if part == 2:
            for name in [name for name, tensor in change.items() if tensor is None]:
                del parts[2][name]

    with pytest.raises(FileFormatError):
        PSANNRegressor.from_bytes(forged(apply))


def test_what_a_newer_psann_wrote_is_said_to_be_newer() -> None:
    def newer(params: Any, fitted: dict[str, Any], tensors: Any) -> None:
        fitted["vision"] = 2

    with pytest.raises(FileFormatError) as caught:
        PSANNRegressor.from_bytes(forged(newer), who="new.safetensors")
    assert str(caught.value) == (
        "new.safetensors does not describe a PSANNRegressor that this psann knows: vision: Extra "
        "inputs are not permitted. Was it written by a newer one? provenance.json tells the "
        "version."
    )


@pytest.mark.parametrize("part", [0, 1])
def test_a_document_that_says_less_is_refused(part: int) -> None:
    for name in (HONEST.params, HONEST.fitted)[part]:
        with pytest.raises(FileFormatError):
            PSANNRegressor.from_bytes(forged(lambda *parts, name=name: parts[part].pop(name)))


def test_many_layers_that_are_not_there_are_refused_in_time(limited: None) -> None:
    def change(params: Any, fitted: Any, tensors: Any) -> None:
        params["hidden_layers"] = 256
        tensors |= {f"network.x{i}": torch.zeros(1) for i in range(600)}

    with pytest.raises(FileFormatError, match="tensors do not fit the network"):
        PSANNRegressor.from_bytes(forged(change))


@pytest.mark.parametrize("target", ["os.system", "antigravity:webbrowser", "never_imported:f"])
def test_functions_that_a_file_names_are_refused_when_asked_for_and_not_before(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(params: Any, fitted: Any, tensors: Any) -> None:
        params["loss"] = target
        fitted["hisso_options_"] |= {"reward": target, "context_extractor": target}

    def no_import(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a file must not import anything")

    with monkeypatch.context() as patch:
        for module in ("estimators._parameters", "hisso.rewards", "hisso.reward_context"):
            patch.setattr(f"psann.{module}.import_object", no_import)
        model = PSANNRegressor.from_bytes(forged(change))
        model.predict_actions(X)
    with pytest.raises(ImportTargetError, match=r"hisso\.reward"):
        model.evaluate_reward(X, ROWS["prices"])
    with pytest.raises(ValueError, match="loss: "):
        model.fit(X, Y)


def test_a_loss_or_reward_of_ones_own_is_had_from_a_file_once_it_is_allowed(tmp_path: Path) -> None:
    supervised(loss=user_rewards.quartic).save(tmp_path / "loss")
    options = {"reward": {"target": "user_rewards:scaled", "kwargs": {"scale": 2.0}}}
    fitted = fit_hisso(quick(), options)
    fitted.save(tmp_path / "reward")
    for allow in ((), ("user_reward",), ("user_rewards.quartics",)):
        theirs = PSANNRegressor.load(tmp_path / "loss", allow=allow)
        for model in (theirs, clone(theirs), copy.deepcopy(theirs)):
            with pytest.raises(ValueError, match=r"loss: .*quartic' was named by a file"):
                model.fit(X, Y)
        model = PSANNRegressor.load(tmp_path / "reward", allow=allow)
        with pytest.raises(ImportTargetError, match=r"load\(\.\.\., allow=\('user_rewards',\)\)"):
            model.evaluate_reward(X, ROWS["prices"])
        with pytest.raises(ValueError, match=r"reward: .*scaled' was named by a file"):
            fit_hisso(model, model.hisso_options_.model_dump())
    model = PSANNRegressor.load(tmp_path / "loss", allow=("user_rewards",))
    assert model.fit(X, Y).loss == "user_rewards:quartic"
    model = PSANNRegressor.load(tmp_path / "reward", allow=("user_rewards",))
    reward = model.evaluate_reward(X, ROWS["prices"])
    assert reward == fitted.evaluate_reward(X, ROWS["prices"])


def test_no_file_is_to_blame_for_a_stack_that_is_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    model = PSANNRegressor(hidden_units=2, epochs=1, random_state=0)
    model.fit(np.zeros((4, 2)), np.zeros(4)).save(file)
    ends = ends_at_the_end_of_the_stack(lambda: PSANNRegressor.load(file))
    assert ends <= {"", "RecursionError"}
    assert "RecursionError" in ends
