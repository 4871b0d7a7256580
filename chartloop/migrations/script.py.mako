"""${message}."""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}
works_from = ${repr(down_revision)}
"""The oldest code that works on this schema: that before it while this only adds, this revision itself where it takes away or renames."""


def upgrade() -> None:
    """Make what this release needs."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Take it back."""
    ${downgrades if downgrades else "pass"}
