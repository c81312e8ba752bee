"""The policy of a run acts as it did when it was judged, and looks at nothing that comes later."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import psann
from acting_runs import ASSETS, KINDS, ActingRuns
from configs import TEMPLATES
from made_tables import days, prices, wide
from psann import load_policy
from psann.errors import DataError, FileFormatError, UsageError
from psann.run.config.load import load_run_config
from psann.scripts.hisso_log_run import main

ON_PRICES = [
    kind for kind in KINDS if "prices" in KINDS[kind]["data"] and kind not in ("folds", "own")
]
ON_FEATURES = ["loader", "wave", "stateful", "npz"]


@pytest.mark.parametrize("kind", [*ON_PRICES, *ON_FEATURES])
def test_actions_are_those_that_the_run_was_judged_by(kind: str, acting_runs: ActingRuns) -> None:
    weights = acting_runs.policy(kind).act()
    wanted = acting_runs.allocations(kind)
    assert np.ptp(wanted, axis=0).max() > 1e-3  # it has learnt something, and rows differ
    assert np.abs(weights.values - wanted).max() < 1e-6


@pytest.mark.parametrize("kind", ["prices", "trailing", "holes"])
def test_rows_that_arrive_one_at_a_time_give_the_same_actions(
    kind: str, acting_runs: ActingRuns
) -> None:
    policy = acting_runs.policy(kind)
    source = acting_runs.holes if kind == "holes" else acting_runs.prices
    table = pd.read_csv(source, index_col=0, parse_dates=True)
    wanted = acting_runs.allocations(kind)
    together = policy.act(source)
    for row in (-1, -2, -9, -len(wanted)):
        until = table.loc[: str(together.labels[row])]
        assert np.abs(policy.act(until).values[-1] - wanted[row]).max() < 1e-6


@pytest.mark.parametrize("kind", ON_FEATURES)
def test_single_rows_of_features_give_the_same_actions(kind: str, acting_runs: ActingRuns) -> None:
    policy = acting_runs.policy(kind)
    config = policy.config.data
    data = psann.datasets.make_smoke_market(**config.kwargs) if config.loader else None
    if data is None:
        data = dict(np.load(acting_runs.folder / "arrays.npz"))
    wanted = acting_runs.allocations(kind)
    alone = [policy.predict_actions(row[None])[0] for row in data["X_test"]]
    assert np.abs(np.array(alone) - wanted).max() < 1e-6


# Each takes a second, or several; the kinds of networks and features are all above.
_QUICK = ("dense_cpu_smoke",)


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(path, marks=[] if path.stem in _QUICK else pytest.mark.slow, id=path.stem)
        for path in TEMPLATES
        if load_run_config(path).hisso.is_portfolio  # of others there are no weights
    ],
)
@pytest.mark.usefixtures("own_prices")
@pytest.mark.filterwarnings("default:mixed_precision has no effect")
def test_every_template_acts_as_it_was_judged_also_with_a_limit(
    template: Path, tmp_path: Path
) -> None:
    wanted = _acts_as_judged(template, tmp_path / "short")
    limit = round(1.3 / wanted.shape[1], 4)
    if load_run_config(template).hisso.primary_transform != "identity":
        limited = _acts_as_judged(template, tmp_path / "limited", f"hisso.max_weight={limit}")
        assert np.abs(limited).max() <= limit + 1e-6


def _acts_as_judged(template: Path, run: Path, *overrides: str) -> np.ndarray:
    """Allocations of a short run of a template, which its policy repeats."""
    short = ["training.epochs=1", "hisso.updates_per_epoch=1", "training.monitor=reward"]
    short += ["hisso.min_significance=0", "hisso.min_improvement=0", "training.patience=null"]
    config = load_run_config(template)
    if config.hisso.warm_start is not None:
        short.append("hisso.supervised.epochs=1")
    if config.training.lr_schedule.warmup_epochs > 1:
        short.append("training.lr_schedule.warmup_epochs=1")
    if config.data.prices is not None:
        short.append("data.prices=prices.csv")
    arguments = ["--config", str(template), "--output-dir", str(run.parent), "--device", "cpu"]
    arguments += [argument for override in [*short, *overrides] for argument in ("--set", override)]
    assert main([*arguments, "--run-name", run.name, "--quiet"]) == 0
    weights = load_policy(run).act()
    with np.load(run / "evaluation.npz") as judged:
        wanted: np.ndarray = judged["allocations"]
    assert np.abs(weights.values - wanted).max() < 1e-6
    return wanted


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kept=st.integers(5, 60), seed=st.integers(0, 99), kind=st.sampled_from(["prices", "holes"]))
def test_no_later_row_has_a_say_in_an_action(
    kept: int, seed: int, kind: str, acting_runs: ActingRuns
) -> None:
    policy = acting_runs.policy(kind)
    source = acting_runs.holes if kind == "holes" else acting_runs.prices
    table = pd.read_csv(source, index_col=0, parse_dates=True)
    before = policy.act(table)
    cut = table.index.get_loc(pd.Timestamp(before.labels[kept - 1])) + 1
    noise = np.random.default_rng(seed).lognormal(sigma=1.0, size=table.iloc[cut:].shape)
    corrupted = table.copy()
    corrupted.iloc[cut:] *= noise
    after = policy.act(corrupted)
    assert np.array_equal(before.values[:kept], after.values[:kept])
    assert not np.array_equal(before.values[kept:], after.values[kept:])


def test_a_run_acts_where_it_was_copied_to_without_its_prices(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    run = tmp_path / "elsewhere"
    shutil.copytree(acting_runs("features"), run)
    table = acting_runs.table()
    # The newest 60 rows only, in another order of columns and under another name.
    newest = table.tail(60)[ASSETS[::-1]]
    weights = load_policy(run).act(newest)
    wanted = acting_runs.allocations("features")
    assert weights.assets == tuple(ASSETS)
    assert np.abs(weights.values - wanted[-len(weights) :]).max() < 1e-6
    assert 0 < len(weights) < 60


def test_seeds_act_by_their_mean(acting_runs: ActingRuns) -> None:
    policy = acting_runs.policy("seeds")
    X = np.random.default_rng(0).standard_normal((4, len(policy.recipe.names)))
    each = [member.predict_actions(X) for member in policy.kept.members]
    assert len(each) == 2
    assert not np.allclose(each[0], each[1])
    assert np.allclose(policy.predict_actions(X), np.mean(each, axis=0), atol=1e-12)


def test_the_last_fold_acts_as_it_did_in_walking_forward(acting_runs: ActingRuns) -> None:
    run = acting_runs("folds")
    weights = load_policy(run, policy="last_fold").act()
    with np.load(run / "walk_forward.npz") as walked:
        last = walked["fold"] == walked["fold"][-1]
        assert np.abs(weights.values - walked["allocations"][last]).max() < 1e-6
        assert weights.labels[0] == str(walked["time"][last][0])[:10]
    assert weights.provenance.policy == "last_fold"
    assert weights.provenance.policy_sha256 != load_policy(run).kept.sha256


def test_membership_of_other_rows_is_refused_as_the_estimators_refuse_it(
    acting_runs: ActingRuns,
) -> None:
    policy = acting_runs.policy("holes")
    first = policy.kept.members[0]
    X = np.zeros((3, *(first.input_shape_ or (first.n_features_in_,))))
    with pytest.raises(ValueError, match="active must have the 3 rows of X; got 1"):
        policy.predict_actions(X, active=np.ones((1, first.n_outputs_)))


def test_since_begins_at_its_date(acting_runs: ActingRuns) -> None:
    policy = acting_runs.policy("prices")
    whole = policy.act()
    later = policy.act(since=whole.labels[10])
    assert later.labels == whole.labels[10:]
    assert np.array_equal(later.values, whole.values[10:])


def test_features_by_name_are_put_in_the_order_of_training(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    policy = acting_runs.policy("loader")
    rows = psann.datasets.make_smoke_market(**policy.config.data.kwargs)["X_test"]
    file = tmp_path / "features.csv"
    pd.DataFrame(rows, index=pd.Index(days(len(rows)), name="date")).to_csv(file)
    weights = policy.act(file)
    assert np.abs(weights.values - acting_runs.allocations("loader")).max() < 1e-6
    assert weights.labels[0] == str(days(1)[0])


def test_old_and_future_rows_and_features_out_of_range_are_warned_of(
    acting_runs: ActingRuns,
) -> None:
    policy = acting_runs.policy("prices")
    table = acting_runs.table()
    newest = table.index[-1].to_pydatetime().replace(tzinfo=UTC)
    assert not _warnings(policy.act(table, now=newest), "newest row")
    late = datetime(newest.year + 1, newest.month, 1, tzinfo=UTC)
    (old,) = _warnings(policy.act(table, now=late), "newest row")
    assert "more than 5" in old
    # A day that ends east of here, and no day after it.
    assert not _warnings(policy.act(table, now=newest - timedelta(days=2)), "newest row")
    (early,) = _warnings(policy.act(table, now=newest - timedelta(days=9)), "newest row")
    assert "is yet to come: are its day, month and zone as they should be?" in early
    table.loc[table.index[-1], "BBB"] *= 1.4
    (range_,) = _warnings(policy.act(table), "outside the range")
    assert "BBB.move_1 4 (clipped)" in range_
    assert "in training" in range_


def _warnings(weights: object, words: str) -> list[str]:
    return [text for text in weights.provenance.warnings if words in text]


def test_a_run_that_cannot_act_is_refused_with_a_cure(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"trained on targets .* Use its estimator's predict"):
        load_policy(acting_runs("targets"))
    with pytest.raises(UsageError, match=r"did not\. Leave it out, or train with"):
        load_policy(acting_runs("prices"), policy="last_fold")
    with pytest.raises(UsageError, match=r"must be a run directory; .* does not exist"):
        load_policy(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="Copy the whole directory"):
        load_policy(tmp_path)
    run = tmp_path / "without"
    shutil.copytree(acting_runs("prices"), run)
    (run / "recipe.json").unlink()
    with pytest.raises(UsageError, match=r"recipe.json, which says how .* Train it again"):
        load_policy(run)


def test_a_policy_that_was_changed_is_refused(acting_runs: ActingRuns, tmp_path: Path) -> None:
    run = tmp_path / "changed"
    shutil.copytree(acting_runs("prices"), run)
    best = run / "checkpoints" / "best.safetensors"
    best.write_bytes(best.read_bytes()[:-1] + b"\0")
    with pytest.raises(FileFormatError, match=r"must be the file that manifest\.json lists"):
        load_policy(run)
    best.unlink()
    with pytest.raises(UsageError, match=r"must have best\.safetensors in checkpoints/"):
        load_policy(run)


def test_what_a_run_names_is_not_imported_unless_allowed(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    run = tmp_path / "foreign"
    shutil.copytree(acting_runs("loader"), run)
    with pytest.raises(psann.errors.ImportTargetError, match="--allow-import user_features"):
        acting_runs.policy("own").act()
    allowed = load_policy(acting_runs("own"), allow=["user_features"]).act()
    assert np.abs(allowed.values - acting_runs.allocations("own")).max() < 1e-6
    config = run / "config_resolved.yaml"
    text = config.read_text().replace("psann.datasets.make_smoke_market", "user_rewards.anything")
    config.write_text(text)
    with pytest.raises(psann.errors.ImportTargetError, match="--allow-import user_rewards"):
        load_policy(run).act()


def test_options_of_prices_are_refused_for_features(acting_runs: ActingRuns) -> None:
    policy = acting_runs.policy("loader")
    with pytest.raises(UsageError, match="reading and accept are of prices"):
        policy.act(accept=["level"])
    with pytest.raises(UsageError, match="since is a date, and the rows have none"):
        policy.act(since="2020-01-02")
    with pytest.raises(UsageError, match="since must be a date such as"):
        acting_runs.policy("prices").act(since="soon")


def test_rows_that_the_policy_learnt_from_are_refused(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    policy = acting_runs.policy("prices")
    old = wide(tmp_path / "old.csv", prices(320, 3, seed=4)[:150], ASSETS)
    with pytest.raises(DataError, match=r"row after 20.*, the last row that shaped .* Add newer"):
        policy.act(old)
