"""A reproduction with stubbed commands, which write the same outputs as the real ones and record their calls."""

import itertools
import json
from collections.abc import Collection, Sequence
from pathlib import Path

import torch

from flowdistill.errors import UserError
from flowdistill.tracking import now, stage_card, write_card

BLOCK = {"all": {"rate": 0.125}, "epe": 1.5}
MEANS = {"flow_occ": {"epe": 1.75, "over_3": 0.25}}


class Commands:
    """Replacement for `commands.run`. If `fails_at` is an argument, the first command with it fails half-way."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails_at: str | None = None
        self.problems: list[dict[str, str]] = []
        self.cards = True
        self.salt = ""

    def __call__(self, module: str, arguments: Sequence[str], allowed: Collection[int] = (0,)) -> int:
        arguments = list(arguments)
        self.calls.append(arguments)
        values = dict(itertools.pairwise(arguments))
        breaks = self.fails_at is not None and any(self.fails_at in argument for argument in arguments)
        if arguments[0] == "fit":
            self._fit(values, 20 if breaks else 40)
        if breaks:
            raise UserError("killed")
        if arguments[:2] == ["data", "check"]:
            Path(values["--json"]).write_text(json.dumps({"problems": self.problems}))
        elif arguments[:2] == ["labels", "make"]:
            report = Path(values["--root"], values["--output"], "report.json")
            for motion in ("flow", "disp_0", "disp_1"):
                (report.parent / "left" / motion).mkdir(parents=True, exist_ok=True)
                for id_ in ("000000_00", "000199_19"):
                    (report.parent / "left" / motion / f"{id_}.png").touch()
            (report.parent / "labels.yaml").write_text("keep: 0.5")
            content = {"settings": {}, "motions": {"flow": {"density": 0.5, "outliers": None}}}
            report.write_text(json.dumps(content))
        elif arguments[:2] == ["evaluate", "sintel"]:
            Path(values["--json"]).parent.mkdir(parents=True, exist_ok=True)
            Path(values["--json"]).write_text(
                json.dumps({"pooled": {"clean": {"all": {"epe": 2.5}, "matched": {"epe": None}}}})
            )
        elif arguments[:2] == ["evaluate", "kitti"]:
            Path(values["--json"]).parent.mkdir(parents=True, exist_ok=True)
            Path(values["--json"]).write_text(
                json.dumps({"pooled": {"flow_occ": BLOCK, "disp_0_occ": BLOCK}, "mean_of_images": MEANS})
            )
        elif arguments[0] == "submit":
            archive = Path(values["--output"])
            if archive.suffix == ".zip":
                archive.write_text("zip")
            else:  # Sintel's
                (archive / "clean").mkdir(parents=True)
                (archive / "clean" / "frame_0001.flo").touch()
        elif values.get("--prediction.layout") == "labels":
            Path(values["--prediction.output"], "left", "flow").mkdir(parents=True, exist_ok=True)
        return 0

    def _fit(self, values: dict[str, str], steps: int) -> None:
        folder = Path(
            values["--trainer.logger.init_args.save_dir"], values["--trainer.logger.init_args.name"]
        )
        version = len(list(folder.glob("version_*")))
        checkpoint = folder / f"version_{version}" / "checkpoints" / "last.ckpt"
        checkpoint.parent.mkdir(parents=True)
        # Other settings give other weights.
        content = {
            "global_step": steps,
            "state_dict": {"w": torch.tensor(float(hash(f"{sorted(values.items())}{self.salt}") % 999))},
        }
        torch.save(content, checkpoint)
        if self.cards:
            card = stage_card("fit", "lightning fit", now(), seeds={"version": version})
            write_card(card, checkpoint.parents[1])

    def named(self) -> list[str]:
        """The calls, short: `fit gt`, `predict gt`, `evaluate kitti`, ..."""
        names = []
        for call in self.calls:
            values = dict(itertools.pairwise(call))
            if call[0] == "fit":
                names.append(f"fit {values['--trainer.logger.init_args.name']}")
            elif call[0] == "predict" and values.get("--prediction.layout") == "labels":
                names.append(f"label {Path(values['--prediction.output']).parts[-3]}")
            elif call[0] == "predict":
                names.append(f"predict {Path(values['--prediction.output']).parent.name}")
            else:
                names.append(" ".join(call[:2]))
        return names
