"""Faster formulations for a CPU, forward and backward."""
