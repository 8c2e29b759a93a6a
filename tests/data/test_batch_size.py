"""The batch of a config is divided among processes and accumulated batches, or rejected with the valid numbers."""

import pytest

from flowdistill.data.batch_size import in_words, share_of_batch
from flowdistill.data.sampler import sample_numbers
from flowdistill.errors import UserError


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_step_has_the_same_samples_whoever_computes_it(processes: int, accumulated: int) -> None:
    own = share_of_batch(8, processes, accumulated)
    for step in range(5):
        numbers = [
            number
            for part in range(accumulated)
            for rank in range(processes)
            for number in sample_numbers(step * accumulated + part, rank, processes, own)
        ]
        assert numbers == list(range(8 * step, 8 * step + 8))


@pytest.mark.parametrize(("processes", "accumulated"), [(3, 1), (8, 1), (4, 2), (1, 3)])
def test_what_does_not_divide_is_refused_with_what_does(processes: int, accumulated: int) -> None:
    with pytest.raises(UserError) as error:
        share_of_batch(4, processes, accumulated)
    text = str(error.value)
    assert "batch_size 4" in text
    assert f"{processes} processes with accumulate_grad_batches {accumulated}" in text
    assert "must be one of 1, 2, 4 (trainer.devices" in text
    multiple = int(text.split("such as ")[1].split(",")[0])
    assert share_of_batch(multiple, processes, accumulated) >= 1


def test_the_run_says_all_three_numbers() -> None:
    assert in_words(4, 1, 1) == "batch of 4 = 1 process x 1 accumulated batch x 4 samples"
    assert in_words(8, 2, 4) == "batch of 8 = 2 processes x 4 accumulated batches x 1 sample"
