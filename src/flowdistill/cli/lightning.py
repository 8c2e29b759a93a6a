"""`lightning`: fit, validate, test and predict from YAML files, on PyTorch Lightning's CLI."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

from flowdistill.cli.exit_codes import report_user_errors
from flowdistill.cli.processes import GRACE, end_after_lost_connection, end_with_children
from flowdistill.disk import refusal
from flowdistill.errors import UserError
from flowdistill.host_memory import keep_freed_memory
from flowdistill.processes import ENDS_WITH_PARENT, die_with_parent
from flowdistill.stopping import Stopped, end_workers, signals

if TYPE_CHECKING:  # takes 5 seconds to import, so it is imported in the function below
    from flowdistill.cli.flow_cli import FlowCLI


def main(arguments: list[str] | None = None) -> int:
    """Run the console script and return its exit code: 2, with a message, for user errors."""
    if os.environ.get(ENDS_WITH_PARENT):
        die_with_parent(os.getppid())
    keep_freed_memory()
    with signals.installed():
        try:
            return report_user_errors(lambda: _run(arguments))
        finally:
            end_workers()


def _run(arguments: list[str] | None) -> int:
    run_cli(arguments)
    return 0


def run_cli(arguments: list[str] | None, run: bool = True) -> FlowCLI:
    """Parse a command line of `lightning`, instantiate its objects and, by default, run it.

    Raises:
        UserError: the arguments or the data are wrong.
    """
    # albumentations checks online for its newest version when it is imported.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    # Importing creates a million long-lived objects: garbage collection during the import, and again at exit, takes two
    # of the five seconds of `lightning fit --help`.
    gc.disable()
    import pytorch_lightning as pl
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from flowdistill.cli.flow_cli import ConfigOnly, FlowCLI, SaveFitConfig, ShortErrorParser
    from flowdistill.cli.quiet import leave_out_noise
    from flowdistill.tracking.wandb_run import finished_at_the_end

    leave_out_noise()
    gc.freeze()
    gc.enable()

    try:
        with finished_at_the_end():
            cli = (FlowCLI if run else ConfigOnly)(
                pl.LightningModule,
                pl.LightningDataModule,
                parser_class=ShortErrorParser,
                subclass_mode_model=True,
                subclass_mode_data=True,
                seed_everything_default=0,
                auto_configure_optimizers=False,  # the modules define Adam and their schedules
                parser_kwargs={"parser_mode": "omegaconf"},
                save_config_callback=SaveFitConfig,
                args=arguments,
            )
    except Stopped as stopped:
        end_with_children(GRACE if stopped.together else 0.0)
        raise
    except UserError:
        end_with_children(5.0)  # they have the same error, or wait for this process
        raise
    except MisconfigurationException as error:
        on_gpu = "gpu" in str(error).lower()
        hint = "\nOn a machine without a GPU, use configs/trainer/cpu.yaml." if on_gpu else ""
        raise UserError(f"the trainer's settings do not work here: {error}{hint}") from error
    except OSError as error:
        kinds = (NotADirectoryError, IsADirectoryError, FileExistsError, FileNotFoundError)
        if not isinstance(error, kinds) and refusal(error) is None:
            raise
        raise UserError(
            f"cannot write to {error.filename}: {error.strerror}. The run's files go to "
            "--trainer.logger.init_args.save_dir, predictions to --prediction.output."
        ) from error
    except RuntimeError as error:
        end_after_lost_connection(error)
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(
            f"a data-loading worker exited ({str(error).strip().splitlines()[0]}). Killed usually means that memory "
            "was exhausted: use fewer workers (--data.init_args.num_workers), or a smaller crop."
        ) from error
    end_with_children(GRACE)  # they are finishing, too
    return cli


if __name__ == "__main__":
    raise SystemExit(main())
