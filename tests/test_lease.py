from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cssync.errors import ConfigError, LeaseHeld, LeaseLost
from cssync.runs.lease import hold_lease, holder
from cssync.runs.record import new_run_id, recorded
from cssync.store import Store


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def fence(store: Store) -> int:
    return int(store.query("SELECT fence FROM lease")[0]["fence"])


def outcome(store: Store, run_id: str) -> tuple[str | None, int | None]:
    row = store.query("SELECT outcome, exit_code FROM run WHERE id = ?", (run_id,))[0]
    return row["outcome"], row["exit_code"]


def test_one_run_holds_the_lease_and_says_so_to_the_next(store: Store, tmp_path: Path) -> None:
    with (
        Store.open(tmp_path / "store.db") as other,
        hold_lease(store, owner="r-1") as lease,
        recorded(store, "r-1", "run", fence=lease),
    ):
        told = r"r-1 since .* \(cssync run\), last sign of life"
        with pytest.raises(LeaseHeld, match=told) as refused, hold_lease(other, owner="r-2"):
            pass
        assert refused.value.exit_code == 5
        assert "r-1" in (holder(other) or "")
    assert holder(store) is None
    with hold_lease(store, owner="r-3"):
        assert fence(store) == 2


def test_five_at_once_one_works(tmp_path: Path) -> None:
    Store.open(tmp_path / "store.db").close()
    held, refused, everybody = [], [], threading.Barrier(5)

    def work(number: int) -> None:
        with Store.open(tmp_path / "store.db") as store, ExitStack() as stack:
            everybody.wait()
            try:
                stack.enter_context(hold_lease(store, owner=f"r-{number}"))
                held.append(number)
            except LeaseHeld:
                refused.append(number)
            everybody.wait()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 4)


def test_a_late_writer_is_refused_and_cannot_close_what_is_no_longer_its_own(tmp_path: Path, store: Store) -> None:
    clock = Clock()
    with ExitStack() as stack:
        late = stack.enter_context(hold_lease(store, owner="r-1", clock=clock, heartbeat=3600))
        record = stack.enter_context(recorded(store, "r-1", "run", fence=late, clock=clock))
        clock.now += 61
        with Store.open(tmp_path / "store.db") as other, hold_lease(other, owner="r-2", clock=clock) as lease:
            assert outcome(other, "r-1") == ("crashed", 1)
            with pytest.raises(LeaseLost), store.transaction(late):
                pytest.fail("the transaction must not begin")
            with pytest.raises(LeaseLost):
                late.beat()
            assert late.lost.is_set()
            with other.transaction(lease):
                pass
            record.exit_code = 0
            with pytest.raises(LeaseLost):
                stack.close()
            assert outcome(other, "r-1") == ("crashed", 1)
            assert "r-2" in (holder(other, clock) or "")


def test_a_sign_of_life_extends_the_lease(store: Store, tmp_path: Path) -> None:
    clock = Clock()
    with hold_lease(store, owner="r-1", clock=clock, heartbeat=3600) as lease:
        clock.now += 50
        lease.beat()
        clock.now += 50
        with (
            Store.open(tmp_path / "store.db") as other,
            pytest.raises(LeaseHeld),
            hold_lease(other, owner="r-2", clock=clock),
        ):
            pass


def test_the_heartbeat_beats_by_itself_and_ends_with_the_block(store: Store) -> None:
    beaten = threading.Event()

    class Counting(Clock):
        calls = 0

        def time(self) -> float:
            self.calls += 1
            if self.calls > 6:
                beaten.set()
            return super().time()

    with hold_lease(store, owner="r-1", clock=Counting(), heartbeat=0.01):
        assert beaten.wait(5)
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


_HOLDER = """
    import sys, time
    from cssync.runs.lease import hold_lease
    from cssync.runs.record import recorded
    from cssync.store import Store
    with Store.open(sys.argv[1]) as store, hold_lease(store, owner="r-dead") as lease:
        with recorded(store, "r-dead", "run", fence=lease):
            print("held", flush=True)
            time.sleep(60)
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_a_killed_run_is_closed_as_crashed_at_once_and_a_stopped_one_is_waited_for(
    tmp_path: Path, stopped: bool
) -> None:
    path = tmp_path / "store.db"
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(_HOLDER), str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        child.send_signal(signal.SIGSTOP if stopped else signal.SIGKILL)
        if not stopped:
            child.wait()
        with Store.open(path) as store:
            if stopped:
                with pytest.raises(LeaseHeld, match=f"pid {child.pid} r-dead since"), hold_lease(store, owner="r-2"):
                    pass
            else:
                with hold_lease(store, owner="r-2"):
                    row = store.query("SELECT outcome, ended_at FROM run")[0]
                    assert row["outcome"] == "crashed"
                    assert row["ended_at"] <= datetime.now(UTC).isoformat()
        child.kill()


def test_run_ids_sort_by_time_and_never_collide() -> None:
    at = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    runs = [new_run_id(at + timedelta(microseconds=n)) for n in range(50)]
    assert runs == sorted(set(runs))


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ConfigError("bad"), ("failed", 2)), (ValueError("bug"), ("failed", 1)), (KeyboardInterrupt(), ("failed", 1))],
)
def test_a_run_that_raises_is_closed_with_its_reason(
    store: Store, error: BaseException, expected: tuple[str, int]
) -> None:
    with pytest.raises(type(error)), recorded(store, "r-1", "sync"):
        raise error
    assert outcome(store, "r-1") == expected
