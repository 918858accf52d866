"""Which word begins another statement, where no semicolon says so."""

from collections.abc import Set as AbstractSet

STARTERS = frozenset({
    *("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "DECLARE", "SET", "EXEC", "EXECUTE"),
    *("IF", "WHILE", "BEGIN", "COMMIT", "ROLLBACK", "SAVE", "CREATE", "ALTER", "DROP", "USE"),
    *("PRINT", "RAISERROR", "THROW", "RETURN", "WAITFOR", "GRANT", "REVOKE", "DENY"),
})  # fmt: skip
ENDS = frozenset({";", "END", "ELSE"})
QUERIES = frozenset({"SELECT", "UPDATE", "DELETE"})
PERMISSIONS = frozenset({"GRANT", "REVOKE", "DENY"})


def begins_another(word: str, before: str, head: str, seen: AbstractSet[str], after: str) -> bool:
    """Whether `word` ends the statement that began with `head`.

    All words are in capitals: `before` and `after` are its neighbours, `seen` what the statement has had so far outside
    parentheses.
    """
    if word in ENDS:
        return True
    if word not in STARTERS or before in {"@", ".", "AS", "THEN", "WITH"}:
        return False
    if before == "ON" and head in {"CREATE", "ALTER"}:  # ON DELETE CASCADE, ON UPDATE SET NULL
        return False
    if head in PERMISSIONS:  # SELECT, INSERT .. are permissions until TO or FROM
        return bool(seen & {"TO", "FROM"})
    return _clause_ended(word, before, head, seen, after)


def _clause_ended(word: str, before: str, head: str, seen: AbstractSet[str], after: str) -> bool:
    if word == "SELECT":
        unfinished = head in {"INSERT", "WITH"} and not seen & {*QUERIES, "VALUES"}
        return not unfinished and before not in {"UNION", "ALL", "EXCEPT", "INTERSECT"}
    if word == "SET":
        updates = head == "UPDATE" or (head == "WITH" and "UPDATE" in seen)
        return head not in {"ALTER", "MERGE"} and not (updates and "SET" not in seen)
    if word in {"INSERT", "UPDATE", "DELETE", "MERGE"}:
        return head != "MERGE" and not (head == "WITH" and not seen & {*QUERIES, "INSERT"})
    if word in {"EXEC", "EXECUTE"}:
        return head != "INSERT" or bool(seen & {"VALUES", "SELECT"})
    if word in {"ALTER", "DROP"}:
        return head != "ALTER" or bool(seen & {"ADD", "DROP", "SET", "ENABLE"}) or len(seen) < 3
    return not (word == "IF" and after == "EXISTS" and head in {"DROP", "ALTER"})
