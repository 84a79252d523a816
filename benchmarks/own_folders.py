r"""Folders as users have them, made of weak ESC-10, and what commands make of each.

    python -m benchmarks.own_folders make --bench BENCH --output FOLDER
    python -m benchmarks.own_folders run --output FOLDER

`make` writes, of the clips of BENCH/weak_esc10 and BENCH/weak_esc10_folds,

    class_folders/  a folder a class, of clips with one label, and one without any
    desed/          weak, strong and unlabelled parts with their TSV lists
    raven/          three recordings of an hour, a selection table beside each
    audioset/       the segment CSVs, class list and strong TSV of AudioSet

and street.flac, 20 minutes in stereo, with its events in street.tsv. `run` starts the
commands that train and score on each, in a folder of its own, and keeps what they
print in FOLDER/NAME.txt. A class list of AudioSet is taken from FOLDER/class_labels.csv
where there is one.
"""

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from gcrnn_jax.fields import command_parser

RATE_HZ, CLIP_S = 16000, 10.0
SMALL = (
    "--config=few_clips",
    "--config.training.num_epochs=16",
    "--config.model.filters=16",
    "--config.front_end.hop_length=1328",
    "--config.model.time_pooling=(2,1,1,1)",
)


class Clip(NamedTuple):
    """A clip of weak ESC-10."""

    clip_id: str
    path: Path
    names: tuple[str, ...]
    ids: tuple[str, ...]
    events: tuple[tuple[float, float, str], ...]

    def waveform(self) -> np.ndarray:
        """Its samples at RATE_HZ, padded to CLIP_S."""
        samples, _ = soundfile.read(self.path, dtype="float32")
        length = int(CLIP_S * RATE_HZ)
        return np.pad(samples[:length], (0, max(0, length - len(samples))))


def read_clips(root: Path, split: str) -> list[Clip]:
    """The clips of a split, in the order of its list."""
    rows = (root / "sound_event_list_10_classes.txt").read_text().splitlines()
    names = dict(row.split("\t") for row in rows)
    events: dict[str, list] = {}
    strong = root / f"groundtruth_strong_label_{split}_set.csv"
    for row in strong.read_text().splitlines() if strong.exists() else ():
        file, *times, name = row.split("\t")
        events.setdefault(Path(file).stem, []).append((*map(float, times), name))
    clips = []
    with (root / f"{split}_set.csv").open(newline="") as file:
        for video, start, end, _, ids in csv.reader(file):
            clip_id = f"{video}_{start}_{end}"
            [path] = root.glob(f"audio/{split[:5]}*/Y{clip_id}.*")
            mids = tuple(ids.split(","))
            labels = tuple(names[mid] for mid in mids)
            found = tuple(events.get(clip_id, ()))
            clips.append(Clip(clip_id, path, labels, mids, found))
    return clips


def make(bench: Path, output: Path) -> None:
    """Writes all folders."""
    folds = {
        f: read_clips(bench / f"weak_esc10_folds/{f}", "validation") for f in "123"
    }
    training = read_clips(bench / "weak_esc10", "training")
    validation = read_clips(bench / "weak_esc10", "validation")
    make_class_folders(output / "class_folders", training, folds["1"])
    make_desed(output / "desed", training, folds, validation)
    make_raven(output / "raven", folds)
    make_audioset(output, training, validation)
    make_street(output, validation)


def make_class_folders(folder: Path, clips: list[Clip], timed: list[Clip]) -> None:
    """Clips with one label by their class; stretches without a label as background."""
    for clip in clips:
        if len(clip.names) == 1:
            _copy(clip, folder / clip.names[0])
    (folder / "background").mkdir(exist_ok=True)
    for clip in timed:
        times = [0.0, *(t for on, off, _ in sorted(clip.events) for t in (on, off))]
        for start, end in zip(times[::2], [*times[1::2], CLIP_S], strict=True):
            if end - start >= 4 and not any(
                on < end and off > start for on, off, _ in clip.events
            ):
                samples = clip.waveform()[int(start * RATE_HZ) : int(end * RATE_HZ)]
                name = f"{clip.clip_id}_{start:.1f}.wav"
                soundfile.write(folder / "background" / name, samples, RATE_HZ)


def make_desed(folder: Path, weak: list[Clip], folds: dict, scored: list[Clip]) -> None:
    """Weak and unlabelled clips, strong ones of other recordings, and validation."""
    lists, audio = folder / "metadata", folder / "audio"
    (lists / "train").mkdir(parents=True)
    (lists / "validation").mkdir()
    for clips, part in (
        (weak, "train/weak"),
        (folds["1"], "train/synthetic"),
        (folds["2"], "train/unlabel_in_domain"),
        (scored, "validation/validation"),
    ):
        rows: Iterable[tuple]
        if part.endswith("weak"):
            header: tuple = ("filename", "event_labels")
            rows = ((_file(c), ",".join(map(_plain, c.names))) for c in clips)
        elif part.endswith("domain"):
            header, rows = ("filename",), ((_file(c),) for c in clips)
        else:
            header = ("filename", "onset", "offset", "event_label")
            rows = _desed_rows(clips)
        _write(lists / f"{part}.tsv", [header, *rows], "\t")
        for clip in clips:
            _copy(clip, audio / part)


