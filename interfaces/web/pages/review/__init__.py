"""What the page of a request shows: the verdict in words and numbers, the evidence, the people, the talk, the next act."""

from interfaces.web.pages.review.checks import CheckRow, Node, Severe, check_row, data_of, findings, measured_by
from interfaces.web.pages.review.page import Review, review, title
from interfaces.web.pages.review.requirements import Groups, Requirement, grouped, requirement, tally

__all__ = [
    "CheckRow",
    "Groups",
    "Node",
    "Requirement",
    "Review",
    "Severe",
    "check_row",
    "data_of",
    "findings",
    "grouped",
    "measured_by",
    "requirement",
    "review",
    "tally",
    "title",
]
