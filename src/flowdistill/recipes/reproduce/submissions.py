"""The stage that prepares checked submissions to the benchmark's server."""

from __future__ import annotations

from flowdistill.recipes.reproduce.arguments import score_root
from flowdistill.recipes.reproduce.cards import finished_ones, write_stage_card
from flowdistill.recipes.reproduce.marks import once
from flowdistill.recipes.reproduce.score import weights_and_data
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import SUBMITTED, Name
from flowdistill.tracking import now


def submit(settings: Settings, stage: str) -> None:
    """Create archives for KITTI's server, of the final DWARF and of DDFlow's student, or a folder for Sintel's.

    Raises:
        UserError: no network is finished.
    """
    tasks = SUBMITTED[stage]
    benchmark: Name = "kitti" if stage == "submit" else "sintel"
    nothing = f"{stage}: {' and '.join(tasks)} {'are' if len(tasks) > 1 else 'is'} not finished"
    networks = finished_ones(list(tasks), settings, "submitted", nothing)
    started, folder, done = now(), settings.folder(stage), []
    ending = ".zip" if benchmark == "kitti" else ""
    archives = {name: folder / f"{name}_{tasks[name]}{ending}" for name in networks}
    for name, archive in archives.items():
        data = score_root(benchmark)
        command = [
            "submit", settings.layout(data),
            *(["--task", tasks[name]] if benchmark == "kitti" else []),
            "--checkpoint", str(networks[name]),
            "--root", str(settings.root(data)),
            "--output", str(archive),
            "--device", "cpu" if settings.smoke or settings.accelerator == "cpu" else "cuda",
        ]  # fmt: skip
        inputs = weights_and_data(settings, benchmark, networks[name])
        done.append(once(folder / f"{name}.json", inputs, [command], archive, archive.exists()))
    write_stage_card(stage, settings, done, started, {}, list(archives.values()), networks)
