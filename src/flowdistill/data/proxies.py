"""Proxy labels: a teacher's predictions for a sample, stored as files that a student reads.

    <root>/<labels>/<left|right>/flow/<id>.png           16-bit KITTI flow     flow_backward/  the same
    <root>/<labels>/<left|right>/disp_0/<id>.png         16-bit KITTI disparity     disp_1/    the same, at time t1
    <root>/<labels>/<left|right>/occlusion/<id>.png      8 bit, 255 = occluded      occlusion_backward/   the same

`<labels>` is the folder given by `labels=` in a line of a split file. The right camera has flow and occlusion only.
"""

from flowdistill.data.files import KITTI_DISPARITY, KITTI_FLOW, MASK, FileKind, SampleFile
from flowdistill.data.splits import SplitEntry
from flowdistill.formats.kitti import FOLDERS

FLOW_VIEW: dict[str, tuple[str, FileKind]] = {
    "teacher_flow": ("flow", KITTI_FLOW),
    "teacher_flow_backward": ("flow_backward", KITTI_FLOW),
    "teacher_occluded": ("occlusion", MASK),
    "teacher_occluded_backward": ("occlusion_backward", MASK),
}
"""In the flow view proxy labels are read beside ground truth, as DDFlow's offline teacher. Key -> folder, kind."""

SCENE_FLOW_VIEW: dict[str, tuple[str, FileKind]] = {
    key: (folder, KITTI_FLOW if key == "flow" else KITTI_DISPARITY) for key, folder in FOLDERS.items()
}
"""In the scene-flow view proxy labels are read in place of ground truth. Key -> folder, kind."""


def proxy_files(root: str, entry: SplitEntry, view: str) -> list[SampleFile]:
    """Return the proxy label files of an entry with `labels=`, for the view `flow` or `scene_flow`."""
    layout = FLOW_VIEW if view == "flow" else SCENE_FLOW_VIEW
    folder = f"{root}/{entry.labels}/{entry.camera}"
    return [
        SampleFile(key, f"{folder}/{place}/{entry.id}.png", kind, "proxy")
        for key, (place, kind) in layout.items()
    ]
