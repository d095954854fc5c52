"""Ids are made of random bits that nobody else gets, not even a process forked in between."""

import os

from db.types import new_id


def test_ids_differ_and_grow_with_time() -> None:
    made = [new_id() for _ in range(5_000)]
    assert len({each.int & ((1 << 62) - 1) for each in made}) == 5_000
    assert all(each.version == 7 for each in made)
    milliseconds = [each.int >> 80 for each in made]
    assert milliseconds == sorted(milliseconds)


def test_a_forked_process_makes_ids_of_its_own() -> None:
    new_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_id().bytes[8:])
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 8) != new_id().bytes[8:]
    os.close(reading)
    os.close(writing)
