"""The broker of files gives each message once, whole and in order, however many processes use it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection, Queue
from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Timer

from config.environment import BASE_DIR
from config.file_broker import Channel

# Big enough that writing takes a while: a reader that sees a file too early finds it cut off.
_WRITE = """
import sys
from tests.config.test_file_broker import connect
folder, name = sys.argv[1:]
queue = connect(folder).SimpleQueue("work")
for number in range(150):
    queue.put({"from": name, "number": number, "filling": "x" * 200_000})
"""
_READ = """
import sys
from queue import Empty
from tests.config.test_file_broker import connect
queue = connect(sys.argv[1]).SimpleQueue("work")
while True:
    try:
        message = queue.get(timeout=4)
    except Empty:
        break
    assert len(message.payload["filling"]) == 200_000
    print(message.payload["from"], message.payload["number"])
    message.ack()
"""


def connect(folder: str) -> Connection:
    """Return a connection to a broker in this folder, as the settings make it."""
    root = Path(folder)
    for name in ("messages", "control", "processed"):
        (root / name).mkdir(exist_ok=True)
    return Connection(
        "filesystem://",
        transport_options={
            "data_folder_in": str(root / "messages"),
            "data_folder_out": str(root / "messages"),
            "control_folder": str(root / "control"),
            "store_processed": True,
            "processed_folder": str(root / "processed"),
            "polling_interval": 0.01,
        },
    )


def _start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "import config.celery\n" + code, *arguments], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True
    )


def test_every_message_arrives_once_and_whole_with_two_writers_and_two_readers(tmp_path: Path) -> None:
    readers = [_start(_READ, str(tmp_path)) for _ in range(2)]
    writers = [_start(_WRITE, str(tmp_path), name) for name in ("a", "b")]
    for writer in writers:
        writer.communicate(timeout=120)
    received = [line for reader in readers for line in reader.communicate(timeout=120)[0].splitlines()]
    assert [process.returncode for process in (*writers, *readers)] == [0, 0, 0, 0]
    assert sorted(received) == sorted(f"{name} {number}" for name in ("a", "b") for number in range(150))


def test_a_message_cannot_be_seen_before_it_is_whole(tmp_path: Path, monkeypatch) -> None:
    with connect(str(tmp_path)) as connection:
        channel = connection.default_channel
        assert isinstance(channel, Channel)
        seen = []
        replace = Path.replace

        def counted(source: Path, target: Path) -> Path:
            seen.append((source.read_text() != "", channel._size("work")))
            return replace(source, target)

        monkeypatch.setattr(Path, "replace", counted)
        channel._put("work", {"number": 1})
        assert seen == [(True, 0)] and channel._size("work") == 1
        assert channel._get("work") == {"number": 1}


def test_messages_are_taken_in_the_order_they_were_sent(tmp_path: Path) -> None:
    with connect(str(tmp_path)) as connection:
        channel = connection.default_channel
        for number in range(20):
            channel._put("work", number)
        assert [channel._get("work") for _ in range(20)] == list(range(20))


@pytest.mark.parametrize("cut", [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"\xff\xfe"])
def test_a_message_that_was_cut_off_is_passed_over(tmp_path: Path, cut: Callable[[bytes], bytes]) -> None:
    with connect(str(tmp_path)) as connection:
        channel = connection.default_channel
        for number in range(3):
            channel._put("work", {"number": number})
        first, second, _ = sorted((tmp_path / "messages").iterdir())
        first.write_bytes(cut(first.read_bytes()))
        second.unlink()
        assert channel._get("work") == {"number": 2}
        with pytest.raises(Empty):
            channel._get("work")


def test_a_table_of_queues_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    with connect(str(tmp_path)) as connection:
        channel = connection.default_channel
        channel._queue_bind("work", "work", "", "work")
        channel._queue_bind("work", "more", "", "more")
        (table,) = (tmp_path / "control").glob("*.exchange")
        assert [row.queue for row in channel.get_table("work")] == ["more", "work"]
        table.write_bytes(table.read_bytes()[:-5])
        assert channel.get_table("work") == []
        channel._queue_bind("work", "work", "", "work")
        channel._queue_bind("work", "more", "", "more")
        channel._delete("more", "work", "more", "")
        assert [row.queue for row in channel.get_table("work")] == ["work"]


def test_a_writer_killed_in_the_middle_leaves_the_table_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(str(tmp_path)) as connection:
        channel = connection.default_channel
        channel._queue_bind("work", "work", "", "work")

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            channel._queue_bind("work", "more", "", "more")
        assert [row.queue for row in channel.get_table("work")] == ["work"]


def test_an_event_loop_is_given_what_was_sent_until_no_more_may_come(tmp_path: Path) -> None:
    loop, taken = Hub(timer=Timer()), []
    with connect(str(tmp_path)) as connection:
        consumer = connection.Consumer([Queue("work")], on_message=taken.append)
        consumer.qos(prefetch_count=2)
        connection.register_with_event_loop(loop)
        for number in range(3):
            connection.default_channel._put("work", _message(number))
        with consumer:
            turns = loop.create_loop()
            while len(taken) < 2:
                next(turns)
            next(turns)
            assert [message.payload for message in taken] == [0, 1]
            taken[0].ack()
            while len(taken) < 3:
                next(turns)
        assert taken[2].payload == 2


def _message(number: int) -> dict[str, Any]:
    properties = {"delivery_tag": str(number), "delivery_info": {}}
    return {"body": str(number), "content-type": "application/json", "content-encoding": "utf-8", "properties": properties}
