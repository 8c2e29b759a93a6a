"""The contact sheet contains every picture unchanged, with its caption above it."""

import numpy as np
import pytest

from flowdistill.visual import contact_sheet


def filled(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def place(sheet: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """top, left, height, width of the rectangle of this colour, which must be whole."""
    found = (sheet == colour).all(axis=2)
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    assert found.sum() == len(rows) * len(columns)
    return int(rows[0]), int(columns[0]), len(rows), len(columns)


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize("labels", [None, [["red", "green"], ["blue"]]])
def test_pictures_of_any_size_stand_in_a_grid(labels: list[list[str]] | None) -> None:
    rows = [[filled(20, 70, RED), filled(35, 90, GREEN)], [filled(15, 80, BLUE)]]
    sheet = contact_sheet(rows, labels)
    assert sheet.dtype == np.uint8
    red, green, blue = (place(sheet, colour) for colour in (RED, GREEN, BLUE))
    assert [p[2:] for p in (red, green, blue)] == [(20, 70), (35, 90), (15, 80)]
    assert red[0] == green[0]  # a row is aligned at its top
    assert red[1] == blue[1]  # a column at its left
    assert green[1] >= blue[1] + 80  # as wide as its widest
    caption = red[0] - 4  # the gap around pictures is 4
    assert (caption > 0) == (labels is not None)
    assert blue[0] == green[0] + 35 + 4 + caption  # a row as high as its highest
    assert sheet.shape[0] == blue[0] + 15 + 4
    assert sheet.shape[1] >= green[1] + 90


def test_captions_are_ink_above_their_pictures() -> None:
    picture = filled(20, 120, RED)
    plain, captioned = (
        contact_sheet([[picture, picture]]),
        contact_sheet([[picture, picture]], [["EPE 1.25", ""]]),
    )
    assert (plain.min(axis=2)[plain[..., 1] > 0] == 255).all()  # white and red, no ink
    assert captioned.shape[0] > plain.shape[0]
    top = place(captioned, RED)[0]
    strip = captioned[:top]
    assert (strip[:, :124].min(axis=2) < 100).sum() > 30
    assert (strip[:, 128:] == 255).all()  # an empty label leaves its area white


def test_a_long_caption_stays_in_its_column() -> None:
    picture = filled(20, 60, RED)
    sheet = contact_sheet([[picture, picture]], [["a caption that no column of sixty pixels can hold", ""]])
    strip = sheet[: place(sheet, RED)[0]]
    assert (strip[:, 4:64] < 255).any()
    assert (strip[:, 64:] == 255).all()


def test_grey_pictures_are_taken() -> None:
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20)
    sheet = contact_sheet([[grey]])
    np.testing.assert_array_equal(sheet[4:14, 4:24], np.repeat(grey[..., None], 3, axis=2))


def test_wrong_arguments_are_refused() -> None:
    picture = filled(4, 4, RED)
    for rows in ([], [[]], [[], []]):
        with pytest.raises(ValueError, match="at least one picture"):
            contact_sheet(rows)
    for labels in ([["a"]], [["a", "b"], ["c"]], [["a", "b", "c"]]):
        with pytest.raises(ValueError, match="labels must have"):
            contact_sheet([[picture, picture]], labels)
    for wrong in (picture.astype(np.float32), picture[..., :2], picture[None]):
        with pytest.raises(ValueError, match="a picture must be uint8"):
            contact_sheet([[wrong]])
