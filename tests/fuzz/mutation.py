"""Inputs that are nearly whole: the same number gives the same one."""

import random
import re
from pathlib import Path

from fuzz.targets import TARGETS, Target

FOUND = Path(__file__).parent / "found"  # a folder a target: what broke it once
# Words begin where none goes on: a long one that is no value is looked at once, not from each of its letters on.
VALUE = re.compile(rb'("[^"]*"|(?<![\w.+-])[\w.+-]++)(?=\s*[,}\]\n])')
NUMBERS = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


def mutant(name: str, number: int) -> bytes:
    """Input `number` of a target."""
    target, chance = TARGETS[name], random.Random(f"{name} {number}")
    seeds = target.seeds()
    content = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        _change(content, target, chance, seeds)
    return target.mend(bytes(content)) if chance.random() < 0.7 else bytes(content)


def _change(content: bytearray, target: Target, chance: random.Random, seeds: list[bytes]) -> None:
    if target.text and chance.random() < 0.9 and (words := [*VALUE.finditer(content)]):
        start, stop = chance.choice(words).span()
        content[start:stop] = chance.choice(target.words)
        return
    # Headers are worth more.
    at = chance.randrange(1 + (len(content) if chance.random() < 0.5 else min(len(content), 80)))
    end = at + chance.choice((1, 2, 4, 16, 200))
    kind = chance.randrange(8)
    if kind == 0:
        del content[at:end]
    elif kind == 1:
        del content[at:]
    elif kind == 2:
        content[at:at] = content[at:end] * chance.choice((1, 3, 50))
    elif kind == 3:
        other = chance.choice(seeds)
        content[at:] = other[chance.randrange(len(other)) :]
    elif kind == 4:
        size = chance.choice((1, 2, 4))
        number = (chance.choice(NUMBERS) % 256**size).to_bytes(size, chance.choice(("big", "little")))
        content[at : at + size] = number
    elif kind == 5 and target.words:
        content[at : at + chance.choice((0, 4))] = chance.choice(target.words)
    else:
        for place in range(at, min(at + chance.choice((1, 1, 4)), len(content))):
            content[place] ^= 1 << chance.randrange(8)
