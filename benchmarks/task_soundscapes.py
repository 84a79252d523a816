r"""Built-in soundscapes with as many clips of each class as DCASE 2017 task 4 has.

    python -m benchmarks.task_soundscapes --lists FOLDER --clips 51172 \
        --config=configs/sed.py --config.data.root=FOLDER

writes the lists of the task's layout to a folder, without recordings, and the features
of a configuration to where its trainings look for them: straight from the waveforms,
which lie on no disk. What is there already is not made again.

Clips are those of `gcrnn_jax.audio.soundscapes` whose classes are wanted, in the order
in which it makes them, so that a clip has the tags of one class or of two.

Source: numbers of clips and of tags are those of the task's lists, training of
training_set.csv, validation of the development test set, testing of the evaluation set.
Differs: 306 of its training clips have tags of three classes and more; its rarest tags
are more often beside others than ours are.
"""

import dataclasses
import functools
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.sounds import CLASSES
from gcrnn_jax.audio.soundscapes import CLASS_NAMES, plan
from gcrnn_jax.config import Config
from gcrnn_jax.data.build_store import build_store
from gcrnn_jax.data.dataset import SPLITS
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.lists.event_lists import write_text
from gcrnn_jax.data.soundscape_source import SoundscapeSource, soundscape_split
from gcrnn_jax.data.store import CARD
from gcrnn_jax.errors import ConfigError, run_command
from gcrnn_jax.fields import command_parser

TRAINING_CLIPS = 51172
COUNTS: dict[str, tuple[int, tuple[int, ...]]] = {  # clips, and of these each class has
    "training": (TRAINING_CLIPS, tuple(one.num_clips for one in CLASSES.values())),
    "validation": (
        488,
        (30, 30, 30, 30, 30, 30, 32, 35, 31, 35, 30, 60, 32, 31, 60, 30, 50),
    ),
    "testing": (
        1103,
        (60, 58, 59, 59, 59, 59, 60, 59, 59, 62, 59, 265, 60, 58, 100, 60, 154),
    ),
}
_FEWEST = 50  # of the classes' proportions little is left in fewer
_LIST = "{}_set.csv"


@dataclasses.dataclass
class ChosenSoundscapes(SoundscapeSource):
    """Some of a split's built-in clips, by their numbers; else as its base."""

    numbers: tuple[int, ...] = ()

    @functools.cached_property
    def _clip_ids(self) -> list[str]:
        return [f"{_video(self.name, one)}_0.000_10.000" for one in self.numbers]

    def cache_key(self, index: int) -> str:
        """Returns what the clip depends on."""
        return super().cache_key(self.numbers[index])

    def load(self, index: int):
        """Generates a clip."""
        return super().load(self.numbers[index])


def _video(split: str, number: int) -> str:
    return f"{split}_{number:07}"


def counts_of(split: str, clips: int) -> tuple[int, list[int]]:
    """How many clips a split has of so many training clips, and how many each class.

    Fewer than the task has are in proportion, of each class one at least; validation
    and testing clips are as many, or the task's where these are fewer.

    Raises:
        ConfigError: They are too few to be in proportion, or more than the task has.

    Example:
        >>> counts_of("validation", TRAINING_CLIPS)[0], counts_of("testing", 300)[0]
        (488, 300)
        >>> counts_of("training", 60)[1]
        [1, 1, 1, 1, 2, 2, 1, 3, 2, 3, 1, 29, 4, 4, 8, 4, 2]
    """
    if not _FEWEST <= clips <= TRAINING_CLIPS:
        raise ConfigError(
            f"--clips: expected {_FEWEST} to {TRAINING_CLIPS}, got {clips}"
        )
    size, counts = COUNTS[split]
    wanted = min(size, clips)
    if wanted == size:
        return size, [*counts]
    scaled = [max(1, round(count * wanted / size)) for count in counts]
    scaled[scaled.index(max(scaled))] += max(0, wanted - sum(scaled))
    return wanted, scaled


