"""Ahead-of-time compilation of every kernel, without a GPU; resource usage is compared with a committed table.

python -m flowkernels.ahead_of_time kernels/resources.json            # what `make kernels` runs
python -m flowkernels.ahead_of_time kernels/resources.json --update   # after an intended change
"""
