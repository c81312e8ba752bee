"""What is allowed in data and seldom meant is told, with its place."""

import numpy as np
import pytest

from bad_data import changed, good_data, loaded, put, replaced

WARNED = {
    "constant targets": (
        changed("y_train", put(slice(None), 0.0)),
        "y_train has 2 constant of 2 columns",
    ),
    "a jump of the price": (
        changed("prices_train", put((9, 1), 2000.0)),
        "prices_train (training) has 2 moves by more than a factor of 10, first from row "
        "8 to 9, asset 1: 99.4161 to 2000. Check for splits of shares and wrong ticks.",
    ),
    "an extra": (
        replaced(names=np.array(["a", "b"])),
        "names is kept as an extra; nothing in this run reads it.",
    ),
    "a misspelt optional key": (
        replaced(time_val=None, tme_val=np.arange(10.0)),
        "tme_val is kept as an extra; nothing in this run reads it. Did you mean time_val?",
    ),
    "no prices for the metrics": (
        replaced(X_test=None, y_test=None, prices_test=None, time_test=None),
        "There are no portfolio metrics: the data hold no prices_test",
    ),
    "time in some splits only": (
        replaced(time_val=None),
        "time_val is absent while other splits have their time",
    ),
}


@pytest.mark.parametrize(("make", "fragment"), WARNED.values(), ids=WARNED.keys())
def test_odd_data_are_taken_with_a_warning(make, fragment):
    splits = loaded(make())
    told = (*splits.warnings, *splits.doubts)
    assert any(fragment in text for text in told), told


@pytest.mark.parametrize(("factor", "n_told"), [(9.9, 0), (10.1, 1), (1 / 9.9, 0), (1 / 10.1, 1)])
def test_a_move_by_more_than_a_factor_of_ten_is_a_jump(factor, n_told):
    data = good_data()
    data["prices_val"] = 5.0 * np.ones((10, 2))
    data["prices_val"][4:, 1] *= factor
    data["asset_names"] = np.array(["up", "down"])
    days = np.datetime64("2020-01-01", "D") + np.arange(60)
    data |= {"time_train": days[:30], "time_val": days[30:40], "time_test": days[40:52]}
    told = [text for text in loaded(data).doubts if "by more than a factor" in text]
    assert len(told) == n_told
    where = "from row 3 to 4, 2020-02-04, asset 1 ('down')"
    assert all("has 1 move by" in text and where in text for text in told)
