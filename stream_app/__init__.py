"""Stillwatch: real-time anomaly detection for API providers, from Kafka to Kafka."""

from importlib.metadata import version

__version__ = version("stillwatch")
