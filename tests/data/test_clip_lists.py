"""Clips and labels come out of lists whole, by the ids."""

import random
import tracemalloc
from collections import Counter

import pytest

from gcrnn_jax.data.findings import Code
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.lists.clip_lists import (
    ClipRow,
    outside_largest,
    read_clip_list,
    read_weak_list,
)
from gcrnn_jax.errors import DataError

GOLDEN = [
    ("-5QrBL6MzLg_60.000_70.000", (0, 16), 1),
    ("a_b_c_0.000_9.500", (0, 1, 16), 2),
    ("2hcY8kXQj60_30.000_40.000", (7,), 3),
]
LINES = [
    '-5QrBL6MzLg,60.000,70.000,"Train horn,Train","/m/0284vy3,/m/07jdr"',
    'a_b_c,0.000,9.500,"Train horn,Air horn, truck horn,Train",'
    '"/m/0284vy3,/m/05x_td,/m/07jdr"',
    '2hcY8kXQj60,30.000,40.000,"Fire engine, fire truck (siren)",/m/012ndj',
]


def read(tmp_path, content: bytes, reader=read_clip_list):
    (tmp_path / "list.csv").write_bytes(content)
    return reader(tmp_path / "list.csv", DCASE2017_CLASSES)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_way_to_write_a_list_gives_the_same_clips(tmp_path, end, last, mark):
    text = end.join(LINES) + (end if last else "")
    assert read(tmp_path, mark + text.encode()) == (GOLDEN, [])


@pytest.mark.parametrize(
    ("row", "code", "detail"),
    [
        (b"a,0,10,Train,/m/07jd", "UNKNOWN_LABEL", "'/m/07jdr'"),
        (b'a,0,10,"Train,X","/m/07jdr,"', "UNKNOWN_LABEL", "''"),
        (b"a,0,10,Train", "BAD_ROW", "4 columns"),
        (b"a,0,10,Air horn, truck horn,/m/05x_td", "BAD_ROW", "6 columns"),
        (b"a,0,10,Train,/m/07jdr\0", "BAD_ROW", "NUL"),
        (b"a\xff,0,10,Train,/m/07jdr", "BAD_ROW", "UTF-8"),
        (b'a,0,10,"Train,/m/07jdr', "BAD_ROW", "separated by commas"),
        (b"../a,0,10,Train,/m/07jdr", "BAD_ROW", "'../a'"),
        (b",0,10,Train,/m/07jdr", "BAD_ROW", "''"),
        (b"a,0,ten,Train,/m/07jdr", "BAD_TIME", "'ten'"),
        (b"a,nan,10,Train,/m/07jdr", "BAD_TIME", "'nan'"),
        (b"a,-1,10,Train,/m/07jdr", "BAD_TIME", "'-1'"),
        (b"a,10,10,Train,/m/07jdr", "BAD_TIME", "start < end"),
    ],
)
def test_a_bad_row_is_rejected_by_line_and_the_rest_is_kept(
    tmp_path, row, code, detail
):
    first, *others = (line.encode() for line in LINES)
    rows, findings = read(tmp_path, b"\n".join([first, row, *others]))
    assert [clip.clip_id for clip in rows] == [clip_id for clip_id, _, _ in GOLDEN]
    [finding] = findings
    assert (finding.path, finding.line) == (str(tmp_path / "list.csv"), 2)
    assert finding.code.name == code and detail in finding.detail


def test_rows_of_the_same_clip_are_united_and_noted(tmp_path):
    again = b"-5QrBL6MzLg,60,70.0,Bus,/m/01bjv"
    content = "\n".join(LINES).encode() + b"\n" + again
    rows, findings = read(tmp_path, content)
    assert rows[0] == ("-5QrBL6MzLg_60.000_70.000", (0, 13, 16), 1)
    assert rows[1:] == GOLDEN[1:]
    assert [(finding.line, finding.code) for finding in findings] == [
        (4, Code.DUPLICATE)
    ]


def test_a_weak_list_gives_the_same_clips_by_name(tmp_path):
    text = (
        "-5QrBL6MzLg_60.000_70.000.wav\t60\t70\tTrain\r\n"
        "a_b_c_0.000_9.500.wav\t0\t9.5\tAir horn, truck horn\r\n"
        "-5QrBL6MzLg_60.000_70.000.wav\t60\t70\tTrain horn\r\n"
        "silent_0.000_10.000.wav\r\n"
        "-5QrBL6MzLg_60.000_70.000.wav\t60\t70\tTrain\r\n"
        "x_0.000_10.000.wav\t0\t10\ttrain horn\r\n"
        "x_0.000_10.000.wav\t0\r\n"
    )
    rows, findings = read(tmp_path, text.encode(), read_weak_list)
    assert rows == [
        ("-5QrBL6MzLg_60.000_70.000", (0, 16), 1),
        ("a_b_c_0.000_9.500", (1,), 2),
        ("silent_0.000_10.000", (), 4),
    ]
    assert [(finding.line, finding.code) for finding in findings] == [
        (5, Code.DUPLICATE),
        (6, Code.UNKNOWN_LABEL),
        (7, Code.BAD_ROW),
    ]
    assert "'Train horn'" in findings[1].detail


