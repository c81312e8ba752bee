from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import preprocessing

import user_rewards
from psann.errors import FileFormatError
from psann.estimators._persistence import (
    EstimatorDocument,
    document_bytes,
    parameter_value,
    plain_value,
    read_document,
    restored_scaler,
    scaler_state,
)
from psann.hisso.options import HISSOOptions

DOCUMENT = EstimatorDocument(
    class_name="PSANNRegressor",
    params={"lr": 0.001, "loss": "mse", "scaler": None},
    fitted={"best_epoch_": 3, "best_value_": 0.1},
    tensors={"network.b": torch.arange(3.0), "network.a": torch.ones(2, 2)},
)
DATA = document_bytes(DOCUMENT)


def header_and_body(data: bytes = DATA) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def assembled(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def with_header(**changes: Any) -> bytes:
    header, body = header_and_body()
    return assembled({**header, **changes}, body)


def with_description(text: Any) -> bytes:
    return with_header(__metadata__={"psann": text})


def described(**changes: Any) -> bytes:
    description = json.loads(header_and_body()[0]["__metadata__"]["psann"])
    return with_description(json.dumps({**description, **changes}))


def entry(dtype: str = "F32", shape: Any = (3,), offsets: Any = (0, 12)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_a_document_comes_back_as_it_was() -> None:
    again = read_document(DATA, who="f")
    assert (again.class_name, again.params, again.fitted) == (
        DOCUMENT.class_name,
        DOCUMENT.params,
        DOCUMENT.fitted,
    )
    assert again.tensors.keys() == DOCUMENT.tensors.keys()
    for name, tensor in DOCUMENT.tensors.items():
        assert torch.equal(again.tensors[name], tensor)


def test_the_same_document_gives_the_same_bytes_in_whatever_order_it_was_made() -> None:
    turned = EstimatorDocument(
        class_name=DOCUMENT.class_name,
        params=dict(reversed(DOCUMENT.params.items())),
        fitted=dict(reversed(DOCUMENT.fitted.items())),
        tensors=dict(reversed(DOCUMENT.tensors.items())),
    )
    assert document_bytes(turned) == DATA


def test_there_is_one_metadata_key_of_sorted_json_with_a_digest_of_the_rest() -> None:
    header, _ = header_and_body()
    assert set(header["__metadata__"]) == {"psann"}
    text = header["__metadata__"]["psann"]
    description = json.loads(text)
    assert list(description) == ["class", "fitted", "format_version", "params", "sha256"]
    assert text == json.dumps(description, sort_keys=True, separators=(",", ":"))
    assert len(description["sha256"]) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(DATA[:7], id="shorter than a length"),
        pytest.param(DATA[:8], id="length alone"),
        pytest.param(DATA[:-1], id="cut short"),
        pytest.param(DATA + b"\0", id="bytes at the end"),
        pytest.param(b"\xff" * 8 + DATA[8:], id="length of 2**64"),
        pytest.param(struct.pack("<Q", 2**40) + DATA[8:], id="length of a terabyte"),
        pytest.param(struct.pack("<Q", 5 * 2**20) + b" " * (6 * 2**20), id="header of 5 MiB"),
        pytest.param(struct.pack("<Q", 0) + DATA[8:], id="no header"),
        pytest.param(assembled(b"not json"), id="header is no JSON"),
        pytest.param(assembled([1, 2]), id="header is a list"),
        pytest.param(assembled(b"[" * 200_000), id="header is deep"),
        pytest.param(assembled(b'{"a":' * 100_000), id="header is deep in mappings"),
        pytest.param(assembled(b"\xff\xfe{}"), id="header is not UTF-8"),
        pytest.param(assembled({"a": entry()}, b"\0" * 12), id="no metadata"),
        pytest.param(with_header(__metadata__=[]), id="metadata is a list"),
        pytest.param(with_header(__metadata__={}), id="metadata is empty"),
        pytest.param(with_header(__metadata__={"psann": "{}", "x": "y"}), id="two metadata keys"),
        pytest.param(with_header(__metadata__={"pickle": "{}"}), id="another metadata key"),
        pytest.param(with_description({"class": "x"}), id="description is no text"),
        pytest.param(with_description("{"), id="description is no JSON"),
        pytest.param(with_description("[]"), id="description is a list"),
        pytest.param(with_description("[" * 100_000), id="description is deep"),
        pytest.param(with_description('{"a":NaN}'), id="description holds NaN"),
        pytest.param(with_description('{"a":1e999}'), id="description holds infinity"),
        pytest.param(with_description('{"a":%s}' % ("9" * 9999)), id="number of 9999 digits"),
        pytest.param(with_description('{"a":1,"a":2}'), id="description has a key twice"),
        pytest.param(described(format_version=2), id="version 2"),
        pytest.param(described(format_version="1"), id="version is text"),
        pytest.param(described(format_version=None), id="version is null"),
        pytest.param(described(extra=1), id="description says more"),
        pytest.param(described(**{"class": 3}), id="class is a number"),
        pytest.param(described(params=[]), id="params are a list"),
        pytest.param(described(fitted="x"), id="fitted is text"),
        pytest.param(described(sha256="0" * 64), id="wrong digest"),
        pytest.param(described(sha256=None), id="digest is null"),
        pytest.param(described(params={"lr": 0.002}), id="params changed, digest not"),
        pytest.param(with_header(**{"network.a": entry("F16")}), id="F16"),
        pytest.param(with_header(**{"network.a": entry("BOOL")}), id="BOOL"),
        pytest.param(with_header(**{"network.a": entry("F8_E4M3")}), id="F8"),
        pytest.param(with_header(**{"network.a": entry("OBJECT")}), id="unknown dtype"),
        pytest.param(with_header(**{"network.a": entry(["F32"])}), id="dtype is a list"),
        pytest.param(with_header(**{"network.a": 3}), id="tensor is a number"),
        pytest.param(with_header(**{"network.a": {"dtype": "F32"}}), id="tensor without shape"),
        pytest.param(with_header(**{"network.a": entry(offsets=(0, 16))}), id="wrong size"),
        pytest.param(with_header(**{"network.a": entry(shape=(2**62, 2**62))}), id="giant shape"),
        pytest.param(with_header(**{"network.a": entry(shape=(-3,))}), id="negative shape"),
        pytest.param(
            with_header(**{"network.a": entry(shape=(0, 2**60), offsets=(0, 0))}), id="empty giant"
        ),
        pytest.param(
            with_header(**{"network.a": entry(shape=(10**12,), offsets=(0, 4 * 10**12))}),
            id="terabytes declared",
        ),
        pytest.param(with_header(x=entry(offsets=(0, 12))), id="tensors overlap"),
        pytest.param(b"\x80\x04\x95" + b"cos\nsystem\n(S'true'\ntR." * 10, id="pickle"),
        pytest.param(b"PK\x03\x04" + b"\0" * 500, id="zip"),
    ],
)  # fmt: skip
def test_what_is_no_estimator_file_is_refused(data: bytes) -> None:
    with pytest.raises(FileFormatError, match=r"^f[ :]"):
        read_document(data, who="f")


