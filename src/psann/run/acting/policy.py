"""The policy of a run, ready to act: read from the run directory alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from psann._digest import sha256_of
from psann._imports import ImportPolicy
from psann._inputs import show
from psann._plain_files import read_plain
from psann._typing import Array, Floats
from psann.errors import DataError, FileFormatError, UsageError, counted, listed
from psann.estimators._program import PolicyProgram
from psann.estimators.seeds import Ensemble
from psann.evaluation.judgement import Terms
from psann.hisso.reward_context import row_cost_problems
from psann.hisso.rewards import reward_of
from psann.hisso.transforms import TRANSFORMS
from psann.market.dates import instants_of
from psann.market.newer_rows import newer_rows
from psann.market.recipe import Recipe, read_recipe
from psann.run.acting.doubts import Age, newest_doubts
from psann.run.acting.features import GivenRows, given_rows
from psann.run.acting.kept import KeptPolicy, find_policy
from psann.run.acting.promise import Promise, promise_of_rows, promises_of
from psann.run.acting.weights import PolicyName, Provenance, Weights, weights_of
from psann.run.config.model import RunConfig
from psann.run.config.terms import terms_of
from psann.run.directory.files import MAX_JSON_BYTES
from psann.run.directory.paths import RunPaths
from psann.run.directory.provenance import told_of_release

STALE_AFTER_ROWS = 5.0


class Policy:
    """What a run learnt, as a function of rows; made by `load_policy`.

    Parameters
    ----------
    kept : KeptPolicy
        The estimators and where they come from.
    config : RunConfig
        Of the run.
    recipe : Recipe or None
        How the run read its prices; None where it was given features.
    imports : ImportPolicy
        What may be imported to act.
    """

    def __init__(
        self, kept: KeptPolicy, config: RunConfig, recipe: Recipe | None, imports: ImportPolicy
    ) -> None:
        self.kept = kept
        self.config = config
        self.recipe = recipe
        self._imports = imports
        self._ensemble = Ensemble(kept.members)
        self._program = None if self.sees_held else PolicyProgram(kept.members).eval()

    def __repr__(self) -> str:
        members = counted(len(self.kept.members), "estimator")
        of = f"{counted(len(self.assets), 'asset')}: {listed(self.assets)}"
        return f"<Policy of run {self.kept.run_name}, {members}, of {of}>"

    @property
    def sees_held(self) -> bool:
        """Whether its actions follow from what it holds, and so from earlier rows and prices."""
        return self.config.hisso.held_weights

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the assets, in the order of the actions."""
        if self.recipe is not None:
            return tuple(self.recipe.assets)
        first = self.kept.members[0]
        names = first.asset_names_ or self.kept.asset_names
        return names or tuple(f"asset_{place}" for place in range(1, first.n_outputs_ + 1))

    @property
    def holds_cash(self) -> bool:
        """Whether what the weights of a row lack to 1 is cash."""
        has_members = self.recipe is not None and self.recipe.with_members
        return TRANSFORMS[self.config.hisso.primary_transform].holds_cash or has_members

    @property
    def decides_by_held(self) -> bool:
        """Whether what is held on the newest row changes what is due next."""
        return self.sees_held and self.config.hisso.delay <= 1

    def terms_on(self, arrays: Mapping[str, Array]) -> Terms:
        """On what terms the run trades, on rows of which some arrays are known by name.

        Raises
        ------
        UsageError
            If costs or rates of the run are not among them.
        DataError
            If they can be none.
        """
        judging, hisso = self.config.evaluation, self.config.hisso
        told = (self.config.judging_cost, judging.cash_rate, judging.borrow_rate)
        named = dict.fromkeys(each for each in told if isinstance(each, str))
        if missing := [name for name in named if name not in arrays]:
            raise UsageError(
                f"trades and journals of this run need {', '.join(missing)} on newer rows, by "
                "which its configuration calls costs or rates, and these data have none. Give "
                "them with the rows, or act without --held and --judge."
            )
        told_of: Any = {"reward": reward_of(hisso), "n_assets": len(self.assets)}
        known = {name: arrays[name] for name in named}
        if problems := row_cost_problems(known, hisso=hisso, evaluation=judging, **told_of):
            raise DataError(problems)
        return terms_of(self.config, arrays)

    def importing(self) -> AbstractContextManager[None]:
        """Let nothing be imported by name but what `load_policy` was allowed."""
        return self._imports.in_force()

    def predict_actions(
        self,
        X: ArrayLike,
        *,
        context: ArrayLike | None = None,
        active: ArrayLike | None = None,
        prices: ArrayLike | None = None,
        held: ArrayLike | None = None,
    ) -> Floats:
        """Actions of rows of features; of several seeds their mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows as the run was trained on.
        context, active, prices, held
            As for the estimators' `predict_actions`; a policy that sees what it holds needs prices.

        Returns
        -------
        ndarray of shape (n_samples, M)
        """
        first = self.kept.members[0]
        is_simple = self._program is not None and context is None and held is None
        is_simple = is_simple and (active is None or np.shape(active)[:1] == np.shape(X)[:1])
        if is_simple and _is_plain(X, first.row_shape) and _is_plain(active, (first.n_outputs_,)):
            # The same arithmetic in a quarter of the time.
            tensors = [None if a is None else torch.from_numpy(a) for a in (X, active)]
            with torch.inference_mode():
                assert self._program is not None
                actions: Floats = self._program(tensors[0], None, tensors[1]).numpy()
            if np.isfinite(actions).all():
                return actions
        given: Any = {"context": context, "active": active, "prices": prices, "held": held}
        return self.of_estimators(X, **given)

    def of_estimators(self, X: ArrayLike, **given: Any) -> Floats:
        """The same by the estimators themselves, which check everything they are given."""
        return self._ensemble.predict_actions(X, **given)

    def act(
        self,
        data: object = None,
        *,
        since: str | None = None,
        reading: Mapping[str, object] | None = None,
        accept: Collection[str] = (),
        now: datetime | None = None,
        stale_after: float = STALE_AFTER_ROWS,
        held: ArrayLike | None = None,
    ) -> Weights:
        """Target weights of the rows after those that shaped or chose the policy.

        Parameters
        ----------
        data : path or frame, optional
            Prices, where the run read prices; else an archive or a table of features. None takes
            what the configuration names, as it is now.
        since : str, optional
            First date to act on.
        reading : mapping, optional
            Options of `psann.market.read_prices` that take the place of the run's.
        accept : collection of {"level", "spacing"}
            Doubts about prices that are not to stop this.
        now : datetime, optional
            In UTC; tells how old the newest row is. None does not ask.
        stale_after : float
            Rows that could have come since the newest one before it is called old.
        held : array-like of shape (M,), optional
            Weights held on the newest row, by which a policy that sees them decides there; else
            what it would hold itself, from cash on the first row.

        Returns
        -------
        Weights

        Raises
        ------
        DataError
            If the data do not go with those of training, or have no row to act on.
        UsageError
            If an option has no effect on these data.
        """
        if not self.config.hisso.is_portfolio:
            raise UsageError(
                "RUN must have a policy of weights; the actions of this one mean what its reward "
                f"{self._reward_name} makes of them. psann.load_policy(RUN).predict_actions(X) "
                "gives them for rows of features, and hisso-runs export RUN a file that does."
            )
        if self.config.hisso.primary_transform == "identity":
            raise UsageError(
                "RUN must have a policy of weights; its primary_transform is identity, whose "
                "actions are none. Use predict_actions."
            )
        if held is not None and not self.decides_by_held:
            raise UsageError(
                "held has no effect: what this policy wants next does not follow from what is held "
                "now. Leave it out."
            )
        with self.importing():
            if self.recipe is None:
                if reading or accept:
                    raise UsageError("reading and accept are of prices; the run takes features.")
                return self._act_on_features(given_rows(data, self.config), since, held)
            return self._act_on_prices(
                self.config.data.prices if data is None else data,
                since=self._since(since),
                reading=reading,
                accept=accept,
                age=Age(now, stale_after),
                held=held,
            )

    @property
    def _reward_name(self) -> str:
        spec = self.config.hisso.reward
        return str(spec["target"] if isinstance(spec, dict) else spec)

    def _since(self, since: str | None) -> np.datetime64 | None:
        """First date to act on; None is the first after validation, which the recipe knows."""
        if since is None:
            return self.kept.acts_from if self.kept.policy == "last_fold" else None
        return date_of(since)

    def promises(
        self,
        data: object = None,
        *,
        reading: Mapping[str, object] | None = None,
        accept: Collection[str] = (),
    ) -> list[Promise]:
        """What the run found of growth over 1/N; of validation where the prices reach back so far.

        Parameters
        ----------
        data, reading, accept
            As for `act`.
        """
        found = promises_of(self.kept.metrics, policy=self.kept.policy)
        if self.recipe is None or self.kept.policy != "best":
            return found
        prices = self.config.data.prices if data is None else data
        given: Any = {"reading": reading, "accept": accept, "validation": True}
        try:
            with self.importing():
                rows = newer_rows(prices, self.recipe, **given)
        except DataError:
            return found  # the table begins later
        codes = None if rows.active is None else rows.active.astype(np.int8)
        # Who kept epoch 0 was not trained anew.
        is_refitted = self.config.hisso.refit and any(m.best_epoch_ for m in self.kept.members)
        of = "validation rows" + (", which it was refitted on" if is_refitted else "")
        promise = promise_of_rows(
            self.predict_actions(rows.X, active=codes, prices=rows.quotes),
            rows.quotes,
            terms=self.terms_on(rows.arrays),
            cash=self.holds_cash,
            of=of,
        )
        return [promise, *found]

    def _act_on_prices(
        self,
        prices: object,
        *,
        since: np.datetime64 | None,
        reading: Mapping[str, object] | None,
        accept: Collection[str],
        age: Age,
        held: ArrayLike | None,
    ) -> Weights:
        assert self.recipe is not None
        found = newer_rows(prices, self.recipe, since=since, reading=reading, accept=accept)
        whole = found
        if self.sees_held and since is not None:
            # What it holds on the first row wanted follows from all the rows before.
            first = self._since(None)
            if first is None or first < since:
                whole = newer_rows(prices, self.recipe, since=first, reading=reading, accept=accept)
        codes = None if whole.active is None else whole.active.astype(np.int8)
        weights = self._weights(
            found.dates,
            self._decided(whole.X, held, active=codes, prices=whole.quotes)[-len(found.X) :],
            quotes=found.quotes,
            sha256=found.sha256,
            warnings=[
                *found.warnings,
                *newest_doubts(found.newest, found.newest_dates, found.assets),
                *age.warning(found.dates[-1], self.recipe.mean_s),
            ],
            accepted=accept,
            reading=reading or {},
            held=held,
        )
        return dataclasses.replace(weights, arrays=found.arrays)

    def _decided(self, X: ArrayLike, held: ArrayLike | None, **told: Any) -> Floats:
        """Actions of rows, the newest by what is held where that is told."""
        actions = self.predict_actions(X, **told)
        if held is None:
            return actions
        newest = self.predict_actions(np.asarray(X)[-1:], held=held)
        return np.concatenate((actions[:-1], newest))

    def _act_on_features(
        self, given: GivenRows, since: str | None, held: ArrayLike | None
    ) -> Weights:
        if given.assets not in (None, self.assets):
            raise DataError(
                f"asset_names must be those of the run, {', '.join(self.assets)}; got "
                f"{', '.join(given.assets or ())}. Order the columns alike."
            )
        X = in_order_of_training(given, self.kept.feature_names)
        told: Any = {"context": given.context, "active": given.active, "prices": given.quotes}
        actions = self._decided(X, held, **told)
        kept = _rows_since(given.rows, since, self.kept.acts_from)
        weights = self._weights(
            given.rows[kept],
            actions[kept],
            quotes=None if given.quotes is None else given.quotes[kept],
            sha256=given.sha256,
            warnings=[],
            held=held,
        )
        arrays = {name: each[kept].reshape(len(weights), -1) for name, each in given.arrays.items()}
        return dataclasses.replace(weights, arrays=arrays)

    def _weights(
        self,
        rows: Array,
        values: Floats,
        *,
        quotes: Floats | None,
        sha256: str,
        warnings: Sequence[str],
        accepted: Collection[str] = (),
        reading: Mapping[str, object] = MappingProxyType({}),
        held: ArrayLike | None = None,
    ) -> Weights:
        kept = self.kept
        provenance = Provenance(
            run_id=kept.run_id,
            run_name=kept.run_name,
            policy=kept.policy,
            policy_sha256=kept.sha256,
            data_sha256=sha256,
            weights_sha256=sha256_of(b""),  # until the weights are there
            last_row=show(rows[-1]),
            delay=self.config.hisso.delay,
            cash=self.holds_cash,
            psann_version=kept.psann_version,
            accepted=sorted(accepted),
            reading=dict(reading),
            warnings=[*kept.warnings, *warnings],
            held=None if held is None else np.asarray(held, dtype=np.float64).tolist(),
        )
        return weights_of(rows, self.assets, values, quotes, provenance)


