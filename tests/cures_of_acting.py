"""What acting says, and what it says to do instead; all rows share a few small runs."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from acting_runs import NOW, ActingRuns
from psann import PSANNRegressor, load_policy
from psann.errors import DataError
from psann.metrics import confidence_sequence
from psann.run.acting.holdings_file import Held, read_held
from psann.run.acting.journal import keep
from psann.run.acting.policy import Policy
from psann.run.acting.promise import judge_journal
from psann.run.acting.trades import trades_of
from psann.run.acting.verify_weights import verify_weights
from psann.run.acting.weights import Weights
from psann.run.acting.weights_file import read_weights, write_weights
from psann.run.reading.archive import pack, unpack
from psann.run.sweep.reading import winner_of


@cache
def runs() -> ActingRuns:
    """The runs of this table, each made when a row asks for it; gone with the process."""
    folder = Path(tempfile.mkdtemp(prefix="cures_of_acting_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return ActingRuns(folder)


@cache
def policy(kind: str = "prices") -> Policy:
    return runs().policy(kind)


@cache
def weights(kind: str = "prices") -> Weights:
    return policy(kind).act()


def table() -> pd.DataFrame:
    return runs().table()


def first_day(n_rows: int) -> str:
    """The first of the newest rows."""
    return weights().labels[-n_rows]


# ------------------------------------------------------------------------------------------- runs


def copied(folder: Path, kind: str = "prices", *, without: str = "", spoil: str = "") -> Path:
    """A run that lacks a file, or of which one is damaged; made anew at each call."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(runs()(kind), run)
    if without:
        (run / without).unlink()
    if spoil:
        (run / spoil).write_bytes((run / spoil).read_bytes()[:-1] + b"\0")
    return run


def packed(folder: Path, *, best_only: bool) -> Path:
    archive = folder / "run.tar"
    archive.unlink(missing_ok=True)
    shutil.rmtree(folder / "unpacked", ignore_errors=True)
    pack(runs()("folds"), archive, best_only=best_only)
    unpack(archive, folder / "unpacked")
    return next(path.parent for path in (folder / "unpacked").rglob("metrics.json"))


def retrained(kind: str, folder: Path, **changes: Any) -> Path:
    """The configuration of a run, trained again with changes."""
    import yaml

    from psann.scripts.hisso_log_run import main

    runs()(kind)
    config = yaml.safe_load((runs().folder / f"{kind}.yaml").read_text())
    for key, value in changes.items():
        config[key] = {**config.get(key, {}), **value}
    (runs().folder / "again.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--config", str(runs().folder / "again.yaml"), "--output-dir", str(folder)]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([*arguments, "--run-name", "again", "--quiet", "--overwrite"]) == 0
    return folder / "again"


def evaluated(folder: Path) -> Path:
    """A run that judged another, as its configuration says."""
    run = copied(folder)
    config = run / "config_resolved.yaml"
    text = config.read_text().replace("mode: train", "mode: evaluate")
    config.write_text(text.replace("init_from: null", f"init_from: {runs()('prices')}"))
    return run


# ------------------------------------------------------------------------------------------- rows


def given(folder: Path, kind: str = "npz", **arrays: Any) -> Weights:
    """Act on an archive of rows."""
    np.savez(folder / "new.npz", **arrays)
    return policy(kind).act(folder / "new.npz")


def named(folder: Path, names: list[str]) -> Weights:
    """Act on a table of features of which the policy knows the names."""
    kept = policy("npz").kept
    member = kept.members[0]
    member.feature_names_in_ = np.array([f"f{place}" for place in range(6)], dtype=object)
    try:
        rows = pd.DataFrame(np.zeros((3, len(names))), columns=names)
        rows.index = pd.Index(pd.date_range("2022-01-03", periods=3), name="date")
        rows.to_csv(folder / "features.csv")
        return policy("npz").act(folder / "features.csv")
    finally:
        del member.feature_names_in_


