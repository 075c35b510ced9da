import pytest

from faceedit.data.labels import Label, read_labels, write_labels
from faceedit.errors import UnreadableError


def test_labels_csv_carries_every_column_along(tmp_path):
    text = "\ufefffile,valence,arousal,expression,age,split\r\na/1.jpg,0.5,-0.25,1,30-39,train\r\n2.jpg,-2,-2,8,,\r\n"
    (tmp_path / "labels.csv").write_text(text, newline="")
    (label,) = read_labels(tmp_path)
    (tmp_path / "labels.csv").write_text(text.replace(",train", ", Train"), newline="")
    assert read_labels(tmp_path) == [label]
    assert label == Label("a/1.jpg", 0.5, -0.25, 1, "train", {"age": "30-39"})


def test_a_hundred_thousand_rows_are_read(tmp_path):
    rows = (f"{i}.jpg,{i % 200 / 100 - 1:.2f},0,{i % 8}" for i in range(100_000))
    (tmp_path / "labels.csv").write_text("file,valence,arousal,expression\n" + "\n".join(rows))
    labels = read_labels(tmp_path)
    assert len(labels) == 100_000
    assert labels[-1] == Label("99999.jpg", 0.99, 0, 7)


def test_what_is_written_is_read_back(tmp_path):
    labels = [Label("1.jpg", 0.5, -0.25, 3, None, {"group": "x"}), Label("2.jpg", 0, 1, None, None, {"group": ""})]
    write_labels(tmp_path, labels)
    assert read_labels(tmp_path) == labels


def test_affectnets_annotations(tmp_path):
    header = "subDirectory_filePath,face_x,face_y,expression,valence,arousal\n"
    (tmp_path / "training.csv").write_text(header + "1/a.jpg,0,0,6,-0.4,0.5\n2/b.jpg,0,0,10,-2,-2\n")
    (tmp_path / "validation.csv").write_text(header + "3/c.jpg,0,0,8,0.1,0.2\n")
    assert read_labels(tmp_path) == [
        Label("1/a.jpg", -0.4, 0.5, 6, "train"),
        Label("3/c.jpg", 0.1, 0.2, None, "validation"),
    ]


