"""Class lists are read whole and in order."""

import pytest

from gcrnn_jax.data.labels import DCASE2017_CLASSES, ClassList, read_class_list
from gcrnn_jax.errors import DataError

EXPECTED = ClassList(
    ids=("/m/05x_td", "/m/07jdr"), names=("Air horn, truck horn", "Train")
)


@pytest.mark.parametrize(
    "text",
    [
        "/m/05x_td\tAir horn, truck horn\n/m/07jdr\tTrain\n",
        "/m/05x_td\tAir horn, truck horn\r\n/m/07jdr\tTrain",
        "\ufeff/m/05x_td\tAir horn, truck horn\n\n/m/07jdr\tTrain \n",
        "Class_ID   Confidence   Class_Label\n"
        "/m/05x_td\t9\tAir horn, truck horn\n/m/07jdr\t6\tTrain\n",
    ],
    ids=["plain", "windows", "mark and blank line", "official"],
)
def test_every_way_to_write_a_list_gives_the_same_classes(tmp_path, text):
    (tmp_path / "list.txt").write_bytes(text.encode())
    assert read_class_list(tmp_path / "list.txt") == EXPECTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/m/05x_td Train\n", "list.txt:1: expected id<TAB>name"),
        ("/m/1\tTrain\n/m/2\t\n", "list.txt:2"),
        ("/m/1\tTrain\n/m/1\tCar\n", "'/m/1' is empty or not unique"),
        ("/m/1\tTrain\n/m/2\tTrain\n", "'Train' is empty or not unique"),
        ("", "no class"),
        (b"/m/1\t\xff\n", "not UTF-8"),
    ],
)
def test_a_bad_list_is_an_error_that_names_the_place(tmp_path, text, message):
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_class_list(tmp_path / "list.txt")


def test_a_missing_list_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt"):
        read_class_list(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("train horn", "Train horn"),
        ("Screaming ", "Screaming"),
        ("/m/07jd", "/m/07jdr"),
    ],
)
def test_a_misspelt_label_has_a_nearest(text, nearest):
    known = DCASE2017_CLASSES.ids if "/" in text else DCASE2017_CLASSES.names
    say = (
        DCASE2017_CLASSES.unknown_id if "/" in text else DCASE2017_CLASSES.unknown_name
    )
    assert nearest in known
    assert say(text).endswith(f"{text!r}; the nearest is {nearest!r}")


def test_an_id_for_a_name_and_a_name_for_an_id_are_told():
    assert "a name, its id is '/m/0k4j'" in DCASE2017_CLASSES.unknown_id("Car")
    assert "an id, its name is 'Car'" in DCASE2017_CLASSES.unknown_name("/m/0k4j")


def test_the_built_in_classes_are_the_official_ones(goldens):
    official = read_class_list(goldens / "dcase2017/sound_event_list_17_classes.txt")
    assert official == DCASE2017_CLASSES
    assert len(official) == 17
