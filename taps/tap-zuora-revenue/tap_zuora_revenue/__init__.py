"""Singer tap for Zuora Revenue's BI views."""
