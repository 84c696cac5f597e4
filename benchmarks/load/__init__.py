"""A real gateway under load, beside a bare ASGI application that sends the same bytes."""
