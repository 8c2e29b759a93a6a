"""Compiling every kernel ahead of time, without a GPU, and holding what it takes to a committed table.

python -m flowkernels.ahead_of_time kernels/resources.json            # what `make kernels` runs
python -m flowkernels.ahead_of_time kernels/resources.json --update   # after a change that is meant
"""
