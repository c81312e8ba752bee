"""`save` and `load` of estimators, in terms of the file format of `_persistence`."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from psann._device import resolve_device
from psann._imports import named_in_file
from psann._plain_files import read_plain
from psann._tensor_file import MAX_FILE_BYTES
from psann._whole_file import write_whole
from psann.errors import FileFormatError
from psann.estimators._checked_rows import CheckedRows
from psann.estimators._parameters import TRAINING_PARAMETERS
from psann.estimators._persistence import (
    EstimatorDocument,
    document_bytes,
    parameter_value,
    plain_value,
    read_document,
    restored_scaler,
    scaler_state,
)
from psann.estimators._shapes import network_shape
from psann.estimators._stream import Counters, Stream
from psann.hisso.options import EvaluationOptions, HISSOOptions
from psann.nn.network import Network
from psann.training.loop import MonitorName
from psann.training.state import TrainState


class _Fitted(BaseModel):
    """Fitted values as a file describes them, with all that can be said without the network."""

    model_config = ConfigDict(extra="forbid", strict=True)

    asset_names_: list[str] | None = None
    """Absent where nothing named them."""
    context_names: list[str] | None = None
    """Absent where nothing named them."""
    best_epoch_: int = Field(ge=0)
    best_value_: float | None
    evaluation_options_: dict[str, Any]
    feature_names_in_: list[str] | None
    hisso_options_: dict[str, Any] | None
    input_shape_: list[PositiveInt] | None
    monitor_: MonitorName | None
    n_context_: int = Field(ge=0)
    n_features_in_: int = Field(ge=1)
    n_outputs_: int = Field(ge=1)
    schedule_epoch_: int = Field(ge=0)
    scaler: dict[str, Any] | None
    seed_: int = Field(ge=0)
    stream: Counters | None = None
    """Absent where there were no partial fits."""
    target_scaler: dict[str, Any] | None
    threads_: int = Field(ge=1, le=1024)
    y_ndim_: Literal[1, 2]

    @model_validator(mode="after")
    def _fits_together(self) -> _Fitted:
        names, shape = self.feature_names_in_, self.input_shape_
        if self.asset_names_ is not None and len(self.asset_names_) != self.n_outputs_:
            raise ValueError(f"{len(self.asset_names_)} names for {self.n_outputs_} assets")
        of_context = self.context_names
        if of_context is not None and len(of_context) != self.n_context_:
            raise ValueError(f"{len(of_context)} names for {self.n_context_} columns of context")
        if names is not None and len(names) != self.n_features_in_:
            raise ValueError(f"{len(names)} names for {self.n_features_in_} features")
        if shape is not None and (len(shape) < 2 or math.prod(shape) != self.n_features_in_):
            raise ValueError(f"rows of shape {shape} for {self.n_features_in_} features")
        if self.y_ndim_ == 1 and self.n_outputs_ != 1:
            raise ValueError(f"targets of one dimension for {self.n_outputs_} outputs")
        return self


# Fitted values that a file carries as they are; the others are described in their own way.
_OWN_WAY = (
    *("asset_names_", "context_names", "evaluation_options_", "feature_names_in_"),
    *("hisso_options_", "scaler", "stream", "target_scaler"),
)
_PLAIN_FITTED = tuple(name for name in _Fitted.model_fields if name not in _OWN_WAY)


class EstimatorFileMixin(CheckedRows):
    """`save` and `load`, and the bytes of a file for those who write it themselves."""

    device_: str
    evaluation_options_: EvaluationOptions
    seed_: int
    schedule_epoch_: int
    network_: Network
    _stream: Stream | None = None
    """Where partial fits stand; None unless the last fit was one."""

    def _fitted_by(self, state: TrainState, *, best: bool) -> dict[str, Any]:
        raise TypeError(f"{type(self).__name__} must say what a state has fitted.")

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
        fitted = {name: vars(self).get(name) for name in _PLAIN_FITTED}
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
        for key, names in self._optional_names().items():
            if names is not None:
                fitted[key] = list(names)
        stored = {f"network.{name}": tensor for name, tensor in tensors.items()}
        if self._stream is not None and state is None:
            fitted["stream"] = self._stream.counters
            stored |= self._stream.in_file()
        for key in ("scaler", "target_scaler"):
            fitted[key], arrays = scaler_state(getattr(self, f"{key}_"), prefix=key)
            stored |= arrays
        for key in ("hisso_options_", "evaluation_options_"):
            fitted[key] = getattr(self, key)
        params = self._plain_parameters()
        if state is None:
            self._check_parameters_of_fit(params)
        return document_bytes(
            EstimatorDocument(
                class_name=type(self).__name__,
                params=params,
                fitted={k: plain_value(v, who=k) for k, v in fitted.items()},
                tensors=stored,
            )
        )

    def _optional_names(self) -> dict[str, tuple[str, ...] | None]:
        return {"asset_names_": self.asset_names_, "context_names": self._context_names}

    def _plain_parameters(self) -> dict[str, Any]:
        """The constructor's parameters as a file holds them."""
        params = self.get_params(deep=False)
        if isinstance(params["random_state"], np.random.RandomState):
            params["random_state"] = self.seed_
        return {name: plain_value(value, who=name) for name, value in params.items()}

    def _note_parameters(self) -> None:
        """Note with which parameters the network was made, unless no file could hold them."""
        try:
            self._parameters_of_fit = self._plain_parameters()
        except FileFormatError:
            self._parameters_of_fit = None

    def _check_parameters_of_fit(self, params: Mapping[str, Any]) -> None:
        """Raise `FileFormatError` if a file would not give back what was fitted."""
        then = self._parameters_of_fit
        if then is None or params == then:
            return
        problems = self.parameter_problems(imports=False)
        problems += [
            f"{name} must be saved as it was in fit, {then[name]!r}, to which the weights belong; "
            f"got {value!r}. Fit again, or set it back."
            for name, value in params.items()
            if name not in TRAINING_PARAMETERS and value != then[name]
        ]
        if problems:
            raise FileFormatError("\n".join(problems))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator to one safetensors file, replacing it only when it is whole.

        Parameters
        ----------
        path : path-like
            The file, whose folder is made; it holds no code, time, or path, and a digest that
            `load` verifies.

        Raises
        ------
        FileFormatError
            If a parameter or scaler cannot be stored as plain values, or one that is no matter of
            training was set since the fit.
        """
        write_whole(Path(path), self.to_bytes())

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, device: str | None = None, allow: Sequence[str] = ()
    ) -> Self:
        """Read a fitted estimator.

        Parameters
        ----------
        path : path-like
            A file that `save` wrote. Nothing in it is executed.
        device : str, optional
            Where its network goes, as for the parameter `device`; None is the CPU.
        allow : sequence of str
            Prefixes of modules (`"my_rewards"`) whose functions may be imported once training or
            judging needs a loss, reward or extractor that the file names; psann's own always may.

        Returns
        -------
        estimator
            Fitted, of this class.

        Raises
        ------
        FileFormatError
            If the file is not an estimator of this class, is damaged, or does not fit together.
        """
        try:
            data = read_plain(Path(path), MAX_FILE_BYTES, follow=True)
        except ValueError as error:
            held = [*Path(path).glob("*.safetensors"), *Path(path).glob("*/best.safetensors")]
            cure = f" Give a file that it holds, such as {min(held)}." if held else ""
            told = f"{path} must be the file of an estimator; {error}.{cure}"
            raise FileFormatError(told) from None
        return cls.from_bytes(data, who=str(path), device=device, allow=allow)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        who: str = "the file",
        device: str | None = None,
        allow: Sequence[str] = (),
    ) -> Self:
        """Read a fitted estimator from the bytes of a file; see `load`."""
        where = resolve_device(device or "cpu")
        document = read_document(data, who=who)
        if document.class_name != cls.__name__:
            raise FileFormatError(
                f"{who} holds a {document.class_name!r}; it must be read with that class's load."
            )
        try:
            params = named_in_file(document.params, allow=allow)
            estimator = cls(**{k: parameter_value(v) for k, v in params.items()})
            estimator._restore(document, allow=allow)
            estimator._note_parameters()
            is_ours = estimator.to_bytes() == data
        except RecursionError:
            raise  # of a caller whose stack is at its end
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            # Its digest is right, so that some psann has most likely written it.
            raise FileFormatError(
                f"{who} does not describe a {cls.__name__} that this psann knows: "
                f"{_reason(error)}. Was it written by a newer one? provenance.json tells "
                "the version."
            ) from error
        if not is_ours:
            raise FileFormatError(f"{who} is not written as a {cls.__name__} would be saved.")
        estimator.network_.to(where)
        estimator.device_ = str(where)
        return estimator

    def _restore(self, document: EstimatorDocument, *, allow: Sequence[str]) -> None:
        """Set the fitted attributes from a document, believing nothing it says."""
        problems = self.parameter_problems(imports=False)
        if problems:
            raise ValueError("; ".join(problems))
        fitted = _Fitted.model_validate(document.fitted)
        for name in _PLAIN_FITTED:
            setattr(self, name, getattr(fitted, name))
        if fitted.input_shape_ is not None:
            self.input_shape_ = tuple(fitted.input_shape_)
        names = fitted.asset_names_
        self.asset_names_ = None if names is None else tuple(names)
        of_context = fitted.context_names
        self._context_names = None if of_context is None else tuple(of_context)
        if fitted.feature_names_in_ is not None:
            self.feature_names_in_ = np.array(fitted.feature_names_in_, dtype=object)
        hisso = named_in_file(fitted.hisso_options_, allow=allow)
        self.hisso_options_ = None if hisso is None else HISSOOptions.model_validate(hisso)
        self.evaluation_options_ = EvaluationOptions.model_validate(fitted.evaluation_options_)
        # The network first: its tensors prove that there are as many columns as said.
        self.network_ = self._restored_network(document.tensors)
        self.network_.set_epoch(self.schedule_epoch_)
        if fitted.stream is not None:
            self._stream = Stream.from_file(fitted.stream, document.tensors, network=self.network_)
            if fitted.stream.epoch > self.schedule_epoch_:
                raise ValueError("more passes of its stream than epochs")
        widths = {"scaler": self.n_scaled, "target_scaler": self.n_outputs_}
        for key, width in widths.items():
            plain = getattr(fitted, key)
            scaler = restored_scaler(plain, document.tensors, prefix=key, n_columns=width)
            setattr(self, f"{key}_", scaler)

    def _restored_network(self, tensors: Mapping[str, Tensor]) -> Network:
        """The network with the file's tensors, compared with its shape before memory is taken."""
        given = {
            name.removeprefix("network."): tensor
            for name, tensor in tensors.items()
            if name.startswith("network.")
        }
        with torch.device("meta"):
            shape = network_shape(
                self.n_features_in_, self.n_outputs_, self.hisso_options_, n_context=self.n_context_
            )
            network = self._build_network(shape, None)
        wanted = {name: (tuple(t.shape), t.dtype) for name, t in network.state_dict().items()}
        found = {name: (tuple(t.shape), t.dtype) for name, t in given.items()}
        if wanted != found:
            different = sorted(
                name for name in wanted | found if wanted.get(name) != found.get(name)
            )
            raise ValueError(f"tensors do not fit the network: {', '.join(different[:4])}")
        network.load_state_dict(given, assign=True)
        return network.requires_grad_()


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors(include_url=False)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)
