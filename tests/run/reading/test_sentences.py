from __future__ import annotations

import pytest

from made_records import FIGURES, finished
from psann.metrics.means import MIN_STEPS
from psann.run.reading.sentences import FEWEST_STEPS, result_sentences, rows_judged


def test_nothing_is_held_against_a_complete_run_that_beats_one_over_n() -> None:
    assert result_sentences(finished().as_dict()) == []


@pytest.mark.parametrize(
    ("growth", "low", "high", "verdict"),
    [
        (0.31, -0.05, 0.66, "-0.050 ... +0.660: not distinguishable from 1/N."),
        (0.31, 0.05, 0.66, "+0.050 ... +0.660: better than 1/N beyond chance."),
        (-0.31, -0.6, -0.02, "-0.600 ... -0.020: worse than 1/N beyond chance."),
    ],
)
def test_the_difference_to_one_over_n_is_told_with_its_interval(
    growth: float, low: float, high: float, verdict: str
) -> None:
    told = {"growth": growth, "low": low, "high": high, "is_distinguishable": low * high > 0}
    (sentence,) = result_sentences(finished(versus_uniform=told).as_dict())
    assert sentence == f"{growth:+.3f} per year over 1/N, 95 % interval {verdict}"


def test_of_several_seeds_the_interval_is_that_of_their_ensemble() -> None:
    apart = {"growth": 0.3, "low": 0.1, "high": 0.5, "is_distinguishable": True}
    not_apart = {"growth": 0.1, "low": -0.1, "high": 0.3, "is_distinguishable": False}
    ratio = {**FIGURES, "annual_sharpe": 1.25, "annual_sharpe_se": 0.5, "psr": 0.994}
    mean = {"growth": 0.2, "low": 0.0, "high": 0.4, "is_distinguishable": False}
    record = finished(
        versus_uniform=mean,
        per_seed=[{"seed": 0, "versus_uniform": apart}, {"seed": 1, "versus_uniform": not_apart}],
        ensemble={"versus_uniform": apart, "portfolio_metrics": ratio},
        portfolio_metrics={**FIGURES, "annual_sharpe_se": 0.5, "psr": 0.75},
    )
    assert result_sentences(record.as_dict()) == [
        "+0.200 per year over 1/N on the mean of 2 seeds, of which, each by itself, 1 is better "
        "and 0 worse than 1/N beyond chance.",
        "The seeds' ensemble: +0.300 per year over 1/N, 95 % interval +0.100 ... +0.500: "
        "better than 1/N beyond chance.",
        "Sharpe ratio of the seeds' ensemble 1.25 +- 0.50 per year: above 0 with probability "
        "0.994.",
    ]


def test_seeds_that_are_worse_than_one_over_n_are_not_counted_with_those_that_are_better() -> None:
    better = {"growth": 0.3, "low": 0.1, "high": 0.5, "is_distinguishable": True}
    worse = {"growth": -0.1, "low": -0.2, "high": -0.01, "is_distinguishable": True}
    unsure = {"growth": -0.1, "low": -0.3, "high": 0.1, "is_distinguishable": False}
    seeds = [{"seed": k, "versus_uniform": v} for k, v in enumerate((better, worse, worse, unsure))]
    record = finished(versus_uniform={**better, "growth": 0.01}, per_seed=seeds)
    told, *_ = result_sentences(record.as_dict())
    assert told.endswith(
        "4 seeds, of which, each by itself, 1 is better and 2 worse than 1/N beyond chance."
    )


def test_folds_and_placebos_are_told() -> None:
    told = {"growth": 0.1, "low": -0.2, "high": 0.4, "is_distinguishable": False}
    record = finished(
        walk_forward={"versus_uniform": told, "folds": [{}, {}, {}]},
        placebo={"n": 20, "share_as_good": 0.15},
    )
    assert result_sentences(record.as_dict()) == [
        "Walk-forward, 3 folds: +0.100 per year over 1/N, 95 % interval -0.200 ... +0.400: "
        "not distinguishable from 1/N.",
        "Placebo: 3 of 20 trainings on shuffled moves grew as much over 1/N.",
    ]


def test_a_difference_that_is_not_defined_is_not_told() -> None:
    told = {"growth": float("nan"), "low": float("nan"), "high": float("nan")}
    told["is_distinguishable"] = False
    assert result_sentences(finished(versus_uniform=told).as_dict()) == []


