"""Weights of the original TensorFlow-1 implementations, by their variable names.

    convolution kernel             # stored (kh, kw, in, out)
    transposed convolution kernel  # stored (kh, kw, out, in)

Both become PyTorch's layout by reversing the axes order to (3, 2, 0, 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from flowdistill.networks import DDFlowNet, Dwarf
from flowdistill.networks.ddflow import FlowEstimator
from flowdistill.networks.dwarf import LEVELS, MOTIONS, Branch, Estimator

# Our motion name -> TensorFlow's scope of its branch, and of its up-sampling and context network.
_BRANCH = {"disparity_t0": "disparity", "disparity_t1": "disparity_change", "flow": "optical_flow"}
_SHORT = {"disparity_t0": "disparity", "disparity_t1": "disparity_change", "flow": "flow"}


def tensorflow_variables(network: nn.Module) -> dict[str, Tensor]:
    """Return TensorFlow's variable name -> our parameter, in our layout. The tensors are the parameters themselves.

    Raises:
        TypeError: the network is neither a `Dwarf` nor a `DDFlowNet`.

    Examples:
        >>> from flowdistill.interop import tensorflow_variables
        >>> from flowdistill.networks import DDFlowNet
        >>> variables = tensorflow_variables(DDFlowNet())
        >>> len(variables), sum(parameter.numel() for parameter in variables.values())
        (98, 4273628)
        >>> variables["feature_extractor/conv1_1/weights"].shape
        torch.Size([16, 3, 3, 3])
    """
    if isinstance(network, Dwarf):
        layers = _dwarf_layers(network)
    elif isinstance(network, DDFlowNet):
        layers = _ddflow_layers(network)
    else:
        raise TypeError(f"there are no TensorFlow names for {type(network).__name__}; use Dwarf or DDFlowNet")
    variables: dict[str, Tensor] = {}
    for scope, layer in layers:
        variables[f"{scope}/weights"] = cast(Tensor, layer.weight)
        variables[f"{scope}/biases"] = cast(Tensor, layer.bias)
    return variables


def load_tensorflow_variables(network: nn.Module, variables: Mapping[str, np.ndarray]) -> None:
    """Load the variables of the TensorFlow original into a network.

    Args:
        network: a `Dwarf` or a `DDFlowNet`.
        variables: variable name (without ":0") -> array in TensorFlow's layout (see the module docstring).

    Raises:
        ValueError: variables are missing, unexpected or of a wrong shape; the message lists them. Nothing is loaded.
        TypeError: the network is neither a `Dwarf` nor a `DDFlowNet`.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.interop import load_tensorflow_variables, tensorflow_variables
        >>> from flowdistill.networks import DDFlowNet
        >>> network = DDFlowNet(width=0.125)
        >>> ones = {  # kernels (kh, kw, in, out), as TensorFlow stores them, and biases (out,)
        ...     name: np.ones([own.shape[k] for k in (2, 3, 1, 0)] if own.dim() == 4 else own.shape)
        ...     for name, own in tensorflow_variables(network).items()
        ... }
        >>> load_tensorflow_variables(network, ones)
        >>> {parameter.mean().item() for parameter in network.parameters()}
        {1.0}
    """
    parameters = tensorflow_variables(network)
    problems = [f"missing: {name}" for name in parameters if name not in variables]
    problems += [f"unexpected: {name}" for name in variables if name not in parameters]
    loaded: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        if name not in variables:
            continue
        array = np.asarray(variables[name])
        expected = _stored_shape(parameter)
        if array.shape != expected:
            problems.append(f"wrong shape: {name} has shape {array.shape}, expected {expected}")
            continue
        value = torch.from_numpy(np.array(array, dtype=np.float32))
        loaded[name] = value.permute(3, 2, 0, 1) if value.dim() == 4 else value
    if problems:
        listed = "\n  ".join(problems[:20])
        more = f"\n  ... and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise ValueError(f"nothing was loaded, {len(problems)} variables do not match:\n  {listed}{more}")
    with torch.no_grad():
        for name, value in loaded.items():
            parameters[name].copy_(value)


def _stored_shape(parameter: Tensor) -> tuple[int, ...]:
    shape = tuple(parameter.shape)
    return (shape[2], shape[3], shape[1], shape[0]) if len(shape) == 4 else shape


def _slim_scopes(prefix: str, layers: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Name layers as tf.slim numbers the convolutions of a scope: Conv, Conv_1, Conv_2, ..."""
    for k, layer in enumerate(layers.children()):
        yield f"{prefix}/Conv{f'_{k}' if k else ''}", layer


def _dwarf_layers(network: Dwarf) -> Iterator[tuple[str, nn.Module]]:
    for level, layers in enumerate(network.encoder.levels, start=1):
        yield from _slim_scopes(f"dwarf/Encoder/level_{level}", layers)
    for level in LEVELS:
        estimator = cast(Estimator, network.estimators[str(level)])
        scope = f"dwarf/decoder/block_{level}/estimator"
        for k, layer in enumerate(estimator.trunk):
            yield f"{scope}/estimator_block_{k}/Conv", layer
        for name in MOTIONS:
            branch = cast(Branch, estimator.branches[name])
            for k, layer in enumerate(branch.dense):
                yield f"{scope}/{_BRANCH[name]}/estimator_block_{k}/Conv", layer
            yield f"{scope}/{_BRANCH[name]}/Conv", branch.predict
            if estimator.refine:
                yield from _slim_scopes(f"{scope}/context_network_{_SHORT[name]}", estimator.context[name])
            else:
                yield f"{scope}/upsample_motion_vectors/{_SHORT[name]}", estimator.upsample_motion[name]
                yield f"{scope}/upsample_features/{_SHORT[name]}", estimator.upsample_features[name]


def _ddflow_layers(network: DDFlowNet) -> Iterator[tuple[str, nn.Module]]:
    for level, layers in enumerate(network.extractor.levels, start=1):
        for k, layer in enumerate(layers.children(), start=1):
            yield f"feature_extractor/conv{level}_{k}", layer
    for name, module in network.estimators.items():
        estimator = cast(FlowEstimator, module)
        for k, layer in enumerate([*estimator.hidden, estimator.predict], start=1):
            yield f"estimator_level_{name}/conv{k}", layer
    for k, layer in enumerate(network.context, start=1):
        yield f"context_network/dilated_conv{k}", layer