def make_raven(folder: Path, folds: dict[str, list[Clip]]) -> None:
    """Of each fold an hour: every clip twice, in two orders."""
    folder.mkdir()
    for fold, clips in folds.items():
        rng = np.random.default_rng(int(fold))
        order = [*rng.permutation(len(clips)), *rng.permutation(len(clips))]
        path, rows = folder / f"hour_{fold}.flac", []
        with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16") as file:
            for place, index in enumerate(order):
                file.write(clips[index].waveform())
                for onset, offset, name in clips[index].events:
                    begin, end = onset + place * CLIP_S, offset + place * CLIP_S
                    rows.append((f"{begin:.6f}", f"{end:.6f}", name))
        header = "Selection,View,Channel,Begin Time (s),End Time (s),Low Freq (Hz)"
        header = (*header.split(","), "High Freq (Hz)", "Annotation")
        views = ("Waveform 1", "Spectrogram 1")  # Raven writes a row for each
        table = [
            (number, view, 1, begin, end, "0.0", "8000.0", name)
            for number, (begin, end, name) in enumerate(rows, 1)
            for view in views
        ]
        path = folder / f"hour_{fold}.Table.1.selections.txt"
        _write(path, [header, *table], "\t")


def make_audioset(output: Path, training: list[Clip], scored: list[Clip]) -> None:
    """Training clips as the balanced segments, validation as the evaluation's."""
    folder = output / "audioset"
    folder.mkdir()
    given = output / "class_labels.csv"
    if given.exists():
        shutil.copy(given, folder / "class_labels_indices.csv")
    else:
        pairs = sorted({p for c in training for p in zip(c.ids, c.names, strict=True)})
        rows = [(k, mid, name) for k, (mid, name) in enumerate(pairs)]
        table = [("index", "mid", "display_name"), *rows]
        _write(folder / "class_labels_indices.csv", table, ",")
    for name, clips in (("balanced_train", training), ("eval", scored)):
        lines = [
            "# Segments csv made of weak ESC-10",
            f"# num_ytids={len(clips)}, num_segs={len(clips)}",
            "# YTID, start_seconds, end_seconds, positive_labels",
        ]
        for clip in clips:
            video, start, end = clip.clip_id.rsplit("_", 2)
            lines.append(f'{video}, {start}, {end}, "{",".join(clip.ids)}"')
            target = folder / "audio" / name / f"{video}{clip.path.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip.path, target)
        (folder / f"{name}_segments.csv").write_text("\n".join(lines) + "\n")
    header = ("segment_id", "start_time_seconds", "end_time_seconds", "label")
    rows = []
    for clip in scored:
        mids = dict(zip(clip.names, clip.ids, strict=True))
        video, start, _ = clip.clip_id.rsplit("_", 2)
        segment = f"{video}_{round(float(start) * 1000)}"
        rows += [(segment, on, off, mids[name]) for on, off, name in clip.events]
    _write(folder / "audioset_eval_strong.tsv", [header, *rows], "\t")


def make_street(output: Path, clips: list[Clip]) -> None:
    """20 minutes in stereo at 44,100 Hz, and the events in them."""
    rows: list[tuple] = [("filename", "onset", "offset", "event_label")]
    path = output / "street.flac"
    with soundfile.SoundFile(path, "w", 44100, 2, "PCM_16") as file:
        for place, clip in enumerate(clips[:120]):
            samples = soxr.resample(clip.waveform(), RATE_HZ, 44100)
            file.write(np.stack([samples, 0.8 * samples], axis=1))
            for onset, offset, name in clip.events:
                begin, end = onset + place * CLIP_S, offset + place * CLIP_S
                rows.append((path.name, f"{begin:.3f}", f"{end:.3f}", name))
    _write(output / "street.tsv", rows, "\t")


def _desed_rows(clips: list[Clip]) -> Iterator[tuple]:
    for clip in clips:
        for onset, offset, name in clip.events:
            yield _file(clip), onset, offset, _plain(name)
        if not clip.events:
            yield _file(clip), "", "", ""


def _plain(name: str) -> str:
    return name.replace(", ", "_").replace(" ", "_")  # commas separate labels there


def _file(clip: Clip) -> str:
    return f"Y{clip.clip_id}.wav"


def _copy(clip: Clip, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(clip.path, folder)


def _write(path: Path, rows: Iterable[tuple], separator: str) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)


def commands(folder: Path) -> dict[str, list[list[str]]]:
    """The commands of each folder, as they are typed in an empty one."""
    plan = {
        name: [
            ["check", f"--root={folder / name}"],
            ["main", *SMALL, f"--config.data.root={folder / name}", "--workdir=run"],
            ["predict", "run", f"{folder}/street.flac", "--output=found"],
        ]
        for name in ("class_folders", "desed", "raven", "audioset")
    }
    plan["class_folders"][0].append("--negatives=background")
    plan["class_folders"][1].append("--config.data.negatives=('background',)")
    score = ["evaluate", f"--reference={folder}/street.tsv", "--task=detection"]
    for name in ("class_folders", "raven"):  # whose classes are named as the street's
        plan[name].append([*score, "--estimated=found/events.csv"])
    return plan


def run(folder: Path) -> None:
    """Runs the commands of every folder, and keeps what they print."""
    for name, lines in commands(folder.resolve()).items():
        place = folder / f"work_{name}"
        place.mkdir(exist_ok=True)
        with (folder / f"{name}.txt").open("w") as log:
            for verb, *flags in lines:
                log.write(f"\n$ python -m gcrnn_jax.{verb} {' '.join(flags)}\n")
                log.flush()
                line = [sys.executable, "-m", f"gcrnn_jax.{verb}", *flags]
                code = subprocess.run(
                    line, cwd=place, stdout=log, stderr=log, check=False
                ).returncode
                log.write(f"exit code {code}\n")
                print(f"{name}: {verb}: exit code {code}", flush=True)


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.own_folders", __doc__)
    parser.add_argument("verb", choices=("make", "run"))
    parser.add_argument("--bench", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    flags = parser.parse_args()
    if flags.verb == "run":
        run(flags.output)
    else:
        flags.output.mkdir(parents=True, exist_ok=True)
        make(flags.bench, flags.output)


if __name__ == "__main__":
    main()
