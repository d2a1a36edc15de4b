"""The tables. Rows stay inside this room; `storage/migrations` must agree with them (tested).

Times are seconds since 1970 on the database's clock. Integer keys never leave the server; `public_id` does.
"""

import json

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.domain import (
    InboxState,
    Job,
    JobState,
    Picture,
    Then,
    User,
    UserSettings,
    Wording,
    WorkerState,
    remarks_from_json,
)
from storage.post import SendState

MEDIA_ID_LENGTH = 80  # of a column that names a file of the media store, and of no other: so a deletion finds them all


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {float: Float(53)}  # noqa: RUF012  SQLAlchemy's own protocol


class UserRow(Base):
    """A person as one bot knows them; `running` and `last_served_at` are the fairness state that claims order by."""

    __tablename__ = "user"
    __table_args__ = (UniqueConstraint("bot_id", "telegram_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    bot_id: Mapped[int] = mapped_column(BigInteger)
    telegram_id: Mapped[int] = mapped_column(BigInteger)
    language: Mapped[str] = mapped_column(String(8))
    settings: Mapped[str] = mapped_column(Text, default="{}")
    running: Mapped[int] = mapped_column(default=0)
    last_served_at: Mapped[float] = mapped_column(default=0.0)
    blocked_at: Mapped[float | None]
    created_at: Mapped[float]

    def to_user(self) -> User:
        settings = UserSettings.from_json(self.settings)
        return User(self.id, self.bot_id, self.telegram_id, settings.language or self.language, settings)


class InboxRow(Base):
    """An update as Telegram gave it, stored before Telegram is told that it arrived."""

    __tablename__ = "inbox"
    __table_args__ = (UniqueConstraint("bot_id", "update_id"), Index(None, "state", "bot_id", "chat_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    bot_id: Mapped[int] = mapped_column(BigInteger)
    update_id: Mapped[int] = mapped_column(BigInteger)
    chat_id: Mapped[int] = mapped_column(BigInteger)
    payload: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(8), default=InboxState.NEW)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float] = mapped_column(default=0.0)
    received_at: Mapped[float]
    error: Mapped[str | None] = mapped_column(Text)


class JobRow(Base):
    __tablename__ = "job"
    __table_args__ = (
        Index(None, "state", "family", "lane", "user_id"),
        Index(None, "button", "state"),
        CheckConstraint("state IN ('queued', 'running', 'rendered', 'delivered', 'failed', 'cancelled')", name="state"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(16), unique=True)
    bot_id: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    chat_id: Mapped[int] = mapped_column(BigInteger)
    reply_to_message_id: Mapped[int | None] = mapped_column(BigInteger)
    status_message_id: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(32))
    family: Mapped[str] = mapped_column(String(64))
    lane: Mapped[str] = mapped_column(String(16))
    params: Mapped[str] = mapped_column(Text)
    then: Mapped[str | None] = mapped_column(Text)
    wording: Mapped[str | None] = mapped_column(Text)
    remarks: Mapped[str | None] = mapped_column(Text)
    seed: Mapped[int] = mapped_column(BigInteger)
    dedupe_key: Mapped[str] = mapped_column(String(160), unique=True)
    button: Mapped[str | None] = mapped_column(String(120))
    parent_picture_id: Mapped[int | None]  # no foreign key: picture points here, and SQLite cannot add one afterwards
    state: Mapped[str] = mapped_column(String(12), default=JobState.QUEUED)
    attempt: Mapped[int] = mapped_column(default=0)
    crash_count: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[float | None]
    worker_id: Mapped[str | None] = mapped_column(String(120))
    stage: Mapped[str | None] = mapped_column(String(12))
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    withheld: Mapped[str | None] = mapped_column(Text)
    previewed: Mapped[bool] = mapped_column(default=False, server_default=false())
    engine_revision: Mapped[str | None] = mapped_column(String(64))
    input_sha256: Mapped[str | None] = mapped_column(String(64))
    artefact_sha256: Mapped[str | None] = mapped_column(String(64))
    error_class: Mapped[str | None] = mapped_column(String(32))
    deadline_at: Mapped[float]
    rung_at: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    rendered_at: Mapped[float | None]
    finished_at: Mapped[float | None]

    def to_job(self) -> Job:
        return Job(
            id=self.id, public_id=self.public_id, bot_id=self.bot_id, user_id=self.user_id, chat_id=self.chat_id,
            family=self.family, lane=self.lane, kind=self.kind, params=self.params, seed=self.seed,
            dedupe_key=self.dedupe_key, state=JobState(self.state), attempt=self.attempt, crash_count=self.crash_count,
            fence=self.fence, worker_id=self.worker_id, status_message_id=self.status_message_id,
            reply_to_message_id=self.reply_to_message_id, parent_picture_id=self.parent_picture_id, stage=self.stage,
            step=self.step, steps=self.steps, engine_revision=self.engine_revision, error_class=self.error_class,
            cancel_requested=self.cancel_requested, created_at=self.created_at, started_at=self.started_at,
            rendered_at=self.rendered_at, remarks=remarks_from_json(self.remarks),
            withheld=tuple(json.loads(self.withheld)) if self.withheld else (), previewed=self.previewed,
            then=Then.from_json(self.then), wording=Wording.from_json(self.wording),
        )  # fmt: skip


class PictureRow(Base):
    """A result or an upload; lineage is `parent_id`, history is a query. An upload knows the message that brought it."""

    __tablename__ = "picture"
    __table_args__ = (
        UniqueConstraint("job_id", "ordinal"),
        Index(None, "user_id", "id"),
        Index(None, "user_id", "name"),
        Index(None, "chat_id", "message_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(16), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    ordinal: Mapped[int]
    media_id: Mapped[str] = mapped_column(String(MEDIA_ID_LENGTH))
    seed: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int]
    height: Mapped[int]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("picture.id"), index=True)  # a deletion looks for children
    operation: Mapped[str] = mapped_column(String(32))
    favourite: Mapped[bool] = mapped_column(default=False)
    words: Mapped[str | None] = mapped_column(Text)  # of the prompt, as a search compares them
    thumbnail_id: Mapped[str | None] = mapped_column(String(MEDIA_ID_LENGTH))
    chat_id: Mapped[int | None] = mapped_column(BigInteger)
    message_id: Mapped[int | None] = mapped_column(BigInteger)
    album: Mapped[str | None] = mapped_column(String(64))
    caption: Mapped[str | None] = mapped_column(Text)
    mask_id: Mapped[str | None] = mapped_column(String(MEDIA_ID_LENGTH))
    name: Mapped[str | None] = mapped_column(String(12))  # what its person calls it; see `storage.names`
    created_at: Mapped[float]

    def to_picture(self) -> Picture:
        return Picture(
            self.id, self.public_id, self.user_id, self.job_id, self.ordinal, self.media_id, self.seed,
            self.width, self.height, self.parent_id, self.operation, self.created_at, self.caption,
            self.mask_id, self.name or "", self.favourite,
        )  # fmt: skip


class LikenessRow(Base):
    """How a picture looks, small: by this it is known again when its person sends it. `drawn` is False for what they sent."""

    __tablename__ = "likeness"
    __table_args__ = (Index(None, "user_id", "drawn"),)

    picture_id: Mapped[int] = mapped_column(ForeignKey("picture.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    drawn: Mapped[bool]
    code: Mapped[bytes] = mapped_column(LargeBinary)
    proof: Mapped[bytes] = mapped_column(LargeBinary)


class TelegramFileRow(Base):
    """What one bot may re-send without uploading: a `file_id` belongs to the bot that got it."""

    __tablename__ = "telegram_file"

    picture_id: Mapped[int] = mapped_column(ForeignKey("picture.id"), primary_key=True)
    bot_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    form: Mapped[str] = mapped_column(String(12), primary_key=True)
    file_id: Mapped[str] = mapped_column(String(255))
    file_unique_id: Mapped[str] = mapped_column(String(64))


class DeliveryRow(Base):
    __tablename__ = "delivery"
    __table_args__ = (Index(None, "state", "next_at"),)

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(8), default=SendState.PENDING)
    attempt: Mapped[int] = mapped_column(default=0)
    message_id: Mapped[int | None] = mapped_column(BigInteger)
    file_id: Mapped[str | None] = mapped_column(String(255))
    file_unique_id: Mapped[str | None] = mapped_column(String(64))
    next_at: Mapped[float] = mapped_column(default=0.0)
    sent_at: Mapped[float | None]
    error: Mapped[str | None] = mapped_column(Text)


class NoticeRow(Base):
    __tablename__ = "notice"
    __table_args__ = (Index(None, "state", "next_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(16), unique=True)
    bot_id: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"), index=True)  # a deletion looks for these two
    chat_id: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str] = mapped_column(String(64))
    params: Mapped[str] = mapped_column(Text, default="{}")
    dedupe_key: Mapped[str] = mapped_column(String(160), unique=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"), index=True)
    picture_id: Mapped[int | None] = mapped_column(ForeignKey("picture.id"), index=True)
    edit_message_id: Mapped[int | None] = mapped_column(BigInteger)
    reply_to_message_id: Mapped[int | None] = mapped_column(BigInteger)
    message_id: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(8), default=SendState.PENDING)
    attempt: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float]
    sent_at: Mapped[float | None]
    error: Mapped[str | None] = mapped_column(Text)


class PauseRow(Base):
    """Until when Telegram wants no messages of a bot in a chat; who delivers next must know it. Chat 0 is all of them."""

    __tablename__ = "pause"

    bot_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    chat_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    until: Mapped[float]


class QuotaLedgerRow(Base):
    """Pictures reserved, then either kept (`commit`) or given back (`refund`), each at most once a job."""

    __tablename__ = "quota_ledger"
    __table_args__ = (
        UniqueConstraint("job_id", "entry"),
        Index(None, "user_id", "at"),
        CheckConstraint("entry IN ('reserve', 'commit', 'refund')", name="entry"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    entry: Mapped[str] = mapped_column(String(8))
    amount: Mapped[int]
    at: Mapped[float]


class AuditRow(Base):
    """Every transition of every job, append-only: what the fault tests compare with what the chat shows."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    from_state: Mapped[str | None] = mapped_column(String(12))
    to_state: Mapped[str] = mapped_column(String(12))
    fence: Mapped[int]
    at: Mapped[float]
    why: Mapped[str] = mapped_column(String(64))


class WorkerRow(Base):
    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(String(120), primary_key=True)
    family: Mapped[str] = mapped_column(String(64))
    lanes: Mapped[str] = mapped_column(String(120))
    device: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(12), default=WorkerState.LOADING)
    seen_at: Mapped[float]


class TimingRow(Base):
    __tablename__ = "timing"

    family: Mapped[str] = mapped_column(String(64), primary_key=True)
    lane: Mapped[str] = mapped_column(String(16), primary_key=True)
    size: Mapped[str] = mapped_column(String(24), primary_key=True)
    p50: Mapped[float]
    p90: Mapped[float]


class DialogRow(Base):
    """What the bot was asking a person, with an end: aiogram's FSM storage."""

    __tablename__ = "dialog"

    key: Mapped[str] = mapped_column(String(160), primary_key=True)
    state: Mapped[str | None] = mapped_column(String(120))
    data: Mapped[str] = mapped_column(Text, default="{}")
    expires_at: Mapped[float] = mapped_column(index=True)


class ErasureRow(Base):
    """A person's wish to be forgotten. Once done it names nobody: what stays is a receipt, with times and numbers alone."""

    __tablename__ = "erasure"
    __table_args__ = (Index(None, "done_at", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(16), unique=True)
    bot_id: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"), unique=True)
    stopped: Mapped[int] = mapped_column(default=0)
    pictures: Mapped[int] = mapped_column(default=0)
    jobs: Mapped[int] = mapped_column(default=0)
    notices: Mapped[int] = mapped_column(default=0)
    files: Mapped[int] = mapped_column(default=0)
    asked_at: Mapped[float]
    due_at: Mapped[float]
    done_at: Mapped[float | None]


class ErasedFileRow(Base):
    """A file that is still to be removed from the media store, unless somebody has the same: of who is forgotten, mostly.

    Without an erasure it is of a drawing that its person cancelled at the last moment.
    """

    __tablename__ = "erased_file"

    media_id: Mapped[str] = mapped_column(String(MEDIA_ID_LENGTH), primary_key=True)
    erasure_id: Mapped[int | None] = mapped_column(ForeignKey("erasure.id"), index=True)


class ReportRow(Base):
    """Somebody says that a picture is not as it should be; once a person and picture (0: the whole sheet)."""

    __tablename__ = "report"
    __table_args__ = (UniqueConstraint("job_id", "picture", "user_id"), Index(None, "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    picture: Mapped[int]
    reason: Mapped[str] = mapped_column(String(16))
    at: Mapped[float]


class AppealRow(Base):
    """Somebody says that the judge was wrong about what it withheld of a job; once a job, and so once a picture."""

    __tablename__ = "appeal"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), unique=True)
    at: Mapped[float]


class PreviewRow(Base):
    """The newest rough picture (JPEG) of a job that is being drawn, with the fence and the step that it is of."""

    __tablename__ = "preview"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    fence: Mapped[int]
    step: Mapped[int]
    picture: Mapped[bytes] = mapped_column(LargeBinary)


class LeaseRow(Base):
    """Who does what only one process may do (poll, deliver, sweep), and until when."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(120))
    until: Mapped[float]
