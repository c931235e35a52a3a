"""One small synthetic world, scored once."""

from pathlib import Path

import pytest

from kolossos.notes.score.columns import World
from kolossos.notes.score.prepare import prepare
from kolossos.notes.score.run import Scoring, score
from kolossos.notes.tables.generate import Size, generate_world, write_world
from kolossos.notes.tables.read import Tables, read_tables


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(generate_world(Size(notes=320, raters=200, ratings=7000, days=40), 5), folder)
    return folder


@pytest.fixture(scope="session")
def tables(world_folder: Path) -> Tables:
    return read_tables(world_folder)


@pytest.fixture(scope="session")
def world(tables: Tables) -> World:
    return prepare(tables)


@pytest.fixture(scope="session")
def scoring(world: World) -> Scoring:
    return score(world)
