"""Ids of a user's own frames: paths as one word of a split file, also used as names of output files."""

import os

RIGHT = "_right"
"""The suffix of the name of a right-camera sample (`SplitEntry.name`)."""


def frame_id(path: str) -> str:
    """Return a path below the root, without its suffix, as an id.

    White space, `#`, `=`, `%`, control characters and bytes that are not UTF-8 become %XX, as in web addresses
    (`My Videos/IMG 01` is `My%20Videos/IMG%2001`), and so does the underscore of a `_right` at the end, which would
    denote a camera. Other characters are unchanged; different paths have different ids.
    """
    text = "".join(_escaped(character) for character in path)
    return f"{text.removesuffix(RIGHT)}%5Fright" if text.endswith(RIGHT) else text


def _escaped(character: str) -> str:
    if character.isprintable() and not character.isspace() and character not in "#=%":
        return character
    return "".join(f"%{byte:02X}" for byte in os.fsencode(character))
