"""Measurements, each a program that prints one table: `python -m bench`, or `python -m bench start list`."""
