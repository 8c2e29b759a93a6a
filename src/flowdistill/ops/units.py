"""DWARF's internal unit: its motions and losses are in units of 20 pixels."""

SCALE = 20.0
"""Pixels of the full resolution per unit of the network. Source: DWARF (AAAI 2020), released code."""
