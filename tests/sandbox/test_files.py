"""Contents are kept once, wherever they lie."""

import pytest

from sandbox import files
from sandbox.files import Contents, Files


@pytest.mark.parametrize("in_memory", [10, 10**6])
def test_equal_contents_take_one_place(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(files, "_IN_MEMORY", in_memory)
    contents = Contents()
    data = [bytes([n]) * 100 for n in range(5)]
    places = [contents.keep(piece) for piece in data * 3]
    assert places == [0, 100, 200, 300, 400] * 3
    assert [contents.read(place, 100) for place in places[:5]] == data


def test_every_upload_is_a_file_of_its_own(png) -> None:
    store = Files("bot")
    first, second = store.add_photo(png()), store.add_photo(png())
    assert (first.number, second.number, first.place) == (0, 1, second.place)
    assert store.file_id(first) != store.file_id(second)
    assert store.by_path(second.path) is second
    assert store.by_path("photos/file_7.png") is None
    assert store.by_path("documents/file_1.png") is None
    assert second.read() == png()


def test_a_picture_sent_as_a_file_has_a_thumbnail(png) -> None:
    store = Files("bot")
    picture = store.add("document", png(640, 320), "p.png", "image/png")
    thumbnail = store.document(picture)["thumbnail"]
    assert (thumbnail["width"], thumbnail["height"]) == (320, 160)
    assert store.by_id(thumbnail["file_id"]) == (picture, 1)
    assert "thumbnail" not in store.document(store.add("document", b"text", "t.txt", "text/plain"))