def test_a_key_that_occurs_twice_in_the_header_is_refused() -> None:
    header, body = header_and_body()
    text = json.dumps(header)
    twice = text[:-1] + "," + json.dumps({"network.a": header["network.a"]})[1:]
    with pytest.raises(FileFormatError, match="strict JSON"):
        read_document(assembled(twice.encode(), body), who="f")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_tensors_that_are_not_finite_are_refused_even_with_a_right_digest(bad: float) -> None:
    document = EstimatorDocument(
        class_name="x", params={}, fitted={}, tensors={"a": torch.tensor([1.0, bad])}
    )
    with pytest.raises(FileFormatError, match="tensor a holds numbers that are not finite"):
        read_document(document_bytes(document), who="f")


# ---------------------------------------------------------------- plain values


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.1, 0.1),
        ("text", "text"),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        ((1, 2), [1, 2]),
        ({"a": (1, {"b": None})}, {"a": [1, {"b": None}]}),
        (user_rewards.scaled, "user_rewards:scaled"),
    ],
)
def test_parameters_become_plain_values(value: Any, plain: Any) -> None:
    found = plain_value(value, who="x")
    assert found == plain and type(found) is type(plain)


def test_options_become_their_plain_values() -> None:
    plain = plain_value(HISSOOptions(reward=user_rewards.scaled, supervised=True), who="x")
    assert plain["reward"] == "user_rewards:scaled"
    assert HISSOOptions.model_validate(plain).supervised is True


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        object(),
        lambda o, y: o,
        user_rewards.Spread(),
        b"bytes",
        {1, 2},
        np.ones(3),
        [1, float("nan")],
        preprocessing.FunctionTransformer(),
        type("StandardScaler", (preprocessing.StandardScaler,), {})(),
    ],
)
def test_what_is_not_plain_cannot_be_saved(value: Any) -> None:
    with pytest.raises(FileFormatError, match=r"x cannot be saved: .* is not a plain value"):
        plain_value(value, who="x")


