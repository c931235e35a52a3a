"""The columns of the public tables, by name: what each holds, and under which older names it was published."""

from dataclasses import dataclass, field
from enum import Enum

HELPFUL_TAGS = (
    "helpfulOther",
    "helpfulInformative",
    "helpfulClear",
    "helpfulEmpathetic",
    "helpfulGoodSources",
    "helpfulUniqueContext",
    "helpfulAddressesClaim",
    "helpfulImportantContext",
    "helpfulUnbiasedLanguage",
)
NOT_HELPFUL_TAGS = (
    "notHelpfulOther",
    "notHelpfulIncorrect",
    "notHelpfulSourcesMissingOrUnreliable",
    "notHelpfulOpinionSpeculationOrBias",
    "notHelpfulMissingKeyPoints",
    "notHelpfulOutdated",
    "notHelpfulHardToUnderstand",
    "notHelpfulArgumentativeOrBiased",
    "notHelpfulOffTopic",
    "notHelpfulSpamHarassmentOrAbuse",
    "notHelpfulIrrelevantSources",
    "notHelpfulOpinionSpeculation",
    "notHelpfulNoteNotNeeded",
)
LEVELS = {"HELPFUL": 1.0, "SOMEWHAT_HELPFUL": 0.5, "NOT_HELPFUL": 0.0}
NOT_MISLEADING = "NOT_MISLEADING"
MISLEADING = "MISINFORMED_OR_POTENTIALLY_MISLEADING"
POPULATION_SAMPLED = "POPULATION_SAMPLED"


class Kind(Enum):
    """What a column holds."""

    IDENTIFIER = "a whole number below 2^63"
    TIME = "a time in milliseconds since 1970"
    FLAG = "0 or 1"
    NUMBER = "a number"
    TEXT = "text"


@dataclass(frozen=True)
class Column:
    """One column: its name today, what it holds, whether a table is useless without it, and its older names."""

    name: str
    kind: Kind
    required: bool = False
    aliases: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class TableSchema:
    """One public table: the names of its files begin with ``name``."""

    name: str
    columns: tuple[Column, ...]

    def by_any_name(self) -> dict[str, Column]:
        """Every accepted header, the older ones included, and the column it means."""
        return {name: column for column in self.columns for name in (column.name, *column.aliases)}


_AUTHOR = Column("noteAuthorParticipantId", Kind.TEXT, aliases=("participantId",))
_NOTE = Column("noteId", Kind.IDENTIFIER, required=True)

NOTES = TableSchema(
    "notes",
    (
        _NOTE,
        _AUTHOR,
        Column("createdAtMillis", Kind.TIME, required=True),
        Column("tweetId", Kind.IDENTIFIER),
        Column("classification", Kind.TEXT),
        Column("summary", Kind.TEXT),
        Column("trustworthySources", Kind.FLAG),
        Column("isMediaNote", Kind.FLAG),
        Column("isCollaborativeNote", Kind.FLAG),
    ),
)

RATINGS = TableSchema(
    "ratings",
    (
        _NOTE,
        Column("raterParticipantId", Kind.TEXT, required=True, aliases=("participantId",)),
        Column("createdAtMillis", Kind.TIME, required=True),
        Column("helpful", Kind.FLAG),
        Column("notHelpful", Kind.FLAG),
        Column("helpfulnessLevel", Kind.TEXT),
        *(Column(tag, Kind.FLAG) for tag in HELPFUL_TAGS),
        *(
            Column(
                tag,
                Kind.FLAG,
                aliases=("notHelpfulArgumentativeOrInflammatory",) if tag == "notHelpfulArgumentativeOrBiased" else (),
            )
            for tag in NOT_HELPFUL_TAGS
        ),
        Column("ratingSourceBucketed", Kind.TEXT),
    ),
)

HISTORY = TableSchema(
    "noteStatusHistory",
    (
        _NOTE,
        _AUTHOR,
        Column("createdAtMillis", Kind.TIME),
        Column("timestampMillisOfFirstNonNMRStatus", Kind.TIME),
        Column("firstNonNMRStatus", Kind.TEXT),
        Column("timestampMillisOfCurrentStatus", Kind.TIME),
        Column("currentStatus", Kind.TEXT),
        Column("timestampMillisOfLatestNonNMRStatus", Kind.TIME, aliases=("timestampMillisOfMostRecentNonNMRStatus",)),
        Column("mostRecentNonNMRStatus", Kind.TEXT, aliases=("latestNonNMRStatus",)),
        Column("timestampMillisOfStatusLock", Kind.TIME),
        Column("lockedStatus", Kind.TEXT),
        Column("currentDecidedBy", Kind.TEXT, aliases=("currentDecidedByKey",)),
        Column("timestampMillisOfMostRecentStatusChange", Kind.TIME),
        Column("timestampMillisOfNmrDueToMinStableCrhTime", Kind.TIME),
    ),
)

ENROLLMENT = TableSchema(
    "userEnrollment",
    (
        Column("participantId", Kind.TEXT, required=True),
        Column("enrollmentState", Kind.TEXT),
        Column("successfulRatingNeededToEarnIn", Kind.NUMBER),
        Column("timestampOfLastStateChange", Kind.TIME),
        Column("timestampOfLastEarnOut", Kind.TIME),
        Column("modelingPopulation", Kind.TEXT),
        Column("modelingGroup", Kind.NUMBER),
        Column("numberOfTimesEarnedOut", Kind.NUMBER),
    ),
)

CLUSTERS = TableSchema(
    "rater_clusters",
    (
        Column("raterParticipantId", Kind.TEXT, required=True),
        Column("postSelectionValue", Kind.NUMBER),
        Column("quasiCliqueValue", Kind.NUMBER),
    ),
)

TABLES = {table.name: table for table in (NOTES, RATINGS, HISTORY, ENROLLMENT, CLUSTERS)}
NEEDED = ("notes", "ratings")

SNOWFLAKE_EPOCH_MILLIS = 1288834974657


def snowflake_millis(identifier: int) -> int:
    """Creation time in UTC milliseconds held in a note's or post's id (its upper bits)."""
    return (identifier >> 22) + SNOWFLAKE_EPOCH_MILLIS


def schema_of(name: str) -> TableSchema:
    """The schema of table ``name``."""
    return TABLES[name]
