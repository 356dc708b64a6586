"""The short form of benchmarks/growth.py: key sets come and go, and the engine holds what it held before."""

from benchmarks import growth


def test_key_sets_that_come_and_go_leave_nothing():
    """Three rounds, each with keys that are expanded, mapped and refused; then all are closed, and bytes are counted.

    What is resident is looked at over 2,000 evaluations by the benchmark: in 30, an allocator's caches hide a leak.
    """
    report = growth.run(24, looks=3)
    assert report["key_sets_opened"] > 6
    assert report["key_files_refused"] > 0
    counted = [row["native_bytes"] for row in report["rows"]]
    assert max(counted) < 1.02 * min(counted)  # two threads may leave sixteen limbs more in the pool, and no key
    assert not growth.grew({"rows": [{"resident_bytes": 1, **row} for row in ({"native_bytes": 5},) * 4]})
    assert growth.grew({"rows": [{"resident_bytes": size, "native_bytes": 5} for size in (100, 100, 103, 100)]})
