"""Blocks over threads: order, errors, BLAS kept to one thread and given back, the number of threads."""
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from minicnn.core import blas
from minicnn.core import threads as core_threads
from minicnn.core.threads import added, image_blocks, in_parallel, matmul, slices, threads, workspace


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    """Two threads, on a machine with a single processor too."""
    before = core_threads._chosen[:]
    threads(2)
    yield
    core_threads._chosen[:] = before


def test_results_come_in_order(two_threads):
    """The first item waits for the second: they really run side by side, and still come back in order."""
    second_has_begun = threading.Event()

    def work(item):
        if item == 0:
            assert second_has_begun.wait(timeout=60)
        elif item == 1:
            second_has_begun.set()
        return item * 10
    assert in_parallel(work, range(7)) == [0, 10, 20, 30, 40, 50, 60]


def test_one_item_or_none_stays_in_this_thread(two_threads):
    here = threading.get_ident()
    assert in_parallel(lambda item: threading.get_ident(), ["one"]) == [here]
    assert in_parallel(lambda item: 1 / 0, []) == []


def test_the_calling_thread_and_another_share_the_items(two_threads):
    meeting = threading.Barrier(2, timeout=60)                   # nobody gets through who is alone

    def work(item):
        meeting.wait()
        return threading.get_ident()
    assert set(in_parallel(work, range(2))) > {threading.get_ident()}


def test_the_number_of_threads_can_be_set(two_threads):
    assert threads() == 2 and threads(3) == 3 == threads()
    for wrong in (0, -1, 1.5):
        with pytest.raises(ValueError, match="n must be a positive whole number"):
            threads(wrong)
    assert threads() == 3


