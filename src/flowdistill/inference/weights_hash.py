"""A name for a network's weights that does not depend on the file they came from."""

from __future__ import annotations

import hashlib

from torch import nn


def weights_hash(network: nn.Module) -> str:
    """Return the SHA-256 of the network's tensors, by name and value; independent of the file that they came from.

    Examples:
        >>> from torch import nn
        >>> from flowdistill.inference.weights_hash import weights_hash
        >>> a, b = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> weights_hash(a) == weights_hash(b)
        False
        >>> _ = b.load_state_dict(a.state_dict())
        >>> weights_hash(a) == weights_hash(b)
        True
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        array = value.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
