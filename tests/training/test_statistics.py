from __future__ import annotations

import math

import numpy as np
import torch

from psann.training.statistics import Report, read_reports

NAN = math.nan


def test_reports_of_one_update_and_of_several_are_one_table() -> None:
    one = Report(torch.tensor([1.0, 2.0, 1.0, 1.0]), torch.tensor([5.0, 6.0, 7.0]))
    two = Report(
        torch.tensor([[3.0, 4.0, 0.0, 1.0], [NAN, NAN, 0.0, 0.0]]),
        torch.tensor([[1.0, 2.0], [3.0, NAN]]),
    )
    (read,) = read_reports([one, two], n_slots=1)
    np.testing.assert_array_equal(read.loss, [1.0, 3.0, NAN])
    np.testing.assert_array_equal(read.grad_norm, [2.0, 4.0, NAN])
    assert read.is_accepted.tolist() == [True, False, False]
    assert read.is_loss_finite.tolist() == [True, True, False]
    assert read.n_values.tolist() == [3, 2, 2]
    np.testing.assert_array_equal(read.values, [5, 6, 7, 1, 2, 3, NAN])


def test_every_seed_of_a_group_reads_its_own_numbers() -> None:
    numbers = torch.arange(16.0).view(2, 2, 4)  # (updates, seeds, 4)
    values = torch.arange(12.0).view(2, 2, 3)
    of_first, of_second = read_reports([Report(numbers, values)], n_slots=2)
    assert of_first.loss.tolist() == [0, 8] and of_second.loss.tolist() == [4, 12]
    assert of_first.values.tolist() == [0, 1, 2, 6, 7, 8]
    assert of_second.values.tolist() == [3, 4, 5, 9, 10, 11]


def test_every_seed_of_a_group_reads_its_own_numbers_of_batches_of_any_size() -> None:
    reports = [
        Report(torch.zeros(2, 2, 4), torch.arange(8.0).view(2, 2, 2)),  # (updates, seeds, B)
        Report(torch.zeros(2, 4), torch.arange(8.0, 12.0).view(2, 2)),
        Report(torch.zeros(2, 4), torch.arange(12.0, 14.0).view(2, 1)),
    ]
    of_first, of_second = read_reports(reports, n_slots=2)
    assert of_first.n_values.tolist() == of_second.n_values.tolist() == [2, 2, 2, 1]
    assert of_first.values.tolist() == [0, 1, 4, 5, 8, 9, 12]
    assert of_second.values.tolist() == [2, 3, 6, 7, 10, 11, 13]
