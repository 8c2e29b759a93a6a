"""Reads every layout file by file: paths, units and signs follow the benchmarks' documentation, not the writers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from flowdistill.formats import (
    read_flo,
    read_image,
    read_kitti_disparity,
    read_kitti_flow,
    read_mask,
    read_object_map,
    read_pfm,
)

SIZE = (48, 96)
FRAMES = 3
SCENES = 5  # four to train on and one held out: FlyingThings3D's letters A, B, C, A and A
TEST_SCENES = 2
SEED = 3
PAIRS = [(scene, number) for scene in range(SCENES) for number in range(FRAMES - 1)]

Arrays = dict[str, np.ndarray]


class Tree:
    """Reads files below a root and records them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen: set[str] = set()

    def path(self, name: str) -> Path:
        self.seen.add(name)
        return self.root / name

    def image(self, name: str) -> np.ndarray:
        return read_image(self.path(name))

    def mask(self, name: str) -> np.ndarray:
        return read_mask(self.path(name))[..., None]

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}


def read_kitti2015(tree: Tree, scene: int, number: int) -> Arrays:
    t0, t1 = f"{scene:06d}_{number:02d}.png", f"{scene:06d}_{number + 1:02d}.png"
    got = {
        "left_t0": tree.image(f"training/image_2/{t0}"),
        "right_t0": tree.image(f"training/image_3/{t0}"),
        "left_t1": tree.image(f"training/image_2/{t1}"),
        "right_t1": tree.image(f"training/image_3/{t1}"),
        "foreground": read_object_map(tree.path(f"training/obj_map/{t0}"))[..., None],
    }
    flow, valid = read_kitti_flow(tree.path(f"training/flow_occ/{t0}"))
    assert valid.all()
    noc, valid = read_kitti_flow(tree.path(f"training/flow_noc/{t0}"))
    np.testing.assert_array_equal(noc[valid], flow[valid])
    got |= {"flow": flow, "occluded": ~valid[..., None]}
    for time in (0, 1):
        disparity, valid = read_kitti_disparity(tree.path(f"training/disp_occ_{time}/{t0}"))
        assert valid.all()
        noc, valid = read_kitti_disparity(tree.path(f"training/disp_noc_{time}/{t0}"))
        np.testing.assert_array_equal(noc[valid], disparity[valid])
        got[f"disparity_t{time}"] = disparity
        got[f"not_noc_t{time}"] = ~valid[..., None]
    lines = tree.path(f"training/calib_cam_to_cam/{scene:06d}.txt").read_text().splitlines()
    projections = dict(line.split(": ", 1) for line in lines)
    return got | camera(projections["P_rect_02"], projections["P_rect_03"])


def read_kitti2012(tree: Tree, scene: int, number: int) -> Arrays:
    t0, t1 = f"{scene:06d}_{number:02d}.png", f"{scene:06d}_{number + 1:02d}.png"
    got = {
        "left_t0": tree.image(f"training/colored_0/{t0}"),
        "right_t0": tree.image(f"training/colored_1/{t0}"),
        "left_t1": tree.image(f"training/colored_0/{t1}"),
        "right_t1": tree.image(f"training/colored_1/{t1}"),
    }
    for camera_number in (0, 1):
        for name in (t0, t1):
            grey = tree.image(f"training/image_{camera_number}/{name}").astype(float)
            colour = tree.image(f"training/colored_{camera_number}/{name}").astype(float)
            luma = colour @ [0.299, 0.587, 0.114]
            assert np.abs(grey - luma[..., None]).max() < 1
    flow, valid = read_kitti_flow(tree.path(f"training/flow_occ/{t0}"))
    assert valid.all()
    got |= {"flow": flow, "occluded": ~read_kitti_flow(tree.path(f"training/flow_noc/{t0}"))[1][..., None]}
    disparity, valid = read_kitti_disparity(tree.path(f"training/disp_occ/{t0}"))
    assert valid.all()
    noc = read_kitti_disparity(tree.path(f"training/disp_noc/{t0}"))[1]
    lines = tree.path(f"training/calib/{scene:06d}.txt").read_text().splitlines()
    assert [line[:4] for line in lines] == ["P0: ", "P1: ", "P2: ", "P3: "]
    assert (lines[0][4:], lines[1][4:]) == (lines[2][4:], lines[3][4:])
    return (
        got | camera(lines[2][4:], lines[3][4:]) | {"disparity_t0": disparity, "not_noc_t0": ~noc[..., None]}
    )


def camera(left: str, right: str) -> Arrays:
    """Intrinsics and baseline from the projection matrices of both colour cameras."""
    p_left, p_right = (np.array(text.split(), float).reshape(3, 4) for text in (left, right))
    np.testing.assert_array_equal(p_left[:, :3], p_right[:, :3])
    return {"intrinsics": p_left[:, :3], "baseline": (p_left[0, 3] - p_right[0, 3]) / p_left[0, 0]}


