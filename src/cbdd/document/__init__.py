"""Raw BSON: reading fields in place and judging documents before they are stored."""

from cbdd.document.raw import elements, find_field, skip_value, value_start
from cbdd.document.validate import check_document_id, check_replacement, validate_document

__all__ = [
    "check_document_id",
    "check_replacement",
    "elements",
    "find_field",
    "skip_value",
    "validate_document",
    "value_start",
]
