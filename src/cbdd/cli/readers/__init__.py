"""Reading documents from files, as streams: nothing is held but the document at hand.

Every reader is an iterable of `Record`. A record that is bad carries what is wrong instead of a
document, and reading goes on with the next one, unless the rest of the source cannot be made sense
of; then the record says so and is the last.
"""

from cbdd.cli.readers.formats import FORMATS, Format, format_of
from cbdd.cli.readers.record import Record
from cbdd.cli.readers.source import Source, open_source

__all__ = ["FORMATS", "Format", "Record", "Source", "format_of", "open_source"]
