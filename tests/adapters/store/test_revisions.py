"""The revision read from file names is the one Alembic knows as its head."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from webhookd.adapters.store.migrate import migrations_folder, newest_revision


def test_newest_revision_is_the_head_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision()]
