"""How a fit goes, step by step, for one estimator or several seeds of it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import torch
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state

from psann._device import choose_threads, resolve_device, thread_count
from psann._numerics import pinned_numbers
from psann._seed import stream_generator
from psann.errors import DataError
from psann.estimators._arrays import check_order, validation_mapping
from psann.estimators._fit_utils import (
    PreparedInputs,
    action_width,
    maybe_run_hisso,
    planned_work,
    prepare_inputs_and_scaler,
    supervised_rows,
)
from psann.estimators._idle_parameters import idle_options, idle_parameters
from psann.estimators._interruption import OnInterrupt, train_or_keep
from psann.estimators._options import hisso_options, read_options
from psann.estimators._saving import EstimatorFileMixin
from psann.estimators._scoring import ScoringMixin
from psann.estimators._shapes import network_shape
from psann.estimators._stream import Stream, pass_problems
from psann.hisso.options import EvaluationOptions, HISSOOptions
from psann.nn.network import Network
from psann.nn.state import initial_states
from psann.training.engine import EagerEngine, StateReset
from psann.training.engine_choice import EngineChoice, choose_engine
from psann.training.history import Decision, FitResult
from psann.training.observers import Observer, tell_all
from psann.training.optimizer import Optimizer
from psann.training.options import TrainingOptions, build_engine
from psann.training.precision import resolve_precision
from psann.training.state import SavedState, SeedStart, TrainState
from psann.training.supervised import fit_supervised


class FittedRegressor(ScoringMixin, RegressorMixin, EstimatorFileMixin):  # type: ignore[misc]
    """The steps of `fit` and `partial_fit`, from arrays to fitted attributes."""

    _epoch_offset: int = 0

    @property
    def _state_reset(self) -> StateReset:
        """When stateful layers forget; those that have none never notice."""
        return "batch"

    def _refuse_context(self, n_context: int) -> None:
        """Raise `ValueError` if there is a context, for networks that have no use for one."""
        if n_context:
            raise ValueError(
                f"{type(self).__name__} takes no context; leave it out, or use WaveResNetRegressor."
            )

    @pinned_numbers()
    def _fit_group(
        self,
        twins: Sequence[Self],
        rows: Mapping[str, Any],
        *,
        validation_data: Mapping[str, Any] | tuple[ArrayLike, ArrayLike] | None,
        hisso: HISSOOptions | Mapping[str, Any] | None,
        evaluation: EvaluationOptions | Mapping[str, Any] | None,
        observers: Sequence[Observer],
        resume: Sequence[SavedState],
        on_interrupt: OnInterrupt,
        is_pass: bool = False,
    ) -> None:
        """Fit this estimator and its twins, which differ from it by their seed, on one set of data.

        `rows` are ``X y sample_weight prices context active`` and those of `named_inputs`; `resume`
        has one state for each, this one first. A pass goes on with what is fitted, and its last
        weights stay.
        """
        if problems := self.parameter_problems():
            raise ValueError("\n".join(problems))
        self._parameters_of_fit = None
        who = f"{type(self).__name__}{'.partial_fit' if is_pass else ''}"
        options = hisso_options(hisso, who, self.takes_held_weights and not is_pass)
        judging = read_options(EvaluationOptions, evaluation or {}, who="evaluation")
        continues = (is_pass or self.warm_start) and hasattr(self, "network_")
        self._stream, losses = self._begin_pass(options, continues) if is_pass else (None, [])
        prepared = self._prepared_inputs(
            rows,
            validation_mapping(validation_data),
            options=options,
            continues=continues,
            is_pass=is_pass,
        )
        networks = [self._first_network(prepared, options, continues=continues)]
        training, decisions = self._training_options(options, networks[0], prepared)
        choice = self._chosen_engine(
            networks[0], prepared, options, n_seeds=1 + len(twins), is_pass=is_pass, resume=resume
        )
        if is_pass:
            training, resume = self._next_pass(training, networks[0])
        decisions.append(choice.decision(self.threads_, is_asked=bool(self.threads)))
        decisions += self._idle_decisions(options, prepared, judging, is_pass=is_pass)
        tell_all(observers, *decisions)
        self.hisso_options_, self.evaluation_options_ = options, judging
        members = (self, *twins)
        for twin in twins:
            twin._take_fitted(self)
            networks.append(twin._first_network(prepared, options, continues=continues))
        engine = build_engine(networks[0], training, choice, epoch_offset=self._epoch_offset)
        pairs = [*zip(members, networks, strict=True)]
        starts = [SeedStart.of(net, seed=each.seed_, engine=engine) for each, net in pairs]
        how: Any = {"training": training, "continues": continues, "saved": resume}
        trained = train_or_keep(
            lambda *more: self._trained(
                engine, prepared, starts, observers=(*observers, *more), **how
            ),
            on_interrupt=on_interrupt,
        )
        for member, network, (state, result) in zip(members, networks, trained, strict=True):
            result.decisions[:0] = decisions
            result.decisions += engine.notes
            member.engine_ = engine.runs_as
            member._keep(network.to(training.device), state, result)
            member._stream = Stream.of(state, before=losses) if is_pass else None

    def _chosen_engine(
        self,
        network: Network,
        prepared: PreparedInputs,
        options: HISSOOptions | None,
        *,
        n_seeds: int,
        is_pass: bool,
        resume: Sequence[SavedState],
    ) -> EngineChoice:
        """The engine for the work that is ahead; one that was interrupted stays with its own."""
        epochs = 1 if is_pass else self.epochs
        how: Any = {"epochs": epochs, "batch_size": self.batch_size, "loss": self._loss()}
        return choose_engine(
            self.engine,
            network,
            planned_work(prepared, options, **how, n_seeds=n_seeds),
            device=torch.device(self.device_),
            resumed=resume[0].engine if resume else None,
        )

    def _begin_pass(
        self, options: HISSOOptions | None, continues: bool
    ) -> tuple[Stream | None, Sequence[float | None]]:
        """The stream that goes on, if any, and the losses before, if all asked can be a pass."""
        scalers = {
            "scaler": self.scaler_ if continues else self.scaler,
            "target_scaler": self.target_scaler_ if continues else self.target_scaler,
        }
        if problems := pass_problems(self._schedule(), scalers, options):
            raise ValueError("\n".join(problems))
        losses = self.loss_curve_ if hasattr(self, "loss_curve_") else []
        phase = "supervised" if options is None or not options.enabled else "hisso"
        goes_on = self._stream is not None and self._stream.counters.phase == phase
        return self._stream if goes_on else None, losses

    def _next_pass(
        self, training: TrainingOptions, network: Network
    ) -> tuple[TrainingOptions, tuple[SavedState, ...]]:
        """The options of one more pass, and where the passes before it left off."""
        stream = self._stream
        epochs = 1 if stream is None else stream.counters.epoch + 1
        saved = () if stream is None else (stream.saved(network, seed=self.seed_),)
        return replace(training, epochs=epochs, patience=None, monitor=None, is_pass=True), saved

    def _trained(
        self,
        engine: EagerEngine,
        prepared: PreparedInputs,
        starts: Sequence[SeedStart],
        *,
        training: TrainingOptions,
        continues: bool,
        observers: Sequence[Observer],
        saved: Sequence[SavedState],
    ) -> list[tuple[TrainState, FitResult]]:
        """Train every seed on episodes or on targets."""
        with pinned_numbers(), thread_count(self.threads_):
            trained = maybe_run_hisso(
                engine,
                prepared,
                starts=starts,
                hisso=self.hisso_options_,
                evaluation=self.evaluation_options_,
                training=training,
                keeps_first_weights=continues,
                observers=observers,
                saved=saved,
            )
            if trained is None:
                trained = fit_supervised(
                    engine,
                    *supervised_rows(prepared, training.device),
                    starts=starts,
                    options=training,
                    observers=observers,
                    saved=saved,
                )
        return trained

    def _take_fitted(self, other: Self) -> None:
        """Be fitted as another is, apart from the parameters."""
        for name in vars(other).keys() - set(self._get_param_names()):
            setattr(self, name, getattr(other, name))

    def _prepared_inputs(
        self,
        train: Mapping[str, Any],
        validation: Mapping[str, Any] | None,
        *,
        options: HISSOOptions | None,
        continues: bool,
        is_pass: bool,
    ) -> PreparedInputs:
        """Both splits, checked and scaled; one that goes on keeps its scalers, or teaches them."""
        requires_y = options is None or not options.enabled
        if not requires_y:
            check_order({"": train, "validation ": validation or {}})
            _check_weights(train, validation)
        train = self._checked_split(train, reset=not continues, requires_y=requires_y)
        if validation is not None:
            validation = self._checked_split(
                validation, reset=False, requires_y=requires_y, prefix="validation "
            )
        return prepare_inputs_and_scaler(
            train,
            validation,
            scaler=self.scaler_ if continues else self.scaler,
            target_scaler=self.target_scaler_ if continues else self.target_scaler,
            fitted=continues,
            teaches=is_pass,
            n_scaled=self.n_scaled,
            is_portfolio=options is None or options.is_portfolio,
        )

    def _first_network(
        self, prepared: PreparedInputs, options: HISSOOptions | None, *, continues: bool
    ) -> Network:
        """The network to train, and the fitted attributes that describe its inputs."""
        n_outputs = action_width(prepared, options)
        if self._stream is None:
            self.seed_ = _seed(self.random_state)
        shape = network_shape(
            prepared.n_features,
            n_outputs,
            options,
            n_context=prepared.n_context,
            n_rows=len(prepared.train.X),
        )
        network = self._build_network(shape, stream_generator(self.seed_, "weights"))
        self.scaler_, self.target_scaler_ = prepared.scaler, prepared.target_scaler
        if continues:
            _take_over(network, self.network_)
            passes = 0 if self._stream is None else self._stream.counters.epoch
            self._epoch_offset = self.schedule_epoch_ - passes
            return network
        self.n_outputs_, self.n_context_ = n_outputs, prepared.n_context
        if n_outputs > 1:  # more actions than a y of one dimension has columns are refused later
            self.y_ndim_ = 2
        self._epoch_offset = 0
        return network

    def _training_options(
        self, options: HISSOOptions | None, network: Network, prepared: PreparedInputs
    ) -> tuple[TrainingOptions, list[Decision]]:
        """Resolved options of the loops, and what was decided on the way."""
        device = resolve_device(self.device)
        precision, note = resolve_precision(
            mixed_precision=options is not None and options.mixed_precision,
            amp_dtype="float16" if options is None else options.amp_dtype,
            device=device,
        )
        decisions = []
        if note is not None:
            warnings.warn(note, UserWarning, stacklevel=3)
            decisions.append(Decision(phase="setup", message=note))
        rows = self.batch_size
        if options is not None and options.enabled:
            rows = options.window * options.batch_episodes
        self.threads_ = self.threads or choose_threads(
            n_products=network.n_products,
            rows_per_update=min(rows, len(prepared.train.X)),
            available=torch.get_num_threads(),
        )
        self.device_ = str(device)
        return TrainingOptions(
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            schedule=self._schedule(),
            optimizer=Optimizer(
                name=self.optimizer, weight_decay=self.weight_decay, clip_norm=self.clip_norm
            ),
            loss=self._loss(),
            patience=self.patience,
            monitor=None if self.monitor == "auto" else self.monitor,
            input_noise=self.input_noise,
            shuffle=self.shuffle,
            state_reset=self._state_reset,
            is_stateful=bool(initial_states(network)),
            max_skipped_updates=0 if self.on_nonfinite == "stop" else self.max_skipped_updates,
            precision=precision,
            device=device,
        ), decisions

    def _idle_decisions(
        self,
        options: HISSOOptions | None,
        prepared: PreparedInputs,
        judging: EvaluationOptions,
        *,
        is_pass: bool,
    ) -> list[Decision]:
        """What was set, or given, and plays no part in this fit."""
        idle = idle_parameters(
            self.get_params(deep=False),
            {name: p.default for name, p in inspect.signature(type(self)).parameters.items()},
            hisso=options,
            is_flattened=self.input_shape_ is not None,
            n_context=prepared.n_context,
            is_pass=is_pass,
        )
        if options is not None:
            idle += idle_options(options, judging, is_pass=is_pass)
        if options is None or not options.enabled:
            train = prepared.train
            given = {"prices": train.prices, "active": train.active}
            named = [name for name, array in given.items() if array is not None]
            named += ["reward_inputs"] if train.reward_inputs else []
            idle += [f"{name} (training is on targets)" for name in named]
        if not idle:
            return []
        return [Decision(phase="setup", message=f"without effect here: {'; '.join(idle)}")]

    def _keep(self, network: Network, state: TrainState, result: FitResult) -> None:
        """Make the best epoch's weights the estimator's."""
        network.load_state_dict(state.tensors(best=True))
        for name, value in self._fitted_by(state, best=True).items():
            setattr(self, name, value)
        network.set_epoch(self.schedule_epoch_)
        self.network_ = network
        self.fit_result_ = result
        self._note_parameters()

    def _fitted_by(self, state: TrainState, *, best: bool) -> dict[str, Any]:
        """Fitted attributes that describe the best weights so far, or those of this moment."""
        kept = state.best if best else None
        epoch = state.epoch if kept is None else kept.epoch
        options = self.hisso_options_
        warm_start = None if options is None else options.warm_start
        # Warm-ups of the network go on where those of a warm start ended.
        before = warm_start.epochs if warm_start is not None and state.phase == "hisso" else 0
        return {
            "best_epoch_": epoch,
            "best_value_": None if kept is None else kept.value,
            "monitor_": state.monitor,
            "schedule_epoch_": self._epoch_offset + before + epoch,
        }


def _check_weights(train: Mapping[str, Any], validation: Mapping[str, Any] | None) -> None:
    """Raise `DataError` if rows of episodes are weighed."""
    given = [
        split for split in (train, validation) if (split or {}).get("sample_weight") is not None
    ]
    if given:
        raise DataError(
            "sample_weight says how much the targets of a row count; episodes are judged by their "
            "reward. Leave it out, or train on targets, without hisso."
        )


def _take_over(network: Network, fitted: Network) -> None:
    """Give a new network the weights of a fitted one of the same shape."""
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    had = {name: tuple(t.shape) for name, t in fitted.state_dict().items()}
    different = sorted(name for name in wanted | had if wanted.get(name) != had.get(name))
    if different:
        raise ValueError(
            "warm_start and partial_fit go on with the network of the first fit, so widths, depth, "
            "kinds of layers, outputs and primary_transform must stay; different are "
            + ", ".join(f"{n} {had.get(n)} -> {wanted.get(n)}" for n in different[:4])
            + ". Set warm_start=False to begin anew, in a stream with a clone of the estimator."
        )
    network.load_state_dict(fitted.state_dict())


def _seed(random_state: Any) -> int:
    """An integer seed; None draws one from NumPy's global state, as scikit-learn does."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
