"""MariaDB's binary log, read from the bytes of its events.

`dump` asks the server for them, `events` takes them apart, `table_map` and `metadata` say what a row is, `rows` reads rows
by decoders compiled once for each version of a table (`numbers`, `temporal`, `strings`), `statements` says what a statement
does to whole tables, `transaction` gathers what one transaction said. All but `dump` is pure.

Sources: https://mariadb.com/kb/en/replication-protocol/ and the server's sql/log_event.h. Numbers are little-endian, but for
those of DECIMAL, BIT and the temporal types with fractions.
"""
