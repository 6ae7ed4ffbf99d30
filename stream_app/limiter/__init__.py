"""Reference limiter: obeys the control topic and answers, per request, whether it may pass."""

from stream_app.limiter.allowances import Allowance
from stream_app.limiter.checks import Limiter, RequestFacts
from stream_app.limiter.control_topic import ControlTopic
from stream_app.limiter.decisions_table import DecisionsTable
from stream_app.limiter.http_face import create_http_app

__all__ = ["Allowance", "ControlTopic", "DecisionsTable", "Limiter", "RequestFacts", "create_http_app"]
