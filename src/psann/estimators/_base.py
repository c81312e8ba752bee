"""What all estimators share: the outline of `fit`, prediction, and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.utils import Tags

from psann._published import answers_published
from psann.estimators._arrays import as_split
from psann.estimators._fitting import FittedRegressor
from psann.estimators._interruption import OnInterrupt, transaction
from psann.estimators._stream import inherited
from psann.hisso.options import EvaluationOptions, HISSOOptions
from psann.training.history import last_phase
from psann.training.observers import Observer
from psann.training.state import SavedState


class BasePSANNRegressor(FittedRegressor):
    """Base of the estimators: a subclass lists its parameters and builds its network.

    Notes
    -----
    Fitted attributes: ``network_`` (torch module with the best epoch's weights), ``fit_result_``
    (`psann.training.history.FitResult`), ``n_features_in_``, ``n_outputs_`` (actions or targets,
    M), ``asset_names_`` (None where no frame told them), ``scaler_``, ``target_scaler_``,
    ``hisso_options_`` and ``evaluation_options_``, ``seed_``, ``device_``, ``threads_``,
    ``engine_``; after a fit, not after `load`, also ``n_iter_`` and ``loss_curve_``, which partial
    fits keep in the file.
    """

    @property
    def n_iter_(self) -> int:
        """Epochs of the last fit, or of its refit where there was one, and partial fits since."""
        return len(self.loss_curve_)

    @property
    def loss_curve_(self) -> list[float | None]:
        """Training loss of each of them; minus the mean reward where one was earned."""
        if self._stream is not None:
            return list(self._stream.losses)
        return [record.train_loss for record in last_phase(self.fit_result_.history)]

    @answers_published
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        prices: ArrayLike | None = None,
        context: ArrayLike | None = None,
        active: ArrayLike | None = None,
        reward_inputs: Mapping[str, ArrayLike] | None = None,
        validation_data: Mapping[str, Any] | tuple[ArrayLike, ArrayLike] | None = None,
        hisso: HISSOOptions | Mapping[str, Any] | None = None,
        evaluation: EvaluationOptions | Mapping[str, Any] | None = None,
        observers: Sequence[Observer] = (),
        resume: SavedState | None = None,
        on_interrupt: OnInterrupt = "keep",
    ) -> Self:
        """Train on targets, or on the reward of episodes when `hisso` is given.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows in time order; more than two dimensions are flattened.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            Targets; HISSO can do without.
        sample_weight : array-like of shape (n_samples,), optional
            How much each row of targets counts, at least 0, in units of their mean; see Notes.
        prices : array-like of shape (n_samples, n_outputs), optional
            Positive; row t of X decides what is held from ``prices[t]`` to ``prices[t + 1]``.
        context : array-like of shape (n_samples, n_context), optional
            Conditioning input of the network, for `WaveResNetRegressor`.
        active : array-like of shape (n_samples, n_outputs), optional
            Which asset can be held from row t to t + 1: 1 if it can, 0 if not, -1 while it is
            halted, -2 where it has ended (see `psann.holdings`); None for all on every row.
        reward_inputs : mapping of str to array-like of shape (n_samples, ...), or frame, optional
            What the reward is given by name, ``(n_samples,)`` or ``(n_samples, k)`` each: the
            arrays that ``hisso["reward_inputs"]`` names, and costs and rates that are texts.
        validation_data : mapping or (X, y), optional
            Later rows that choose the best epoch; keys ``X y sample_weight prices context active
            reward_inputs``.
        hisso : HISSOOptions or mapping, optional
            How to train on episodes; None trains on targets.
        evaluation : EvaluationOptions or mapping, optional
            Cost and first holdings of the validation pass.
        observers : sequence of Observer
            Who watches; see `psann.training.observers`.
        resume : SavedState, optional
            Where an interrupted fit of the same estimator on the same data left off: what an
            observer took by ``state.state_dict()``. The result is then that of one fit.
        on_interrupt : {"keep", "raise"}
            What Ctrl-C does after the first epoch: keep the best weights so far and warn, or
            raise.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            With every problem that the parameters have, else the options, else the arrays.
        DeviceError
            If the device is not there.
        DivergedError
            If a loss, reward or gradient is not finite.

        Notes
        -----
        A fit that raises leaves the estimator exactly as it was before the call.

        With weights the loss of a batch of B rows is ``sum of w_i l_i over B``, ``w_i`` being
        `sample_weight` over its mean, and so is the loss of validation rows. A row of weight 0 is
        left out and changes no bit; weights that are all alike are none. A row of weight 2 counts
        as if it were there twice: exactly so, up to rounding, where all rows are one batch, and
        else in the mean over the orders of rows. Scalers whose `fit` takes `sample_weight` get it.
        """
        beside = {"prices": prices, "context": context, "active": active}
        with transaction(self):
            self._fit_group(
                (),
                as_split(X, y, sample_weight, reward_inputs, **beside),
                validation_data=validation_data,
                hisso=hisso,
                evaluation=evaluation,
                observers=observers,
                resume=() if resume is None else (resume,),
                on_interrupt=on_interrupt,
            )
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        prices: ArrayLike | None = None,
        context: ArrayLike | None = None,
        active: ArrayLike | None = None,
        reward_inputs: Mapping[str, ArrayLike] | None = None,
        hisso: HISSOOptions | Mapping[str, Any] | None = None,
        evaluation: EvaluationOptions | Mapping[str, Any] | None = None,
    ) -> Self:
        """Go on with one pass over new rows, as they come in a stream.

        Parameters
        ----------
        X, y, sample_weight, prices, context, active, reward_inputs
            As for `fit`; for episodes the newest ``hisso.window`` rows and ``hisso.delay`` more,
            or more than these.
        hisso, evaluation : options or mapping, optional
            As for `fit`; None goes on as the last fit did.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`, and for what needs validation rows, a last epoch, or a scaler without
            `partial_fit`.

        Notes
        -----
        On targets every row is seen once, in batches; on episodes the one that ends at the last
        row is, in one update. Weights, optimiser and warm-ups go on from call to call, also by way
        of `save` and `load`, bit for bit; the last weights are kept, and nothing is validated.
        Scalers learn the rows of each call before these are scaled. `n_iter_` and `loss_curve_`
        count passes on from the epochs of a fit before. The first call decides `random_state` and
        the shape of the network. A call that raises leaves the estimator as it was.
        """
        has_network = hasattr(self, "network_")
        beside = {"prices": prices, "context": context, "active": active}
        with transaction(self):
            self._fit_group(
                (),
                as_split(X, y, sample_weight, reward_inputs, **beside),
                validation_data=None,
                hisso=inherited(self.hisso_options_) if hisso is None and has_network else hisso,
                evaluation=(
                    self.evaluation_options_ if evaluation is None and has_network else evaluation
                ),
                observers=(),
                resume=(),
                on_interrupt="raise",
                is_pass=True,
            )
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        tags.input_tags.three_d_array = True
        return tags
