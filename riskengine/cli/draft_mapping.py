"""`riskengine draft-mapping`: a first mapping of a strange file, with what speaks for each guess and what it could not tell."""

from contextlib import closing
from pathlib import Path

import click

from riskengine.cli.streams import say_document
from riskengine.cli.terminal import store_option
from riskengine.files.drafts.column_evidence import Known
from riskengine.files.drafts.draft import KINDS, make_draft
from riskengine.files.drafts.draft_text import draft_text
from riskengine.files.drafts.sniff import SAMPLE_BYTES, take_sample
from riskengine.files.lines import STDIN, display_name, first_bytes
from riskengine.store.open_store import open_store


@click.command(name="draft-mapping")
@click.argument("file")
@click.option("--kind", type=click.Choice(KINDS), default="trades", show_default=True, help="What the rows are.")
@store_option
def draft_mapping_command(file: str, kind: str, store: str | None) -> None:
    """Guess how a strange file reads and print a commented mapping; nothing is loaded. Read it before you use it."""
    known = _names_of(store) if store else None
    data, whole = first_bytes(file, SAMPLE_BYTES)
    sample = take_sample(data, display_name(file), whole=whole)
    say_document(draft_text(make_draft(sample, kind, known), display_name(file) if file == STDIN else Path(file).name, known))


def _names_of(url: str) -> Known:
    """The instruments of a store, and the nodes that trades attach to."""
    with closing(open_store(url, create=False, read_only=True)) as store:
        nodes = store.nodes()
        parents = {node.parent for node in nodes}
        return Known(
            frozenset(instrument.instrument for instrument in store.instruments()),
            frozenset(node.node for node in nodes if node.node not in parents),
        )
