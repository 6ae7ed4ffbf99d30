"""DistillBench: labelled streams of light tenants, honest crowds that look suspicious, and distillation campaigns."""

from stream_app.simulate.campaigns.scenarios import SCENARIOS

__all__ = ["SCENARIOS"]
