"""Faster implementations for the CPU, forward and backward."""
