"""Rate limits: the arithmetic never lets too many through, and one refusal stops every thread and process."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.connectors import Bucket
from cssync.errors import TransientFault
from cssync.http import UNLIMITED, Limiter, ProcessLimiter
from cssync.http.clock import ManualClock
from cssync.http.limit import QUEUE, Level, Pace, block, noted, reserve, take
from cssync.store.limiter import StoreLimiter
from cssync.store.sqlite import Store

buckets = st.builds(
    Bucket,
    name=st.just("all"),
    calls=st.integers(1, 300),
    seconds=st.sampled_from([1.0, 10.0, 60.0, 0.3]),
)
gaps = st.lists(st.one_of(st.just(0.0), st.floats(0, 20)), min_size=1, max_size=400)


@given(buckets, gaps)
def test_no_window_holds_more_calls_than_the_vendor_allows(bucket: Bucket, pauses: list[float]) -> None:
    level, now, sent = Level(), 0.0, []
    for pause in pauses:
        now += pause
        level, wait = reserve(level, Pace.of(bucket), now)
        sent.append(now + wait)
    assert sent == sorted(sent)
    window = bucket.seconds * (1 - 1e-6)
    for first, start in enumerate(sent):
        inside = sum(1 for at in sent[first:] if at < start + window)
        assert inside <= bucket.calls


@given(st.integers(1, 40), st.floats(0.01, 59.9), st.floats(0, 1.4), st.booleans())
def test_a_vendors_windows_are_used_up_and_never_exceeded(
    calls: int, offset: float, latency: float, whole: bool
) -> None:
    """Windows of 60 s that begin at `offset`; the answer to each call tells what is left, in whole seconds or not."""
    bucket, level, now = Bucket("exports", calls, 60, windowed=True), Level(), 0.0
    used: dict[int, int] = {}
    while now < 600:
        level, wait = take(level, bucket, now)
        now += wait + latency / 2
        window = int((now - offset) // 60)
        used[window] = used.get(window, 0) + 1
        left = offset + 60 * (window + 1) - now
        now += latency / 2
        level = noted(level, bucket, calls - used[window], float(int(left)) if whole else left, now)
    assert max(used.values()) <= calls
    complete = [count for window, count in used.items() if 1 <= window <= 7]
    assert complete == [calls] * 7


def test_calls_on_their_way_and_calls_of_others_are_both_counted() -> None:
    bucket, level = Bucket("exports", 10, 60, windowed=True), Level()
    for _ in range(4):
        level, wait = take(level, bucket, now=100.0)
        assert wait == 0
    level = noted(level, bucket, 9, 30.0, now=101.0)
    assert (level.taken, level.tat) == (4, 132.0), "the vendor has seen only one of our four"
    level = noted(level, bucket, 2, 29.0, now=102.0)
    assert level.taken == 8, "somebody else has called four times"
    waits = []
    for _ in range(3):
        level, wait = take(level, bucket, now=102.0)
        waits.append(wait)
    assert waits == [0, 0, 30.0]
    level = noted(level, bucket, 0, 28.0, now=103.0)
    _, wait = take(level, bucket, now=103.0)
    assert wait == pytest.approx(29.0), "those who queue stay behind the window's end"


@given(buckets)
def test_never_exceeding_costs_at_most_four_percent_of_the_rate(bucket: Bucket) -> None:
    level, pace, now = Level(), Pace.of(bucket), 0.0
    for _ in range(1000):
        level, wait = reserve(level, pace, now)
        now += wait
    rate = (1000 - pace.burst) / now
    fewest = 0.98 / max(1.02, 1 + 0.04 / bucket.seconds)  # 96 % of what is allowed, where a window is two seconds
    assert 0.999 * fewest * bucket.calls / bucket.seconds <= rate <= bucket.calls / bucket.seconds * 1.001


@given(buckets, st.floats(0.01, 86_400), st.integers(1, QUEUE))
def test_nobody_calls_during_a_hold_and_the_pace_holds_after_it(bucket: Bucket, seconds: float, callers: int) -> None:
    level, pace = block(Level(), seconds, now=100.0), Pace.of(bucket)
    sent = []
    for _ in range(callers):
        level, wait = reserve(level, pace, 100.0)
        sent.append(100.0 + wait)
    assert min(sent) >= 100.0 + seconds
    first_window = [at for at in sent if at < 100.0 + seconds + bucket.seconds * (1 - 1e-6)]
    assert len(first_window) <= max(bucket.calls, pace.burst)


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    assert block(block(Level(), 60, now=0.0), 5, now=10.0).blocked_until == 60.0


def test_a_reset_that_was_meant_as_an_epoch_shuts_nothing_for_years() -> None:
    assert block(Level(), 1_795_000_000, now=5.0).blocked_until == 5.0 + 86_400
    window = noted(Level(), Bucket("all", 10, 60, windowed=True), 0, 1_795_000_000, now=5.0)
    assert window.tat < 5.0 + 86_400 + 60


def test_a_clock_set_back_stops_nobody_for_longer_than_the_queue() -> None:
    bucket = Bucket("all", 10, 60)
    level, _ = reserve(Level(), Pace.of(bucket), now=1_000_000.0)
    _, wait = reserve(level, Pace.of(bucket), now=500_000.0)
    assert wait <= 60 / 8 * 203


# --- the two limiters -------------------------------------------------------------------------------------------------

Make = Callable[[ManualClock], Limiter]


@pytest.fixture(params=["process", "store"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(clock: ManualClock) -> Limiter:
            if request.param == "process":
                return ProcessLimiter(clock)
            stack.enter_context(Store.open(tmp_path / "s.db"))
            return stack.enter_context(StoreLimiter(tmp_path / "s.db", clock))

        yield made


def test_paces_a_bucket_and_leaves_the_others_alone(make: Make) -> None:
    clock = ManualClock()
    limiter = make(clock)
    search, reads = Bucket("search", 4, 1), Bucket("reads", 100, 10)
    waits = [limiter.acquire("crm", search) for _ in range(4)]
    assert waits == pytest.approx([0, 0.26, 0.52, 0.78], abs=1e-6)
    assert limiter.acquire("crm", reads) == 0
    assert limiter.acquire("desk", search) == 0


def test_a_hold_is_seen_by_those_who_wait_and_those_who_come(make: Make) -> None:
    clock = ManualClock()
    limiter = make(clock)
    assert limiter.held("crm", "search") == 0
    limiter.hold("crm", "search", 30)
    assert limiter.held("crm", "search") == pytest.approx(30)
    assert limiter.acquire("crm", Bucket("search", 100, 10)) == pytest.approx(30)
    assert limiter.held("crm", "reads") == 0
    clock.now += 31
    assert limiter.held("crm", "search") == 0


def test_a_bucket_without_a_pace_still_obeys_a_hold(make: Make) -> None:
    limiter = make(ManualClock())
    free = Bucket("any", 0, 0)
    assert [limiter.acquire("crm", free) for _ in range(500)] == [0.0] * 500
    limiter.hold("crm", "any", 9)
    assert limiter.acquire("crm", free) == pytest.approx(9)


def test_few_calls_left_are_spread_over_the_time_until_there_are_more(make: Make) -> None:
    clock = ManualClock()
    limiter = make(clock)
    account = Bucket("account", 400, 60)
    limiter.told("desk", account, 200, 30.0)
    assert limiter.held("desk", "account") == 0
    limiter.told("desk", account, 19, 2.0)
    assert limiter.held("desk", "account") == 0, "our pace does not use them up in two seconds"
    limiter.told("desk", account, 3, 40.0)
    assert limiter.acquire("desk", account) == pytest.approx(10.0)
    limiter.told("desk", account, 3, None)
    exports = Bucket("exports", 10, 60, windowed=True)
    limiter.acquire("desk", exports)
    limiter.told("desk", exports, 1, 40.0)
    assert limiter.acquire("desk", exports) == 0, "what is left of a window may go at once"
    assert limiter.acquire("desk", exports) == pytest.approx(41.0), "and then it is waited for its end"


def test_the_store_keeps_what_the_vendor_says_is_left(tmp_path: Path) -> None:
    clock, bucket = ManualClock(), Bucket("account", 400, 60)
    with Store.open(tmp_path / "s.db") as store, StoreLimiter(tmp_path / "s.db", clock) as limiter:
        for remaining, later in ((380, 0.0), (379, 0.5), (377, 0.6), (9, 0.1)):
            clock.now += later
            limiter.told("desk", bucket, remaining, 30.0)
            limiter.acquire("desk", bucket)
            ((seen,),) = store.query("SELECT remaining FROM rate_limit WHERE bucket = 'desk/account'")
            assert seen == (380 if remaining == 379 else remaining), "plenty is noted once a second, few at once"


def test_unlimited_keeps_nothing() -> None:
    UNLIMITED.hold("crm", "search", 99)
    assert UNLIMITED.acquire("crm", Bucket("search", 1, 60)) == UNLIMITED.held("crm", "search") == 0


def test_two_store_limiters_on_one_file_share_the_pace_and_the_hold(tmp_path: Path) -> None:
    clock = ManualClock()
    bucket = Bucket("all", 10, 10)
    with (
        Store.open(tmp_path / "s.db"),
        StoreLimiter(tmp_path / "s.db", clock) as one,
        StoreLimiter(tmp_path / "s.db", clock) as two,
    ):
        at = [limiter.acquire("crm", bucket) for _ in range(15) for limiter in (one, two)]
        assert at == sorted(at)
        assert all(sum(1 for b in at if a <= b < a + 9.999) <= 10 for a in at)
        one.hold("crm", "all", 500)
        assert two.held("crm", "all") == pytest.approx(500)
        assert two.acquire("crm", bucket) == pytest.approx(500)


def test_the_state_outlives_the_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from cssync.store.limiter import StoreLimiter\n"
        "with StoreLimiter(Path(sys.argv[1])) as limiter: limiter.hold('crm', 'daily', 3600)\n"
    )
    with Store.open(tmp_path / "s.db") as store:
        subprocess.run([sys.executable, "-c", program, str(tmp_path / "s.db")], check=True, timeout=60)
        with StoreLimiter(tmp_path / "s.db") as limiter:
            assert 3500 < limiter.held("crm", "daily") <= 3600
        (row,) = store.query("SELECT * FROM rate_limit")
        assert row["bucket"] == "crm/daily"
        assert row["updated_at"].endswith("Z")


def test_a_store_that_stays_locked_is_told_and_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cssync.store.limiter.BUSY", 0.05)
    with Store.open(tmp_path / "s.db") as store, StoreLimiter(tmp_path / "s.db") as limiter:
        with store.transaction(), pytest.raises(TransientFault, match="stayed locked"):
            limiter.acquire("crm", Bucket("all", 1, 60))
        assert limiter.acquire("crm", Bucket("all", 1, 60)) == 0


@pytest.mark.parametrize("kind", ["process", "store"])
def test_threads_never_take_the_same_slot(tmp_path: Path, kind: str) -> None:
    clock = ManualClock()
    bucket = Bucket("all", 5, 10)
    taken: list[float] = []
    with Store.open(tmp_path / "s.db"), StoreLimiter(tmp_path / "s.db", clock) as shared:
        limiter: Limiter = shared if kind == "store" else ProcessLimiter(clock)

        def take() -> None:
            taken.extend(limiter.acquire("crm", bucket) for _ in range(10))

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(taken) == 40
    pace = Pace.of(bucket)
    assert sorted(taken) == pytest.approx([0.0] * pace.burst + [pace.interval * n for n in range(1, 41 - pace.burst)])


def test_two_processes_share_one_budget(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from cssync.connectors import Bucket\n"
        "from cssync.store.limiter import StoreLimiter\n"
        "sys.stdin.readline()\n"
        "with StoreLimiter(Path(sys.argv[1])) as limiter:\n"
        "    for _ in range(30): print(time.time() + limiter.acquire('crm', Bucket('all', 100, 60)))\n"
    )
    with Store.open(tmp_path / "s.db"):
        asking = [
            subprocess.Popen(
                [sys.executable, "-c", program, str(tmp_path / "s.db")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for process in asking:  # both are there before either begins
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        at = sorted(float(line) for process in asking for line in process.communicate(timeout=60)[0].split())
    pace = Pace.of(Bucket("all", 100, 60))
    assert len(at) == 60
    assert at[-1] - at[0] == pytest.approx((60 - pace.burst) * pace.interval, rel=0.1)
    assert all(b - a > 0.5 * pace.interval for a, b in zip(at[pace.burst :], at[pace.burst + 1 :], strict=False))
