"""Log lines of programs that run for long: one form for ours and for those of Kafka's, Faust's and aiohttp's loggers.

At info and above no line names a tenant, account, payment or address of a customer: decisions are named by their ids.
"""

import logging
import sys
from asyncio import CancelledError

import structlog
from structlog.typing import Processor

from stream_app.settings import LogForm, Settings

#: What these say at lower levels, our own lines say better, or it is of use to their authors only.
_FOREIGN_LEVELS = {
    "faust": logging.ERROR,
    "mode": logging.ERROR,
    "aiokafka": logging.ERROR,
    # kafka-python repeats at every attempt what our own line has said once.
    "kafka": logging.CRITICAL,
    "faust.worker": logging.CRITICAL + 1,  # that it crashed, without saying why
    "asyncio": logging.WARNING,
    "aiohttp": logging.WARNING,
}


def log_to_stderr(settings: Settings, *filters: logging.Filter) -> None:
    """Let everything that is logged from now on appear on stderr, unless a filter leaves it out."""
    is_terminal = sys.stderr.isatty()
    is_json = settings.log_form is LogForm.JSON or (settings.log_form is LogForm.AUTO and not is_terminal)
    common: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(is_json, is_terminal)],
        )
    )
    lines.addFilter(_is_a_fault)
    for one in filters:
        lines.addFilter(one)
    logging.basicConfig(level=logging.INFO, handlers=[lines], force=True)
    logging.getLogger("stream_app").setLevel(settings.log_level.upper())
    for name, level in _FOREIGN_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _is_a_fault(record: logging.LogRecord) -> bool:
    """Not that a task was cancelled: Faust tells it with a traceback when a worker ends by an error of its own."""
    return not record.exc_info or not isinstance(record.exc_info[1], CancelledError)


def _renderers(is_json: bool, is_terminal: bool) -> list[Processor]:
    if is_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=plain, pad_event_to=0)]
