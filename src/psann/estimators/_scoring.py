"""What `GridSearchCV`, `cross_val_score` and `Pipeline` choose by."""

from __future__ import annotations

from collections.abc import Mapping

from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from psann.estimators._arrays import converted_split
from psann.estimators._prediction import PredictionMixin
from psann.hisso.options import HISSOOptions
from psann.hisso.rewards import reward_of

_ROUTING = (
    "In GridSearchCV, cross_val_score and Pipeline: sklearn.set_config(enable_metadata_routing="
    "True), estimator.set_fit_request(prices=True, hisso=True).set_score_request(prices=True), and "
    "prices beside X."
)


class ScoringMixin(PredictionMixin):
    """The score of an estimator: its reward over a policy, R2 over targets."""

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        prices: ArrayLike | None = None,
        context: ArrayLike | None = None,
        active: ArrayLike | None = None,
        reward_inputs: Mapping[str, ArrayLike] | None = None,
    ) -> float:
        """Reward of the policy over the rows as one episode; of an estimator of targets, R2.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows like those of `fit`, of a policy in time order.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            Targets; a policy needs them for the reward ``negative_mse`` only.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of rows; none for a policy, whose rows are one episode.
        prices : array-like of shape (n_samples, n_outputs), optional
            What a policy earns; for scikit-learn's tools by metadata routing.
        context : array-like of shape (n_samples, n_context), optional
            Needed where `fit` had one.
        active : array-like of shape (n_samples, n_outputs), optional
            Who can be held, as in `fit`; of a policy only.
        reward_inputs : mapping of str to array-like, or frame, optional
            What the reward of a policy is given by name, as in `fit`.

        Returns
        -------
        float
            Higher is better; `evaluate_reward`, per step, of a policy.

        Raises
        ------
        ValueError
            If what the score needs is missing, or something is given that plays no part in it.
        """
        check_is_fitted(self, "network_")
        options: HISSOOptions | None = self.hisso_options_
        if options is None or not options.enabled:
            if y is None or any(each is not None for each in (prices, active, reward_inputs)):
                raise ValueError(
                    "score of an estimator that was trained on targets is R2 and needs y: "
                    "score(X, y). Prices are scored by a policy, trained with hisso= in fit."
                )
            from sklearn.metrics import r2_score

            outputs = self.predict(X, context=context)
            given = {"X": X, "y": y, "sample_weight": sample_weight}
            rows, _ = converted_split(given, prefix="", assets=self.asset_names_)
            return float(r2_score(rows["y"], outputs, sample_weight=rows["sample_weight"]))
        if sample_weight is not None:
            raise ValueError(
                "score of a policy is the reward of one episode and takes no sample_weight. Leave "
                "it out."
            )
        reward = reward_of(options)
        if reward.needs_targets:
            if y is None:
                raise ValueError("score by the reward negative_mse needs y. Give score(X, y).")
        elif reward.needs_prices and prices is None and options.context_extractor is None:
            raise ValueError(
                "score of a policy is its reward, which needs prices: score(X, prices=prices). "
                + _ROUTING
            )
        return self.evaluate_reward(
            X, prices, y=y, context=context, active=active, reward_inputs=reward_inputs
        )
