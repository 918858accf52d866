-- The catalogue views that a source of changes asks. Names are citext: they are looked up without case, as by SQL Server's
-- default collation. INFORMATION_SCHEMA.X is rewritten to sys.is_X.
set search_path = dbo, sys, public;

create table sys.types (
  name citext, system_type_id int, user_type_id int primary key, max_length int, precision int default 0,
  scale int default 0);
insert into sys.types values
  ('image', 34, 34, 16, 0, 0), ('text', 35, 35, 16, 0, 0), ('uniqueidentifier', 36, 36, 16, 0, 0),
  ('date', 40, 40, 3, 10, 0), ('time', 41, 41, 5, 16, 7), ('datetime2', 42, 42, 8, 27, 7),
  ('datetimeoffset', 43, 43, 10, 34, 7), ('tinyint', 48, 48, 1, 3, 0), ('smallint', 52, 52, 2, 5, 0),
  ('int', 56, 56, 4, 10, 0), ('smalldatetime', 58, 58, 4, 16, 0), ('real', 59, 59, 4, 24, 0),
  ('money', 60, 60, 8, 19, 4), ('datetime', 61, 61, 8, 23, 3), ('float', 62, 62, 8, 53, 0),
  ('ntext', 99, 99, 16, 0, 0), ('bit', 104, 104, 1, 1, 0), ('decimal', 106, 106, 17, 38, 38),
  ('numeric', 108, 108, 17, 38, 38), ('smallmoney', 122, 122, 4, 10, 4), ('bigint', 127, 127, 8, 19, 0),
  ('varbinary', 165, 165, 8000, 0, 0), ('varchar', 167, 167, 8000, 0, 0), ('binary', 173, 173, 8000, 0, 0),
  ('char', 175, 175, 8000, 0, 0), ('timestamp', 189, 189, 8, 0, 0), ('nvarchar', 231, 231, 8000, 0, 0),
  ('nchar', 239, 239, 8000, 0, 0);
create function sys.type_name(id int) returns text language sql stable as $$
  select name::text from sys.types where user_type_id = id $$;

create view sys.schemas as
  select nspname::citext as name, sys.schema_id(nspname::text) as schema_id from pg_namespace
  where nspname !~ '^(pg_|information_schema|standin|ct$|public$)';
create view sys.tables as
  select t.name::citext as name, t.oid::int as object_id, sys.schema_id(t.sch) as schema_id, 'U'::citext as type,
         'USER_TABLE'::citext as type_desc, t.created as create_date, t.created as modify_date,
         0::smallint as is_ms_shipped,
         exists (select from cdc.change_tables c where c.source_object_id = t.oid::int)::int::smallint
           as is_tracked_by_cdc
  from standin.tables t;
create view sys.objects as select * from sys.tables;

-- `shown` is the name that the catalogue gives a type.
create view standin.described as
  select c.*, t.sch, t.name as tab, t.pk, y.user_type_id, y.name as shown, y.max_length as type_length,
         y.precision as type_precision, y.scale as type_scale,
         c.type in ('time', 'datetime2', 'datetimeoffset') as is_scaled, c.type in ('decimal', 'numeric') as is_decimal
  from standin.columns c join standin.tables t using (oid)
  join sys.types y on y.name = (case when c.type = 'rowversion' then 'timestamp' else c.type end)::citext;
create view sys.columns as
  select oid::int as object_id, name::citext as name, attnum as column_id, user_type_id as system_type_id, user_type_id,
         case when length < 0 then -1
              when shown in ('nvarchar', 'nchar') then length * 2
              when length > 0 then length
              when is_decimal then case when prec <= 9 then 5 when prec <= 19 then 9 when prec <= 28 then 13 else 17 end
              when is_scaled then type_length - case when scale <= 2 then 2 when scale <= 4 then 1 else 0 end
              else type_length end as max_length,
         case when is_decimal then prec
              when is_scaled then type_precision - 7 + scale - (scale = 0)::int
              else type_precision end as precision,
         case when is_decimal or is_scaled then scale else type_scale end as scale,
         nullable::int::smallint as is_nullable, ident::int::smallint as is_identity, 0::smallint as is_computed,
         case when shown::text like '%char' then 'SQL_Latin1_General_CP1_CI_AS' end as collation_name
  from standin.described;
create view sys.identity_columns as select * from sys.columns where is_identity = 1;

create view standin.primary_keys as
  select t.oid, t.sch, t.name as tab, t.pk, c.conname::citext as name from standin.tables t
  join pg_constraint c on c.conrelid = t.oid and c.contype = 'p';
create view standin.key_columns as
  select p.*, c.name as col, c.attnum, k.place::int as place
  from standin.primary_keys p, unnest(p.pk) with ordinality k (col, place), standin.columns c
  where c.oid = p.oid and lower(c.name) = k.col;
create view sys.key_constraints as
  select name, oid::int as parent_object_id, 'PK'::citext as type, 1 as unique_index_id from standin.primary_keys;
create view sys.indexes as
  select oid::int as object_id, name, 1 as index_id, 1 as type, 'CLUSTERED'::citext as type_desc,
         1::smallint as is_unique, 1::smallint as is_primary_key from standin.primary_keys;
