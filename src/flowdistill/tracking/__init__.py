"""Run cards: provenance of weights and results (docs/run_cards.md)."""

from flowdistill.tracking.card import RunCard
from flowdistill.tracking.card_files import JSON_NAME, MARKDOWN_NAME, read_card, write_card
from flowdistill.tracking.hashes import entries_hash, file_record, folder_record
from flowdistill.tracking.splits import combine, source_section
from flowdistill.tracking.stage import now, stage_card

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
