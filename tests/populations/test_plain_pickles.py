from __future__ import annotations

import os
import pickle
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_files import python2_pickle
from ecotone.populations.plain_pickles import read_plain_pickle

ROWS = np.random.default_rng(0).integers(0, 256, (2, 300), dtype=np.uint8)


class Command:
    """What an attacker would pickle: loading it runs a command of the shell."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (self.command,))


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("key", ["data", b"data"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_python_3_writes(protocol: int, key: str | bytes, order: str) -> None:
    rows = np.asarray(ROWS, order=order)  # pyright: ignore[reportCallIssue, reportArgumentType]
    whole = {key: rows, "labels": [3, 5], "about": ("text", b"bytes", None, True, 2**40)}
    found = read_plain_pickle(pickle.dumps(whole, protocol=protocol))
    assert np.array_equal(found["data"], ROWS)
    assert found["labels"] == [3, 5]
    assert found["about"] == ("text", b"bytes", None, True, 2**40)


@pytest.mark.parametrize("columns_first", [False, True])
def test_what_python_2_wrote(columns_first: bool) -> None:
    data = python2_pickle(ROWS, [3, 5], columns_first=columns_first)
    found = read_plain_pickle(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's module has another name by now
        expected = pickle.loads(data, encoding="latin1")  # written above, so it may be loaded
    assert found.keys() == expected.keys()
    assert np.array_equal(found["data"], expected["data"])
    assert np.array_equal(found["data"], ROWS)
    assert (found["labels"], found["filenames"]) == (expected["labels"], expected["filenames"])


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_command_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "it-was-run"
    whole = {"data": ROWS, "labels": [3, 5], "extra": Command(f"touch {mark}")}
    data = pickle.dumps(whole, protocol=protocol)
    with pytest.raises(ValueError):
        read_plain_pickle(data)
    assert not mark.exists()
    pickle.loads(data)  # it is a real one
    assert mark.exists()


def test_the_name_of_a_command_is_told() -> None:
    for protocol in (2, 4):
        with pytest.raises(ValueError, match=f"it names {os.name}.system, which is not data"):
            read_plain_pickle(pickle.dumps({"data": Command("true")}, protocol=protocol))


def test_names_that_are_known_are_still_not_called_at_will() -> None:
    encode = b"c_codecs\nencode\n"
    told = "unusual way"
    for arguments in (b"X\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86", b"K\x00\x85"):
        with pytest.raises(ValueError, match=rf"{told}|no sense"):
            read_plain_pickle(b"\x80\x02}X\x01\x00\x00\x00k" + encode + arguments + b"Rs.")
    with pytest.raises(ValueError, match=told):  # an ndarray made by its own constructor
        read_plain_pickle(b"\x80\x02}X\x01\x00\x00\x00kcnumpy\nndarray\nK\x05\x85Rs.")
    with pytest.raises(ValueError, match="neither an array nor a dtype"):
        read_plain_pickle(b"\x80\x02}X\x01\x00\x00\x00k}}bs.")


def test_a_pickle_cannot_fill_the_memory_with_what_it_repeats() -> None:
    text = b"X" + (1000).to_bytes(4, "little") + b"a" * 1000
    made = b"c_codecs\nencode\nq\x00" + text + b"X\x06\x00\x00\x00latin1\x86q\x01R0"
    again = b"h\x00h\x01R"
    with pytest.raises(ValueError, match="unusual way"):
        read_plain_pickle(b"\x80\x02}](" + made.removesuffix(b"0") + again * 5 + b"e.")


@pytest.mark.parametrize(
    "whole",
    [
        {"data": ROWS.astype(np.int64)},
        {"data": np.array([object()])},
        {"data": np.float64(1.0)},
        {"data": 1.5},
        {"data": {1, 2}},
        OrderedDict(data=1),
        {3: "a key that is no text"},
        [1, 2],
        "text",
    ],
)
def test_what_is_no_plain_data_is_refused(whole: object) -> None:
    with pytest.raises(ValueError, match="it "):
        read_plain_pickle(pickle.dumps(whole, protocol=2))


def test_a_key_that_stands_there_twice_is_refused() -> None:
    pair = b"X\x04\x00\x00\x00dataK\x01"
    assert read_plain_pickle(b"\x80\x02}(" + pair + b"u.") == {"data": 1}
    with pytest.raises(ValueError, match="twice"):
        read_plain_pickle(b"\x80\x02}(" + pair * 2 + b"u.")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_is_told_or_harmless(data: st.DataObject) -> None:
    whole = bytearray(python2_pickle(ROWS[:, :12], [3, 5]))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        found = read_plain_pickle(damaged)
    except ValueError:
        return
    assert isinstance(found, dict)
