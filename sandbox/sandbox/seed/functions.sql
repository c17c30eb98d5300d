-- What the tables' expressions are made of. md5 and integers only: the same on every machine.
CREATE SCHEMA IF NOT EXISTS sandbox;

-- How far the generated activity has come; `sandbox change` continues from here.
CREATE TABLE IF NOT EXISTS sandbox.progress (
    table_name text PRIMARY KEY,
    last_row bigint NOT NULL,
    round integer NOT NULL
);

-- A number from 0 to 268435455 that looks random.
CREATE OR REPLACE FUNCTION sandbox.h(g bigint, salt text) RETURNS integer
    LANGUAGE sql IMMUTABLE AS
    $$ SELECT ('x' || substr(md5(g || salt), 1, 7))::bit(28)::integer $$;

CREATE OR REPLACE FUNCTION sandbox.pick(g bigint, salt text, choices text[]) RETURNS text
    LANGUAGE sql IMMUTABLE AS
    $$ SELECT choices[1 + sandbox.h(g, salt) % cardinality(choices)] $$;

-- Text as people write it: line breaks, quotes, emoji, combining marks, right-to-left.
CREATE OR REPLACE FUNCTION sandbox.phrase(g bigint) RETURNS text
    LANGUAGE sql IMMUTABLE AS
    $$ SELECT sandbox.pick(g, 'phrase', array[
        'Fix the flaky test',
        E'First line\nsecond "quoted" line',
        'It''s a backslash: C:\temp\new',
        E'Tab\tand, comma; and a trailing space ',
        'Emoji 🚀👩‍💻 and e' || U&'\0301' || ' combining',
        'עברית ואנגלית mixed',
        '表の列 ％ _',
        ''
    ]) || CASE WHEN g % 3 = 0 THEN ' #' || g ELSE '' END $$;
