"""Pages and messages can be read once: short sentences, and tables that fit on a screen."""

from __future__ import annotations

from docs.scripts import style

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
