"""Loading TensorFlow variables: completely or not at all, with every problem listed."""

import numpy as np
import pytest
import torch
from torch import nn

import reference
from flowdistill.interop import load_tensorflow_variables, tensorflow_variables
from flowdistill.networks import DDFlowNet, Dwarf


@pytest.mark.parametrize(("kind", "network_class"), [("dwarf", Dwarf), ("ddflow", DDFlowNet)])
def test_names_and_shapes_are_exactly_the_originals(kind: str, network_class: type[nn.Module]) -> None:
    listed = {v["name"]: tuple(v["shape"]) for v in reference.numbers(f"{kind}_variables")}
    network = network_class()
    ours = tensorflow_variables(network)
    assert set(ours) == set(listed)
    assert {id(p) for p in ours.values()} == {id(p) for p in network.parameters()}
    for name, parameter in ours.items():
        stored = parameter.permute(2, 3, 1, 0) if parameter.dim() == 4 else parameter
        assert tuple(stored.shape) == listed[name], name


def test_every_problem_is_named_and_nothing_is_loaded() -> None:
    network = DDFlowNet()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    variables = {
        v["name"]: reference.weight(v["name"], v["shape"], 1) for v in reference.numbers("ddflow_variables")
    }
    del variables["estimator_level_3/conv2/biases"]
    variables["context_network/extra/weights"] = np.zeros((3, 3, 1, 1))
    variables["feature_extractor/conv1_1/weights"] = np.zeros((3, 3, 16, 3), np.float32)
    with pytest.raises(ValueError, match="nothing was loaded, 3 variables") as error:
        load_tensorflow_variables(network, variables)
    text = str(error.value)
    assert "missing: estimator_level_3/conv2/biases" in text
    assert "unexpected: context_network/extra/weights" in text
    assert "feature_extractor/conv1_1/weights has shape (3, 3, 16, 3), expected (3, 3, 3, 16)" in text
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_another_network_is_an_error() -> None:
    with pytest.raises(TypeError, match="Linear"):
        load_tensorflow_variables(nn.Linear(1, 1), {})
