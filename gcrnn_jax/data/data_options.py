"""Which data a system is trained on, as a configuration says it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.build_shards import ShardSet
from gcrnn_jax.data.build_store import StorePlan, finish
from gcrnn_jax.data.clip_ids import speed_text
from gcrnn_jax.data.dataset import SPLITS
from gcrnn_jax.data.layouts import LayoutOptions
from gcrnn_jax.data.parts import read_share
from gcrnn_jax.data.preparation import (
    folder_in_cache,
    plan_folder,
    plan_soundscapes,
    soundscapes_in_cache,
)
from gcrnn_jax.data.recording_source import RecordingSource
from gcrnn_jax.data.soundscape_source import SoundscapeSource
from gcrnn_jax.data.speed_copies import SpeedCopies
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.data.store_shards import Source
from gcrnn_jax.data.without_recordings import store_without_recordings
from gcrnn_jax.errors import ConfigError, DataError, RecordingsMissingError
from gcrnn_jax.fields import check, user_path


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which data a system is trained on, and where its features go.

    Attributes:
        root: Folder of recordings and lists; "": built-in soundscapes.
        layout: Of that folder; "": the one that is found there.
        negatives: Names of folders or labels that mean none of the classes; "" alone
            says that there are none of these.
        clip_hop_s: From the start of one clip of a long recording to that of the
            next; 0: clips that do not overlap.
        split_fractions: Of the recordings to train, validate and test on, where the
            folder does not say. A part that is 0 is left out.
        split_seed: Of that division.
        speeds: At which each training clip of a folder is there once more, resampled.
        store: Folder of the features; "": one in the user's cache.
        soundscapes: Clips to train, to validate and to test on.
        held_out_fraction: Of the training clips, a split "held_out".
        held_out_part: Which part of that size it is, counted from 0.
        num_workers: Processes that compute features; 0: this one, -1: one a core.
        max_bad_fraction: Of the recordings; more unreadable ones are an error.
    """

    root: str
    layout: str
    negatives: tuple[str, ...]
    clip_hop_s: float
    split_fractions: tuple[float, float, float]
    split_seed: int
    speeds: tuple[float, ...]
    store: str
    soundscapes: tuple[int, int, int]
    held_out_fraction: float
    held_out_part: int
    num_workers: int
    max_bad_fraction: float

    def __post_init__(self):
        """Raises ValueError for a number that is out of range; replaces ~ in paths."""
        for name in ("root", "store"):
            if path := getattr(self, name):
                object.__setattr__(self, name, str(user_path(path)))
        check(self, "in [0, 1]", "held_out_fraction", "max_bad_fraction")
        check(self, "1 or more each", "soundscapes")
        check(self, "-1 or more", "num_workers")
        check(self, "0 or more", "clip_hop_s", "split_seed", "split_fractions")
        check(self, "0 or more", "held_out_part")
        if (self.held_out_part + 1) * self.held_out_fraction > 1 + 1e-6:
            raise ValueError(
                f"held_out_part is {self.held_out_part}, counted from 0, of parts of "
                f"{self.held_out_fraction:g} of the clips: expected one of these"
            )
        texts = [*map(speed_text, self.speeds)]  # to six digits
        if "1" in texts or len({*texts}) < len(texts):
            raise ValueError(
                "speeds: expected those of copies, each once and none of them 1, the "
                f"clips themselves, got {self.speeds}"
            )
        check(self, "in [0.25, 4]", "speeds")
        train, *others = self.split_fractions
        if not train or not any(others) or abs(sum(self.split_fractions) - 1) > 1e-6:
            raise ValueError(
                "split_fractions must be parts of 1, of which some train and others "
                f"validate or test, got {self.split_fractions}"
            )

    @property
    def copies(self) -> int:
        """Rows of each training clip, itself one; soundscapes are not played again."""
        return 1 + len(self.speeds) if self.root else 1

    def prepare(self, front_end: FrontEnd, seed: int) -> FeatureStore:
        """Returns the features of the data, after computing what is not there yet.

        Where the recordings are gone, and their features not, these are used.

        Args:
            front_end: Of the features.
            seed: Of soundscapes and of the choice of clips that are held out.

        Raises:
            As `prepare_folder`.
        """
        plan = self.plan(front_end, seed)
        return self.hold_out(finish(plan, self.num_workers), seed)

    def layout_options(self, front_end: FrontEnd) -> LayoutOptions:
        """How the folder is read."""
        return LayoutOptions(
            layout=self.layout,
            negatives=self.negatives or None,
            clip_s=front_end.clip_s,
            clip_hop_s=self.clip_hop_s,
            split_fractions=self.split_fractions,
            split_seed=self.split_seed,
            speeds=self.speeds,
        )

    def path(self, front_end: FrontEnd, seed: int) -> Path:
        """The folder of the features.

        Raises:
            ConfigError: None is set, and the user has no home.
        """
        if self.store:
            return Path(self.store)
        if self.root:
            return folder_in_cache(self.root, front_end, self.layout_options(front_end))
        return soundscapes_in_cache(self._sizes, seed, front_end)

    def plan(self, front_end: FrontEnd, seed: int) -> StorePlan | FeatureStore:
        """Plans the preparation; returns the store if there is nothing to be done.

        Raises:
            As `prepare_folder`.
        """
        path = self.path(front_end, seed)
        if not self.root:
            if self.store:
                _refuse_to_replace(path)
            return plan_soundscapes(self._sizes, seed, path, front_end)
        options = self.layout_options(front_end)
        try:
            return plan_folder(
                self.root, path, front_end, self.max_bad_fraction, options
            )
        except RecordingsMissingError as error:
            return store_without_recordings(path, self.root, front_end, options, error)

    def read_share(self, front_end: FrontEnd, seed: int, number: int) -> ShardSet:
        """The shards that a plan has left for this process, numbered from 1.

        Raises:
            DataError: It has left none.
        """

        def make_source(share: Mapping[str, Any]) -> Source:
            return self._source_of_share(front_end, share)

        return read_share(self.path(front_end, seed), number, front_end, make_source)

    def _source_of_share(self, front_end: FrontEnd, share: Mapping[str, Any]) -> Source:
        if not self.root:
            return SoundscapeSource(**share)
        if "copied" in share:
            source = self._source_of_share(front_end, share["copied"])
            return SpeedCopies.from_share(source, front_end, share)
        return RecordingSource.from_share(self.root, front_end, share)

    def hold_out(self, store: FeatureStore, seed: int) -> FeatureStore:
        """Moves the clips that are to be held out to a split of their own.

        Raises:
            DataError: It leaves one of the two without a clip.
        """
        if self.held_out_fraction:
            store.hold_out(self.held_out_fraction, seed, self.held_out_part)
        return store

    @property
    def _sizes(self) -> dict[str, int]:
        return dict(zip(SPLITS, self.soundscapes, strict=False))


def _refuse_to_replace(path: Path) -> None:
    """Raises ConfigError for a finished store of recordings."""
    try:
        store = FeatureStore.open(path)
    except DataError:
        return
    for name, split in store.splits.items():
        if len(split) and not split.clip_ids[0].startswith(f"{name}_0"):
            raise ConfigError(
                f"data.store: {path} holds features of recordings ({name}: "
                f"{len(split)} clips, the first {split.clip_ids[0]}), which built-in "
                "soundscapes would replace: set data.root to their folder"
            )