def test_the_sharpe_ratio_is_told_with_its_error_and_deflated_where_trials_are_known() -> None:
    figures = {**FIGURES, "annual_sharpe_se": 0.5, "psr": 0.998}
    (sentence,) = result_sentences(finished(portfolio_metrics=figures).as_dict())
    assert sentence == "Sharpe ratio 1.50 +- 0.50 per year: above 0 with probability 0.998."
    deflated = finished(portfolio_metrics=figures, deflated_sharpe=0.75, n_trials=61)
    (sentence,) = result_sentences(deflated.as_dict())
    assert sentence.endswith(", above the luckiest of 61 candidates without skill with 0.750.")
    for counted, told in (
        (50, " (50 of them the parent's) with 0.750."),
        (None, " (not counting those of the parent, which are not known) with 0.750."),
    ):
        deflated.update(parent={"sha256": "a", "run_id": None, "n_trials": counted})
        (sentence,) = result_sentences(deflated.as_dict())
        assert sentence.endswith(f"of 61 candidates without skill{told}")


def test_rows_judged_are_told_with_their_dates_where_they_have_any() -> None:
    judged = {"split": "test", "n_rows": 9, "first": "1998-06-01", "last": "2004-05-28"}
    assert rows_judged(finished(judged=judged).as_dict()) == "Test rows 1998-06-01 ... 2004-05-28"
    assert (
        rows_judged(finished(judged={"split": "val", "n_rows": 9}).as_dict()) == "Validation rows"
    )


def test_folds_are_not_beyond_chance_where_the_data_are_in_doubt() -> None:
    versus = {"growth": 0.2, "low": 0.1, "high": 0.3, "is_distinguishable": True, "n_steps": 99}
    walk = {"folds": [{}], "versus_uniform": versus}
    told = " ".join(result_sentences(finished(walk_forward=walk, doubts=["A price."]).as_dict()))
    assert "better than 1/N beyond chance, if the data are right." in told


@pytest.mark.parametrize("growth", [0.124, 0.125, 0.1254])
def test_policy_that_does_not_beat_one_over_n_is_called_no_edge(growth: float) -> None:
    record = finished(portfolio_metrics={**FIGURES, "annual_log_growth": growth})
    sentence, better = result_sentences(record.as_dict())
    assert sentence.startswith("No edge: ")
    assert "+0.125" in sentence
    assert better.startswith(
        "Better on the same rows, by log growth per year: buy and hold (+0.250)"
    )


def test_ruined_policy_without_a_growth_rate_is_not_praised_or_blamed() -> None:
    record = finished(portfolio_metrics={**FIGURES, "annual_log_growth": float("nan")})
    assert result_sentences(record.as_dict()) == []


@pytest.mark.parametrize("over_uniform", [-0.025, 0.0, 0.0004])
def test_edge_that_is_gone_one_row_later_is_said(over_uniform: float) -> None:
    delayed = {**FIGURES, "annual_log_growth": 0.1}
    late = {**VERSUS, "growth": over_uniform}
    record = finished(portfolio_metrics_delay_1=delayed, versus_uniform_delay_1=late)
    (sentence,) = result_sentences(record.as_dict())
    assert sentence.startswith("The edge needs trading at the very price that the features have")
    assert (
        f"of +0.100 per year does not beat 1/N on the same rows at {0.1 - over_uniform:+.3f}."
        in (sentence)
    )


def test_the_later_edge_is_told_by_the_rows_that_it_shares_with_one_over_n() -> None:
    # On the first row everything rose: 1/N of all rows did better than the later actions.
    delayed = {**FIGURES, "annual_log_growth": 0.1}
    late = {**VERSUS, "growth": 0.05}
    record = finished(portfolio_metrics_delay_1=delayed, versus_uniform_delay_1=late)
    assert record.as_dict()["baselines"]["uniform"]["annual_log_growth"] > 0.1
    assert result_sentences(record.as_dict()) == []


def test_policy_without_an_edge_is_blamed_once() -> None:
    none = {**FIGURES, "annual_log_growth": 0.0}
    record = finished(portfolio_metrics=none, portfolio_metrics_delay_1=none)
    sentence, _ = result_sentences(record.as_dict())
    assert sentence.startswith("No edge: ")