def _is_plain(array: Any, shape: tuple[int, ...]) -> bool:
    """Whether nothing about an array of such rows needs to be looked at, or there is none."""
    if array is None:
        return True
    is_array = type(array) is np.ndarray and array.dtype in (np.float64, np.float32, np.int8)
    return is_array and array.shape[1:] == shape and len(array) > 0 and array.flags.writeable


def load_policy(
    run: Path | str,
    *,
    policy: PolicyName = "best",
    allow: Sequence[str] = (),
    judged_by: Path | str | None = None,
) -> Policy:
    """Read the policy of a run; the run directory is all that is needed.

    Parameters
    ----------
    run : path-like
        The run directory, wherever it has been copied to.
    policy : {"best", "last_fold"}
        The weights of the best epoch, or those of the last fold of walking forward; where the run
        had several seeds, all of them, whose mean acts.
    allow : sequence of str
        Prefixes of modules (`"my_features"`) that may be imported: estimators, features and loaders
        of your own that the run names. psann's own always may.
    judged_by : path-like, optional
        The run that judged this policy on test rows, where it did not itself: `chosen` of a sweep,
        whose trials leave those rows shut.

    Returns
    -------
    Policy

    Raises
    ------
    UsageError
        If there is no such run, or it has no such policy.
    FileFormatError
        If a file of it is damaged.

    Examples
    --------
    >>> load_policy("nowhere")
    Traceback (most recent call last):
    ...
    psann.errors.UsageError: RUN must be a run directory; ... does not exist.
    """
    imports = ImportPolicy(allow=tuple(allow), is_of_a_file=True)
    with imports.in_force():
        judge = None if judged_by is None else Path(judged_by)
        kept, config = find_policy(Path(run), policy=policy, judged_by=judge)
    return Policy(kept, config, _recipe_of(kept.paths, config), imports)