@pytest.mark.parametrize("shapes", [((3, 4), (4, 5)), ((700, 300), (300, 90)), ((40, 300), (300, 2000)), ((1, 1), (1, 1))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_is_the_same_with_any_number_of_threads(two_threads, shapes, dtype):
    a, b = (np.random.default_rng(i).standard_normal(shape).astype(dtype) for i, shape in enumerate(shapes))
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(matmul(a, b))
    assert results[0].dtype == dtype and all(np.array_equal(results[0], other) for other in results[1:])
    np.testing.assert_allclose(results[0], a.astype(float) @ b, rtol=1e-4 if dtype == np.float32 else 1e-10, atol=1e-4)


@pytest.mark.parametrize("images, rows, at_once", [(5, 7, 3), (5, 7, 0), (5, 7, 7), (5, 7, 16), (1, 1, 1), (3, 4, 1000)])
def test_image_blocks_cover_every_row_once(images, rows, at_once):
    seen = np.zeros((images, rows), int)
    for where in image_blocks(images, rows, at_once):
        seen[where] += 1
        assert seen[where].size <= max(at_once, 1)
    assert (seen == 1).all()


def test_an_iterator_will_do(two_threads):
    assert in_parallel(str, (i for i in range(3))) == ["0", "1", "2"]


@pytest.mark.parametrize("count", [1, 4])
def test_an_error_reaches_the_caller_and_blas_gets_its_threads_back(two_threads, count):
    before = blas_threads()

    def fail(item):
        raise KeyError(f"block {item}")
    with pytest.raises(KeyError, match="block 0"):
        in_parallel(fail, range(count))
    assert blas_threads() == before
    assert in_parallel(abs, [-1, -2]) == [1, 2]              # and everything still works


def test_blas_has_one_thread_inside_and_all_of_them_after(two_threads):
    before = blas_threads()
    assert before
    assert in_parallel(lambda item: blas_threads(), range(2)) == [[1] * len(before)] * 2
    assert blas_threads() == before


def test_the_limit_ends_with_the_last_one_inside():
    """Two threads of the caller may be inside at once: the first to leave must not lift the limit of the other."""
    limit, before = blas._BlasLimit(), blas_threads()
    with limit:
        with limit:
            pass
        assert blas_threads() == [1] * len(before)
    assert blas_threads() == before


def test_a_block_may_have_blocks_of_its_own(two_threads):
    """Nested calls run in the worker itself: with a fixed number of threads that wait for each other they would hang."""
    def outer(i):
        worker = threading.get_ident()
        return in_parallel(lambda j: (10 * i + j, threading.get_ident() == worker), range(3))
    assert in_parallel(outer, range(4)) == [[(10 * i + j, True) for j in range(3)] for i in range(4)]


# ---- how many ------------------------------------------------------------------------------------------------------

def count_with(setting):
    return subprocess.run([sys.executable, "-c", "from minicnn.core.threads import threads; print(threads())"],
                          env={**os.environ, "MINICNN_THREADS": setting}, capture_output=True, text=True)


@pytest.mark.parametrize("a, b", [(np.ones((1, 600, 700, 1), np.float32), np.full((1, 600, 700, 1), 2, np.float32)),
                                  (np.ones((700, 600), np.float32), np.ones((700, 600))),
                                  (np.ones((600, 700), np.float32).T, np.broadcast_to(np.float32(3), (700, 600))),
                                  (np.ones((2, 3)), np.ones((2, 3))), (np.float32(1), np.float32(2))])
def test_a_sum_is_the_sum(two_threads, a, b):
    expected, given = a + b, np.array(a)
    y = added(a, b)
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(a, given)                      # nothing was changed
    place = given.copy()
    z = added(place, b, in_place=True)
    np.testing.assert_array_equal(z, expected)
    assert z.dtype == a.dtype and (a.ndim == 0 or z is place)


def test_an_error_in_one_item_does_not_keep_the_others_from_ending(two_threads):
    done = []

    def work(item):
        if item == 1:
            raise KeyError("the second")
        done.append(item)
    with pytest.raises(KeyError, match="the second"):
        in_parallel(work, range(6))
    assert sorted(done) == [0, 2, 3, 4, 5]
    assert in_parallel(lambda item: item, range(6)) == [*range(6)]           # and the threads live on


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own():
    program = """
import os
from minicnn.core.threads import in_parallel, threads
threads(2)
in_parallel(str, range(4))
child = os.fork()
if not child:
    os._exit(in_parallel(str, range(4)) != [*"0123"])
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("setting", ["1", "3", "64"])
def test_the_environment_sets_the_number(setting):
    assert count_with(setting).stdout == setting + "\n"


def test_without_a_setting_there_are_as_many_as_processors():
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert count_with("").stdout == f"{processors}\n"


@pytest.mark.parametrize("setting", ["0", "-2", "two", "1.5", " ", "²"])
def test_a_wrong_setting_is_named(monkeypatch, setting):
    monkeypatch.setenv("MINICNN_THREADS", setting)
    with pytest.raises(ValueError, match=f"MINICNN_THREADS must be a positive whole number, not {setting!r}"):
        core_threads._default_threads.__wrapped__()


# ---- blocks and buffers --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("length, parts", [(10, 3), (3, 10), (1, 1), (0, 4), (7, 7), (100, 8), (5, 0)])
def test_slices_cover_everything_once(length, parts):
    found = slices(length, parts)
    assert [i for part in found for i in range(length)[part]] == list(range(length))
    assert len(found) <= max(1, parts)
    sizes = [part.stop - part.start for part in found]
    assert max(sizes) - min(sizes) <= 1


def test_a_workspace_is_used_again():
    first = workspace("test", (4, 5), np.float32)
    again = workspace("test", (2, 3, 2), np.float32)
    assert first.shape == (4, 5) and again.shape == (2, 3, 2) and first.dtype == again.dtype == np.float32
    assert np.shares_memory(first, again) and again.flags.c_contiguous
    larger = workspace("test", (100,), np.float32)
    assert larger.shape == (100,) and not np.shares_memory(first, larger)


def test_a_workspace_belongs_to_name_dtype_and_thread():
    mine, others = workspace("test", (8,), np.float32), []
    thread = threading.Thread(target=lambda: others.append(workspace("test", (8,), np.float32)))
    thread.start()
    thread.join()
    others += [workspace("another", (8,), np.float32), workspace("test", (4,), np.float64)]
    assert not any(np.shares_memory(mine, other) for other in others)
