"""``python -m stream_app`` is the ``stillwatch`` command."""

from stream_app.cli import main

main()
