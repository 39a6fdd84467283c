"""Pages and messages can be read once: short sentences, and tables that fit on a screen."""

from __future__ import annotations

from docs.scripts import style
from docs.scripts.pages import anchors, cells, code_lines, links, read_blocks

PAGE = """# One `title`, two

Prose with a [link](other.md#there) and `code. Code`. See Li et al. 2019. The second
sentence.

    $ python run_experiment.py --list    # all

- an item
    that goes on
- another

    of two paragraphs

| a | b |
|---|---|
| `x` | y \\| z |

```bash
make docs
```
"""


def test_no_sentence_of_a_page_is_long() -> None:
    assert style.long_sentences_of_pages() == []


def test_no_sentence_of_a_message_is_long() -> None:
    assert style.long_sentences_of_messages() == []


def test_no_cell_is_wide() -> None:
    assert style.wide_cells() == []


def test_more_than_a_page_may_have_are_told() -> None:
    assert too_many(["a.md:1: x", "a.md:2: y", "b.md:1: z"], {"a.md": 2}) == ["b.md:1: z"]


def test_a_page_is_taken_apart() -> None:
    assert [block.kind for block in read_blocks(PAGE)] == [
        *("heading", "prose", "code", "item", "item", "prose", "table", "code"),
    ]
    assert code_lines(PAGE) == ["$ python run_experiment.py --list", "make docs"]
    assert anchors(PAGE) == {"one-title-two"} and list(links(PAGE)) == ["other.md#there"]
    assert [text for line, text in cells(PAGE) if line == 16] == ["`x`", "y \\| z"]


def test_sentences_are_counted_as_a_reader_does() -> None:
    text = next(block for block in read_blocks(PAGE) if block.kind == "prose").text
    told = style.sentences(text)
    assert told == ["Prose with a link and `code`", "See Li et al. 2019", "The second sentence."]
    assert [style.words(each) for each in told] == [6, 5, 3]


def test_messages_are_found() -> None:
    source = 'raise RecordError(f"{path} is " + "a")\nreporter.say(f"{n} images" if n else "none")\nraise SpaceError(f"no {x}, no {y}")'
    assert list(style.messages(source)) == [(2, "x images"), (2, "none"), (3, "no x, no x")]
