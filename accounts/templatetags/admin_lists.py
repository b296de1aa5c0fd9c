"""Of the admin's lists: their words on a phone, where each row is a card and each cell carries its column's name."""

import re

from django import template
from django.template.defaultfilters import capfirst
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# unfold writes the name as the model has it, in lower case; text of users is escaped and holds no quotation mark.
LABEL = re.compile(r'(?<= data-label=")[^"]+(?=")')


@register.filter
def sentence_labels(html: SafeString) -> SafeString:
    """The list with each name as its header has it: "User id"."""
    return mark_safe(LABEL.sub(lambda found: capfirst(found[0]), html))  # noqa: S308 - the page's own, one letter changed