@pytest.mark.parametrize("reader", [read_clip_list, read_weak_list])
def test_a_missing_list_is_an_error(tmp_path, reader):
    with pytest.raises(DataError, match=r"none\.csv"):
        reader(tmp_path / "none.csv", DCASE2017_CLASSES)


@pytest.mark.parametrize(
    ("split", "clips", "tags"), [("training", 51172, 56131), ("testing", 488, 606)]
)
def test_all_official_clips_are_read_alike_from_both_lists(shared, split, clips, tags):
    folder = shared / "dcase2017"
    rows, findings = read_clip_list(folder / f"{split}_set.csv", DCASE2017_CLASSES)
    assert findings == []
    assert len(rows) == clips
    assert sum(len(row.labels) for row in rows) == tags
    weak_list = folder / f"groundtruth_weak_label_{split}_set.csv"
    weak, findings = read_weak_list(weak_list, DCASE2017_CLASSES)
    assert findings == []
    assert {row[:2] for row in weak} == {row[:2] for row in rows}
    durations = (folder / f"duration_of_files_in_{split}_set.csv").read_text()
    names = {line.split()[0] for line in durations.splitlines()}
    assert names == {f"Y{row.clip_id}.wav" for row in rows}


def test_all_official_evaluation_clips_are_read(goldens):
    path = goldens / "dcase2017/groundtruth_weak_label_evaluation_set.csv"
    rows, findings = read_weak_list(path, DCASE2017_CLASSES)
    assert findings == []
    assert len(rows) == 1103
    assert sum(len(row.labels) for row in rows) == 1350


def test_spaces_before_quotes_are_none_of_the_text(tmp_path):
    """As in AudioSet's segment lists, whose rows have no names: they are refused."""
    path = tmp_path / "training_set.csv"
    path.write_text(
        'a, 30.000, 40.000, "Car,Train", "/m/0k4j,/m/07jdr"\n'
        'b, 30.000, 40.000, "/m/0k4j,/m/07jdr"\n'
    )
    [row], [finding] = read_clip_list(path, DCASE2017_CLASSES)
    assert row.clip_id == "a_30.000_40.000" and len(row.labels) == 2
    assert (finding.line, finding.code) == (2, Code.BAD_ROW)
    assert "got 4 columns" in finding.detail


def peak_over_result(reader, path) -> int:
    """Bytes that reading takes for a while, over those that its result keeps."""
    tracemalloc.start()
    try:
        result = reader(path, DCASE2017_CLASSES)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(result[0]) == 10_000 and not result[1]
    return peak - kept


@pytest.mark.parametrize("reader", [read_clip_list, read_weak_list])
def test_a_list_is_not_held_row_by_row_while_it_is_read(tmp_path, reader):
    """Text, columns and rows of 10,000 clips were four times the file."""
    names = '"Train horn,Air horn, truck horn","/m/0284vy3,/m/05x_td"'
    lines = [f"video{n:08},0.000,10.000,{names}\n" for n in range(10_000)]
    if reader is read_weak_list:
        lines = [f"video{n:08}.wav\t0.000\t10.000\tTrain horn\n" for n in range(10_000)]
    (path := tmp_path / "list.csv").write_text("".join(lines))
    # the file itself, and the index of clips by their ids
    assert peak_over_result(reader, path) < path.stat().st_size + 1e6


def test_clips_with_the_same_labels_share_them(tmp_path):
    lines = [f'video{n},0,10,"names","/m/07jdr,/m/0284vy3"\n' for n in range(3)]
    rows, _ = read(tmp_path, "".join(lines).encode())
    assert rows[0].labels is rows[2].labels and rows[0].labels == (0, 16)


@pytest.mark.parametrize("sizes", [(), (3,), (0, 2), (30, 5, 9), (5, 30, 30)])
def test_what_two_lists_share_is_outside_the_largest(sizes):
    draw = random.Random(0)
    lists = [
        [ClipRow(f"{draw.randrange(40)}_{i}", (), i) for i in range(n)] for n in sizes
    ]
    sources = [{row.clip_id.split("_")[0] for row in rows} for rows in lists]
    counts = Counter(source for one in sources for source in one)
    shared = {source for source, count in counts.items() if count > 1}
    found = outside_largest(lists, lambda row: row.clip_id.split("_")[0])
    assert shared <= found and len(found) <= sum(sizes) - max(sizes, default=0)
