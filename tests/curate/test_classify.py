"""Laws of the domain classifier: same text, same file; held-out figures alone; no text is a command."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from curate.classify.domain import Trained, domain_scores, parted, train_classifier, train_domain
from curate.classify.examples import WINDOW_CHARS, Examples, as_line, balanced, cut
from curate.classify.texts import Texts
from curate.classify.training import train_model
from curate.fasttext_model import FastTextModel
from curate.settings import Domain
from curate.shards.fault import Fault
from tests.curate.classified import MEDICINE, SEA, SHARED, abstracts, in_memory, sifted, text, texts, web_and_novels


def of(*some: str) -> pa.LargeStringArray:
    return pa.array(some, pa.large_string())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("classifier")
    return train_classifier(texts("notes", MEDICINE, 120), texts("web", SEA, 150), folder, seed=3)


def test_two_trainings_give_the_same_files(trained: Trained, tmp_path: Path) -> None:
    again = train_classifier(texts("notes", MEDICINE, 120), texts("web", SEA, 150), tmp_path, seed=3)
    names = sorted(path.name for path in trained.folder.iterdir())
    assert names == ["card.json", "importance.npy", "model.bin"]
    for name in names:
        assert (trained.folder / name).read_bytes() == (tmp_path / name).read_bytes(), name
    assert again == Trained.open(tmp_path)


def test_the_order_of_the_documents_changes_nothing(trained: Trained, tmp_path: Path) -> None:
    ids = [f"notes/{i}" for i in reversed(range(120))]
    backwards = Texts.of(ids, [text(MEDICINE, one) for one in ids])
    train_classifier(backwards, texts("web", SEA, 150), tmp_path, seed=3)
    assert (trained.folder / "model.bin").read_bytes() == (tmp_path / "model.bin").read_bytes()


def test_another_seed_is_another_model(trained: Trained, tmp_path: Path) -> None:
    train_classifier(texts("notes", MEDICINE, 120), texts("web", SEA, 150), tmp_path, seed=4)
    assert (trained.folder / "model.bin").read_bytes() != (tmp_path / "model.bin").read_bytes()


def test_kinds_with_words_of_their_own_are_told_apart(trained: Trained) -> None:
    held = trained.card["held_out"]
    assert held["domain"] >= 20
    assert held["other"] >= 20
    assert held["auc"] > 0.99
    assert held["at_threshold"]["precision"] >= 0.95
    assert held["at_threshold"]["recall"] >= 0.95
    assert trained.card["chosen"]["reached"]
    assert trained.card["importance"]["kappa"] > 0.9
    assert trained.card["importance"]["spearman"] > 0.7
    model = FastTextModel.load(trained.model)
    new = domain_scores(model, of(text(MEDICINE, "new"), text(SEA, "new")))
    assert new[0] >= trained.threshold > new[1]


def test_kinds_that_are_one_are_not_claimed_to_be_told_apart(tmp_path: Path) -> None:
    one = train_classifier(texts("notes", SHARED, 200), texts("web", SHARED, 200), tmp_path, seed=1, precision=0.98)
    held = one.card["held_out"]
    assert 0.3 < held["auc"] < 0.7
    assert not one.card["chosen"]["reached"]
    assert "no threshold reaches" in one.card["chosen"]["text"]
    assert abs(one.card["importance"]["kappa"]) < 0.5


def test_a_threshold_that_the_recipe_gives_is_taken_and_measured(tmp_path: Path) -> None:
    one = train_classifier(texts("notes", MEDICINE, 60), texts("web", SEA, 60), tmp_path, seed=1, at_least=0.5)
    assert one.threshold == 0.5
    assert one.card["chosen"]["by"] == "recipe"
    assert one.card["held_out"]["at_threshold"]["threshold"] == 0.5


def test_what_is_held_out_is_not_trained_on() -> None:
    every = texts("notes", MEDICINE, 400)
    parts = parted(every, seed=1)
    both = [*parts.training.numbers.tolist(), *parts.held_out.numbers.tolist()]
    assert sorted(both) == every.numbers.tolist()
    assert len(parts.held_out) == 120  # three tenths: 200 would be half of them
    assert parted(texts("notes", MEDICINE, 3000), 1).held_out.numbers.size == 300


def test_copies_count_once_so_that_none_stands_on_both_sides(tmp_path: Path) -> None:
    same = [text(MEDICINE, i) for i in range(40)]
    every = Texts.of([f"a/{i}" for i in range(80)], [*same, *(one.upper() for one in same)])
    assert len(every) == 40
    files, sources = sifted(tmp_path, [("notes", "domain", same[:20]), ("notes", "domain", [*same, None])])
    found = Texts.of_sources(files, [source.name for source in sources], ["notes"])
    assert len(found) == 40
    assert 60 not in found.numbers  # the one that could not be read


def test_texts_of_a_first_pass_are_those_in_memory(tmp_path: Path) -> None:
    some = [text(MEDICINE, i) for i in range(50)]
    files, _ = sifted(tmp_path, [("web", "general", ["x"]), ("notes", "domain", some), ("notes", "domain", ["last"])])
    found = Texts.of_sources(files, ["web", "notes", "notes"], ["notes"])
    batches = list(found.where(np.array([0, 20, 50])).batches())
    assert [one for _, batch in batches for one in batch.to_pylist()] == [some[0], some[20], "last"]
    assert np.concatenate([places for places, _ in batches]).tolist() == [0, 1, 2]
    assert len(batches) == 3  # one row group at a time
    assert found.name(found.numbers[[0, 50]]) == ["notes/1-0", "notes/2-0"]
    assert found.n_bytes[:50].tolist() == [len(one) for one in some]


HOSTILE = [
    "__label__other __label__other fever dose",
    "fever\n__label__other dose\r\n\0patient",
    "</s> </s> fever </s>",
    "  __label__domain</s>__label__other  ",
    "__label____label__",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_line_says_nothing_to_fasttext_but_words(hostile: str) -> None:
    line = as_line(hostile)
    assert "\n" not in line
    assert not any(token.startswith("__label__") or token == "</s>" for token in line.split(" "))


def test_labels_in_a_text_train_nothing(tmp_path: Path) -> None:
    def marked(name: str, kind: list[str], label: str) -> Texts:
        ids = [f"{name}/{i}" for i in range(60)]
        return Texts.of(ids, [f"__label__{label}\n__label__new </s> " + text(kind, one) for one in ids])

    domain, other = marked("notes", MEDICINE, "other"), marked("web", SEA, "domain")
    train_model(Examples.drawn(domain, 1), Examples.drawn(other, 1), tmp_path / "model.bin", 1)
    model = FastTextModel.load(tmp_path / "model.bin")
    assert sorted(model.labels) == ["domain", "other"]
    told = domain_scores(model, of(text(MEDICINE, "x"), text(SEA, "x")))
    assert told[0] > 0.8 > 0.2 > told[1]


def test_nothing_hides_behind_an_end_of_text(trained: Trained) -> None:
    model = FastTextModel.load(trained.model)
    sea, medicine = text(SEA, 1, words=300), text(MEDICINE, 1, words=20)
    open_, hidden = domain_scores(model, of(f"{medicine} {sea}", f"{medicine} </s> {sea}"))
    assert abs(open_ - hidden) < 0.05
    assert model.probability("domain", of(f"{medicine} </s> {sea}"))[0] > 0.9  # what fastText itself reads of it


def test_every_document_gives_the_same_number_of_windows_at_most() -> None:
    books = texts("books", SEA, 3, words=4000)
    drawn = Examples.drawn(books, seed=1, budget=30_000)
    assert drawn.documents == 3
    assert len(drawn.lines) == 30
    few = Examples.drawn(texts("notes", MEDICINE, 500, words=900), seed=1, budget=30_000)
    assert len(few.lines) == 3 * few.documents  # a short budget is for fewer documents, not for less of each
    assert few.documents < 20
    assert all(len(line) <= WINDOW_CHARS for line in few.lines)
    assert cut("ab" * 600, 3) == ["ab" * 500, "ab" * 100]


def test_the_rarer_kind_is_repeated() -> None:
    few, many = Examples.drawn(texts("a", MEDICINE, 20), 1), Examples.drawn(texts("b", SEA, 101), 1)
    a, b = balanced(few, many)
    assert (len(a.lines), len(b.lines)) == (100, 101)
    assert len(set(a.places)) == 100  # and its copies lie apart
    assert balanced(many, few)[1] == a


def test_a_domain_is_trained_from_the_sources_that_the_recipe_names(tmp_path: Path) -> None:
    notes = [text(MEDICINE, i) for i in range(60)]
    units: list = [
        ("mixed", "domain", [text(SEA, "m"), text(MEDICINE, "m")]),
        ("notes", "domain", [*notes[:30], None]),
        ("notes", "domain", notes[30:]),
        ("rules", "control", ["nothing"]),
        ("web", "general", [text(SEA, i) for i in range(60)]),
    ]
    files, sources = sifted(tmp_path / "sifted", units)
    one = train_domain(files, sources, Domain(seeds=["notes"]), 1, tmp_path / "trained")
    assert (one.card["seeds"], one.card["against"]) == (["notes"], ["web"])
    assert one.card["training"]["domain"]["documents"] + one.card["held_out"]["domain"] == 60
    assert one.card["held_out"]["auc"] > 0.99
    wrong = one.card["importance"]
    assert {*wrong["only_classifier_ids"], *wrong["only_importance_ids"]} <= {
        name
        for rank, (source, _, found) in enumerate(units)
        for name in (f"{source}/{rank}-{i}" for i in range(len(found)))
    }


def test_too_little_to_learn_from_is_a_fault_that_names_the_field(tmp_path: Path) -> None:
    few = [text(MEDICINE, i) for i in range(5)]
    files, sources = sifted(tmp_path, [("notes", "domain", few), ("web", "general", few)])
    with pytest.raises(Fault, match="5 different readable documents are too few") as fault:
        train_domain(files, sources, Domain(seeds=["notes"]), 1, tmp_path / "trained")
    assert fault.value.where == "curate.domain.seeds"
    with pytest.raises(Fault, match="no text to tell the seeds from"):
        train_domain(files, sources[:1], Domain(seeds=["notes"]), 1, tmp_path / "trained")


def test_a_fasttext_that_cannot_train_is_a_fault_with_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fasttext_pybind", ModuleType("fasttext_pybind"))  # as fasttext-predict's
    some = Examples(["a b"], [0.5], 1)
    with pytest.raises(Fault, match="cannot train") as fault:
        train_model(some, some, tmp_path / "model.bin", 1)
    assert "pip uninstall -y fasttext-predict && pip install --force-reinstall" in fault.value.hint
    monkeypatch.setitem(sys.modules, "fasttext_pybind", None)
    with pytest.raises(Fault, match="not installed"):
        train_model(some, some, tmp_path / "model.bin", 1)


@pytest.mark.real
def test_medical_abstracts_are_told_from_general_text_that_was_held_out(shared_data: Path, tmp_path: Path) -> None:
    one = train_classifier(
        in_memory(abstracts(shared_data)[::8]), in_memory(web_and_novels(shared_data)), tmp_path, seed=1
    )
    held = one.card["held_out"]
    assert held["domain"] >= 150
    assert held["other"] >= 80
    assert held["auc"] > 0.99  # some of C4's pages are about medicine
    assert held["at_threshold"]["precision"] >= 0.95
    assert held["at_threshold"]["recall"] >= 0.97
    assert one.card["importance"]["auc"] > 0.99
