"""A stand-in for SQL Server: TDS 7.4 on the wire, PostgreSQL underneath. A test tool; see README.md."""
