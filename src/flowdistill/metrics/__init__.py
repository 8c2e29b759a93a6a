"""Metrics of motion: the functional core, and torchmetrics classes that reduce exactly over processes."""

from flowdistill.metrics.end_point_error import EndPointError
from flowdistill.metrics.functional import end_point_error, is_outlier, outliers
from flowdistill.metrics.outlier_rate import SCENE_FLOW_KEYS, OutlierRate, SceneFlowOutlierRate

__all__ = [
    "SCENE_FLOW_KEYS",
    "EndPointError",
    "OutlierRate",
    "SceneFlowOutlierRate",
    "end_point_error",
    "is_outlier",
    "outliers",
]
