-- The waterfall, as "zuora_revenue.md", section 9 restates the vendor's definition: each schedule
-- once for every period from the one in which it was created up to the one in which it is due.
-- Every column of the loaded tables is text. A calendar may list a period once for each client;
-- taken once, it does not multiply the schedules of a tenant with several clients.
CREATE OR REPLACE VIEW ${schema}.BI3_WF_SUMM AS
WITH PERIODS AS (
    SELECT DISTINCT ID, CAST(ID AS NUMBER(38, 0)) AS PERIOD
    FROM ${schema}.BI3_CALENDAR
),
SHOWN_TYPES AS (
    SELECT DISTINCT ID
    FROM ${schema}.BI3_ACCT_TYPE
    WHERE WATERFALL_FLAG = 'Y'
),
SCHEDULES AS (
    SELECT
        S.*,
        CAST(S.CRTD_PRD_ID AS NUMBER(38, 0)) AS FIRST_PERIOD,
        CAST(S.PRD_ID AS NUMBER(38, 0)) AS LAST_PERIOD,
        CAST(S.AMOUNT AS NUMBER(38, 10)) AS T_AT,
        CAST(
            CAST(S.AMOUNT AS NUMBER(38, 10)) * CAST(S.F_EX_RATE AS NUMBER(38, 15))
            AS NUMBER(38, 10)
        ) AS F_AT
    FROM ${schema}.BI3_RC_SCHD AS S
    WHERE NOT EXISTS (SELECT 1 FROM ${deleted} AS D WHERE D.SCHD_ID = S.SCHD_ID)
)
SELECT
    C.ID AS AS_OF_PRD_ID,
    S.SCHD_ID,
    S.LINE_ID,
    S.ROOT_LINE_ID,
    S.PRD_ID,
    S.POST_PRD_ID,
    S.SEC_ATR_VAL,
    S.BOOK_ID,
    S.CLIENT_ID,
    S.ACCTG_SEG,
    S.ACCTG_TYPE AS ACCTG_TYPE_ID,
    S.NETTING_ENTRY_FLAG,
    S.SCHD_TYPE_FLAG,
    S.T_AT,
    S.F_AT,
    CAST(S.F_AT * CAST(S.G_EX_RATE AS NUMBER(38, 15)) AS NUMBER(38, 10)) AS R_AT,
    S.CRTD_PRD_ID,
    S.CRTD_DT,
    S.CRTD_BY,
    S.UPDT_DT,
    S.UPDT_BY,
    S.UPDT_DT AS INCR_UPDT_DT
FROM SCHEDULES AS S
INNER JOIN SHOWN_TYPES AS A ON S.ACCTG_TYPE = A.ID
INNER JOIN PERIODS AS C ON S.FIRST_PERIOD <= C.PERIOD AND C.PERIOD <= S.LAST_PERIOD
