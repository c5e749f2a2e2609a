"""Units of work depend on the input alone."""

from __future__ import annotations

import random

from curate.inputs import InputFile
from curate.settings import Source
from curate.units import MOST_FILES, plan_units

ONE, TWO = Source(name="one", path="a"), Source(name="two", path="b")


def files(source: Source, sizes: list[int]) -> list[InputFile]:
    names = [f"{place:03d}.jsonl" for place in range(len(sizes))]
    return [
        InputFile(source.name, f"/{name}", name, size, "jsonl", None, None)
        for name, size in zip(names, sizes, strict=True)
    ]


def test_every_file_stands_in_exactly_one_unit_in_order() -> None:
    rng = random.Random(7)
    several = 0
    for _ in range(100):
        of = [(ONE, files(ONE, rng.choices(range(200), k=20))), (TWO, files(TWO, rng.choices(range(200), k=5)))]
        units = plan_units(of, unit_bytes=rng.randint(1, 400))
        several += any(len(unit.files) > 1 for unit in units)
        for source, given in of:
            assert [file for unit in units if unit.source is source for file in unit.files] == given
    assert several > 50


def test_a_unit_exceeds_its_size_only_by_a_single_file() -> None:
    units = plan_units([(ONE, files(ONE, [30, 30, 30, 500, 10, 90, 1]))], unit_bytes=100)
    assert [[file.n_bytes for file in unit.files] for unit in units] == [[30, 30, 30], [500], [10, 90], [1]]


def test_a_unit_holds_one_source_and_sources_come_by_name() -> None:
    one, two = (ONE, files(ONE, [1])), (TWO, files(TWO, [1]))
    assert plan_units([two, one]) == plan_units([one, two])
    assert [unit.source.name for unit in plan_units([two, one])] == ["one", "two"]


def test_a_source_without_files_has_no_unit() -> None:
    assert plan_units([(ONE, [])]) == []
    assert plan_units([]) == []


def test_empty_files_do_not_end_a_unit() -> None:
    assert len(plan_units([(ONE, files(ONE, [0] * 1000))])) == 1


def test_very_many_tiny_files_are_several_units() -> None:
    given = files(ONE, [1] * (2 * MOST_FILES + 1))
    units = plan_units([(ONE, given)])
    assert [len(unit.files) for unit in units] == [MOST_FILES, MOST_FILES, 1]
    assert [file for unit in units for file in unit.files] == given