def _recipe_of(paths: RunPaths, config: RunConfig) -> Recipe | None:
    if config.data.prices is None:
        return None
    try:
        data = read_plain(paths.recipe, MAX_JSON_BYTES)
    except (OSError, ValueError):
        raise UsageError(
            f"RUN must have {paths.recipe.name}, which says how its prices became features; "
            f"{paths.root} has none: it is of an earlier psann, or was copied in part. Train it "
            "again (the same configuration gives the same weights)."
        ) from None
    try:
        return read_recipe(data, who=paths.recipe.name)
    except FileFormatError as error:
        raise FileFormatError(f"{error}{told_of_release(paths.provenance)}") from None


def date_of(text: str) -> np.datetime64:
    """A date that a user wrote.

    Raises
    ------
    UsageError
        If it is none.
    """
    try:
        found, _ = instants_of(text)
    except ValueError:
        found = np.datetime64("NaT", "us")
    if np.isnat(found):
        raise UsageError(f"since must be a date such as 2026-01-02; got {text!r}.")
    return found


def _rows_since(rows: Array, since: str | None, own: np.datetime64 | None) -> slice:
    """Rows from a date on; without one, those that neither shaped nor chose the policy."""
    is_dated = rows.dtype.kind == "M"
    if since is not None and not is_dated:
        raise UsageError("since is a date, and the rows have none. Give time with the features.")
    begin = own if since is None else date_of(since)
    if begin is None or not is_dated:
        return slice(None)
    first = int(np.searchsorted(rows, begin))
    if first == len(rows):
        raise DataError(
            f"data must have a row from {show(begin)} on; the last is {show(rows[-1])}. Add newer "
            "rows."
        )
    return slice(first, None)


def in_order_of_training(given: GivenRows, known: tuple[str, ...] | None) -> Array:
    """Features in the order of training, by name where both have names.

    Raises
    ------
    DataError
        If one is missing.
    """
    if given.names is None or known is None:
        return given.X
    missing = [name for name in known if name not in given.names]
    if missing:
        raise DataError(
            f"data must have the features of the run; {', '.join(missing[:5])} "
            f"{'are' if len(missing) > 1 else 'is'} missing. Name the columns as in training."
        )
    return given.X[:, [given.names.index(name) for name in known]]
