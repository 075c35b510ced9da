import threading

import pytest
import torch

from faceedit.editing.editor import FaceEditor
from faceedit.pool import ahead, in_turn
from tests.conftest import ASTRONAUT


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)


def test_items_come_in_their_order_each_with_its_result_or_error():
    done = list(in_turn(lambda item: 10 // item, [5, 0, 2]))
    assert [item for item, _ in done] == [5, 0, 2]
    assert (done[0][1].result(), done[2][1].result()) == (2, 5)
    assert isinstance(done[1][1].exception(), ZeroDivisionError)
    assert list(in_turn(print, [])) == []


def test_some_are_worked_on_at_once():
    together = threading.Barrier(3)
    for _, done in in_turn(lambda item: together.wait(timeout=30), range(3), max_items=3):
        assert done.result() in range(3)


def test_items_are_asked_for_as_they_are_needed():
    asked = []
    turns = in_turn(lambda item: item, (asked.append(i) or i for i in range(100)), max_items=2)
    for turn, (item, _) in enumerate(turns):
        assert item == turn
        assert len(asked) <= turn + 4
        if turn == 9:
            break
    turns.close()
    assert len(asked) < 20


def test_the_next_item_is_fetched_while_one_is_worked_on():
    fetched = threading.Event()

    def items():
        yield 1
        fetched.set()
        yield 2
        raise ValueError("no more")

    turns = ahead(items())
    assert next(turns) == 1
    assert fetched.wait(timeout=30)
    assert next(turns) == 2
    with pytest.raises(ValueError, match="no more"):
        next(turns)
    assert list(ahead([])) == []


def test_all_networks_of_an_edit_keep_one_core_busy():
    """Several are no faster, and where one of them has other work, edits wait for it."""
    editor, threads, count = FaceEditor.from_pretrained(device="cpu"), [], torch.get_num_threads()
    torch.set_num_threads(3)
    hook = torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: threads.append(torch.get_num_threads()))
    try:
        editor.edit(ASTRONAUT, emotion="surprised")
        after = torch.get_num_threads()
    finally:
        hook.remove()
        torch.set_num_threads(count)
    assert len(threads) > 100
    assert set(threads) == {1}
    assert after == 3
