"""RunConfig: what a run is, read from a file and the command line, checked, resolved, written.

Importing this module, and refusing a bad configuration, imports neither torch nor NumPy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from psann._model_keys import UNTOLD
from psann._models import StrictModel
from psann._tree import Origins
from psann.evaluation.options import WalkForwardOptions
from psann.hisso.options import (
    EvaluationOptions,
    HISSOOptions,
    WarmStartOptions,
    judging_cost,
    named_arrays,
)
from psann.market.block import PricesBlock
from psann.training.schedules import LRScheduleOptions, ScheduleName


class EstimatorConfig(StrictModel):
    """Which estimator, with which parameters."""

    target: str
    """Class name in psann, or `pkg.mod.Class` / `pkg.mod:Class`."""
    params: dict[str, Any] = Field(default={})
    """Arguments of its constructor (see its docstring); those that `training`, `seed` and `device`
    hold may be repeated here, but not contradicted."""


class DataConfig(PricesBlock):
    """Where the arrays come from: exactly one of `prices`, `npz` and `loader`."""

    npz: str | None = None
    """NumPy archive, relative to the configuration file."""
    mmap: Literal["auto"] | bool = "auto"
    """Whether `npz` is read from the file as it is needed, for series larger than memory; auto
    does so beyond a quarter of the machine's memory. Results are the same."""
    loader: str | None = None
    """Import path of a function that returns the arrays, which may be memory maps."""
    kwargs: dict[str, Any] = Field(default={})
    """Keyword arguments of the loader."""

    @model_validator(mode="after")
    def _need_one_source(self) -> Self:
        given = [name for name in ("prices", "npz", "loader") if getattr(self, name) is not None]
        if not given:
            raise ValueError("give prices (a table), npz (a file) or loader (a function)")
        if self.kwargs and self.loader is None:
            given.append("kwargs")
        if len(given) > 1:
            raise ValueError(
                f"{given[0]} cannot be combined with {' and '.join(given[1:])}; remove one of the "
                f"two sources (on the command line: --set 'data={{{given[0]}: PATH}}')"
            )
        if given[0] != "prices" and (idle := list(self.price_options)):
            raise ValueError(
                f"{', '.join(idle)} say how prices are read: give prices, or remove it"
            )
        if given[0] != "npz" and self.mmap != "auto":
            raise ValueError(
                f"mmap has no effect on {given[0]}: remove mmap; a loader may return "
                "numpy.load(path, mmap_mode='r')"
            )
        return self

    @property
    def arguments(self) -> dict[str, Any]:
        """What the loader is called with."""
        return self.kwargs if self.prices is None else self.price_options