def choose_clips(
    seed: int, num_clips: int, counts: Sequence[int], *, balanced: bool
) -> list[int]:
    """Numbers of the first built-in clips that have so many of each class together.

    As many of them as there must be have two classes, all others one.

    Args:
        seed: Of the clips, and whether they are balanced: as of `soundscape`.
        num_clips: As many as the classes, or more.
        counts: Of each class of `CLASS_NAMES` 1 or more; together `num_clips` or more,
            up to 4/3 of it.
        balanced: As of `soundscape`.
    """
    left, chosen = dict(zip(CLASS_NAMES, counts, strict=True)), []
    num_pairs = sum(counts) - num_clips
    for number in itertools.count():
        if len(chosen) == num_clips:
            return sorted(chosen)
        classes = {event.class_name for event in plan(seed, number, balanced=balanced)}
        size = 2 if num_pairs else 1
        # of a rare class half of its clips at most, or pairs might use up all but one
        if len(classes) == size and all(
            left[name] > (size > 1) * counts[CLASS_NAMES.index(name)] // 2
            for name in classes
        ):
            chosen.append(number)
            num_pairs -= size - 1
            for name in classes:
                left[name] -= 1
    raise AssertionError("numbers have no end")


def write_lists(root: Path, clips: int) -> None:
    """Writes the task's lists of so many training clips, if they are not there.

    Raises:
        ConfigError: As `counts_of`, or the folder has lists of another number.
    """
    ids = DCASE2017_CLASSES.ids
    if (path := root / _LIST.format("training")).exists():
        if (found := path.read_text().count("\n")) != clips:
            raise ConfigError(f"--clips: {path} lists {found} clips, expected {clips}")
        return
    root.mkdir(parents=True, exist_ok=True)
    rows = zip(ids, DCASE2017_CLASSES.names, strict=True)
    text = "".join(f"{one}\t{name}\n" for one, name in rows)
    write_text(root / f"sound_event_list_{len(ids)}_classes.txt", text)
    for split in reversed(COUNTS):  # training comes last, and says that all are there
        size, counts = counts_of(split, clips)
        source = soundscape_split(split, 0, size, 16000)
        lines = []
        for number in choose_clips(source.seed, size, counts, balanced=source.balanced):
            events = plan(source.seed, number, balanced=source.balanced)
            names = sorted({event.class_name for event in events})
            tags = [DCASE2017_CLASSES.index_by_name[name] for name in names]
            texts = ",".join(names), ",".join(ids[tag] for tag in tags)
            video = _video(split, number)
            lines.append(f'{video},0.000,10.000,"{texts[0]}","{texts[1]}"\n')
        write_text(root / _LIST.format(split), "".join(lines))


def read_sources(root: Path, front_end: FrontEnd) -> dict[str, ChosenSoundscapes]:
    """The clips of the lists that `write_lists` has written, by split."""
    sources = {}
    for split in (name for name in SPLITS if name in COUNTS):
        lines = (root / _LIST.format(split)).read_text().splitlines()
        numbers = [int(line.split(",")[0].rpartition("_")[2]) for line in lines]
        base = soundscape_split(split, 0, len(numbers), front_end.sample_rate_hz)
        sources[split] = ChosenSoundscapes(
            **dataclasses.asdict(base), numbers=tuple(numbers)
        )
    return sources


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command_parser("benchmarks.task_soundscapes", __doc__)
    parser.add_argument("--lists", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--clips", type=int, default=TRAINING_CLIPS, help="to train on")
    flags, further = parser.parse_known_args(argv)
    write_lists(flags.lists, flags.clips)
    if further:
        from gcrnn_jax.arguments import parse

        config, _ = parse(["", *further])
        prepare(flags.lists, config)


def is_prepared(config: Config) -> bool:
    """Whether the features are there that a configuration's training looks for."""
    return (config.data.path(config.front_end, config.seed) / CARD).exists()


def prepare(root: Path, config: Config) -> None:
    """Makes the features of the clips of lists, unless they are there."""
    if is_prepared(config):
        return
    start, front_end = time.monotonic(), config.front_end
    build_store(
        config.data.path(front_end, config.seed),
        read_sources(root, front_end),
        front_end,
        DCASE2017_CLASSES,
        num_workers=config.data.num_workers,
    )
    print(f"features of {root}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    run_command(main)