THINGS_SCENES = ["TRAIN/A/0000", "TRAIN/B/0000", "TRAIN/C/0000", "TRAIN/A/0001", "TEST/A/0000"]


def read_things(tree: Tree, scene: int, number: int) -> Arrays:
    place, t0, t1 = THINGS_SCENES[scene], f"{number + 6:04d}", f"{number + 7:04d}"
    got: Arrays = {}
    for time, name in (("t0", t0), ("t1", t1)):
        for side in ("left", "right"):
            got[f"{side}_{time}"] = tree.image(f"frames_cleanpass/{place}/{side}/{name}.png")
            got[f"final_{side}_{time}"] = tree.image(f"frames_finalpass/{place}/{side}/{name}.png")
    flow = f"optical_flow/{place}"
    future = read_pfm(tree.path(f"{flow}/into_future/left/OpticalFlowIntoFuture_{t0}_L.pfm"))
    past = read_pfm(tree.path(f"{flow}/into_past/left/OpticalFlowIntoPast_{t1}_L.pfm"))
    assert future.shape == past.shape == (*SIZE, 3)
    assert not future[..., 2].any()
    assert not past[..., 2].any()
    disparity = read_pfm(tree.path(f"disparity/{place}/left/{t0}.pfm"))
    change = read_pfm(tree.path(f"disparity_change/{place}/into_future/left/{t0}.pfm"))
    return got | {
        "flow": future[..., :2],
        "flow_backward": past[..., :2],
        "disparity_t0": disparity,
        "disparity_t1": disparity + change,
    }


def read_things_subset(tree: Tree, scene: int, number: int) -> Arrays:
    part, index = ("val", number) if scene == SCENES - 1 else ("train", FRAMES * scene + number)
    t0, t1 = f"{index:07d}", f"{index + 1:07d}"
    got: Arrays = {}
    for time, name in (("t0", t0), ("t1", t1)):
        for side in ("left", "right"):
            got[f"{side}_{time}"] = tree.image(f"{part}/image_clean/{side}/{name}.png")
            got[f"final_{side}_{time}"] = tree.image(f"{part}/image_final/{side}/{name}.png")
    disparity = read_pfm(tree.path(f"{part}/disparity/left/{t0}.pfm"))
    change = read_pfm(tree.path(f"{part}/disparity_change/left/into_future/{t0}.pfm"))
    return got | {
        "flow": read_flo(tree.path(f"{part}/flow/left/into_future/{t0}.flo")),
        "flow_backward": read_flo(tree.path(f"{part}/flow/left/into_past/{t1}.flo")),
        "occluded": tree.mask(f"{part}/flow_occlusions/left/into_future/{t0}.png"),
        "occluded_backward": tree.mask(f"{part}/flow_occlusions/left/into_past/{t1}.png"),
        "not_noc_t0": tree.mask(f"{part}/disparity_occlusions/left/{t0}.png"),
        "disparity_t0": -disparity,
        "disparity_t1": -(disparity + change),
    }


def read_chairs(tree: Tree, scene: int, number: int) -> Arrays:
    pair = scene * (FRAMES - 1) + number
    words = tree.path("FlyingChairs_train_val.txt").read_text().split("\n")
    assert len(words) == len(PAIRS) + 1
    assert words[-1] == ""
    assert words[pair] == ("2" if scene == SCENES - 1 else "1")
    name = f"FlyingChairs_release/data/{pair + 1:05d}"
    return {
        "left_t0": tree.image(f"{name}_img1.ppm"),
        "left_t1": tree.image(f"{name}_img2.ppm"),
        "flow": read_flo(tree.path(f"{name}_flow.flo")),
    }


def read_sintel(tree: Tree, scene: int, number: int) -> Arrays:
    t0, t1 = (f"scene_{scene:04d}/frame_{number + offset:04d}" for offset in (1, 2))
    assert not tree.mask(f"training/invalid/{t0}.png").any()
    return {
        "left_t0": tree.image(f"training/clean/{t0}.png"),
        "left_t1": tree.image(f"training/clean/{t1}.png"),
        "final_left_t0": tree.image(f"training/final/{t0}.png"),
        "final_left_t1": tree.image(f"training/final/{t1}.png"),
        "flow": read_flo(tree.path(f"training/flow/{t0}.flo")),
        "occluded": tree.mask(f"training/occlusions/{t0}.png"),
    }


FILES: dict[str, Callable[[Tree, int, int], Arrays]] = {
    "kitti2015": read_kitti2015,
    "kitti2012": read_kitti2012,
    "things": read_things,
    "things_subset": read_things_subset,
    "chairs": read_chairs,
    "sintel": read_sintel,
}