def _schedule_by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class TrainingConfig(StrictModel):
    """How long and how fast training goes, and what it does about trouble."""

    epochs: int = Field(default=200, ge=1, le=10_000_000)
    """Epochs of the main phase."""
    batch_size: int = Field(default=32, ge=1, le=10_000_000)
    """Rows per update of supervised training."""
    patience: int | None = Field(default=None, ge=1)
    """Epochs without a better monitor before training stops; null never stops early."""
    lr: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    """Learning rate at the top of its schedule."""
    lr_schedule: Annotated[
        LRScheduleOptions,
        BeforeValidator(_schedule_by_name, json_schema_input_type=ScheduleName | LRScheduleOptions),
    ] = Field(default_factory=LRScheduleOptions)
    """How the learning rate moves: a name, or a mapping."""
    monitor: Literal["auto", "val_reward", "val_loss", "reward", "train_loss"] = "auto"
    """What chooses the best epoch; auto takes val_reward if it can be had, else val_loss, else
    reward."""
    seeds: int = Field(default=1, ge=1, le=1000)
    """Policies trained at once, from the seeds `seed` ... `seed + seeds - 1`; in mode evaluate,
    those of a run that are judged."""
    engine: Literal["auto", "eager", "compiled", "captured"] = "auto"
    """What executes an update: operation by operation, as a compiled program, or as a CUDA graph;
    auto decides from device, size and planned updates."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads of the CPU; null chooses by the size of the model."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """At a loss, reward or gradient that is not finite: stop the run, or skip the update."""
    max_skipped_updates: int = Field(default=100, ge=1)
    """Skipped updates after which `on_nonfinite: skip` stops after all."""
    checkpoint_every_s: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """Seconds between two commits to the run directory, at least."""

    @field_validator("lr_schedule")
    @classmethod
    def _schedule_fits(cls, schedule: LRScheduleOptions, info: ValidationInfo) -> LRScheduleOptions:
        if "lr" in info.data and "epochs" in info.data:  # else they were refused themselves
            schedule.check_fits(lr=info.data["lr"], epochs=info.data["epochs"])
        return schedule


class EvaluationConfig(EvaluationOptions):
    """How a policy is judged on validation and test rows, and what is trained for comparison."""

    walk_forward: WalkForwardOptions | None = None
    """Train again as time goes on, each policy judged on the rows that follow; null does not."""
    placebo: int = Field(default=0, ge=0, le=999)
    """Trainings on moves in shuffled order, where nothing can be foretold; 0 for none."""
    withhold_test: Annotated[bool, UNTOLD] = False
    """Leave the test rows shut: no figure is computed of them, as in the trials of a sweep."""
    n_trials: Annotated[int | None, UNTOLD] = Field(default=None, ge=1)
    """In mode evaluate, candidates among which the policy was chosen; null takes what its run
    counted."""

    @property
    def options(self) -> EvaluationOptions:
        """What of it `fit` is told."""
        names = EvaluationOptions.model_fields
        return EvaluationOptions(**{name: getattr(self, name) for name in names})


class RecordedFacts(StrictModel):
    """What psann writes into `config_resolved.yaml`; leave it out of your own configurations."""

    seed_from: Literal["command line", "config", "default"] = "default"
    """Where the seed came from."""
    npz_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Digest of `data.npz`; another content is refused."""
    prices_sha256: Annotated[str | None, UNTOLD] = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Digest of the table in `data.prices`; another content is refused."""
    universe_sha256: Annotated[str | None, UNTOLD] = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Digest of the file in `data.universe`; another content is refused."""
    init_from_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Digest of the estimator file behind `init_from`; another content is refused."""
    notes: list[str] = Field(default=[])
    """Keys that were translated from their published spelling, and how; whether the reward is the
    default one."""


class RunConfig(StrictModel):
    """Everything that a run is told.

    Build it with `load_run_config`, which reads a file and the command line, or from values of
    your own; a value that cannot be is refused either way.
    """

    mode: Literal["train", "fine_tune", "evaluate"] = "train"
    """train from scratch, fine_tune an existing estimator, or evaluate it without training."""
    estimator: EstimatorConfig
    """Which estimator, with which parameters."""
    hisso: HISSOOptions = Field(default_factory=HISSOOptions)
    """Episodes, their reward, and the warm start."""
    data: DataConfig
    """Where the arrays come from: exactly one of `prices`, `npz` and `loader`."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """How long and how fast training goes, and what it does about trouble."""
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    """How a policy is judged on validation and test rows, and what is trained for comparison."""
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Fixes every random draw; the first of `training.seeds`."""
    device: str = Field(
        default="auto",
        pattern="^(auto|cpu|cuda(:[0-9]{1,3})?)$",
        examples=["auto", "cpu", "cuda", "cuda:0"],
    )
    """Where to compute; auto takes a CUDA device if there is one."""
    init_from: str | None = Field(default=None, validate_default=True)
    """Run directory or estimator file to start from (fine_tune, evaluate), relative to the
    configuration file."""
    recorded: RecordedFacts = Field(default_factory=RecordedFacts)
    """What psann writes into `config_resolved.yaml`; leave it out of your own configurations."""

    _origins: Origins = PrivateAttr(default_factory=Origins)

    @field_validator("hisso")
    @classmethod
    def _hisso_is_plain_data(cls, hisso: HISSOOptions) -> HISSOOptions:
        for name in ("reward", "context_extractor"):
            if callable(getattr(hisso, name)):
                raise ValueError(f"{name} must be named by its import path in a RunConfig")
        if hisso.supervised is True:
            return hisso.model_copy(update={"supervised": WarmStartOptions()})
        return hisso

    @field_validator("evaluation")
    @classmethod
    def _evaluation_fits(
        cls, evaluation: EvaluationConfig, info: ValidationInfo
    ) -> EvaluationConfig:
        mode, hisso = info.data.get("mode", "evaluate"), info.data.get("hisso")
        key = evaluation.portfolio_prices_key
        if hisso is not None and not hisso.is_portfolio and key not in (None, "prices_test"):
            raise ValueError(
                f"portfolio_prices_key is {key}, but actions are no weights of a portfolio "
                "(hisso.n_actions, or the transform): remove it"
            )
        if evaluation.n_trials is not None and mode != "evaluate":
            raise ValueError(f"n_trials has no effect in mode {mode}, which counts them: remove it")
        if evaluation.withhold_test and (evaluation.walk_forward or evaluation.placebo):
            raise ValueError(
                "withhold_test leaves rows shut that walk_forward and placebo judge; remove it, or "
                "both of them"
            )
        return evaluation

    @field_validator("init_from")
    @classmethod
    def _mode_decides_on_init_from(cls, init_from: str | None, info: ValidationInfo) -> str | None:
        mode = info.data.get("mode")
        if mode in ("fine_tune", "evaluate") and init_from is None:
            raise ValueError(
                f"mode {mode} needs a run directory or an estimator file (--init-from)"
            )
        if mode == "train" and init_from is not None:
            raise ValueError("has no effect in mode train; remove it, or write mode: fine_tune")
        return init_from

    @field_validator("seed")
    @classmethod
    def _last_seed_is_in_range(cls, seed: int, info: ValidationInfo) -> int:
        training = info.data.get("training")
        if training is not None and seed + training.seeds > 2**32:
            raise ValueError(f"seed + training.seeds must be at most {2**32}")
        return seed

    @field_validator("recorded")
    @classmethod
    def _digests_have_their_files(
        cls, recorded: RecordedFacts, info: ValidationInfo
    ) -> RecordedFacts:
        data = info.data.get("data")
        idle = [
            f"{name}_sha256 has no effect without a file in data.{name}"
            for name in ("npz", "prices", "universe")
            if getattr(recorded, f"{name}_sha256") is not None
            and data is not None
            and not isinstance(getattr(data, name), str | list)
        ]
        if recorded.init_from_sha256 is not None and info.data.get("init_from", "") is None:
            idle.append("init_from_sha256 has no effect without init_from")
        if idle:
            raise ValueError("; ".join(f"{sentence}: remove it" for sentence in idle))
        return recorded

    @property
    def seeds(self) -> range:
        """Every seed of the run."""
        return range(self.seed, self.seed + self.training.seeds)

    @property
    def seeds_in_words(self) -> str:
        """The seed, or the first and last of several."""
        first, *others = self.seeds
        return f"seeds {first} ... {others[-1]}" if others else f"seed {first}"

    @property
    def prices_key(self) -> str | None:
        """Array of prices by which a portfolio is judged; None where actions are none."""
        is_judged = self.hisso.enabled and self.hisso.is_portfolio
        return self.evaluation.portfolio_prices_key if is_judged else None

    @property
    def judging_cost(self) -> float | list[float] | str:
        """Cost per unit traded in validation and test figures, or the array that has it."""
        return judging_cost(self.hisso, self.evaluation)

    @property
    def reward_inputs(self) -> dict[str, str]:
        """Arrays that reward and costs are given by name, and which option does."""
        return named_arrays(self.hisso, self.evaluation) if self.hisso.enabled else {}

    def who(self, *path: str) -> str:
        """Return a key as messages begin with it: where it was written, and its dotted name."""
        return f"{self.where(*path)}: {'.'.join(path)}"

    def where(self, *path: str) -> str:
        """Return where a key was written: file and line, or command-line option."""
        return self._origins.where(path)
