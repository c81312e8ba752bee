"""Draws that are functions of (seed, stream, epoch, update): repeatable, uniform, unrelated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from psann._seed import hashed_normal, hashed_uniform, layer_key, stream_generator, update_keys

N = 1 << 16
# A correlation of n independent pairs is about N(0, 1/n): five of its standard deviations.
TOLERANCE = 5 / N**0.5


def key(first: int, second: int) -> Tensor:
    return torch.tensor([first, second])


KEYS = [key(0, 0), key(1, 0), key(0, 1), key(2**32 - 1, 2**32 - 1), key(20_240_117, 99)]


def correlation(a: Tensor, b: Tensor) -> float:
    return float(np.corrcoef(a.flatten().numpy(), b.flatten().numpy())[0, 1])


# --- generators on the host


def draws(seed: int = 7, stream: str = "a", epoch: int = 0) -> np.ndarray:
    return stream_generator(seed, stream, epoch=epoch).random(4096)


def test_the_same_arguments_give_the_same_draws() -> None:
    np.testing.assert_array_equal(draws(), draws())


@pytest.mark.parametrize("other", [{"seed": 8}, {"stream": "b"}, {"epoch": 1}])
def test_another_seed_stream_or_epoch_gives_unrelated_draws(other: dict) -> None:
    assert abs(np.corrcoef(draws(), draws(**other))[0, 1]) < 5 / 64
    assert not np.intersect1d(draws(), draws(**other)).size


def test_an_epoch_does_not_depend_on_how_much_the_one_before_has_drawn() -> None:
    greedy = stream_generator(7, "a", epoch=0)
    greedy.random(10**6)
    fresh = stream_generator(7, "a", epoch=1)
    np.testing.assert_array_equal(fresh.random(4096), draws(epoch=1))
    assert not np.intersect1d(greedy.random(4096), draws(epoch=1)).size


def test_generators_do_not_touch_the_global_state_of_numpy_or_torch() -> None:
    numpy_before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    draws()
    hashed_normal(KEYS[0], (8,))
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_update_keys_are_pairs_of_32_bit_words_and_prefixes_of_longer_tables() -> None:
    keys = update_keys(3, "hisso.draws", epoch=2, n_updates=1000)
    assert keys.shape == (1000, 2)
    assert keys.dtype == torch.int64
    assert keys.min() >= 0
    assert 2**31 < keys.max() < 2**32
    assert len(keys.flatten().unique()) > 1990
    assert torch.equal(keys[:10], update_keys(3, "hisso.draws", epoch=2, n_updates=10))
    assert not torch.equal(keys, update_keys(3, "hisso.draws", epoch=3, n_updates=1000))


# --- numbers hashed on the device


@pytest.mark.parametrize("k", KEYS, ids=str)
def test_hashed_uniform_numbers_fill_64_bins_evenly(k: Tensor) -> None:
    counts = torch.histc(hashed_uniform(k, (N,)), bins=64, min=0.0, max=1.0)
    expected = N / 64
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    # The 0.0001 and 0.9999 quantiles of chi square with 63 degrees of freedom.
    assert 28.4 < chi_square < 112.4


@pytest.mark.parametrize("k", KEYS, ids=str)
def test_hashed_uniform_numbers_have_the_moments_of_a_uniform(k: Tensor) -> None:
    u = hashed_uniform(k, (N,)).double()
    assert float(u.mean()) == pytest.approx(1 / 2, abs=5 / (12 * N) ** 0.5)
    assert float(u.var()) == pytest.approx(1 / 12, abs=5 / (180 * N) ** 0.5)


@pytest.mark.parametrize("k", KEYS, ids=str)
def test_hashed_normal_numbers_have_the_moments_of_a_normal(k: Tensor) -> None:
    z = hashed_normal(k, (N,)).double()
    # Standard errors of the first four moments of a normal sample.
    for power, moment, error in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert float((z**power).mean()) == pytest.approx(moment, abs=5 * (error / N) ** 0.5)
    assert float((z.abs() < 1).double().mean()) == pytest.approx(0.6827, abs=TOLERANCE)


@pytest.mark.parametrize("lag", [1, 2, 3, 32, 1024])
def test_elements_do_not_predict_their_neighbours(lag: int) -> None:
    for k in KEYS:
        u = hashed_uniform(k, (N,))
        assert abs(correlation(u[:-lag], u[lag:])) < TOLERANCE


def test_neighbouring_keys_share_neither_positions_nor_numbers() -> None:
    u = hashed_uniform(key(1000, 2000), (N,))
    for other in (key(1001, 2000), key(1000, 2001), key(1002, 2003), key(2000, 1000)):
        v = hashed_uniform(other, (N,))
        assert abs(correlation(u, v)) < TOLERANCE
        # Two samples of N of the 2^23 values meet about N^2 / 2^23 times; permuted ones N times.
        assert len(np.intersect1d(u.numpy(), v.numpy())) < 1.2 * N**2 / 2**23


def test_layers_of_one_update_share_neither_positions_nor_numbers() -> None:
    samples = [hashed_uniform(layer_key(KEYS[-1], layer), (N,)) for layer in range(4)]
    samples.append(hashed_uniform(KEYS[-1], (N,)))
    for i, u in enumerate(samples):
        for v in samples[:i]:
            assert abs(correlation(u, v)) < TOLERANCE
            assert len(np.intersect1d(u.numpy(), v.numpy())) < 1.2 * N**2 / 2**23


def test_layer_keys_are_pairs_of_32_bit_words() -> None:
    for k in KEYS:
        keys = torch.stack([layer_key(k, layer) for layer in range(100)])
        assert keys.shape == (100, 2)
        assert keys.min() >= 0
        assert keys.max() < 2**32
        assert all(len(word.unique()) == 100 for word in keys.T)


def test_every_bit_of_a_key_matters() -> None:
    u = hashed_uniform(key(0, 0), (64,))
    for bit in range(32):
        assert not torch.equal(u, hashed_uniform(key(1 << bit, 0), (64,)))
        assert not torch.equal(u, hashed_uniform(key(0, 1 << bit), (64,)))


def test_hashed_uniform_never_gives_0_or_1(monkeypatch: pytest.MonkeyPatch) -> None:
    words = torch.tensor([0, 2**32 - 1])
    monkeypatch.setattr("psann._seed._mix", lambda word: words if word.shape == (2,) else word)
    u = hashed_uniform(key(0, 0), (2,))
    assert u.dtype == torch.float32
    assert u.tolist() == [2.0**-24, 1 - 2.0**-24]


def test_a_prefix_of_a_longer_draw_is_the_shorter_draw() -> None:
    assert torch.equal(hashed_uniform(KEYS[1], (5, 3)).flatten(), hashed_uniform(KEYS[1], (15,)))
    assert torch.equal(hashed_uniform(KEYS[1], (100,))[:15], hashed_uniform(KEYS[1], (15,)))
    assert hashed_normal(KEYS[1], (4, 3, 2)).shape == (4, 3, 2)
    assert hashed_normal(KEYS[1], ()).shape == ()


def test_hashed_numbers_are_the_ones_that_earlier_releases_drew() -> None:
    # Written down once: another value here breaks the repeatability of everybody's runs.
    assert hashed_uniform(key(1, 2), (3,)).tolist() == pytest.approx(
        [0.6316101, 0.447321, 0.7749572], abs=1e-7
    )
    assert update_keys(0, "hisso.draws", epoch=1, n_updates=2).tolist() == [
        [626641939, 3877396535],
        [2837540780, 1736704612],
    ]
    assert stream_generator(0, "weights").integers(0, 1000, size=4).tolist() == [773, 836, 140, 783]
