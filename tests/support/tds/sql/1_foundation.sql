-- These scripts run once, in the order of their names, in each PostgreSQL database that plays a SQL Server database.
--   dbo       the user's tables      sys      what SQL Server shows: catalogue views and functions
--   ct, cdc   the change logs        standin  the stand-in's own tables and functions
-- Settings (name, change tracking, snapshots, CDC) are JSON in the database's comment: comments are shared between
-- databases, so that sys.databases can show them all.
create extension if not exists citext schema public;
create schema dbo;
create schema sys;
create schema cdc;
create schema ct;
create schema standin;
set search_path = dbo, sys, public;
create operator public.+ (leftarg = text, rightarg = text, function = textcat);

-- An error of SQL Server: its number travels as the detail. Each %s of the message is the next word.
create function standin.raise(number int, message text, variadic words text[] default '{}') returns void
language plpgsql as $$
begin
  raise exception using errcode = 'TDSER', message = format(message, variadic words), detail = number::text;
end $$;

create function standin.settings() returns jsonb language sql stable as $$
  select shobj_description(oid, 'pg_database')::jsonb from pg_database where datname = current_database() $$;
create function standin.name() returns text language sql stable as $$
  select standin.settings() ->> 'name' $$;
create function standin.flag(key text) returns boolean language sql stable as $$
  select coalesce((standin.settings() ->> key)::boolean, false) $$;
create function standin.set_setting(key text, value jsonb) returns void language plpgsql as $$
begin
  execute format('comment on database %I is %L', current_database(),
                 (standin.settings() || jsonb_build_object(key, value))::text);
end $$;

-- What CREATE TABLE declared in T-SQL; `pk` holds lower-case names in the order of the key.
create table standin.tables (
  oid oid primary key, sch text, name text, pk text[], created timestamp default localtimestamp);
create table standin.columns (
  oid oid, attnum int, name text, type text, length int, prec int, scale int, nullable boolean, ident boolean,
  primary key (oid, attnum));
create function standin.table_of(object text) returns standin.tables language sql stable as $$
  select t from standin.tables t, string_to_array(lower(translate(object, '[]"', '')), '.') p
  where lower(t.name) = p[cardinality(p)]
    and lower(t.sch) = case when cardinality(p) > 1 then coalesce(nullif(p[cardinality(p) - 1], ''), 'dbo')
                            else 'dbo' end $$;
create function standin.slug(sch text, name text) returns text language sql immutable as $$
  select translate(lower(sch || '$' || name), ' -', '__') $$;
create function standin.quoted(t standin.tables) returns text language sql immutable as $$
  select format('%I.%I', lower(t.sch), lower(t.name)) $$;

create function sys.object_id(object text) returns int language sql stable as $$
  select (standin.table_of(object)).oid::int $$;
create function sys.object_id(object text, kind text) returns int language sql stable as $$
  select case when upper(trim(kind)) = 'U' then sys.object_id(object) end $$;
create function sys.object_name(id int) returns text language sql stable as $$
  select name from standin.tables where oid = id::oid $$;
create function sys.object_schema_name(id int) returns text language sql stable as $$
  select sch from standin.tables where oid = id::oid $$;
create function sys.schema_id(name text default 'dbo') returns int language sql stable as $$
  select case when lower(name) = 'dbo' then 1
              else (select oid::int from pg_namespace where nspname = lower(name)) end $$;
create function sys.schema_name(id int default 1) returns text language sql stable as $$
  select case when id = 1 then 'dbo' else (select nspname::text from pg_namespace where oid = id::oid) end $$;
create function sys.columnproperty(id int, col text, property text) returns int language sql stable as $$
  select case lower(property) when 'columnid' then attnum when 'isidentity' then ident::int
                              when 'allowsnull' then nullable::int when 'iscomputed' then 0 end
  from standin.columns where oid = id::oid and lower(name) = lower(col) $$;
create function sys.quotename(name text) returns text language sql immutable as $$
  select '[' || replace(name, ']', ']]') || ']' $$;
