"""Contact sheets: pictures side by side with captions."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

_GAP = 4
_CAPTION_HEIGHT = 18
_BASELINE = 13
_FONT, _FONT_SCALE, _SMALLEST_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.42, 0.25
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


def contact_sheet(
    rows: Sequence[Sequence[Picture]], labels: Sequence[Sequence[str]] | None = None
) -> Picture:
    """Arrange `rows` of pictures in a grid on white, each under its label: (H, W, 3), uint8 RGB.

    Pictures are uint8, (H, W, 3) RGB or (H, W) grey, of any sizes: a row is as high as its highest, a column as wide as
    its widest; rows may have different lengths. `labels` has the structure of the rows; a text too long for its column
    is drawn smaller, then cut. Raises ValueError for other arrays, no pictures, or labels of another structure.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.visual import contact_sheet
        >>> image, flow = np.zeros((2, 10, 20, 3), np.uint8)
        >>> contact_sheet([[image, flow]]).shape  # side by side, 4 px around each
        (18, 52, 3)
        >>> contact_sheet([[image, flow]], [["image", "flow"]]).shape  # plus 18 px for the labels
        (36, 52, 3)
    """
    if not any(len(row) for row in rows):
        raise ValueError("a contact sheet needs at least one picture")
    if labels is not None and [len(row) for row in labels] != [len(row) for row in rows]:
        raise ValueError("labels must have as many rows as the pictures, and as many texts in each row")
    cells = [[_colour(picture) for picture in row] for row in rows]
    columns = max(len(row) for row in cells)
    widths = [max(row[i].shape[1] for row in cells if i < len(row)) for i in range(columns)]
    heights = [max((cell.shape[0] for cell in row), default=0) for row in cells]
    caption = 0 if labels is None else _CAPTION_HEIGHT
    total = (
        sum(heights) + len(cells) * caption + _GAP * (len(cells) + 1),
        sum(widths) + _GAP * (columns + 1),
        3,
    )
    sheet = np.full(total, _PAPER, dtype=np.uint8)
    top = _GAP
    for index, row in enumerate(cells):
        left = _GAP
        for column, cell in enumerate(row):
            if labels is not None:
                _write(sheet[top : top + caption, left : left + widths[column]], labels[index][column])
            start = top + caption
            sheet[start : start + cell.shape[0], left : left + cell.shape[1]] = cell
            left += widths[column] + _GAP
        top += heights[index] + caption + _GAP
    return sheet


def _colour(picture: Picture) -> Picture:
    grey = picture.ndim == 2
    if picture.dtype != np.uint8 or not (grey or (picture.ndim == 3 and picture.shape[2] == 3)):
        found = f"{picture.dtype} of shape {picture.shape}"
        raise ValueError(f"a picture must be uint8 of shape (H, W, 3) or (H, W), got {found}")
    return np.repeat(picture[..., None], 3, axis=2) if grey else picture


def _write(strip: Picture, text: str) -> None:
    """Draw the text on a white strip (h, w, 3) of the sheet, in place."""
    width = cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0]
    scale = max(_SMALLEST_SCALE, _FONT_SCALE * min(1, strip.shape[1] / max(width, 1)))
    # OpenCV draws only on contiguous memory, and a slice of the sheet is not contiguous.
    drawn = np.ascontiguousarray(strip)
    cv2.putText(drawn, text, (0, _BASELINE), _FONT, scale, _INK, 1, cv2.LINE_AA)
    strip[:] = drawn
