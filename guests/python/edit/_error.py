class EditError(ValueError):
    """A text cannot be edited: it is no JSON or TOML, or what is asked for cannot be said in it."""
