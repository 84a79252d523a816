"""What can be wrong with recordings and lists, how bad it is, and what comes of it."""

import dataclasses
import enum
from typing import TypeVar

from gcrnn_jax.errors import DataError

T = TypeVar("T")
_CLIP_LOST = "the clip is not used, in training nor in scores"


MIN_CLIPS = 10  # of a class; a rule of thumb: with fewer, a network learns the clips


@enum.unique
class Code(enum.Enum):
    """A kind of finding, written as `severity: what was found; what comes of it`.

    The severity is "error" where training or scoring would lose something or go wrong,
    else "note".
    """

    def __init__(self, text: str):
        self.severity, _, rest = text.partition(": ")
        self.what, _, self.effect = rest.partition("; ")

    # the folder
    CLASS_LIST = (
        "error: class lists missing, unreadable or too many; "
        "labels cannot be told right from wrong"
    )
    NO_SPLIT = "error: no list of clips; there is nothing to train on"
    SPLIT_MISSING = "error: splits missing; cannot be trained and scored on"
    FOLDER = "error: folders that cannot be read; recordings in it are lost"
    UNREADABLE = "error: lists that cannot be read; all they say is lost"
    NO_ROW = "error: lists without a usable row; prepare refuses them"
    NO_LABEL = "error: lists without a label; prepare refuses them"

    # rows of lists
    BAD_ROW = "error: rows of another form; the row is not used"
    BAD_TIME = "error: rows with invalid times; the row is not used"
    UNKNOWN_LABEL = "error: rows of unknown classes; the row is not used"
    OTHER_CLASS = "note: labels of classes that the class list leaves out; not used"
    JOINED = (
        "note: lists whose labels seem to be joined by a comma and a space; "
        "each is taken for a label of its own"
    )
    STRONG_TOO = (
        "note: weak lists with clips that have strong labels too; the strong ones count"
    )
    UNKNOWN_CLIP = (
        "error: events of clips that their split does not list; they are not scored"
    )
    DUPLICATE = "note: rows of a clip or label again; labels are united"
    NAMES_DIFFER = "note: rows whose names are not those of their ids; the ids count"
    LABELS_DIFFER = (
        "error: clips with other labels in the weak list than in the clip list; "
        "training takes the clip list's, official scores the weak list's"
    )
    UNLABELLED = (
        "note: clips whose labels are known to be none; negatives, scored as having no "
        "class, and trained on as sampling.negative_fraction of a balanced batch"
    )
    NOT_SCORED = (
        "note: unlabelled clips of splits that are scored; left out, as their "
        "labels are not known"
    )

    # events
    ZERO_LENGTH = "error: events of no length; counted as one second, or as nothing"
    AFTER_END = "error: events 1 s or more after their clip's end; counted as missed"
    BEYOND_END = "note: events that outlast their clip; what is beyond counts as missed"
    EVENT_CROPPED = (
        "error: events that begin where the network's input has ended; "
        "beyond front_end.clip_s nothing is learnt, and they count as missed"
    )
    EVENT_UNLABELLED = (
        "error: events whose class is not among their clip's labels; "
        "detecting it is right and tagging it is wrong"
    )
    NO_TIMES = (
        "note: rows that say what but not when (`0 0 label`); "
        "no event; their clips are scored all the same"
    )
    NO_EVENT = (
        "note: labelled clips without any event that has times; "
        "where they are scored, detecting their classes counts as a false alarm"
    )
    LABEL_WITHOUT_EVENT = (
        "note: labels of clips that the strong list does not mention; "
        "where they are scored, detecting them counts as a false alarm"
    )
    OVERLAP = (
        "note: pairs of clip and class whose events overlap; "
        "counted once a second here; other tools refuse such lists"
    )
    UNUSED_COLUMN = "note: columns of a table that have no meaning here; not used"
    LABEL_COLUMN = "note: tables with several columns of labels; the one named is used"
    GOES_ON = (
        "error: events that go on in the next recording; what is there is not used"
    )
    INCOMPLETE = (
        "error: label files with rows that cannot be used; "
        "nothing is taken as known of what is in their recordings"
    )
    NO_LABEL_FILE = (
        "note: recordings without a label file; nothing is known of what is in them"
    )
    SCORED = "note: labels with a score; used whatever their score is"
    DUPLICATE_EVENT = "note: event rows that occur again; counted once a second here"

    # splits and classes
    SHARED_CLIP = "error: clips in two splits; prepare refuses them"
    SHARED_SOURCE = (
        "error: sources with clips in two splits; scores are of what was trained on"
    )
    CLASS_UNTRAINED = (
        "error: classes scored but in no training clip; they cannot be learnt"
    )
    CLASS_SMALL = (
        f"note: classes in fewer than {MIN_CLIPS} training clips; "
        "hardly anything is learnt from so few"
    )
    CLASSES_ALIKE = (
        "note: labels that differ from another in case or in signs alone; "
        "each is a class of its own"
    )
    CLASS_EMPTY = "note: classes in no clip of a split; they have no score"
    SHORT_CLIP = (
        "note: clips listed as shorter than most; padded, and the padding masked"
    )

    # recordings
    NO_RECORDINGS = "error: places with lists but no recordings; " + _CLIP_LOST
    LISTS_ALONE = (
        "note: places with lists but no recordings; the lists alone were checked"
    )
    MISSING = "error: clips without a recording; " + _CLIP_LOST
    AMBIGUOUS = (
        "error: clips whose name recordings in several folders have; "
        "prepare refuses them, as one would get the other's labels"
    )
    NOT_REGULAR = "error: recordings that are no regular files; " + _CLIP_LOST
    DENIED = "error: recordings that may not be read; " + _CLIP_LOST
    EMPTY = "error: recordings without a sample; " + _CLIP_LOST
    FORMAT = "error: recordings of no known format; " + _CLIP_LOST
    CORRUPT = "error: recordings that cannot be decoded to the end; " + _CLIP_LOST
    DECODER = "error: recordings at which the decoder crashes or hangs; " + _CLIP_LOST
    TRUNCATED = "error: recordings whose end is missing; " + _CLIP_LOST
    NONFINITE = "error: recordings with NaN or infinite samples; " + _CLIP_LOST
    RATE = "error: recordings of a rate that cannot be used; " + _CLIP_LOST
    CHANNELS = "error: recordings of too many channels; " + _CLIP_LOST
    EXTRA = "note: files that no list names; not used"
    SEVERAL = "note: clips with several recordings; the first is used"
    LEVEL = (
        "error: recordings with samples far beyond full scale; "
        "all their features are that much too high"
    )
    CANCELLED = (
        "error: recordings whose channels cancel; their mean, which is used, is silent"
    )
    SILENT = (
        "error: labelled recordings in which nothing is heard; they train on silence"
    )
    CLIPPED = "note: clipped recordings; distorted, yet used"
    SHORT_RECORDING = "note: recordings shorter than their list says; padding is masked"
    LONG_RECORDING = (
        "error: recordings longer than their list says; "
        "used from their start, which may not be where the label is"
    )
    CROPPED = (
        "error: labelled recordings longer than the network's input; "
        "what is beyond front_end.clip_s is not used"
    )
    SAME_AUDIO = (
        "note: recordings with the same bytes as another of their split; each is used"
    )
    SAME_AUDIO_OTHER_LABELS = (
        "error: recordings with the same bytes as another with other labels; "
        "one of the two labels is wrong"
    )
    SHARED_AUDIO = (
        "error: recordings with the same bytes as one of another split; "
        "scores are of what was trained on"
    )

    # files as other tools see them
    ENCODING = "error: lists in another encoding than UTF-8; the row is not used"
    UTF_16 = "note: lists in UTF-16; read here; not everywhere"
    BYTE_ORDER_MARK = (
        "note: lists that begin with a byte order mark; read here; not everywhere"
    )
    LINE_ENDS = (
        "note: lists with Windows or old Mac line ends; read here; not everywhere"
    )
    SEPARATOR = (
        "note: lists separated otherwise than the official ones; "
        "read here; not everywhere"
    )
    UNKNOWN_LIST = "note: lists of no known split; not read"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or good to know."""

    path: str  # of a file or folder
    line: int  # 1 is the first; 0: of no one line
    code: Code
    detail: str  # what was expected and what came


def strict(result: tuple[T, list[Finding]]) -> T:
    """What a reader has read, if it found nothing wrong.

    Raises:
        DataError: It did; names the first finding.
    """
    value, findings = result
    if not findings:
        return value
    path, line, detail = findings[0].path, findings[0].line, findings[0].detail
    if line:
        raise DataError(f"{path}:{line}: {detail}")
    raise DataError(detail if path in detail else f"{path}: {detail}")
