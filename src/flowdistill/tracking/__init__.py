"""Run cards: provenance of weights and results (docs/run_cards.md)."""

from flowdistill.tracking.card import JSON_NAME, MARKDOWN_NAME, now, read_card, stage_card, write_card
from flowdistill.tracking.sections import RunCard, entries_hash, file_record, folder_record
from flowdistill.tracking.splits import combine, source_section

__all__ = [
    "JSON_NAME",
    "MARKDOWN_NAME",
    "RunCard",
    "combine",
    "entries_hash",
    "file_record",
    "folder_record",
    "now",
    "read_card",
    "source_section",
    "stage_card",
    "write_card",
]
