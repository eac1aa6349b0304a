"""cssync: customer success as code."""

__version__ = "0.1.0"