def other_spacing() -> pd.DataFrame:
    return table().set_axis(table().index[0] + pd.to_timedelta(7 * np.arange(320), "D"))


def changed(place: tuple[int, int], value: float) -> pd.DataFrame:
    rows = table()
    rows.iloc[place] = value
    return rows


def with_gap() -> pd.DataFrame:
    return table().drop(index=table().index[-20:-8])


# ------------------------------------------------------------------------------ holdings, journals


def file(folder: Path, text: str, name: str = "held.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def held(folder: Path, text: str) -> Held:
    return read_held(file(folder, text), weights())


def late(n_rows: int) -> Weights:
    """Weights that are executed three rows later."""
    told = weights().provenance.model_copy(update={"delay": 3})
    return replace(weights(), provenance=told).last(n_rows)


def earlier(n_rows: int, *, delay: int = 0) -> Weights:
    """Weights up to so many rows before the newest."""
    told = weights().provenance.model_copy(update={"delay": delay})
    until = len(weights()) - n_rows
    return replace(
        weights(),
        rows=weights().rows[:until],
        values=weights().values[:until],
        quotes=None,
        provenance=told,
    )


def trades(kind: str, amounts: list[float], **how: Any) -> Any:
    """Trades to the newest weights; `rows` and `price` change what they are of."""
    wanted = how.pop("rows", None) or weights()
    if "price" in how:
        quotes = weights().quotes
        assert quotes is not None
        quotes = quotes.copy()
        quotes[-1, 0] = how.pop("price")
        wanted = replace(wanted, quotes=quotes)
    what = Held(kind=kind, amounts=np.array(amounts), cash=how.pop("cash", None))  # type: ignore[arg-type]
    return trades_of(wanted, what, **{"trans_cost": 0.0, "capital": None, "lot": 1.0, **how})


def journal(folder: Path, rows: Weights, name: str = "j.jsonl", *, anew: bool = True) -> Any:
    path = folder / name
    if anew:
        path.unlink(missing_ok=True)
    return keep(path, rows, now=NOW)[0]


def gone_on_with(
    folder: Path, damage: Callable[[bytes], bytes] = bytes, *, anew: bool = False
) -> Any:
    """Go on with a journal that was damaged, or begin another."""
    journal(folder, earlier(3))
    path = folder / "j.jsonl"
    path.write_bytes(damage(path.read_bytes()))
    return keep(folder / ("other.jsonl" if anew else "j.jsonl"), weights(), now=NOW)


def torn(data: bytes) -> bytes:
    return data[:-20]


def judged(folder: Path, said: Weights, since: Weights) -> Any:
    found = journal(folder, said)
    return judge_journal(found, since, terms=policy().terms_on({}), promises=[])


def verified(folder: Path, **data: Any) -> None:
    """Verify weights; a note counts as what is to be mended."""
    path = write_weights(weights(), folder / "w.csv")
    found = verify_weights(runs()("prices"), path, **data)
    if found:
        raise DataError([str(each) for each in found])


def reread(folder: Path, *, cut: int = 0) -> Any:
    path = write_weights(weights(), folder / "w.json")
    path.write_bytes(path.read_bytes()[: -cut or None])
    return read_weights(path)


def recipe(folder: Path, change: Callable[[str], str] = str) -> Policy:
    run = copied(folder)
    path = run / "recipe.json"
    path.write_text(change(path.read_text()))
    return load_policy(run)


def without_names(text: str) -> str:
    return json.dumps({key: v for key, v in json.loads(text).items() if key != "names"})


def sweep(folder: Path, *, chosen: bool, away: bool = False) -> Path:
    from made_sweeps import made_sweep_folder

    shutil.rmtree(folder / "sweep", ignore_errors=True)
    view = made_sweep_folder(folder / "sweep", [0.1, 0.4], finished=chosen)
    if away:
        shutil.rmtree(folder / "sweep" / "runs" / "t0001")
    return winner_of(view)


def fields_of(folder: Path, *, volume: bool) -> Weights:
    """A policy of prices and volumes, on a table that has both, or prices alone."""
    panels = table().stack().rename("close").rename_axis(["date", "asset"]).reset_index()
    panels["volume"] = 1000.0 + 10 * np.arange(len(panels)) % 77
    whole, alone = runs().folder / "long.csv", folder / "alone.csv"
    if not whole.exists():
        panels.to_csv(whole, index=False)
    run = runs().folder / "again"
    if not run.exists():
        data = {"prices": str(whole), "features": ["moves", "user_features.activity"]}
        retrained("prices", runs().folder, data=data)
    panels.drop(columns="volume").to_csv(alone, index=False)
    return load_policy(run, allow=["user_features"]).act(whole if volume else alone)


# Text of the message: what meets it, then everything that it says to do instead.
CURES: dict[str, tuple[Callable[..., object], ...]] = {
    # The run.
    "and has no actions. Use its estimator's predict": (
        lambda: load_policy(runs()("targets")),
        lambda: _estimator("targets").predict(np.zeros((2, 6))),
    ),
    "Act with that one: {}": (
        lambda tmp_path: load_policy(evaluated(tmp_path)),
        lambda: load_policy(runs()("prices")),
    ),
    "{} did not. Leave it out, or train with evaluation.walk_forward": (
        lambda: load_policy(runs()("prices"), policy="last_fold"),
        lambda: load_policy(runs()("prices")),
        lambda: load_policy(runs()("folds"), policy="last_fold"),
    ),
    " Copy the whole directory.": (
        lambda tmp_path: load_policy(copied(tmp_path, without="config_resolved.yaml")),
        lambda tmp_path: load_policy(copied(tmp_path)),
    ),
    " Give the run that it is of, {}": (
        lambda: load_policy(runs()("prices") / "checkpoints" / "best.safetensors"),
        lambda: load_policy(runs()("prices")),
    ),
    " Give one of the runs in it, such as {}": (
        lambda: load_policy(runs()("prices").parent),
        lambda: load_policy(runs()("prices")),
    ),
    " Read it by load of its estimator's class": (
        lambda tmp_path: load_policy(_estimator_file(tmp_path)),
        lambda tmp_path: PSANNRegressor.load(_estimator_file(tmp_path)),
    ),
    " Give a file that it holds, such as {}": (
        lambda: PSANNRegressor.load(runs()("prices")),
        lambda: PSANNRegressor.load(runs()("prices") / "checkpoints" / "best.safetensors"),
    ),
    "Wait for the first epoch, or copy the whole directory": (
        lambda tmp_path: load_policy(copied(tmp_path, without="checkpoints/manifest.json")),
        lambda tmp_path: load_policy(copied(tmp_path)),
    ),
    "Copy the whole directory, or pack it without --best-only": (
        lambda tmp_path: load_policy(packed(tmp_path, best_only=True), policy="last_fold"),
        lambda: load_policy(runs()("folds"), policy="last_fold"),
        lambda tmp_path: load_policy(packed(tmp_path, best_only=False), policy="last_fold"),
    ),
    "RUN must have a readable {}; {}. Copy the run again": (
        lambda tmp_path: load_policy(_walked(tmp_path, spoil=True), policy="last_fold"),
        lambda tmp_path: load_policy(_walked(tmp_path), policy="last_fold"),
    ),
    "Train it again (the same configuration gives the same weights)": (
        lambda tmp_path: load_policy(copied(tmp_path, without="recipe.json")),
        lambda tmp_path: _same_weights(tmp_path),
    ),
    "Run hisso-runs verify, and copy the run again": (
        lambda tmp_path: load_policy(copied(tmp_path, spoil="checkpoints/best.safetensors")),
        lambda tmp_path: load_policy(copied(tmp_path)),
    ),
    "Give them with the rows, or act without --held and --judge": (
        lambda: _terms_of_newer(arrays=[]),
        lambda: _terms_of_newer(arrays=["spread", "rate"]),
        lambda: policy("row_costs").act(),
    ),
    "what this policy wants next does not follow from what is held now. Leave it out": (
        lambda: policy().act(held=[0.2, 0.3, 0.5]),
        lambda: policy().act(),
    ),
    "whose actions are none. Use predict_actions": (
        lambda: _of_numbers().act(),
        lambda: _of_numbers().predict_actions(np.zeros((2, 6))),
    ),
    "Choose with hisso-runs sweep SWEEP.yaml -o {} --finish": (
        lambda tmp_path: sweep(tmp_path, chosen=False),
        lambda tmp_path: sweep(tmp_path, chosen=True),
    ),
    "RUN must have the run that its sweep chose, {}; {} has not. Copy it there": (
        lambda tmp_path: sweep(tmp_path, chosen=True, away=True),
        lambda tmp_path: sweep(tmp_path, chosen=True),
    ),
    # Rows of features.
    "Write numpy.savez(file, X=...)": (
        lambda tmp_path: given(tmp_path, Y=np.zeros((2, 6))),
        lambda tmp_path: given(tmp_path, X=np.zeros((2, 6))),
    ),
    "must have {} rows, as X has; got {}. Cut them alike": (
        lambda tmp_path: given(tmp_path, X=np.zeros((2, 6)), prices=np.ones((3, 3))),
        lambda tmp_path: given(tmp_path, X=np.zeros((2, 6)), prices=np.ones((2, 3))),
    ),
    "asset_names must be those of the run, {}; got {}. Order the columns alike": (
        lambda tmp_path: given(tmp_path, X=np.zeros((2, 6)), asset_names=_assets()[::-1]),
        lambda tmp_path: given(tmp_path, X=np.zeros((2, 6)), asset_names=_assets()),
    ),
    "Name the columns as in training": (
        lambda tmp_path: named(tmp_path, [f"g{place}" for place in range(6)]),
        lambda tmp_path: named(tmp_path, [f"f{place}" for place in range(6)]),
    ),
    "since is a date, and the rows have none. Give time with the features": (
        lambda tmp_path: _since(tmp_path, X=np.zeros((3, 6))),
        lambda tmp_path: _since(tmp_path, X=np.zeros((3, 6)), time=_days()),
    ),
    "data must have a row from {} on; the last is {}. Add newer rows": (
        lambda tmp_path: _since(tmp_path, X=np.zeros((3, 6)), time=_days() - 30),
        lambda tmp_path: _since(tmp_path, X=np.zeros((3, 6)), time=_days()),
    ),
    # Rows of prices.
    "Give the fields that the run's table had": (
        lambda tmp_path: fields_of(tmp_path, volume=False),
        lambda tmp_path: fields_of(tmp_path, volume=True),
    ),
    "Give the table that the run was trained on, with later rows": (
        lambda: policy("holes").act(table().set_axis(list("XYZ"), axis=1)),
        lambda: policy("holes").act(runs().holes),
    ),
    "Add prices under this name: the policy needs each of its assets": (
        lambda: policy().act(table().drop(columns="AAA")),
        lambda: policy().act(table()),
        lambda: policy().act(table().rename(columns={"AAA": "aaa"}).rename(columns=str.upper)),
    ),
    "Add the price, or leave the row out until all have one": (
        lambda: policy().act(changed((-3, 0), np.nan)),
        lambda: policy().act(table()),
        lambda: policy().act(changed((-3, 0), np.nan).drop(index=table().index[-3])),
    ),
    "Add newer rows.": (
        lambda: policy().act(table().head(150)),
        lambda: policy().act(table()),
    ),
    "Give earlier rows too": (
        lambda: policy().act(table().tail(8)),
        lambda: policy().act(table().tail(40)),
    ),
    "Give rows of the same frequency, or accept it (--accept spacing)": (
        lambda: policy().act(other_spacing(), accept=["level"]),
        lambda: policy().act(table(), accept=["level"]),
        lambda: policy().act(other_spacing(), accept=["level", "spacing"]),
    ),
    "Add the missing rows, or accept it (--accept spacing)": (
        lambda: policy().act(with_gap()),
        lambda: policy().act(table()),
        lambda: policy().act(with_gap(), accept=["spacing"]),
    ),
    "Give prices in the same unit, adjusted the same way, or accept it (--accept level)": (
        lambda: policy().act(100 * table()),
        lambda: policy().act(table()),
        lambda: policy().act(100 * table(), accept=["level"]),
    ),
    "{} {} not as psann writes it. Copy the run again": (
        lambda tmp_path: recipe(tmp_path, without_names),
        lambda tmp_path: recipe(tmp_path),
    ),
    "{} must be strict JSON; {}. Copy the run again": (
        lambda tmp_path: recipe(tmp_path, lambda text: text[:-5]),
        lambda tmp_path: recipe(tmp_path),
    ),
    # Holdings and trades.
    "Write one line for each asset": (
        lambda tmp_path: held(tmp_path, "name,number\nAAA,0.7\n"),
        lambda tmp_path: held(tmp_path, "asset,weight\nAAA,0.7\n"),
        lambda tmp_path: held(tmp_path, "asset,shares\nAAA,7\n"),
    ),
    "Separate the columns by commas, and write decimals with a point": (
        lambda tmp_path: held(tmp_path, "asset;shares\nAAA;1.234\n"),
        lambda tmp_path: held(tmp_path, "asset,shares\nAAA,1.234\n"),
    ),
    "{} stands twice. Add the two up": (
        lambda tmp_path: held(tmp_path, "asset,shares\nAAA,3\nAAA,4\n"),
        lambda tmp_path: held(tmp_path, "asset,shares\nAAA,7\n"),
    ),
    "is no asset of the policy.{} Leave out what it does not manage": (
        lambda tmp_path: held(tmp_path, "asset,shares\nAAA,3\nZZZ,4\n"),
        lambda tmp_path: held(tmp_path, "asset,shares\nAAA,3\n"),
    ),
    "Give --since {}": (
        lambda tmp_path: _drifted(tmp_path, since=first_day(3)),
        lambda tmp_path: _drifted(tmp_path, since=first_day(6)),
    ),
    "Give the file of an earlier row": (
        lambda tmp_path: read_held(write_weights(late(1), tmp_path / "w.csv"), weights()),
        lambda tmp_path: read_held(
            write_weights(earlier(5, delay=3), tmp_path / "w.csv"), weights()
        ),
    ),
    "Give an earlier --since": (
        lambda: trades("weight", [0, 0, 0], rows=late(2)),
        lambda: trades("weight", [0, 0, 0], rows=late(3)),
    ),
    "the data of this run have none. Give weights, or data with prices": (
        lambda: trades("shares", [1, 1, 1], rows=replace(weights(), quotes=None)),
        lambda: trades("weight", [0.1, 0.1, 0.1], rows=replace(weights(), quotes=None)),
        lambda: trades("shares", [1, 1, 1]),
    ),
    "Give prices of that row, or leave them out of what the policy manages": (
        lambda: trades("shares", [1, 1, 1], price=np.nan),
        lambda: trades("shares", [1, 1, 1], price=80.0),
        lambda: trades("shares", [0, 1, 1], price=np.nan),
    ),
    "Give --capital, or a line cash of at least 0": (
        lambda: trades("shares", [1, 1, 1], cash=-5.0),
        lambda: trades("shares", [1, 1, 1], capital=1000.0),
        lambda: trades("shares", [1, 1, 1], cash=0.0),
    ),
    "--capital and a line cash in --held say the same. Leave one out": (
        lambda: trades("shares", [1, 1, 1], cash=5.0, capital=1000.0),
        lambda: trades("shares", [1, 1, 1], cash=5.0),
        lambda: trades("shares", [1, 1, 1], capital=1000.0),
    ),
    # Files of weights and journals.
    "as hisso-runs act writes it; {}. Write it again": (
        lambda tmp_path: reread(tmp_path, cut=9),
        lambda tmp_path: reread(tmp_path),
    ),
    "was not computed again; give --data for that": (
        lambda tmp_path: verified(tmp_path),
        lambda tmp_path: verified(tmp_path, data=runs().prices),
    ),
    "Restore the file, or begin another": (
        lambda tmp_path: gone_on_with(tmp_path, torn),
        lambda tmp_path: gone_on_with(tmp_path),
        lambda tmp_path: gone_on_with(tmp_path, torn, anew=True),
    ),
    "--journal needs rows with dates; these have none. Give time with them": (
        lambda tmp_path: journal(tmp_path, given(tmp_path, X=np.zeros((3, 6)))),
        lambda tmp_path: journal(tmp_path, given(tmp_path, X=np.zeros((3, 6)), time=_days())),
    ),
    "--judge needs prices, and the data of this run have none. Add prices": (
        lambda tmp_path: judged(tmp_path, weights(), replace(weights(), quotes=None)),
        lambda tmp_path: judged(tmp_path, weights(), weights()),
    ),
    "Give the table from then on, with all its rows": (
        lambda tmp_path: judged(tmp_path, weights(), weights().last(9)),
        lambda tmp_path: judged(tmp_path, weights(), weights()),
    ),
    "must be a vector of finite numbers; got shape {}. Leave out what is not known": (
        lambda: confidence_sequence([0.1, np.nan, 0.2, 0.1]),
        lambda: confidence_sequence([0.1, 0.2, 0.1]),
    ),
    "Judge again when a row has come": (
        lambda tmp_path: judged(tmp_path, weights().last(1), weights()),
        lambda tmp_path: judged(tmp_path, weights().last(2), weights()),
    ),
}


def _estimator(kind: str) -> Any:
    return PSANNRegressor.load(runs()(kind) / "checkpoints" / "best.safetensors")


def _estimator_file(folder: Path) -> Path:
    _estimator("prices").save(folder / "mine.safetensors")
    return folder / "mine.safetensors"


def _assets() -> np.ndarray:
    return np.array(policy("npz").assets)


def _days() -> np.ndarray:
    """Three days after those of the archive that was trained on, and after `_since`."""
    return np.arange("2031-01-06", "2031-01-09", dtype="datetime64[D]")


def _since(folder: Path, **arrays: Any) -> Weights:
    np.savez(folder / "new.npz", **arrays)
    return policy("npz").act(folder / "new.npz", since="2031-01-06")


def _drifted(folder: Path, *, since: str) -> Held:
    path = write_weights(earlier(5).last(), folder / "w.csv")
    return read_held(path, policy().act(since=since))


def _walked(folder: Path, *, spoil: bool = False) -> Path:
    run = copied(folder, "folds")
    if spoil:
        (run / "walk_forward.npz").write_bytes(b"no archive")
    return run


def _same_weights(folder: Path) -> None:
    run = retrained("prices", folder, data={"prices": str(runs().prices)})
    assert np.array_equal(load_policy(run).act().values, weights().values)


def _terms_of_newer(*, arrays: list[str]) -> Any:
    """Terms of a policy whose costs stand beside the prices."""
    table = pd.read_csv(runs().beside, index_col=0, parse_dates=True)
    if not arrays:
        table = table[["AAA", "BBB", "CCC"]]
    acting = policy("row_costs")
    return acting.terms_on(acting.act(table, reading={"arrays": arrays}).arrays)


@cache
def _of_numbers() -> Policy:
    """A policy whose actions are no weights."""
    folder = runs().folder / "numbers"
    folder.mkdir()
    hisso = {"primary_transform": "identity", "reward": "user_rewards:mean_first"}
    evaluation = {"trans_cost": None, "portfolio_prices_key": None}
    return load_policy(retrained("loader", folder, hisso=hisso, evaluation=evaluation))
