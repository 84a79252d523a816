"""What lies in a store's folder, for comparing stores."""

from pathlib import Path


def content(path: Path) -> dict[str, bytes]:
    """Every file but the lock, which names its last holder."""
    files = (
        file for file in path.rglob("*") if file.is_file() and file.name != ".lock"
    )
    return {str(file.relative_to(path)): file.read_bytes() for file in files}
