"""What a detector reported, against what is known to have happened."""

from stream_app.evaluation.records import Decision, Label, Report, Scenario
from stream_app.evaluation.scores import Scores, evaluate

__all__ = ["Decision", "Label", "Report", "Scenario", "Scores", "evaluate"]
