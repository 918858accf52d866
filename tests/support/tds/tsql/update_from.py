"""UPDATE alias SET .. FROM t alias JOIN u ON .. becomes UPDATE t AS alias SET .. FROM u WHERE .., as PostgreSQL says it."""

from sqlglot import exp


def move_target(tree: exp.Update) -> None:
    """Change the tree in place, where the alias is one of the FROM's tables."""
    first = tree.args["from_"].this
    joins = first.args.get("joins") or []
    sources = [first, *(join.this for join in joins)]
    wanted = tree.this.name.lower()
    target = next((source for source in sources if source.alias_or_name.lower() == wanted), None)
    if target is None:
        return
    conditions = [join.args["on"] for join in joins if join.args.get("on")]
    if where := tree.args.get("where"):
        conditions.append(where.this)
    others = [source.copy() for source in sources if source is not target]
    named = exp.table_(target.name, db=target.db or "dbo")
    tree.set("this", exp.alias_(named, target.alias_or_name, table=True))
    tree.set("from_", exp.From(this=others[0]) if others else None)
    if others:
        others[0].set("joins", [exp.Join(this=other, kind="CROSS") for other in others[1:]])
    if conditions:
        tree.set("where", exp.Where(this=exp.and_(*(condition.copy() for condition in conditions))))
