"""Work off jobs and keep the schedule until told to stop; jobs under way are finished or given back first."""

import argparse
import os

from jobs import logs, worker
from settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """`mts worker` takes its settings from the environment alone."""


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT. Raises SettingsError."""
    settings = Settings.from_env(os.environ)
    logs.configure(settings.log_level)
    worker.run(settings)
    return 0
