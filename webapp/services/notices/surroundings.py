"""What notices know of the box they are sent from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from config import Config


@dataclass
class Surroundings:
    address: str = ""
    ca_file: str | None = None
    every: timedelta = timedelta(seconds=60)  # at most one notice in this time, however many calls wait


current = Surroundings()


def configure(config: Config) -> None:
    current.address = config.address
    current.ca_file = config.ca_file
    current.every = timedelta(seconds=config.notice_seconds)