# ---------------------------------------------------------------- scalers

SCALERS = [
    preprocessing.StandardScaler(),
    preprocessing.StandardScaler(with_std=False),
    preprocessing.MinMaxScaler(feature_range=(-1, 2), clip=True),
    preprocessing.MaxAbsScaler(),
    preprocessing.RobustScaler(quantile_range=(10.0, 90.0)),
]
X = np.random.default_rng(0).normal(size=(30, 4))


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fitted_scaler_comes_back_as_it_was(scaler: Any, dtype: Any) -> None:
    scaler = type(scaler)(**scaler.get_params()).fit(X.astype(dtype))
    plain, tensors = scaler_state(scaler, prefix="scaler")
    again = restored_scaler(plain, tensors, prefix="scaler", n_columns=4)
    np.testing.assert_array_equal(again.transform(X), scaler.transform(X))
    np.testing.assert_array_equal(again.inverse_transform(X), scaler.inverse_transform(X))
    assert again.get_params() == scaler.get_params()
    assert scaler_state(again, prefix="scaler")[0] == plain


def test_no_scaler_comes_back_as_none() -> None:
    assert scaler_state(None, prefix="scaler") == (None, {})
    assert restored_scaler(None, {}, prefix="scaler", n_columns=4) is None


def test_the_parameter_that_is_a_scaler_comes_back_unfitted() -> None:
    plain = plain_value(preprocessing.MinMaxScaler(feature_range=(0, 3)), who="scaler")
    assert json.loads(json.dumps(plain)) == plain
    assert parameter_value(plain).get_params() == {
        "clip": False,
        "copy": True,
        "feature_range": (0, 3),
    }
    assert parameter_value("standard") == "standard"


@pytest.mark.parametrize("name", ["FunctionTransformer", "os.system", "Pipeline"])
def test_a_scaler_of_another_kind_is_never_made(name: str) -> None:
    with pytest.raises(FileFormatError, match="must be one of MaxAbsScaler, MinMaxScaler"):
        parameter_value({"scikit-learn scaler": name, "params": {}})
    with pytest.raises(FileFormatError, match="must be one of"):
        plain = {"class": name, "params": {}, "numbers": {}}
        restored_scaler(plain, {}, prefix="scaler", n_columns=4)


def test_a_scaler_that_cannot_be_described_is_refused() -> None:
    fitted = preprocessing.PowerTransformer().fit(X)
    with pytest.raises(FileFormatError, match="Use one of MaxAbsScaler"):
        scaler_state(fitted, prefix="scaler")


@pytest.mark.parametrize(
    "change",
    [
        lambda plain, tensors: tensors.pop("scaler.mean_"),
        lambda plain, tensors: tensors.update({"scaler.mean_": torch.zeros(5).double()}),
        lambda plain, tensors: tensors.update({"scaler.mean_": torch.zeros(4).long()}),
        lambda plain, tensors: tensors.update({"scaler.transform_": torch.zeros(4)}),
        lambda plain, tensors: tensors.update({"scaler.__class__": torch.zeros(4)}),
        lambda plain, tensors: plain["numbers"].update(n_features_in_=5),
        lambda plain, tensors: plain["numbers"].update(n_samples_seen_="30"),
        lambda plain, tensors: plain["numbers"].update(n_samples_seen_=True),
        lambda plain, tensors: plain["numbers"].update(mean_=[0.0] * 4),
        lambda plain, tensors: plain["numbers"].update(__class__="x"),
        lambda plain, tensors: plain["numbers"].pop("n_samples_seen_"),
        lambda plain, tensors: plain.update({"class": "MinMaxScaler", "params": {}}),
    ],
)
def test_a_scaler_that_fitting_would_not_leave_is_refused(change: Any) -> None:
    plain, tensors = scaler_state(preprocessing.StandardScaler().fit(X), prefix="scaler")
    assert plain is not None
    change(plain, tensors)
    with pytest.raises(FileFormatError, match="the scaler is not a"):
        restored_scaler(plain, tensors, prefix="scaler", n_columns=4)
