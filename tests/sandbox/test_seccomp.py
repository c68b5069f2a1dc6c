from __future__ import annotations

import struct

import pytest

from aotd.sandbox.seccomp import DECODING, NUMBERS, PROGRAM, seccomp_filter

KILL, REFUSE, ALLOW = 0x80000000, 0x00050001, 0x7FFF0000


def verdict(code: bytes, architecture: int, number: int) -> int:
    """What the kernel would make of a call: the three instructions that a filter of ours has."""
    steps, at, held = [*struct.iter_unpack("=HBBI", code)], 0, 0
    while True:
        name, then, otherwise, value = steps[at]
        if name == 0x20:
            held = {0: number, 4: architecture}[value]
        elif name == 0x15:
            at += then if held == value else otherwise
        else:
            assert name == 0x06
            return int(value)
        at += 1


@pytest.mark.parametrize("names", [PROGRAM, DECODING], ids=["program", "decoding"])
@pytest.mark.parametrize("machine", NUMBERS)
def test_filter_allows_listed_calls_only(machine: str, names: tuple[str, ...]) -> None:
    code, (audit, calls) = seccomp_filter(names, machine), NUMBERS[machine]
    allowed = {number for number in range(600) if verdict(code, audit, number) == ALLOW}
    assert allowed == {calls[name] for name in names}
    assert {verdict(code, audit, number) for number in {*range(600)} - allowed} == {REFUSE}
    assert verdict(code, audit, 0x40000000 + calls["read"]) == REFUSE


@pytest.mark.parametrize("machine", NUMBERS)
def test_calls_of_another_architecture_kill_the_process(machine: str) -> None:
    code, (_, calls) = seccomp_filter(PROGRAM, machine), NUMBERS[machine]
    assert verdict(code, 0x40000003, calls["read"]) == KILL


def test_architectures_allow_the_same_calls() -> None:
    assert {*NUMBERS["x86_64"][1]} == {*NUMBERS["aarch64"][1]}
