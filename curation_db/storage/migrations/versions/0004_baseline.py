"""Schema of the first release: everything that `schema.build` creates, except Alembic's own table.

The statements are frozen. They stay as they are when the classes in `models` change; later revisions alter the result.
"""

from __future__ import annotations

from alembic import op

from curation_db.storage.ids import utc_now, uuid7
from curation_db.storage.sqlite import BASELINE_EXTRAS

# not 0001: records of the development version that wrote 0004 have this schema, and open without a migration
revision = "0004"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = """
CREATE TABLE prompt_text (
    version VARCHAR NOT NULL, content VARCHAR NOT NULL, created_at VARCHAR NOT NULL,
    PRIMARY KEY (version)
)

CREATE TABLE endpoint_probe (
    url VARCHAR NOT NULL, model VARCHAR NOT NULL, features VARCHAR NOT NULL, probed_at VARCHAR NOT NULL,
    PRIMARY KEY (url, model)
)

CREATE TABLE generation_run (
    id INTEGER NOT NULL, recipe VARCHAR NOT NULL, settings VARCHAR NOT NULL, state VARCHAR NOT NULL,
    host VARCHAR NOT NULL, pid INTEGER NOT NULL, started_at VARCHAR NOT NULL, beat_at VARCHAR NOT NULL,
    ended_at VARCHAR, progress VARCHAR NOT NULL, message VARCHAR,
    PRIMARY KEY (id)
)

CREATE TABLE source (
    id INTEGER NOT NULL, name VARCHAR NOT NULL, licenses VARCHAR, licenses_since INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
)

CREATE TABLE annotator (
    id INTEGER NOT NULL, name VARCHAR NOT NULL, role VARCHAR NOT NULL, created_at VARCHAR NOT NULL, retired_at VARCHAR,
    PRIMARY KEY (id),
    UNIQUE (name)
)

CREATE TABLE queue_group (
    id INTEGER NOT NULL, stream VARCHAR NOT NULL, voters VARCHAR NOT NULL, passes VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (stream, voters, passes)
)

CREATE TABLE event_gap (
    first INTEGER NOT NULL, last INTEGER NOT NULL, cause VARCHAR NOT NULL, at VARCHAR NOT NULL,
    PRIMARY KEY (first),
    CONSTRAINT cause_known CHECK (cause IN ('export', 'restore', 'migration')),
    CONSTRAINT first_to_last CHECK (first <= last)
)

CREATE TABLE lineage (
    uid VARCHAR NOT NULL, "after" INTEGER NOT NULL, started_at VARCHAR NOT NULL, restored_from VARCHAR,
    PRIMARY KEY (uid)
)

CREATE TABLE record_note (
    name VARCHAR NOT NULL, value VARCHAR NOT NULL,
    PRIMARY KEY (name)
)

CREATE TABLE image (
    id INTEGER NOT NULL, source_id INTEGER NOT NULL, "key" VARCHAR NOT NULL, file_name VARCHAR, width INTEGER,
    height INTEGER, content_sha256 BLOB, extra VARCHAR, completed VARCHAR, url VARCHAR,
    PRIMARY KEY (id),
    UNIQUE (source_id, "key"),
    FOREIGN KEY(source_id) REFERENCES source (id)
)

CREATE TABLE work_session (
    id VARCHAR NOT NULL, annotator_id INTEGER NOT NULL, host VARCHAR NOT NULL, pid INTEGER NOT NULL,
    tool_version VARCHAR NOT NULL, started_at VARCHAR NOT NULL, ended_at VARCHAR,
    PRIMARY KEY (id),
    FOREIGN KEY(annotator_id) REFERENCES annotator (id)
)

CREATE TABLE visual_question (
    id INTEGER NOT NULL, source_id INTEGER NOT NULL, "key" VARCHAR NOT NULL, image_id INTEGER NOT NULL,
    text VARCHAR NOT NULL, answer VARCHAR NOT NULL, agreed INTEGER, answers INTEGER, question_type VARCHAR,
    PRIMARY KEY (id),
    UNIQUE (source_id, "key"),
    FOREIGN KEY(source_id) REFERENCES source (id),
    FOREIGN KEY(image_id) REFERENCES image (id)
)

CREATE INDEX visual_question_image ON visual_question (image_id)

CREATE TABLE generation_answer (
    id INTEGER NOT NULL, "key" BLOB NOT NULL, run_id INTEGER, stage VARCHAR NOT NULL, engine VARCHAR NOT NULL,
    model VARCHAR NOT NULL, prompt VARCHAR NOT NULL, image_id INTEGER, subject VARCHAR NOT NULL, seed INTEGER,
    status VARCHAR NOT NULL, text VARCHAR NOT NULL, p FLOAT, label_mass FLOAT, method VARCHAR, prompt_tokens INTEGER,
    completion_tokens INTEGER, cost FLOAT, latency_ms FLOAT, error VARCHAR, detail VARCHAR, tries INTEGER NOT NULL,
    simulated BOOLEAN NOT NULL, created_at VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE ("key"),
    FOREIGN KEY(run_id) REFERENCES generation_run (id),
    FOREIGN KEY(image_id) REFERENCES image (id)
)

CREATE INDEX generation_answer_open ON generation_answer (status, id) WHERE status <> 'ok'

CREATE TABLE image_object (
    image_id INTEGER NOT NULL, category VARCHAR NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (image_id, category),
    FOREIGN KEY(image_id) REFERENCES image (id)
)

CREATE TABLE caption (
    id INTEGER NOT NULL, source_id INTEGER NOT NULL, "key" VARCHAR NOT NULL, image_id INTEGER NOT NULL,
    text VARCHAR NOT NULL, raw_sha256 BLOB NOT NULL, cue VARCHAR, cue_position VARCHAR,
    PRIMARY KEY (id),
    UNIQUE (source_id, "key"),
    FOREIGN KEY(source_id) REFERENCES source (id),
    FOREIGN KEY(image_id) REFERENCES image (id)
)

CREATE INDEX caption_image ON caption (image_id)

CREATE TABLE candidate (
    id INTEGER NOT NULL, source_id INTEGER NOT NULL, "key" VARCHAR NOT NULL, image_id INTEGER NOT NULL,
    caption_id INTEGER, parent_id INTEGER, text VARCHAR NOT NULL, raw_sha256 BLOB NOT NULL, pipeline VARCHAR NOT NULL,
    concept VARCHAR, concept_confidence FLOAT, negation_type VARCHAR NOT NULL, generator VARCHAR NOT NULL,
    prompt_version VARCHAR, cue VARCHAR, cue_class VARCHAR, cue_position VARCHAR, tokens INTEGER NOT NULL,
    overlap VARCHAR NOT NULL, stratum VARCHAR NOT NULL, audit BOOLEAN NOT NULL, audit_rate FLOAT NOT NULL,
    extra VARCHAR, created_at VARCHAR NOT NULL, since INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (source_id, "key"),
    CONSTRAINT negation_type_known CHECK (negation_type IN ('absence', 'action', 'attribute', 'relation', 'other')),
    FOREIGN KEY(source_id) REFERENCES source (id),
    FOREIGN KEY(image_id) REFERENCES image (id),
    FOREIGN KEY(caption_id) REFERENCES caption (id),
    FOREIGN KEY(parent_id) REFERENCES candidate (id)
)

CREATE INDEX candidate_parent ON candidate (parent_id)

CREATE INDEX candidate_position ON candidate (cue_position)

CREATE INDEX candidate_pipeline ON candidate (pipeline)

CREATE INDEX candidate_overlap ON candidate (overlap)

CREATE INDEX candidate_caption ON candidate (caption_id)

CREATE INDEX candidate_image ON candidate (image_id)

CREATE INDEX candidate_cue ON candidate (cue)

CREATE INDEX candidate_type ON candidate (negation_type)

CREATE INDEX candidate_beginning ON candidate (substr(text, 1, 32) COLLATE NOCASE)

CREATE INDEX candidate_audit ON candidate (audit)

CREATE INDEX candidate_concept ON candidate (concept COLLATE NOCASE)

CREATE TABLE generation_item (
    id INTEGER NOT NULL, recipe VARCHAR NOT NULL, item VARCHAR NOT NULL, run_id INTEGER, image_id INTEGER NOT NULL,
    status VARCHAR NOT NULL, reason VARCHAR, detail VARCHAR, candidate_id INTEGER, attempts INTEGER NOT NULL,
    created_at VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (recipe, item),
    FOREIGN KEY(run_id) REFERENCES generation_run (id),
    FOREIGN KEY(image_id) REFERENCES image (id),
    FOREIGN KEY(candidate_id) REFERENCES candidate (id)
)

CREATE INDEX generation_item_status ON generation_item (status, reason)

CREATE INDEX generation_item_run ON generation_item (run_id)

CREATE TABLE verdict (
    id INTEGER NOT NULL, candidate_id INTEGER NOT NULL, judge VARCHAR NOT NULL, model VARCHAR NOT NULL,
    prompt_version VARCHAR NOT NULL, question VARCHAR NOT NULL, p FLOAT, label_mass FLOAT, raw_text VARCHAR NOT NULL,
    latency_ms FLOAT, simulated BOOLEAN NOT NULL, created_at VARCHAR NOT NULL, method VARCHAR, prior FLOAT,
    seed INTEGER,
    PRIMARY KEY (id),
    UNIQUE (candidate_id, judge, question, prompt_version),
    CONSTRAINT question_known CHECK (question IN ('present', 'acceptable')),
    CONSTRAINT p_is_a_probability CHECK (p IS NULL OR (p >= 0 AND p <= 1)),
    FOREIGN KEY(candidate_id) REFERENCES candidate (id)
)

CREATE INDEX verdict_says ON verdict (judge, question, CASE WHEN p IS NULL THEN 'unclear' WHEN p >= 0.5 THEN 'yes' ELSE
    'no' END, candidate_id)

CREATE TABLE event (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, uid VARCHAR NOT NULL, act VARCHAR NOT NULL,
    candidate_id INTEGER NOT NULL, actor VARCHAR NOT NULL, role VARCHAR NOT NULL, session VARCHAR NOT NULL,
    stream VARCHAR NOT NULL, blind BOOLEAN NOT NULL, kind VARCHAR NOT NULL, verdict VARCHAR, reason VARCHAR,
    cause VARCHAR CONSTRAINT cause_known CHECK (cause IS NULL OR kind = 'adjudicate' AND cause IN ('ambiguous_text',
        'guideline_gap', 'annotator_slip', 'edge_case', 'subjective', 'other')),
    note VARCHAR, undo_of INTEGER, child_id INTEGER, late BOOLEAN NOT NULL, elapsed_ms INTEGER, at VARCHAR NOT NULL,
    gold BOOLEAN DEFAULT 0 NOT NULL,
    picture VARCHAR CONSTRAINT picture_known CHECK (picture IS NULL OR picture IN ('none', 'cells', 'pixels')),
    zoomed BOOLEAN,
    CONSTRAINT kind_known CHECK (kind IN ('accept', 'reject', 'unsure', 'skip', 'flag', 'note', 'edit', 'undo',
        'requeue', 'adjudicate', 'withdraw', 'flip')),
    CONSTRAINT role_known CHECK (role IN ('annotator', 'adjudicator', 'policy', 'system')),
    CONSTRAINT stream_known CHECK (stream IN ('review', 'audit')),
    CONSTRAINT reason_known CHECK (reason IS NULL OR reason IN ('present', 'rest_false', 'gratuitous', 'ungrammatical',
        'scope', 'duplicate', 'bad_image')),
    CONSTRAINT undo_names_its_event CHECK ((kind = 'undo') = (undo_of IS NOT NULL)),
    CONSTRAINT edit_names_its_child CHECK ((kind = 'edit') = (child_id IS NOT NULL)),
    CONSTRAINT verdict_said CHECK (kind NOT IN ('adjudicate', 'flip') OR verdict IN ('accept', 'reject')),
    UNIQUE (uid),
    FOREIGN KEY(candidate_id) REFERENCES candidate (id),
    FOREIGN KEY(undo_of) REFERENCES event (seq),
    FOREIGN KEY(child_id) REFERENCES candidate (id)
)

CREATE INDEX event_actor ON event (actor, seq) WHERE uid = act

CREATE INDEX event_reason ON event (reason, candidate_id) WHERE reason IS NOT NULL

CREATE INDEX event_hasty ON event (candidate_id) WHERE elapsed_ms < 400

CREATE INDEX event_person ON event (actor, candidate_id, kind)

CREATE INDEX event_flip ON event (candidate_id) WHERE kind = 'flip'

CREATE INDEX event_candidate ON event (candidate_id, seq)

CREATE INDEX event_undo_of ON event (undo_of) WHERE undo_of IS NOT NULL

CREATE TABLE gold (
    candidate_id INTEGER NOT NULL, answer VARCHAR NOT NULL, reason VARCHAR, origin VARCHAR NOT NULL,
    created_at VARCHAR NOT NULL,
    PRIMARY KEY (candidate_id),
    CONSTRAINT reason_known CHECK (reason IS NULL OR reason IN ('present', 'rest_false', 'gratuitous', 'ungrammatical',
        'scope', 'duplicate', 'bad_image')),
    CONSTRAINT answer_known CHECK (answer IN ('accept', 'reject')),
    CONSTRAINT only_a_rejection_has_a_reason CHECK (reason IS NULL OR answer = 'reject'),
    FOREIGN KEY(candidate_id) REFERENCES candidate (id)
)

CREATE TABLE candidate_state (
    candidate_id INTEGER NOT NULL, state VARCHAR NOT NULL, accepts INTEGER NOT NULL, rejects INTEGER NOT NULL,
    unsures INTEGER NOT NULL, wanted INTEGER NOT NULL, flagged BOOLEAN NOT NULL, notes INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    PRIMARY KEY (candidate_id),
    CONSTRAINT state_known CHECK (state IN ('open', 'needs_more', 'contested', 'accepted', 'rejected', 'unsure',
        'superseded')),
    FOREIGN KEY(candidate_id) REFERENCES candidate (id)
)

CREATE INDEX state_newest ON candidate_state (last_seq)

CREATE INDEX state_by_state ON candidate_state (state, candidate_id)

CREATE INDEX state_flagged ON candidate_state (candidate_id) WHERE flagged IS 1

CREATE TABLE queue_entry (
    ordering VARCHAR NOT NULL, group_id INTEGER NOT NULL, priority FLOAT NOT NULL, candidate_id INTEGER NOT NULL,
    PRIMARY KEY (ordering, group_id, priority, candidate_id),
    FOREIGN KEY(group_id) REFERENCES queue_group (id),
    FOREIGN KEY(candidate_id) REFERENCES candidate (id)
) WITHOUT ROWID

CREATE INDEX queue_entry_candidate ON queue_entry (candidate_id)

CREATE TABLE candidate_mark (
    mark VARCHAR NOT NULL, candidate_id INTEGER NOT NULL,
    PRIMARY KEY (mark, candidate_id),
    FOREIGN KEY(candidate_id) REFERENCES candidate (id)
) WITHOUT ROWID

CREATE TABLE mark_due (
    candidate_id INTEGER NOT NULL,
    PRIMARY KEY (candidate_id),
    FOREIGN KEY(candidate_id) REFERENCES candidate (id)
)

CREATE TABLE lease (
    candidate_id INTEGER NOT NULL, annotator_id INTEGER NOT NULL, session VARCHAR NOT NULL, expires_at FLOAT NOT NULL,
    seconds FLOAT DEFAULT 600 NOT NULL,
    PRIMARY KEY (candidate_id, annotator_id),
    FOREIGN KEY(candidate_id) REFERENCES candidate (id),
    FOREIGN KEY(annotator_id) REFERENCES annotator (id)
)

CREATE INDEX lease_session ON lease (session)

CREATE TABLE overlap_change (
    candidate_id INTEGER NOT NULL, since INTEGER NOT NULL, overlap VARCHAR NOT NULL, actor VARCHAR NOT NULL,
    at VARCHAR NOT NULL,
    PRIMARY KEY (candidate_id, since),
    FOREIGN KEY(candidate_id) REFERENCES candidate (id)
)
"""


def upgrade() -> None:
    connection = op.get_bind()
    for statement in (*_SCHEMA.split("\n\n"), *BASELINE_EXTRAS):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("INSERT INTO lineage(uid, after, started_at) VALUES (?, 0, ?)", (uuid7(), utc_now()))


def downgrade() -> None:
    raise NotImplementedError("a record cannot be downgraded; restore the backup from before the migration")
