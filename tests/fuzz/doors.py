"""Every door, and how often each has its turn: about the same time for each, so that slow ones get fewer inputs."""

import asyncio

from tests.fuzz import records, requests, tables
from tests.fuzz.connections import Connections
from tests.fuzz.frames import Frames
from tests.fuzz.operations import Screens
from tests.fuzz.rules import Target

WEIGHTS = {
    "frames": 4,
    "operations": 8,
    "files": 4,
    "mappings": 5,
    "ready mappings": 3,
    "drafts": 1,
    "queries": 8,
    "bodies": 4,
    "connections": 2,
}
"""Blocks in each round; of every kind of record RECORDS."""

RECORDS = 10


def weight_of(target: Target) -> int:
    """How many blocks a door gets in each round."""
    return WEIGHTS.get(target.name, RECORDS)


def every_door(loop: asyncio.AbstractEventLoop) -> list[Target]:
    """The doors; those that are asynchronous run in `loop`."""
    return [
        *records.targets(),
        Frames(loop),
        Screens(),
        *tables.targets(),
        *requests.targets(loop),
        Connections(loop),
    ]
