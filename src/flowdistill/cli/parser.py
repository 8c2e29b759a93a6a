"""The parser of `lightning`: what is wrong with an option or a YAML key, in a few lines instead of a page."""

from __future__ import annotations

import re
import sys
from typing import NoReturn

from pytorch_lightning.cli import LightningArgumentParser

# What jsonargparse says about the types that it tried, which helps nobody to mend a YAML file.
_NOISE = re.compile(
    r"^\s*(- )?(Does not validate against any of the Union subtypes"
    r"|Subtypes: .*"
    r"|Errors:"
    r"|Expected a <class 'NoneType'>\.?.*"
    r"|Given value type: .*"
    r"|Given value: NestedArg.*)$"
)


class ShortErrorParser(LightningArgumentParser):
    """Ends with exit code 2, the message and where to look, without the list of all options."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser within the parser: the outer one reports
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        subcommand = parser.prog.replace(" [options]", "").split()[
            1:
        ]  # the first word is how we were started
        command = " ".join(["lightning", *subcommand])
        print(f"error: {shortened(message)}\nsee: {command} --help", file=sys.stderr)
        raise SystemExit(2)


def shortened(message: str) -> str:
    """A message of jsonargparse without the lines on types that were tried in vain."""
    kept = [line for line in message.splitlines() if not _NOISE.match(line)]
    return "\n".join(kept) if kept else message