def test_fine_tuning_that_never_helped_says_that_the_parent_was_kept() -> None:
    (sentence,) = result_sentences(finished(best_epoch=0, mode="fine_tune").as_dict())
    assert "beat the parent on validation, so the parent's weights were kept" in sentence
    assert "untrained" not in sentence


def test_a_judged_policy_that_its_training_never_changed_is_said() -> None:
    for epoch, n_said in ((0, 1), (3, 0)):
        record = finished(best_epoch=None, mode="evaluate", parent={"best_epoch": epoch})
        said = [each for each in result_sentences(record.as_dict()) if "best epoch 0" in each]
        assert len(said) == n_said


def test_best_epoch_zero_is_said() -> None:
    (sentence,) = result_sentences(finished(best_epoch=0).as_dict())
    assert "no epoch of training beat doing nothing on validation, so" in sentence
    (sentence,) = result_sentences(finished(best_epoch=0, min_improvement=2e-4).as_dict())
    assert "no epoch of training beat doing nothing on validation by more than 0.0002" in sentence


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("early_stopped", "Stopped early after epoch 60 of 60"),
        ("preempted", "Not complete: preempted after epoch 60 of 60."),
        ("interrupted", "Not complete: interrupted"),
        ("diverged", "Not complete: diverged"),
        ("running", "Not complete: running"),
    ],
)
def test_ending_that_is_not_completion_is_said(status: str, expected: str) -> None:
    (sentence,) = result_sentences(finished(status=status).as_dict())
    assert sentence.startswith(expected)


VERSUS = {"growth": 0.31, "low": 0.05, "high": 0.66, "is_distinguishable": True}


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("test", "better than 1/N beyond chance."),
        ("val", "better than 1/N on the very rows that chose it, which proves little."),
        ("train", "better than 1/N on the very rows that it was trained on, which proves nothing."),
    ],
)
def test_only_rows_that_training_has_not_seen_are_beyond_chance(split: str, words: str) -> None:
    judged = {"split": split, "n_rows": 100}
    (sentence,) = result_sentences(finished(versus_uniform=VERSUS, judged=judged).as_dict())
    assert sentence.endswith(words)


DOUBTED = "The data are in doubt, and the result with them:"


def test_doubts_of_the_data_stand_in_the_verdict_and_beside_it() -> None:
    doubts = [f"prices_train: odd {n}." for n in range(5)]
    record = finished(versus_uniform=VERSUS, doubts=doubts)
    verdict, *beside = result_sentences(record.as_dict())
    assert verdict.endswith("better than 1/N beyond chance, if the data are right.")
    assert beside == [DOUBTED, *doubts]


@pytest.mark.parametrize(("n", "words"), [(6, "1 more doubt:"), (9, "4 more doubts:")])
def test_of_more_than_five_doubts_the_others_are_counted_and_found(n: int, words: str) -> None:
    doubts = [f"prices_train: odd {i}." for i in range(n)]
    _, *beside = result_sentences(finished(versus_uniform=VERSUS, doubts=doubts).as_dict())
    where = "see doubts in metrics.json, or the warnings in events.csv."
    assert beside == [DOUBTED, *doubts[:5], f"{words} {where}"]


def test_ruin_is_the_first_sentence_and_nothing_is_claimed_beside_it() -> None:
    figures = {**FIGURES, "annual_sharpe_se": 0.5, "psr": 0.9}
    record = finished(portfolio_metrics=figures, versus_uniform=VERSUS, ruined_at=37)
    sentences = result_sentences(record.as_dict())
    assert sentences[0] == "Ruin: nothing is left of the wealth at row 37 of the test rows."
    assert not any("chance" in each or "probability" in each for each in sentences)


def test_a_sure_ratio_of_rows_that_depend_on_each_other_is_told_by_their_own_error() -> None:
    ratio = {**FIGURES, "annual_sharpe_se": 0.5, "psr": 0.98}
    for dependent, n_told in ((0.91, 1), (0.976, 0)):
        record = finished(portfolio_metrics={**ratio, "psr_hac": dependent})
        _, *told = result_sentences(record.as_dict())
        words = "Where returns depend on each other, it is above 0 with probability 0.910."
        assert told == [words][:n_told]


