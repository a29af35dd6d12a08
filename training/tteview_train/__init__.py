"""The model kit of tteview: trains SlowFast networks that can be compiled and streamed."""

__version__ = "0.1.0"
