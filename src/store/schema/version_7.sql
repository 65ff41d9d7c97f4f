-- A database as version 7 of the schema left it, with one of everything. Never edited.
PRAGMA foreign_keys = OFF;
BEGIN TRANSACTION;
CREATE TABLE cameras (
    number      INTEGER PRIMARY KEY,
    identity    TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL DEFAULT '',
    strip_audio INTEGER NOT NULL DEFAULT 0
);
INSERT INTO cameras VALUES(0,'test:a','Door',0);
INSERT INTO cameras VALUES(3,'rtsp:gate','Gate',1);
CREATE TABLE fragments (
    recording INTEGER NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    number    INTEGER NOT NULL,
    file      TEXT NOT NULL,
    size      INTEGER NOT NULL,
    fragments BLOB NOT NULL,
    PRIMARY KEY (recording, number)
);
INSERT INTO fragments VALUES(1,0,'a.mp4',2000,X'0102');
CREATE TABLE gaps (
    recording   INTEGER NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    start_us    INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    cause       TEXT NOT NULL,
    PRIMARY KEY (recording, start_us)
) WITHOUT ROWID;
INSERT INTO gaps VALUES(1,1,1767323050100000,1000000,'encoder');
CREATE TABLE notes (
    id        INTEGER PRIMARY KEY,
    recording INTEGER NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    at_us     INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    detail    TEXT NOT NULL
);
INSERT INTO notes VALUES(1,1,1767323050100000,'clock','set forward by 2 s');
CREATE TABLE recordings (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    camera       INTEGER NOT NULL,
    identity     TEXT NOT NULL,
    camera_name  TEXT NOT NULL,
    format       TEXT NOT NULL,
    requested_us INTEGER NOT NULL,
    -- the first recorded frame; until there is one, the request
    start_us     INTEGER NOT NULL,
    -- length asked for, and the wall clock's idea of the end once a frame was recorded
    limit_ms     INTEGER,
    until_us     INTEGER,
    wanted       INTEGER NOT NULL,
    end_us       INTEGER,
    duration_ms  INTEGER NOT NULL DEFAULT 0,
    size         INTEGER NOT NULL DEFAULT 0,
    codec        TEXT,
    width        INTEGER NOT NULL,
    height       INTEGER NOT NULL,
    -- sample description of the first segment: another one cannot share the recording
    stsd         BLOB,
    ended        TEXT,
    continues    TEXT
, protected INTEGER NOT NULL DEFAULT 0);
INSERT INTO recordings VALUES(1,'camera0_2026-01-02_03-04-05',0,'test:a','Door','mp4',1767323045000000,1767323045100000,NULL,NULL,0,1767323055100000,9000,4321,'h264',640,360,X'00000010','stopped',NULL,1);
INSERT INTO recordings VALUES(2,'camera3_2026-01-02_04-00-00',3,'rtsp:gate','Gate','fmp4',1767326400000000,1767326400200000,60000,1767326460200000,1,NULL,2000,1000,'h264',1280,720,NULL,NULL,'camera0_2026-01-02_03-04-05',0);
CREATE TABLE segments (
    recording     INTEGER NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    file          TEXT NOT NULL,
    stream        BLOB NOT NULL,
    stream_number INTEGER NOT NULL,
    start_us      INTEGER NOT NULL,
    duration_us   INTEGER NOT NULL,
    size          INTEGER NOT NULL,
    closed        INTEGER NOT NULL, lost INTEGER NOT NULL DEFAULT 0, trimmed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (recording, number)
) WITHOUT ROWID;
INSERT INTO segments VALUES(1,0,'a.mp4',X'000102030405060708090a0b0c0d0e0f',0,1767323045100000,5000000,2000,1,0,0);
INSERT INTO segments VALUES(1,1,'b.mp4',X'000102030405060708090a0b0c0d0e0f',1,1767323051100000,4000000,2321,1,1,0);
CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO settings VALUES('api.recording.segment_duration','"5s"');
CREATE TABLE snapshots (
    name         TEXT PRIMARY KEY,
    camera       INTEGER NOT NULL,
    created_us   INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    frame_age_ms INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO snapshots VALUES('gate.jpg',3,1767326401000000,777,40);
CREATE INDEX recordings_newest ON recordings (start_us DESC, id DESC);
CREATE UNIQUE INDEX recordings_wanted ON recordings (camera) WHERE wanted = 1;
CREATE INDEX notes_recording ON notes (recording);
CREATE INDEX snapshots_newest ON snapshots (created_us DESC, name DESC);
CREATE INDEX segments_trimmed ON segments (recording) WHERE trimmed = 1;
CREATE INDEX recordings_sizes ON recordings (camera, wanted, size);
CREATE TABLE external_streams (
    identity TEXT PRIMARY KEY,
    -- with its password
    url      TEXT NOT NULL,
    name     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    added_us INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO external_streams VALUES('rtsp:yard','rtsp://u:p@192.0.2.7/yard','Yard','generic_rtsp',1767323045000000);
CREATE TABLE api_keys (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,
    -- SHA-256: the keys are random, so nothing slower is needed
    key_hash    BLOB NOT NULL,
    stream_hash BLOB NOT NULL,
    created_us  INTEGER NOT NULL,
    expires_us  INTEGER,
    used_us     INTEGER
) WITHOUT ROWID;
INSERT INTO api_keys VALUES('k1','Panel','viewer',X'0101010101010101010101010101010101010101010101010101010101010101',X'0202020202020202020202020202020202020202020202020202020202020202',1767323045000000,NULL,1767323046000000);
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at_us   INTEGER NOT NULL,
    user    TEXT,
    address TEXT,
    action  TEXT NOT NULL,
    target  TEXT,
    result  TEXT NOT NULL
);
INSERT INTO audit VALUES(1,1767323045000000,'api_key:k1','192.0.2.9','start_recording','camera0','ok');
CREATE TABLE devices (
    camera   INTEGER PRIMARY KEY REFERENCES cameras (number) ON DELETE CASCADE,
    kind     TEXT NOT NULL,
    serial   TEXT,
    -- where it was plugged in last
    port     TEXT NOT NULL,
    -- it is whatever of its kind is plugged in there
    pinned   INTEGER NOT NULL DEFAULT 0,
    model    TEXT NOT NULL,
    -- what an operator calls it
    name     TEXT,
    first_us INTEGER,
    seen_us  INTEGER
);
INSERT INTO devices VALUES(0,'usb-0c45:6366',NULL,'pci-0000:00:14.0/2',1,'Webcam','Door',1767323045000000,1767323046000000);
COMMIT;
PRAGMA user_version = 7;