def test_skill_over_one_over_n_stands_beside_the_sharpe_ratio_of_the_total() -> None:
    versus = {**VERSUS, "annual_sharpe": 0.4, "annual_sharpe_se": 0.3, "psr": 0.91}
    figures = {**FIGURES, "annual_sharpe_se": 0.5, "psr": 0.999}
    record = finished(
        portfolio_metrics=figures, versus_uniform=versus, deflated_skill=0.2, n_trials=61
    )
    _, total, skill = result_sentences(record.as_dict())
    assert total == "Sharpe ratio 1.50 +- 0.50 per year: above 0 with probability 0.999."
    assert skill == (
        "Of the return over 1/N 0.40 +- 0.30 per year: above 0 with probability 0.910, above the "
        "luckiest of 61 candidates without skill with 0.200."
    )


@pytest.mark.parametrize(("psr", "low", "is_told"), [(0.999, -0.1, True), (0.9, -0.1, False)])
def test_a_sure_ratio_beside_an_interval_that_holds_0_is_not_left_alone(
    psr: float, low: float, is_told: bool
) -> None:
    versus = {**VERSUS, "low": low, "is_distinguishable": False}
    versus |= {"annual_sharpe": 2.8, "annual_sharpe_se": 0.4, "psr": psr}
    sentences = result_sentences(finished(versus_uniform=versus).as_dict())
    assert ("The interval, which holds 0, is the safer word" in sentences[-1]) == is_told
    told = result_sentences(
        finished(versus_uniform={**versus, "is_distinguishable": True}).as_dict()
    )
    assert "safer word" not in " ".join(told)


def test_a_policy_that_only_loses_less_than_one_over_n_is_held_against_cash() -> None:
    lost, more = ({**FIGURES, "annual_log_growth": growth} for growth in (-0.003, -2.489))
    record = finished(
        portfolio_metrics=lost, portfolio_metrics_delay_1=lost, baselines={"uniform": more}
    )
    assert result_sentences(record.as_dict()) == [
        "1/N lost more, but cash lost nothing: log growth is -0.003 per year."
    ]


def test_an_edge_that_chance_explains_is_not_called_one() -> None:
    delayed = {**FIGURES, "annual_log_growth": 0.1}
    for is_shown, words in ((True, "The edge needs"), (False, "What there is of an edge needs")):
        versus = {**VERSUS, "is_distinguishable": is_shown}
        late = {**VERSUS, "growth": -0.025}
        record = finished(
            portfolio_metrics_delay_1=delayed, versus_uniform=versus, versus_uniform_delay_1=late
        )
        assert result_sentences(record.as_dict())[-1].startswith(words)


def test_baselines_that_beat_the_policy_are_named_but_not_what_nobody_could_reach() -> None:
    baselines = {
        "uniform": {**FIGURES, "annual_log_growth": 0.1},
        "olmar": {**FIGURES, "annual_log_growth": 0.9},
        "bcrp_hindsight": {**FIGURES, "annual_log_growth": 2.0},
    }
    (sentence,) = result_sentences(finished(baselines=baselines).as_dict())
    assert sentence == "Better on the same rows, by log growth per year: OLMAR-1 (+0.900)."
    of_one_asset = {key: {**FIGURES, "annual_log_growth": 3.0} for key in baselines}
    (sentence,) = result_sentences(finished(baselines=of_one_asset).as_dict())
    assert sentence.startswith("No edge: ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("best_is_the_last", "raise training.epochs, which may do better"),
        ("never_moved", "every gradient was exactly 0"),
        ("single_updates", "raise hisso.updates_per_epoch"),
        ("edge_temperature", "At 1/4 the outputs are too small: raise training.lr; at 4"),
    ],
)
def test_a_caution_of_training_is_one_line_with_its_cure(name: str, words: str) -> None:
    (sentence,) = result_sentences(finished(cautions=[name]).as_dict())
    assert words in sentence
    seeds = [{"seed": 1, "cautions": [name]}, {"seed": 2, "cautions": [name]}]
    assert result_sentences(finished(per_seed=seeds).as_dict())[-1] == sentence


def test_rows_are_called_what_they_are() -> None:
    assert rows_judged(finished().as_dict()) == "Test rows"
    judged = {"split": "train", "n_rows": 9}
    assert rows_judged(finished(judged=judged).as_dict()) == "Training rows"


