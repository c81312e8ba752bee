"""Which device and how many threads: names, refusals, and what a block leaves behind."""

from __future__ import annotations

import pytest
import torch

from psann._device import choose_threads, device_name, resolve_device, thread_count
from psann.errors import DeviceError


def pretend_devices(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_cpu_is_the_cpu() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert device_name(torch.device("cpu")) == "cpu"


@pytest.mark.parametrize(("count", "expected"), [(0, "cpu"), (1, "cuda:0"), (4, "cuda:0")])
def test_auto_is_the_first_cuda_device_or_else_the_cpu(
    monkeypatch: pytest.MonkeyPatch, count: int, expected: str
) -> None:
    pretend_devices(monkeypatch, count)
    assert resolve_device("auto") == torch.device(expected)


@pytest.mark.parametrize(("name", "expected"), [("cuda", "cuda:0"), ("cuda:1", "cuda:1")])
def test_an_explicit_cuda_device_is_taken_at_its_word(
    monkeypatch: pytest.MonkeyPatch, name: str, expected: str
) -> None:
    pretend_devices(monkeypatch, 2)
    assert resolve_device(name) == torch.device(expected)


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_cuda_device_that_is_not_there_never_falls_back(
    monkeypatch: pytest.MonkeyPatch, name: str, count: int
) -> None:
    pretend_devices(monkeypatch, count)
    with pytest.raises(DeviceError, match=f"got '{name}' with {count} CUDA devices.*Use auto"):
        resolve_device(name)


@pytest.mark.parametrize(
    "name",
    ["", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:²", "CUDA", " cuda", "cuda:0\n"],
)
def test_a_name_that_means_no_device_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend_devices(monkeypatch, 1)
    with pytest.raises(DeviceError, match="must be cpu, cuda, cuda:N or auto; got "):
        resolve_device(name)


def threads(parameters: int, rows: int, available: int = 8) -> int:
    return choose_threads(n_products=parameters, rows_per_update=rows, available=available)


def test_small_updates_get_one_thread_and_large_ones_all() -> None:
    assert threads(355, 24) == 1
    assert threads(8 * 256 * 256, 64 * 32) > 1
    assert threads(10**9, 10**6) == 8
    assert threads(10**9, 10**6, available=1) == 1


def test_more_work_never_gets_fewer_threads() -> None:
    counts = [threads(10_000, rows) for rows in (1, 100, 3_000, 10_000, 30_000, 10**6)]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert counts[-1] == 8


def test_the_thread_count_holds_inside_the_block_only() -> None:
    before = torch.get_num_threads()
    with thread_count(before + 1):
        assert torch.get_num_threads() == before + 1
        with thread_count(before + 1):
            pass
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_thread_count_is_restored_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), thread_count(before + 1):
        raise KeyError
    assert torch.get_num_threads() == before
