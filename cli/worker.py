"""Work off jobs and keep the schedule until told to stop; jobs under way are finished or given back first."""

import argparse
import os

from cli.self_check import refuse_unsafe_start
from jobs import logs, worker
from settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """`mts worker` takes its settings from the environment alone."""


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT. Raises SettingsError, and CommandError when the role is unsafe."""
    settings = Settings.from_env(os.environ)
    refuse_unsafe_start(settings)
    logs.configure(settings.log_level)
    worker.run(settings)
    return 0
