"""What one HISSO fit works with, and how it judges a policy on validation rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from psann.hisso.constraints import transform_of
from psann.hisso.inference import as_one_episode, carry_in, judge_actions, span_actions
from psann.hisso.objective import Series
from psann.hisso.options import EvaluationOptions, HISSOOptions, judging_cost
from psann.hisso.rewards import Penalty, Reward, penalty_of
from psann.hisso.significance import net_log_growth
from psann.hisso.transforms import Transform
from psann.holdings import Carry
from psann.training.loop import Validation
from psann.training.options import TrainingOptions
from psann.training.supervised import Rows
from psann.training.work import Forward


@dataclass(frozen=True, kw_only=True)
class HISSOTask:
    """Everything that one HISSO fit works with."""

    train: Series
    validation: Series | None
    warm_start_rows: Rows | None
    """Targets of the warm start, where there is one."""
    reward: Reward
    hisso: HISSOOptions
    evaluation: EvaluationOptions
    training: TrainingOptions
    keeps_first_weights: bool
    """Whether epoch 0 is the network as given (fine-tuning) rather than one that does nothing."""

    @property
    def transform(self) -> Transform:
        """From outputs to actions."""
        return transform_of(self.hisso)

    @property
    def deployed_cost(self) -> Penalty:
        """Cost per unit traded at which validation judges a policy."""
        assert self.validation is not None
        told = judging_cost(self.hisso, self.evaluation)
        return penalty_of(told, self.validation.inputs, like=self.validation.reward_context)

    def carry(self, rows: Series) -> Carry | None:
        """What cash earns and shorts cost from one row to the next, and what may be traded."""
        return carry_in(self.evaluation, self.hisso, rows.inputs)

    @property
    def updates_per_epoch(self) -> int:
        """U, as given or as covers the rows once."""
        return self.hisso.updates_on(len(self.train.X))

    def validate(self, forward: Forward) -> Validation:
        """The whole validation span as a single episode."""
        assert self.validation is not None
        rows, initial, cash = self.validation, self.evaluation.initial, self.transform.holds_cash
        actions = span_actions(forward, rows, self.transform)
        validation = judge_actions(
            actions,
            rows.reward_context,
            reward=self.reward.told(as_one_episode(rows.inputs)),
            transition_penalty=self.deployed_cost,
            initial=initial,
            cash=cash,
            active=rows.active,
            carry=self.carry(rows),
        )
        if not self.hisso.min_significance:
            return validation
        steps = net_log_growth(
            actions,
            rows.reward_context,
            trans_cost=self.deployed_cost,
            initial=initial,
            cash=cash,
            active=rows.active,
            carry=self.carry(rows),
        )
        return replace(validation, net_log_growth=steps)
