"""The warehouse: fakesnow's server (Snowflake's protocol on DuckDB), made stricter and safer.

What it adds to fakesnow is in its modules: `engine` (files on disk), `session` (sessions and
statements), `rewrite` and `repairs` (SQL), `errors` (Snowflake's error numbers), `logins`,
`faults`, `query_log`, `app` (HTTP routes).

Departures from Snowflake that remain:

- A temporary table is an ordinary table that goes away with its session. Until then other sessions
  see it, and its name must be free. Temporary stages likewise.
- A statement that fails inside a transaction ends the transaction: every later statement, COMMIT
  included, fails until ROLLBACK. Snowflake would keep what went before.
- PURGE deletes files when COPY runs, so a rollback does not bring them back; it does so when FALSE.
- COPY of a text column into a VARIANT column parses the text; Snowflake stores it as a string.
- TIMESTAMP_TZ keeps the instant, not the offset; all times have microseconds, not nanoseconds.
- PRIMARY KEY, UNIQUE and FOREIGN KEY are accepted and forgotten: SHOW PRIMARY KEYS is empty, and
  key columns may be NULL unless they say NOT NULL.
- The length of VARCHAR(n) is remembered but not enforced.
- A query's whole result travels in one answer and is held in memory.
- Not available: the user stage `@~`, REMOVE, DROP STAGE, SWAP WITH, COPY's PATTERN, VALIDATION_MODE
  and ON_ERROR other than ABORT_STATEMENT, JSON files in COPY; INSERT OVERWRITE gives wrong results.
- Two transactions that write the same rows fail with 000625 at once, and two that insert the same
  key by MERGE both do; Snowflake makes one wait.
"""
