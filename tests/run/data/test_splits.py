"""Data splits: the same arrays from an archive, a loader, any dtype; frozen and digested."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from psann import datasets
from psann._digest import sha256_of
from psann._mapped import is_mapped
from psann.errors import DataError
from psann.run.data.requirements import DataRequirements
from psann.run.data.splits import load_splits

NEEDS = DataRequirements(
    window=8,
    needs_targets=True,
    y_key="y_train",
    portfolio_prices_key="prices_test",
    mode="train",
)


def load(data):
    source = SimpleNamespace(npz=None, loader="mine.load", arguments={})
    return load_splits(source, load_function=lambda: data, requirements=NEEDS)


def load_npz(path):
    source = SimpleNamespace(npz=str(path), loader=None, arguments={}, mmap=False)
    return load_splits(source, load_function=None, requirements=NEEDS)


@pytest.fixture
def market():
    return datasets.make_smoke_market(60)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archive_and_loader_give_the_same_splits(tmp_path, market, save):
    save(tmp_path / "a.npz", **market)
    one, other = load_npz(tmp_path / "a.npz"), load(market)
    assert set(one.arrays) == set(market)
    assert all(np.array_equal(one.arrays[key], market[key]) for key in market)
    assert one.sha256 == other.sha256
    assert one.key_sha256 == other.key_sha256
    assert one.files_sha256 == {"npz": sha256_of((tmp_path / "a.npz").read_bytes())}
    assert other.files_sha256 == {}


def test_the_loader_gets_its_keyword_arguments():
    source = SimpleNamespace(npz=None, loader="x", arguments={"rows": 70, "assets": 2})
    splits = load_splits(source, load_function=datasets.make_smoke_market, requirements=NEEDS)
    assert splits.split("train")["prices"].shape == (41, 2)


def test_a_split_holds_its_arrays_by_kind(market):
    splits = load(market | {"names": np.array(["a", "b", "c"])})
    assert set(splits.split("val")) == {"X", "y", "prices", "time"}
    assert np.array_equal(splits.split("val")["X"], market["X_val"])
    assert splits.arrays["names"].tolist() == ["a", "b", "c"]  # of no split


def test_names_of_assets_may_come_as_a_list_or_as_pandas_gives_them(market):
    names = ["AAPL", "XOM", "GE"]
    given = (names, np.array(names), np.array(names, dtype=object))
    splits = [load(market | {"asset_names": value}) for value in given]
    assert splits[2].arrays["asset_names"].tolist() == names
    assert splits[2].arrays["asset_names"].dtype.kind == "U"
    assert not splits[2].warnings
    assert {each.sha256 for each in splits} == {splits[0].sha256}


def test_arrays_and_mappings_are_read_only_while_the_loaders_stay_free(market):
    splits = load(market)
    with pytest.raises(ValueError, match="read-only"):
        splits.arrays["X_train"][0, 0] = 1.0
    with pytest.raises(TypeError):
        splits.arrays["X_train"] = market["X_val"]
    market["X_train"][0, 0] = 1.0


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: a.astype(">f8"),
        np.asfortranarray,
        lambda a: a[::-1][::-1],
        lambda a: a.astype(np.longdouble),
        lambda a: a.tolist(),
        lambda a: torch.from_numpy(a.copy()),
        lambda a: pd.DataFrame(a) if a.ndim == 2 else pd.Series(a),
        np.ma.asarray,
    ],
    ids=["big-endian", "Fortran", "strided", "longdouble", "lists", "torch", "pandas", "masked"],
)
def test_the_way_numbers_are_stored_changes_neither_values_nor_digest(market, convert):
    plain, other = load(market), load({key: convert(a) for key, a in market.items()})
    for key, array in other.arrays.items():
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert np.array_equal(array, plain.arrays[key])
    assert other.sha256 == plain.sha256


@pytest.mark.parametrize("dtype", ["i1", "u8", "?", "f2"])
def test_other_numbers_become_float64(market, dtype):
    X = {key: (a > 0).astype(dtype) for key, a in market.items() if key.startswith("X")}
    splits = load(market | X)
    assert splits.arrays["X_train"].dtype == np.float64
    assert np.array_equal(splits.arrays["X_train"], X["X_train"].astype(float))


def test_float32_stays_float32(market):
    splits = load({key: array.astype(np.float32) for key, array in market.items()})
    assert {array.dtype for array in splits.arrays.values()} == {np.dtype(np.float32)}


def test_one_price_may_be_a_vector():
    market = datasets.make_smoke_market(60, assets=1)
    vectors = {k: a[:, 0] if k.startswith(("prices", "y")) else a for k, a in market.items()}
    splits = load(vectors)
    assert splits.arrays["prices_train"].shape == (35, 1)
    assert splits.arrays["y_train"].shape == (35,)


@pytest.mark.parametrize("change", ["value", "dtype", "shape", "name", "further array"])
def test_the_digest_notices_every_change(market, change):
    market["names"] = np.array(["a", "b"])
    before = load(market).sha256
    if change == "value":
        market["X_test"][3, 1] += 1e-12
    elif change == "dtype":
        market["X_test"] = market["X_test"].astype(np.float32)
    elif change == "shape":
        market["names"] = market["names"][:, np.newaxis]
    elif change == "name":
        market["tickers"] = market.pop("names")
    else:
        market["note"] = np.zeros(0)
    assert load(market).sha256 != before


def test_the_digest_does_not_depend_on_order_or_config(market):
    market["labels"] = np.ones(35, dtype=int)
    source = SimpleNamespace(npz=None, loader="x", arguments={})
    other_needs = DataRequirements(
        window=None,
        needs_targets=False,
        y_key="labels",
        portfolio_prices_key=None,
        mode="train",
    )
    turned = {key: market[key] for key in reversed(market) if not key.startswith(("y", "prices"))}
    kept = {key: market[key] for key in turned}
    digests = {
        load_splits(source, load_function=lambda: kept, requirements=other_needs).sha256,
        load_splits(source, load_function=lambda: turned, requirements=other_needs).sha256,
    }
    without = load_splits(
        source,
        load_function=lambda: kept,
        requirements=DataRequirements(**{**vars(other_needs), "y_key": None}),
    )
    assert digests == {without.sha256}


def test_the_digest_is_pinned_so_that_old_records_stay_comparable():
    arrays = {"X_train": np.arange(36.0).reshape(9, 4), "prices_train": np.ones((9, 1))}
    needs = DataRequirements(
        window=8,
        needs_targets=False,
        y_key=None,
        portfolio_prices_key=None,
        mode="train",
    )
    source = SimpleNamespace(npz=None, loader="x", arguments={})
    splits = load_splits(source, load_function=lambda: arrays, requirements=needs)
    assert splits.sha256.startswith("68df8a512ace3a84")


@pytest.mark.parametrize(
    ("result", "fragment"),
    [
        (None, r"data.loader \(mine.load\) must return a mapping .* got NoneType"),
        ((1, 2, 3), "got tuple of 3 items. Return"),
        (np.zeros((3, 2)), "got ndarray"),
        ({1: np.zeros(3)}, r"must name arrays by strings; got the key 1 \(1 such keys\)"),
    ],
)
def test_a_loader_that_returns_no_mapping_of_names_is_refused(result, fragment):
    with pytest.raises(DataError, match=fragment):
        load(result)


def test_what_a_loader_raises_is_not_caught():
    def fail():
        raise KeyError("mine")

    source = SimpleNamespace(npz=None, loader="x", arguments={})
    with pytest.raises(KeyError, match="mine"):
        load_splits(source, load_function=fail, requirements=NEEDS)


def test_a_tensor_with_a_gradient_and_of_any_precision_is_its_numbers(market):
    plain = load(market).sha256
    market["X_val"] = torch.tensor(market["X_val"], requires_grad=True)
    assert load(market).sha256 == plain
    market["X_val"] = market["X_val"].bfloat16()
    assert load(market).arrays["X_val"].dtype == np.float64


def test_dates_in_any_form_are_times_and_a_missing_one_is_told(market):
    days = np.arange("2020-01-01", "2021-01-01", dtype="datetime64[D]")
    sizes = {split: len(market[f"X_{split}"]) for split in ("train", "val", "test")}
    begin = 0
    for split, form in zip(sizes, (np.array, np.datetime_as_string, list), strict=True):
        market[f"time_{split}"] = form(days[begin : begin + sizes[split]])
        begin += sizes[split]
    found = load(market).arrays
    assert found["time_test"].dtype == "datetime64[us]"
    assert found["time_test"][-1] == days[begin - 1]
    market["time_val"][3] = ""
    with pytest.raises(DataError, match=r"time_val .* got 1 missing \(NaT\).* first at row 3\."):
        load(market)


def test_frames_tell_names_and_times_and_are_put_into_one_order(market):
    plain = load(market).arrays
    names, begin = [f"A{k}" for k in range(plain["prices_train"].shape[1])], 0
    for split in ("train", "val", "test"):
        rows = len(market[f"X_{split}"])
        index = pd.date_range("2020-01-01", periods=begin + rows)[begin:]
        begin += rows
        market[f"X_{split}"] = pd.DataFrame(market[f"X_{split}"], index=index)
        prices = pd.DataFrame(market[f"prices_{split}"], index=index, columns=names)
        market[f"prices_{split}"] = prices if split == "train" else prices.iloc[::-1, ::-1]
        del market[f"time_{split}"]
    found = load(market).arrays
    for key in ("X_val", "prices_val", "prices_test"):
        np.testing.assert_array_equal(found[key], plain[key])
    assert found["asset_names"].tolist() == names
    assert found["time_val"][0] == np.datetime64("2020-01-01") + np.timedelta64(
        len(plain["X_train"]), "D"
    )
    other = market | {"prices_test": market["prices_test"].rename(columns={"A0": "B"})}
    with pytest.raises(DataError, match=r"prices_test must have the columns of prices_train: A0"):
        load(other)
    late = market["prices_val"].set_axis(market["prices_val"].index + pd.Timedelta("1D"))
    with pytest.raises(DataError, match=r"prices_val must have the rows of X_val, .* from 2020"):
        load(market | {"prices_val": late})
    with pytest.raises(DataError, match=r"must have the columns of asset_names: A0, C"):
        load(market | {"asset_names": ["A0", "C", *names[2:]]})


def test_a_broken_member_and_bad_values_are_reported_together(tmp_path, market):
    market["X_val"] = market["X_val"].astype(object)
    market["prices_test"][2, 1] = -3.0
    np.savez(tmp_path / "a.npz", **market)
    with pytest.raises(DataError) as caught:
        load_npz(tmp_path / "a.npz")
    broken, low = caught.value.problems
    assert broken.startswith("X_val must be a readable array; it holds Python objects")
    assert low.startswith("prices_test (test) must be more than 0")


def test_an_archive_opened_by_the_loader_is_a_mapping_too(tmp_path, market):
    np.savez(tmp_path / "a.npz", **market)
    with np.load(tmp_path / "a.npz") as archive:
        assert load(archive).sha256 == load(market).sha256


@pytest.mark.parametrize("make", [datasets.make_toy_hisso, datasets.make_smoke_market])
def test_generated_data_sets_pass_every_check_without_a_warning(make):
    assert load(make()).warnings == ()


def load_mapped(path, mmap):
    source = SimpleNamespace(npz=str(path), loader=None, arguments={}, mmap=mmap)
    return load_splits(source, load_function=None, requirements=NEEDS)


def test_mapped_splits_are_equal_to_those_in_memory_down_to_the_digests(tmp_path, market):
    np.savez(tmp_path / "a.npz", **market)
    mapped, read = (load_mapped(tmp_path / "a.npz", mmap) for mmap in (True, False))
    assert is_mapped(mapped.arrays["X_train"]) and not is_mapped(read.arrays["X_train"])
    assert mapped.key_sha256 == read.key_sha256 and mapped.files_sha256 == read.files_sha256
    assert mapped.warnings == read.warnings


def test_auto_maps_an_archive_that_is_large_beside_the_memory(tmp_path, market, monkeypatch):
    np.savez(tmp_path / "a.npz", **market)
    n_bytes = (tmp_path / "a.npz").stat().st_size
    for memory, expected in ((4 * n_bytes + 4, False), (4 * n_bytes - 4, True)):
        monkeypatch.setattr("psann.run.data.splits.memory_bytes", lambda memory=memory: memory)
        splits = load_mapped(tmp_path / "a.npz", "auto")
        assert is_mapped(splits.arrays["X_train"]) is expected


def test_a_map_that_was_asked_for_and_cannot_be_is_refused(tmp_path, market):
    np.savez_compressed(tmp_path / "a.npz", **market)
    with pytest.raises(DataError, match=r"X_train must be stored as it is used.*without compr"):
        load_mapped(tmp_path / "a.npz", True)


def test_bad_values_of_a_mapped_array_are_found_where_they_are(tmp_path, market, monkeypatch):
    monkeypatch.setattr("psann._mapped._BLOCK_BYTES", 256)
    market["X_train"] = np.array(market["X_train"])
    market["X_train"][20, 1] = np.nan
    market["X_train"][25, 0] = np.inf
    np.savez(tmp_path / "a.npz", **market)
    with pytest.raises(DataError, match=r"1 missing .* and 1 infinite .* at row 20, column 1"):
        load_mapped(tmp_path / "a.npz", True)


def test_a_loader_may_return_memory_maps(tmp_path, market):
    for key, array in market.items():
        np.save(tmp_path / f"{key}.npy", array)
    maps = {key: np.load(tmp_path / f"{key}.npy", mmap_mode="r") for key in market}
    splits = load(maps)
    assert is_mapped(splits.arrays["X_train"])
    assert splits.sha256 == load(market).sha256
