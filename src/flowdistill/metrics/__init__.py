"""Motion metrics: rules, functional core, and torchmetrics classes that reduce exactly over processes.

Names are imported on first use: the classes import torch, the rules do not.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowdistill.metrics.functional import end_point_error, is_outlier, outliers
    from flowdistill.metrics.image_means import ImageMeans
    from flowdistill.metrics.mean_end_point_error import EndPointError
    from flowdistill.metrics.occlusion_scores import OcclusionScores
    from flowdistill.metrics.outlier_rate import SCENE_FLOW_KEYS, OutlierRate, SceneFlowOutlierRate
    from flowdistill.metrics.sample_mean import SampleMean

__all__ = [
    "SCENE_FLOW_KEYS",
    "EndPointError",
    "ImageMeans",
    "OcclusionScores",
    "OutlierRate",
    "SampleMean",
    "SceneFlowOutlierRate",
    "end_point_error",
    "is_outlier",
    "outliers",
]

# No module may have the name of an attribute: importing it would replace the attribute by the module.
_MODULE_OF = {
    "SCENE_FLOW_KEYS": "outlier_rate",
    "EndPointError": "mean_end_point_error",
    "ImageMeans": "image_means",
    "OcclusionScores": "occlusion_scores",
    "OutlierRate": "outlier_rate",
    "SampleMean": "sample_mean",
    "SceneFlowOutlierRate": "outlier_rate",
    "end_point_error": "functional",
    "is_outlier": "functional",
    "outliers": "functional",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