def test_the_papers_file_names(tmp_path):
    for name in (
        "train/12s3s184s-700.jpg",
        "validation/7s0s-30s20.png",
        "train/8s1s-2000s-2000.jpg",
        "train/notes.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert read_labels(tmp_path) == [
        Label("train/12s3s184s-700.jpg", 0.184, -0.7, 3, "train"),
        Label("validation/7s0s-30s20.png", -0.03, 0.02, 0, "validation"),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,valence\n1.jpg,0\n", "no column arousal"),
        ("file,valence,arousal\n1.jpg,nan,0\n", "line 2: valence must be a number"),
        ("file,valence,arousal\n1.jpg,0,1.5\n", "line 2: arousal must be a number"),
        ("file,valence,arousal\n1.jpg,,0\n", "not nothing"),
        ("file,valence,arousal\n../1.jpg,0,0\n", "not a path below the folder"),
        ("file,valence,arousal\n/etc/1.jpg,0,0\n", "not a path below the folder"),
        ("file,valence,arousal\na\\..\\..\\1.jpg,0,0\n", "not a path below the folder"),
        ("file,valence,arousal\nC:1.jpg,0,0\n", "not a path below the folder"),
        ("file,valence,arousal\n.,0,0\n", "not a path below the folder"),
        ("file,valence,arousal\na\0.jpg,0,0\n", "not a path below the folder"),
        ("file,valence,arousal,expression\n1.jpg,0,0,happy\n", "expression must be a number"),
        ("file,valence,arousal,split\n1.jpg,0,0,test\n", "split must be"),
        ("", "no column file"),
        ("file,valence,arousal\n", "labels.csv has no row"),
        ("file,valence,arousal\n1.jpg,-2,-2\n", "labels.csv has no row"),
        ("file,valence,Valence ,arousal\n1.jpg,0,0.5,0\n", "more than one column 'valence'"),
    ],
)
def test_rows_that_make_no_sense_are_named(tmp_path, text, sentence):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UnreadableError, match=sentence):
        read_labels(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "file,valence,arousal,expression\na.jpg,0.5,0.1,1.0\nb.jpg,0.2,0.0,\n",
        "file, valence, arousal, expression\na.jpg, 0.5 , 0.1, 1\nb.jpg, 0.2, 0.0, nan\n\n",
        "file;valence;arousal;expression\na.jpg;0.5;0.1;1\nb.jpg;0.2;0.0;\n",
        "file;valence;arousal;expression\na.jpg;0,5;0,1;1,0\nb.jpg;0,2;0;\n",
        "file\tvalence\tarousal\texpression\na.jpg\t0.5\t0.1\t1\nb.jpg\t0.2\t0.0\t\n",
        '"file","valence","arousal","expression"\r\n"a.jpg","0.5","0.1","1"\r\n"b.jpg","0.2","0.0",""\r\n',
        "'file','valence','arousal','expression'\na.jpg,0.5,0.1,1\nb.jpg,0.2,0,\n",
        "File,VALENCE,Arousal,Expression\na.jpg,0.5,0.1,1.0\nb.jpg,0.2,0.0,\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_programs_write_them(tmp_path, text, encoding):
    (tmp_path / "labels.csv").write_text(text, encoding=encoding, newline="")
    assert read_labels(tmp_path) == [Label("a.jpg", 0.5, 0.1, 1), Label("b.jpg", 0.2, 0.0)]


@pytest.mark.parametrize(("separator", "name"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs")])
def test_a_refusal_names_the_line_the_column_and_the_separator(tmp_path, separator, name):
    rows = [("file", "valence", "arousal", "expression"), ("a.jpg", "0.5", "0.1", "1"), ("b.jpg", "0.2", "low", "1.5")]
    (tmp_path / "labels.csv").write_text("\n".join(map(separator.join, rows)))
    with pytest.raises(UnreadableError, match=rf"separated by {name}\), line 3: arousal must be .* not low"):
        read_labels(tmp_path)
    (tmp_path / "labels.csv").write_text("\n".join(map(separator.join, rows)).replace("low", "0"))
    with pytest.raises(UnreadableError, match=rf"separated by {name}\), line 3: expression must be .* not 1.5"):
        read_labels(tmp_path)
    (tmp_path / "labels.csv").write_text("\n".join(map(separator.join, rows)).replace("arousal", "activity"))
    with pytest.raises(UnreadableError, match=rf"separated by {name}\), line 1 has no column arousal, but .*activity"):
        read_labels(tmp_path)


def test_a_line_that_tells_spreadsheets_the_separator_is_no_row(tmp_path):
    rows = "sep=;\nfile;valence;arousal\na.jpg;0,5;0,1\n"
    (tmp_path / "labels.csv").write_text(rows)
    assert read_labels(tmp_path) == [Label("a.jpg", 0.5, 0.1)]
    (tmp_path / "labels.csv").write_text(rows.replace("0,1", "low"))
    with pytest.raises(UnreadableError, match="line 3: arousal"):
        read_labels(tmp_path)
    (tmp_path / "labels.csv").unlink()
    rows = "sep=,\nsubDirectory_filePath,expression,valence,arousal\n1/a.jpg,1,0.5,0.1\n"
    (tmp_path / "training.csv").write_text(rows)
    assert [label.file for label in read_labels(tmp_path)] == ["1/a.jpg"]


def test_numbers_and_separators_are_those_of_spreadsheets(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("file\tvalence\tarousal\na.jpg\t0,5\t-0,1\n \t\t \n")
    assert read_labels(tmp_path) == [Label("a.jpg", 0.5, -0.1)]
    path.write_text('file,valence,arousal,"a;b;c;d;e"\na.jpg,0.5,0.1,x\n')
    assert read_labels(tmp_path)[0].extra == {"a;b;c;d;e": "x"}
    path.write_text("file,valence,arousal\na.jpg,0_1,0\n")
    with pytest.raises(UnreadableError, match="valence must be a number"):
        read_labels(tmp_path)


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(UnreadableError, match="no labels"):
        read_labels(tmp_path)
    with pytest.raises(UnreadableError, match="there is no folder"):
        read_labels(tmp_path / "none")
