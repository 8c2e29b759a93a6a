"""Every stage, composed from its configs, against numbers written down here a second time.

Sources: DWARF-Tensorflow configurations/sceneflow.json and kitti.json; DDFlow config.ini and README. Values that are
not published are marked `ours`.
"""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from flowdistill.recipes.reproduce.arguments import configs, fit_arguments, merged_config
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import ALTERNATIVES, ORDER, TEACHER_LABELS, TRAININGS

DDFLOW_HALVED = [80_000, 160_000, 240_000]
PHOTOMETRIC, CENSUS = {"abs_robust_mean_no_occlusion": 1.0}, {"census_occlusion": 1.0}
DISTILL = {"census_occlusion": 1.0, "distillation": 1.0}
THINGS_ALPHAS = {2: 0.005, 3: 0.01, 4: 0.02, 5: 0.08, 6: 0.32}
# Stage -> losses or level weights, steps, learning rate, halved at.
SCHEDULES: dict[str, tuple[dict[Any, float], int, float, list[int]]] = {
    "pretrain": (THINGS_ALPHAS, 1_200_000, 1e-4, [400_000, 600_000, 800_000, 1_000_000]),
    **{name: ({2: 0.001}, 50_000, 3e-5, [25_000, 35_000, 45_000])
       for name in ("gt", "px", "gt_px", "final_px", "final_gt")},
    **{f"{data}_photometric": (PHOTOMETRIC, 100_000, 1e-4, [80_000]) for data in ("chairs", "ddflow", "sintel")},
    **{f"{data}_census": (CENSUS, 300_000, 1e-4, DDFLOW_HALVED) for data in ("chairs", "ddflow", "sintel")},
    **{f"{data}_student": (DISTILL, 300_000, 1e-4, DDFLOW_HALVED) for data in ("chairs", "ddflow", "sintel")},
}  # fmt: skip
# Prefix of DDFlow's stages -> data set, crop, student's crop, pairs to train on.
KITTI_CROPS = ((320, 896), (224, 640))
DATA = {
    "chairs": ("chairs", ((320, 448), (224, 320)), "official:train"),  # both crops: ours
    "ddflow": ("kitti2015", KITTI_CROPS, "data_splits/kitti_multiview_ddflow.txt"),
    "sintel": ("sintel", KITTI_CROPS, "data_splits/sintel_all.txt"),
}
STARTS = {
    "pretrain": (), "gt": ("pretrain",), "px": ("pretrain",), "gt_px": ("pretrain",), "final_px": ("pretrain",),
    "final_gt": ("final_px",),
    "chairs_photometric": (), "chairs_census": ("chairs_photometric",), "chairs_student": ("chairs_census",),
    "ddflow_photometric": (), "ddflow_census": ("chairs_student", "ddflow_photometric"),
    "ddflow_student": ("ddflow_census",),
    "sintel_photometric": (), "sintel_census": ("chairs_student", "sintel_photometric"),
    "sintel_student": ("sintel_census",),
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "data", tmp_path / "runs")


@pytest.mark.parametrize("stage", TRAININGS)
def test_schedule(stage: str, settings: Settings) -> None:
    weights, steps, rate, halved = SCHEDULES[stage]
    config: Any = OmegaConf.to_container(merged_config(TRAININGS[stage], settings))
    model = config["model"]["init_args"]
    assert model["losses" if TRAININGS[stage].view == "flow" else "alphas"] == weights
    assert config["trainer"]["max_steps"] == steps
    assert model["learning_rate"] == rate
    assert model["halve_at"] == halved
    assert config["data"]["init_args"]["batch_size"] == 4
    words = fit_arguments(TRAININGS[stage], settings, None)
    assert words[words.index("--data.init_args.batch_size") + 1] == "4"
    assert model.get("width", 1.0) == 1.0


@pytest.mark.parametrize("stage", [name for name, training in TRAININGS.items() if training.view == "flow"])
def test_ddflows_data(stage: str, settings: Settings) -> None:
    config: Any = OmegaConf.to_container(merged_config(TRAININGS[stage], settings))
    dataset, (crop, student), split = DATA[stage.partition("_")[0]]
    view = config["data"]["init_args"]["flow"]
    assert config["data"]["init_args"]["dataset"] == dataset
    assert (view["crop"], view["preset"], view["train_split"]) == (list(crop), "ddflow", split)
    model = config["model"]["init_args"]
    if stage.endswith("student"):
        assert model["student_crop"] == list(student)
        # Labels of a frozen teacher on disk, as released.
        assert model["teacher"]["class_path"] == "OfflineTeacher"
        assert TEACHER_LABELS[str(TRAININGS[stage].labels)].teacher == stage.replace("student", "census")
    else:
        assert "teacher" not in model


@pytest.mark.parametrize(
    "stage", [name for name, training in TRAININGS.items() if training.view == "scene_flow"]
)
def test_dwarfs_data(stage: str, settings: Settings) -> None:
    config: Any = OmegaConf.to_container(merged_config(TRAININGS[stage], settings))
    view = config["data"]["init_args"]["scene_flow"]
    assert view["preset"] == ("dwarf_things" if stage == "pretrain" else "dwarf_kitti")
    splits = {
        "gt": "kitti_160", "px": "kitti_multiview_partial", "gt_px": "kitti_mixed", "final_px": "kitti_multiview",
        "final_gt": "kitti_200",
    }  # fmt: skip
    if stage in splits:
        assert view["train_split"] == f"data_splits/{splits[stage]}.txt"
    assert config["model"]["init_args"]["l2_weight"] == 0.0004
    assert view.get("sparse_zoom", "nearest") == "nearest"  # ours


def test_what_each_stage_starts_from() -> None:
    assert {name: training.starts for name, training in TRAININGS.items()} == STARTS


def test_every_stage_runs_in_a_reproduction_after_what_it_needs() -> None:
    assert {*ORDER["kitti"], *ORDER["sintel"]} >= {*TRAININGS, *TEACHER_LABELS}
    for order in ORDER.values():
        for stage in order:
            needs = TRAININGS[stage].starts if stage in TRAININGS else ()
            if stage in TEACHER_LABELS:
                needs = (TEACHER_LABELS[stage].teacher,)
            assert all(order.index(need) < order.index(stage) for need in needs)
    assert set(ALTERNATIVES) == {"ddflow_photometric", "sintel_photometric"}


@pytest.mark.parametrize("stage", TRAININGS)
def test_a_gpu_run_says_whether_it_uses_tf32(stage: str, settings: Settings) -> None:
    assert "configs/trainer/gpu.yaml" in configs(TRAININGS[stage], settings)
