"""Which files of a folder are recordings: one rule for all commands."""

import importlib.util
import os
from collections.abc import Callable, Iterator

# The first are preferred where a recording lies there in several formats.
_SOUNDFILE = (
    ".wav .flac .ogg .mp3 .wave .oga .opus .aif .aiff .aifc .au .snd .caf .w64 .rf64 "
    ".sph .voc"
).split()
_FFMPEG = (
    ".m4a .mp4 .aac .webm .mkv .mka .mov .wma .wmv .asf .amr .3gp .3g2 .mp2 .mpga .mpg "
    ".mpeg .m4b .m4v .avi .ts .mts .m2ts .ac3 .eac3 .ape .wv .tta .dts .flv .f4v .ra "
    ".rm .weba .ogv .ogx .spx .mpc .tak"
).split()
AUDIO_ENDINGS = (*_SOUNDFILE, *_FFMPEG)

# What lies beside recordings and is none of them, whatever else may be one.
_NO_AUDIO = frozenset(
    ".json .jsonl .txt .csv .tsv .xml .yaml .yml .toml .ini .db .md .log .html .pdf "
    ".lab .textgrid .eaf .srt .vtt .lrc .cue .m3u .m3u8 .pls .nfo .jpg .jpeg .png .gif "
    ".webp .svg .npy .npz .h5 .hdf5 .pkl .mat .pt .zip .gz .tar .rar .7z .part .tmp "
    ".crdownload .bak .asd .sfk .pkf .reapeaks .xmp .sha256 .md5 .py .xls .xlsx .doc "
    ".docx .lnk .url".split()
)
_SYSTEM = frozenset(
    "$recycle.bin|system volume information|@eadir|lost+found|thumbs.db|"
    "desktop.ini".split("|")
)


def readable_endings() -> tuple[str, ...]:
    """The endings of recordings that this installation can read, preferred ones first.

    Those that need FFmpeg are among them where PyAV is installed.
    """
    has_ffmpeg = importlib.util.find_spec("av") is not None
    return AUDIO_ENDINGS if has_ffmpeg else tuple(_SOUNDFILE)


def is_no_audio(name: str) -> bool:
    """Whether a file's ending says that it is no recording, as .json does."""
    return os.path.splitext(name)[1].lower() in _NO_AUDIO


def is_left_out(name: str) -> bool:
    """Whether a file or folder is the system's: hidden, or of deleted files.

    As `._a.wav` of a Mac, `.Trash-1000`, `$RECYCLE.BIN`, `@eaDir`, `Thumbs.db`.
    """
    return name.startswith(".") or name.lower() in _SYSTEM


def walk_files(
    top: str, on_error: Callable[[OSError], None], *, max_depth: int | None = None
) -> Iterator[str]:
    """Yields the paths of the files in a folder and those in it, sorted.

    Links to folders are followed, each folder once by device and inode, so that loops
    end. What `is_left_out` names is not searched.

    Args:
        top: The folder; its own name does not matter.
        on_error: Gets the error of a folder that cannot be read.
        max_depth: Folders in folders that are searched; 0: top alone, None: all.
    """
    searched = set()
    waiting = [(top, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            status = os.stat(folder)
            identity = status.st_dev, status.st_ino
            if status.st_ino and identity in searched:  # 0: no inodes there
                continue
            searched.add(identity)
            with os.scandir(folder) as entries:
                found = sorted((entry.name, entry.is_dir()) for entry in entries)
        except OSError as error:
            on_error(error)
            continue
        folders = []
        for name, is_folder in found:
            if is_left_out(name):
                continue
            path = os.path.join(folder, name)
            if not is_folder:
                yield path
            elif max_depth is None or depth < max_depth:
                folders.append((path, depth + 1))
        waiting += reversed(folders)
