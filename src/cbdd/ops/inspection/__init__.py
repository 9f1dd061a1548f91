"""Looking at the parts of a file: frames of the log, pages, trees, and how two files differ."""

from cbdd.ops.inspection.difference import CollectionDifference, FileDifference, compare_files
from cbdd.ops.inspection.log_view import dump_log, verify_log
from cbdd.ops.inspection.page_view import view_page
from cbdd.ops.inspection.tree_names import TreeNames
from cbdd.ops.inspection.tree_shape import TreeShape, shape_of

__all__ = [
    "CollectionDifference",
    "FileDifference",
    "TreeNames",
    "TreeShape",
    "compare_files",
    "dump_log",
    "shape_of",
    "verify_log",
    "view_page",
]
