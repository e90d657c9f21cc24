"""How long a plan takes on the wall: stacks that wait for each other, on so many instances at once."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush


def makespan(lengths: Sequence[float], at_once: int | None, waits_for: Sequence[Sequence[int]]) -> float:
    """Seconds from the first start to the last end, if whoever may start does so in the order given.

    lengths: seconds of each stack. at_once: how many instances there are; None for as many as are wanted.
    waits_for: for each stack, the places in `lengths` of the stacks that must have ended before it starts.
    Grows with stacks and waits, times the logarithm of the stacks.
    """
    _check(lengths, at_once, waits_for)
    free = len(lengths) if at_once is None else at_once
    awaited = [len(set(others)) for others in waits_for]
    followers: list[list[int]] = [[] for _ in lengths]
    for stack, others in enumerate(waits_for):
        for other in set(others):
            followers[other].append(stack)

    ready = [stack for stack, count in enumerate(awaited) if not count]
    heapify(ready)
    running: list[tuple[float, int]] = []
    now, ended = 0.0, 0
    while ready or running:
        while ready and free:
            stack = heappop(ready)
            heappush(running, (now + lengths[stack], stack))
            free -= 1
        now = running[0][0]
        # All that end now end before the next starts, so that the order decides and not chance.
        while running and running[0][0] == now:
            _, stack = heappop(running)
            free, ended = free + 1, ended + 1
            for follower in followers[stack]:
                awaited[follower] -= 1
                if not awaited[follower]:
                    heappush(ready, follower)
    if ended < len(lengths):
        raise ValueError(f"{len(lengths) - ended} of {len(lengths)} stacks wait for each other and can not start")
    return now


def _check(lengths: Sequence[float], at_once: int | None, waits_for: Sequence[Sequence[int]]) -> None:
    if len(waits_for) != len(lengths):
        raise ValueError(f"{len(lengths)} lengths and {len(waits_for)} lists of waits; one of each per stack is right")
    if at_once is not None and at_once < 1:
        raise ValueError(f"{at_once} instances at once; 1 or more are right")
    for stack, length in enumerate(lengths):
        if not 0 <= length < float("inf"):
            raise ValueError(f"stack {stack} takes {length} seconds; a finite number, 0 or more, is right")
    for stack, others in enumerate(waits_for):
        for other in others:
            if not 0 <= other < len(lengths):
                raise ValueError(f"stack {stack} waits for stack {other}; there are {len(lengths)}, counted from 0")
