"""Trains SlowFast networks that tteview can compile and stream."""

__version__ = "0.1.0"
