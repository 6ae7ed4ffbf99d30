"""An end to every stop: without its broker the Kafka client would keep a stopping worker for minutes."""

import logging
import os
import threading

_log = logging.getLogger(__name__)

#: An orderly stop takes two to four seconds; process supervisors usually kill after thirty.
STOP_DEADLINE_S = 15.0


def set_stop_deadline() -> None:
    """End the process with code 1 if it is still there after ``STOP_DEADLINE_S``; called when a stop begins.

    That is no worse than a crash: what was not checkpointed is repeated by the next owner.
    """
    alarm = threading.Timer(STOP_DEADLINE_S, _end)
    alarm.daemon = True
    alarm.start()


def _end() -> None:
    _log.warning("not stopped after %.0f s: ending without leaving the group", STOP_DEADLINE_S)
    os._exit(1)