def test_few_rows_claim_nothing() -> None:
    assert FEWEST_STEPS == MIN_STEPS
    few = {**VERSUS, "n_steps": MIN_STEPS - 1}
    (sentence,) = result_sentences(finished(versus_uniform=few).as_dict())
    assert sentence == "+0.310 per year over 1/N: too few rows to claim anything."
    # Nor do ratios, probabilities and edges of so few rows.
    figures = {**FIGURES, "annual_sharpe_se": 0.5, "psr": 0.999, "annual_log_growth": -3.0}
    for n_steps, n_more in ((MIN_STEPS - 1, 0), (MIN_STEPS, 3)):
        told = {"portfolio_metrics": {**figures, "n_steps": n_steps}, "versus_uniform": few}
        first, *more = result_sentences(finished(**told).as_dict())
        assert (first, len(more)) == (sentence, n_more)
    single = {"growth": 0.31, "low": None, "high": None, "is_distinguishable": False}
    assert result_sentences(finished(versus_uniform=single).as_dict()) == [sentence]


def test_a_gate_by_significance_is_named_where_it_kept_epoch_zero() -> None:
    told = {"best_epoch": 0, "min_significance": 3.144}
    (sentence,) = result_sentences(finished(**told).as_dict())
    assert "on validation by 3.14 standard errors, so" in sentence
    (sentence,) = result_sentences(finished(**told, min_improvement=0.2).as_dict())
    assert "by more than 0.2 and by 3.14 standard errors, so" in sentence


def test_what_ends_could_have_cost_is_said_where_assets_end() -> None:
    ends = {"0": {"policy": 0.2, "uniform": 0.1}, "-1": {"policy": -0.3, "uniform": -0.4}}
    said = result_sentences(finished(ends=ends).as_dict())
    assert (
        "Assets end on these rows: growth is +0.200 (1/N +0.100) if ends cost nothing, -0.300 "
        "(1/N -0.400) if all." in said
    )
    ends["-1"]["policy"] = None  # type: ignore[assignment]
    assert not any(
        "Assets end" in sentence for sentence in result_sentences(finished(ends=ends).as_dict())
    )


def test_a_caution_of_some_seeds_is_said_of_those() -> None:
    seeds = [{"seed": 0, "cautions": ["best_is_the_last"]}, {"seed": 1, "cautions": []}]
    told = result_sentences(finished(per_seed=seeds).as_dict())
    assert told[-1].startswith("1 of 2 seeds: The best epoch is the last one: raise")


@pytest.mark.parametrize(
    ("monitor", "words"),
    [
        ("val_loss", "raise training.epochs"),
        ("reward", "nothing tells whether more epochs do better or worse"),
        ("train_loss", "nothing tells whether more epochs do better or worse"),
    ],
)
def test_nobody_is_told_to_train_longer_by_training_rows(monitor: str, words: str) -> None:
    record = finished(monitor=monitor, cautions=["best_is_the_last"])
    (told,) = result_sentences(record.as_dict())
    assert told.startswith("The best epoch is the last one") and words in told


@pytest.mark.parametrize(
    ("until", "is_told"), [("2021-02-19", True), ("2020-07-12", False), (None, False)]
)
def test_rows_that_the_parent_has_seen_prove_nothing(until: str | None, is_told: bool) -> None:
    versus = {"growth": 0.3, "low": 0.1, "high": 0.5, "is_distinguishable": True, "n_steps": 99}
    judged = {"split": "test", "n_rows": 99, "first": "2020-07-13", "last": "2020-11-30"}
    parent = {"sha256": "a", "run_id": None, "n_trials": 5, "seen_until": until}
    record = finished(versus_uniform=versus, judged=judged, parent=parent)
    told = " ".join(result_sentences(record.as_dict()))
    assert (
        "The rows judged begin on 2020-07-13, and rows to 2021-02-19 trained" in told
    ) is is_told
    assert ("1/N on rows that its parent has seen, which proves nothing." in told) is is_told
    assert ("better than 1/N beyond chance." in told) is not is_told


@pytest.mark.parametrize(("before", "is_told"), [(0.25, True), (0.5, False), (None, False)])
def test_fine_tuning_that_did_harm_is_told(before: float | None, is_told: bool) -> None:
    record = finished(val_loss=0.5, parent={"sha256": "a", "val_loss": before})
    told = "Fine-tuning made it worse: a validation loss of 0.5, where the parent has 0.25."
    assert (told in result_sentences(record.as_dict())) is is_told
