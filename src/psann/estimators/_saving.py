"""`save` and `load` of estimators, in terms of the file format of `_persistence`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from psann._device import resolve_device
from psann.errors import FileFormatError
from psann.estimators._fit_utils import network_outputs
from psann.estimators._persistence import (
    MAX_FILE_BYTES,
    EstimatorDocument,
    document_bytes,
    parameter_value,
    plain_value,
    read_document,
    restored_scaler,
    scaler_state,
)
from psann.hisso.options import EvaluationOptions, HISSOOptions
from psann.nn.network import Network
from psann.training.state import TrainState


class EstimatorFileMixin:
    """`save` and `load`, and the bytes of a file for those who write it themselves."""

    # Fitted values that a file carries as they are.
    _PLAIN_FITTED = (
        "best_epoch_",
        "best_value_",
        "input_shape_",
        "monitor_",
        "n_context_",
        "n_features_in_",
        "n_outputs_",
        "schedule_epoch_",
        "seed_",
        "threads_",
        "y_ndim_",
    )

    hidden_layers: int
    input_shape_: tuple[int, ...] | None
    feature_names_in_: NDArray[np.object_]
    n_features_in_: int
    n_outputs_: int
    n_context_: int
    seed_: int
    schedule_epoch_: int
    network_: Network
    get_params: Callable[..., dict[str, Any]]

    def _build_network(
        self, n_in: int, n_out: int, n_context: int, rng: np.random.Generator | None
    ) -> Network:
        raise TypeError(f"{type(self).__name__} must say how its network is built.")

    def _fitted_by(self, state: TrainState, *, best: bool) -> dict[str, Any]:
        raise TypeError(f"{type(self).__name__} must say what a state has fitted.")

    def parameter_problems(self) -> list[str]:
        """Every constructor parameter that `fit` would refuse, one sentence each."""
        raise TypeError(f"{type(self).__name__} must check its parameters.")

    def to_bytes(self, state: TrainState | None = None, *, best: bool = True) -> bytes:
        """The estimator file as bytes; the same estimator gives the same bytes.

        Parameters
        ----------
        state : TrainState, optional
            Stores the weights of a fit that still runs, for observers.
        best : bool
            Of that fit, the best weights so far; False takes those of this moment.

        Raises
        ------
        FileFormatError
            If a parameter or scaler cannot be stored as plain values.
        NotFittedError
            If there is nothing to store.
        """
        fitted = {name: vars(self).get(name) for name in self._PLAIN_FITTED}
        if state is None:
            check_is_fitted(self, "network_")
            tensors = self.network_.state_dict()
        else:
            tensors = state.tensors(best=best)
            fitted |= self._fitted_by(state, best=best)
        fitted["feature_names_in_"] = (
            [str(name) for name in self.feature_names_in_]
            if hasattr(self, "feature_names_in_")
            else None
        )
        stored = {f"network.{name}": tensor for name, tensor in tensors.items()}
        for key in ("scaler", "target_scaler"):
            fitted[key], arrays = scaler_state(getattr(self, f"{key}_"), prefix=key)
            stored |= arrays
        for key in ("hisso_options_", "evaluation_options_"):
            fitted[key] = getattr(self, key)
        params = self.get_params(deep=False)
        if isinstance(params["random_state"], np.random.RandomState):
            params["random_state"] = self.seed_
        return document_bytes(
            EstimatorDocument(
                class_name=type(self).__name__,
                params={k: plain_value(v, who=k) for k, v in params.items()},
                fitted={k: plain_value(v, who=k) for k, v in fitted.items()},
                tensors=stored,
            )
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator to one safetensors file, replacing it only when it is whole.

        Parameters
        ----------
        path : path-like
            The file; it holds no code, time, or path, and a digest that `load` verifies.

        Raises
        ------
        FileFormatError
            If a parameter or scaler cannot be stored as plain values.
        """
        data = self.to_bytes()
        target = Path(path)
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(target)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str | None = None) -> Self:
        """Read a fitted estimator.

        Parameters
        ----------
        path : path-like
            A file that `save` wrote. Nothing in it is executed.
        device : str, optional
            Where its network goes, as for the parameter `device`; None is the CPU.

        Returns
        -------
        estimator
            Fitted, of this class.

        Raises
        ------
        FileFormatError
            If the file is not an estimator of this class, is damaged, or does not fit together.
        """
        path = Path(path)
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise FileFormatError(f"{path} has {size} bytes; at most {MAX_FILE_BYTES} are read.")
        return cls.from_bytes(path.read_bytes(), who=str(path), device=device)

    @classmethod
    def from_bytes(cls, data: bytes, *, who: str = "the file", device: str | None = None) -> Self:
        """Read a fitted estimator from the bytes of a file; see `load`."""
        document = read_document(data, who=who)
        if document.class_name != cls.__name__:
            raise FileFormatError(
                f"{who} holds a {document.class_name}; read it with {document.class_name}.load."
            )
        try:
            estimator = cls(**{k: parameter_value(v) for k, v in document.params.items()})
            estimator._restore(document, resolve_device(device or "cpu"))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            if isinstance(error, FileFormatError):
                raise
            raise FileFormatError(f"{who} does not describe a {cls.__name__}: {error}") from error
        return estimator

    def _restore(self, document: EstimatorDocument, device: torch.device) -> None:
        """Set the fitted attributes from a verified document."""
        problems = self.parameter_problems()
        if problems:
            raise ValueError("; ".join(problems))
        fitted = document.fitted
        for name in self._PLAIN_FITTED:
            setattr(self, name, fitted[name])
        if fitted["input_shape_"] is not None:
            self.input_shape_ = tuple(fitted["input_shape_"])
        if fitted["feature_names_in_"] is not None:
            self.feature_names_in_ = np.array(fitted["feature_names_in_"], dtype=object)
        for key in ("scaler", "target_scaler"):
            scaler = restored_scaler(fitted[key], document.tensors, prefix=key)
            setattr(self, f"{key}_", scaler)
        hisso, evaluation = fitted["hisso_options_"], fitted["evaluation_options_"]
        self.hisso_options_ = None if hisso is None else HISSOOptions.model_validate(hisso)
        self.evaluation_options_ = EvaluationOptions.model_validate(evaluation)
        self.device_ = str(device)
        self.network_ = self._restored_network(document.tensors).to(device)
        self.network_.set_epoch(self.schedule_epoch_)

    def _restored_network(self, tensors: Mapping[str, Tensor]) -> Network:
        """The network with the file's tensors, compared with its shape before memory is taken."""
        given = {
            name.removeprefix("network."): tensor
            for name, tensor in tensors.items()
            if name.startswith("network.")
        }
        if self.hidden_layers > len(given):
            raise ValueError(f"{self.hidden_layers} hidden layers need more tensors")
        with torch.device("meta"):
            network = self._build_network(
                self.n_features_in_,
                network_outputs(self.n_outputs_, self.hisso_options_),
                self.n_context_,
                None,
            )
        wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
        found = {name: tuple(t.shape) for name, t in given.items()}
        if wanted != found:
            different = sorted(set(wanted.items()) ^ set(found.items()))
            raise ValueError(f"tensors do not fit the network: {different[:4]}")
        network.load_state_dict(given, assign=True)
        return network.requires_grad_()