create view sys.index_columns as
  select oid::int as object_id, 1 as index_id, place as index_column_id, attnum as column_id, place as key_ordinal,
         0::smallint as is_included_column
  from standin.key_columns;

create view sys.is_tables as
  select standin.name()::citext as table_catalog, sch::citext as table_schema, name::citext as table_name,
         'BASE TABLE'::citext as table_type from standin.tables;
create view sys.is_columns as
  select standin.name()::citext as table_catalog, d.sch::citext as table_schema, d.tab::citext as table_name,
         d.name::citext as column_name, d.attnum as ordinal_position, null::citext as column_default,
         case when d.nullable then 'YES' else 'NO' end::citext as is_nullable, d.shown as data_type,
         nullif(d.length, 0) as character_maximum_length,
         case when d.shown not in ('bit', 'date', 'datetime', 'smalldatetime') and not d.is_scaled
              then nullif(c.precision, 0) end as numeric_precision,
         case when d.shown not in ('bit', 'date', 'datetime', 'smalldatetime', 'real', 'float') and not d.is_scaled
                   and c.precision > 0 then c.scale end as numeric_scale,
         case when d.is_scaled or d.shown = 'datetime' then c.scale
              when d.shown in ('date', 'smalldatetime') then 0 end as datetime_precision
  from standin.described d join sys.columns c on c.object_id = d.oid::int and c.column_id = d.attnum;
create view sys.is_table_constraints as
  select sch::citext as constraint_schema, name as constraint_name, sch::citext as table_schema,
         tab::citext as table_name, 'PRIMARY KEY'::citext as constraint_type from standin.primary_keys;
create view sys.is_key_column_usage as
  select sch::citext as constraint_schema, name as constraint_name, sch::citext as table_schema,
         tab::citext as table_name, col::citext as column_name, place as ordinal_position
  from standin.key_columns;

create view standin.databases as
  select id, s from (select oid::int as id, shobj_description(oid, 'pg_database') as comment from pg_database) d,
       lateral (select case when comment like '{%"prefix"%' then comment::jsonb end as s) c
  where s ->> 'prefix' = standin.settings() ->> 'prefix';
create function sys.db_id(wanted text default null) returns int language sql stable as $$
  select id from standin.databases where lower(s ->> 'name') = lower(coalesce(wanted, standin.name())) $$;
create function standin.bit(s jsonb, key text) returns smallint language sql immutable as $$
  select coalesce((s ->> key)::boolean, false)::int::smallint $$;
create view sys.databases as
  select (s ->> 'name')::citext as name, id as database_id, (s ->> 'created')::timestamp as create_date,
         150 as compatibility_level, 'SQL_Latin1_General_CP1_CI_AS'::citext as collation_name, 0 as state,
         'ONLINE'::citext as state_desc, standin.bit(s, 'snapshot') as snapshot_isolation_state,
         case standin.bit(s, 'snapshot') when 1 then 'ON' else 'OFF' end as snapshot_isolation_state_desc,
         standin.bit(s, 'rcsi') as is_read_committed_snapshot_on, 'FULL'::citext as recovery_model_desc,
         standin.bit(s, 'cdc') as is_cdc_enabled, 0::smallint as is_read_only
  from standin.databases;
create view sys.change_tracking_databases as
  select id as database_id, standin.bit(s, 'auto_cleanup') as is_auto_cleanup_on,
         (s ->> 'retention')::int as retention_period,
         case s ->> 'retention_unit' when 'MINUTES' then 1 when 'HOURS' then 2 else 3 end as retention_period_units,
         s ->> 'retention_unit' as retention_period_units_desc
  from standin.databases where standin.bit(s, 'ct') = 1;
create view sys.change_tracking_tables as
  select oid::int as object_id, track_columns::int::smallint as is_track_columns_updated_on,
         min_valid as min_valid_version, begin_version, cleanup_version
  from ct.tracked;

-- The log of a tracked table is a hidden table: a new one whenever tracking is switched on.
create view sys.internal_tables as
  select ('change_tracking_' || oid)::citext as name, to_regclass('ct.log_' || oid)::oid::int as object_id,
         oid::int as parent_object_id, 209 as internal_type, 'CHANGE_TRACKING'::citext as internal_type_desc
  from ct.tracked;
create function standin.count_rows(t standin.tables) returns bigint language plpgsql stable as $$
declare
  found bigint;
begin
  execute format('select count(*) from %s', standin.quoted(t)) into found;
  return found;
end $$;
create view sys.partitions as
  select oid::int as object_id, (cardinality(pk) > 0)::int as index_id, 1 as partition_number,
         standin.count_rows(t) as rows
  from standin.tables t;

-- A database that was restored from a backup has another recovery fork.
create view sys.database_recovery_status as
  select id as database_id, md5(id::text)::uuid as database_guid,
         md5(id || ' ' || (s ->> 'fork'))::uuid as recovery_fork_guid
  from standin.databases;
create function standin.fork_recovery() returns void language sql as $$
  select standin.set_setting('fork', to_jsonb((standin.settings() ->> 'fork')::int + 1)) $$;
