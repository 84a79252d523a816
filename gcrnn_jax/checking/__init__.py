"""What can be wrong with recordings and lists, and what they hold."""

__all__: list[str] = []
