"""A form for the arguments of a tool, made from its input schema, and what was typed into it as JSON again.

The schema is somebody else's: it may be huge, nested without end, contradictory or plain wrong. Whatever can't be
made a field of is written as JSON.
"""

from typing import Any

from webapp.services.schema_form.fields import Field, Form, form_for
from webapp.services.schema_form.reading import MORE, Reading, read

__all__ = ["MORE", "Field", "Form", "Reading", "form_for", "mistakes", "read"]


def mistakes(arguments: dict[str, Any], schema: Any) -> list[tuple[str, str]]:
    """See checking, which is loaded when it is needed: its library takes long."""
    from webapp.services.schema_form.checking import mistakes as found

    return found(arguments, schema)
